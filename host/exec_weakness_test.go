package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
	"github.com/sandcheck/sandcheck/result"
)

// These tests stand for weaknesses of an earlier host, one each: what it did is
// in the comment. Bounds of time are generous; what matters is that the order of
// magnitude is another one than without the fix.

const fineDoc = `{"status":"OK","summary":"fine"}`

// submitFine is the step of a plugin that does its duty.
func submitFine() wasmgen.Step { return wasmgen.Do("submit_result", wasmgen.Text(fineDoc)) }

// quietly makes a package of a guest that tells nothing by itself.
func quietly(steps ...wasmgen.Step) *manifest.Package {
	return packageOf(wasmgen.Proxy(wasmgen.Script{Entry: steps, Report: wasmgen.ReportNone}))
}

// telling makes a package of a guest that submits what its steps answered.
func telling(steps ...wasmgen.Step) *manifest.Package {
	return packageOf(wasmgen.Proxy(wasmgen.Script{Entry: steps}))
}

// told are the notes of a guest made by telling.
func told(t *testing.T, r *host.Report) []wasmgen.Note {
	t.Helper()
	if len(r.Submits) == 0 {
		t.Fatalf("nothing was submitted: ended %v, %v", r.Ended, r.Cause)
	}
	notes, err := wasmgen.Notes(r.Submits[len(r.Submits)-1].Raw)
	if err != nil {
		t.Fatal(err)
	}
	return notes
}

// silentPeer listens on loopback, accepts and says nothing.
func silentPeer(t *testing.T) (port uint16) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
		}
	}()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// onLoopback lets a package ask for one port of this machine.
func onLoopback(t *testing.T, pkg *manifest.Package, port uint16) *manifest.Package {
	t.Helper()
	if err := json.Unmarshal([]byte(`{"allowed_networks":["127.0.0.1/32"]}`), &pkg.Manifest.Permissions); err != nil {
		t.Fatal(err)
	}
	pkg.Manifest.Permissions.Ports = netproxy.Ports(port)
	return pkg
}

// anywhere lets a package ask for every name.
func anywhere(pkg *manifest.Package) *manifest.Package {
	pkg.Manifest.Permissions = netproxy.Rules{Domains: []netproxy.Domain{"*"}, Ports: netproxy.AnyPort()}
	return pkg
}

// inMemoryNetwork is an option for a network of this test, closed with it.
func inMemoryNetwork(t *testing.T) (*netproxytest.Network, host.Option) {
	t.Helper()
	var n netproxytest.Network
	t.Cleanup(func() { n.Close() })
	return &n, host.WithNetwork(n.Config())
}

// settled waits until there are no more goroutines than before.
func settled(t *testing.T, before int) {
	t.Helper()
	for range 500 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	stacks := make([]byte, 64<<10)
	t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
}

// soon fails t if more than most has passed since start.
func soon(t *testing.T, start time.Time, least, most time.Duration) {
	t.Helper()
	if took := time.Since(start); took < least || took > most {
		t.Errorf("back after %v, want %v to %v", took, least, most)
	}
}

// An endless loop was never stopped and froze the process at the next garbage
// collection.
func TestW01(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, engine ...host.Option) {
		p := load(t, newRuntime(t, append(engine, wall(500*time.Millisecond))...), packageOf(wasmgen.Loops()))
		done, collected := make(chan struct{}), make(chan int)
		go func() {
			n := 0
			for {
				runtime.GC()
				n++
				select {
				case <-done:
					collected <- n
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		}()
		start := time.Now()
		report, err := p.Execute(t.Context(), nil)
		soon(t, start, 500*time.Millisecond, 5*time.Second)
		close(done)
		if n := <-collected; n < 1 {
			t.Errorf("%d collections ended beside the loop", n)
		}
		if report.Ended != host.TimedOut || !errors.Is(err, host.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ended %v, %v", report.Ended, err)
		}
	})
}

// Stopping waited for ever for a stuck guest. Counts goroutines, so it runs alone.
func TestW02(t *testing.T) {
	before := runtime.NumGoroutine()
	rt, err := host.New(host.WithUnsigned(), wall(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	p := load(t, rt, packageOf(wasmgen.Loops(), "submit_result"))
	ended := make(chan error)
	go func() {
		_, err := p.Run(context.Background(), nil)
		ended <- err
	}()
	for rt.Stats().Active == 0 {
		time.Sleep(time.Millisecond)
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := rt.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
	soon(t, start, 0, 3*time.Second)
	if err := <-ended; !errors.Is(err, host.ErrClosed) {
		t.Errorf("the run ended with %v", err)
	}
	settled(t, before)
}

// Reads and writes ignored the run's deadline.
func TestW03(t *testing.T) {
	t.Parallel()
	port := silentPeer(t)
	pkg := onLoopback(t, quietly(
		wasmgen.Do("tcp_connect", wasmgen.Text("127.0.0.1"), wasmgen.Lit(int64(port)), wasmgen.Lit(0)).As("c"),
		wasmgen.Do("tcp_read", wasmgen.Ref("c"), wasmgen.Out(16), wasmgen.Lit(3000)),
	), port)
	engines(t, func(t *testing.T, engine ...host.Option) {
		p := load(t, newRuntime(t, append(engine, wall(500*time.Millisecond))...), pkg, host.GrantRequested())
		start := time.Now()
		report, _ := p.Execute(t.Context(), nil)
		soon(t, start, 500*time.Millisecond, 2500*time.Millisecond)
		if report.Ended != host.TimedOut || report.Usage.Failed["tcp_read -6"] != 1 || report.Usage.Calls["tcp_connect"] != 1 {
			t.Errorf("ended %v, failed %v", report.Ended, report.Usage.Failed)
		}
	})
}

// A WASI sleep was a plain sleep.
func TestW04(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, engine ...host.Option) {
		p := load(t, newRuntime(t, append(engine, wall(300*time.Millisecond))...), quietly(wasmgen.Sleep(3000)))
		start := time.Now()
		report, _ := p.Execute(t.Context(), nil)
		soon(t, start, 300*time.Millisecond, 2500*time.Millisecond)
		if report.Ended != host.TimedOut {
			t.Errorf("ended %v", report.Ended)
		}
	})
}

// Without a memory request there was no cap.
func TestW05(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, engine ...host.Option) {
		report, err := load(t, newRuntime(t, engine...), telling(wasmgen.Grow(16384), wasmgen.Grow(1))).Execute(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		notes, u := told(t, report), report.Usage
		if notes[0].R != -1 || notes[1].R <= 0 {
			t.Errorf("memory.grow answered %d for 1 GiB, then %d for a page", notes[0].R, notes[1].R)
		}
		if u.PeakMemory > 64*limits.MiB || u.PeakMemory < 64*limits.KiB || u.RefusedGrows != 1 || u.FirstRefused <= 1024*limits.MiB {
			t.Errorf("peak %v, %d refused, the first at %v", u.PeakMemory, u.RefusedGrows, u.FirstRefused)
		}
	})
}

// A request of 4,097 MB panicked.
func TestW06(t *testing.T) {
	t.Parallel()
	const over = 4097 * limits.MiB
	yaml := "id: x\nname: X\nversion: 1.0.0\nentrypoint: run_check\noutputs: serviceradar.plugin_result.v1\ncapabilities: [submit_result]\nresources: {requested_memory_mb: 4097}\n"
	if _, err := manifest.Parse([]byte(yaml)); err == nil || !strings.Contains(err.Error(), "requested_memory_mb") {
		t.Errorf("the manifest: %v", err)
	}
	rt := newRuntime(t)
	pkg := packageOf(wasmgen.Silent(), "submit_result")
	pkg.Manifest.Resources.Memory = over
	if _, err := rt.Load(t.Context(), pkg); err == nil {
		t.Error("a manifest built in Go loads with 4,097 MiB")
	}
	if _, err := rt.Load(t.Context(), packageOf(wasmgen.Silent(), "submit_result"), host.WithGrant(capability.Grant{Limits: limits.Limits{Memory: over}})); err == nil {
		t.Error("a grant of 4,097 MiB loads")
	}
	if _, err := host.New(host.WithMemoryLimit(over)); err == nil {
		t.Error("a host of 4,097 MiB starts")
	}
}

// _initialize was never called, so guests of several toolchains could not run.
func TestW09(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		pkg  func() *manifest.Package
		opts []host.Option
	}{
		{"standard Go", func() *manifest.Package { return packageNamed(t, "http-check-go") }, []host.Option{host.WithInterpreter()}}, // compiles in seconds
		{"Rust cdylib", func() *manifest.Package { return packageNamed(t, "http-check-rust") }, nil},
		{"C reactor", func() *manifest.Package { return packageNamed(t, "http-check") }, nil},
		{"AssemblyScript", func() *manifest.Package { return packageNamed(t, "http-check-as") }, nil},
		{"TinyGo c-shared, by shape", tinyGoShape, nil},
		{"command", func() *manifest.Package { return packageNamed(t, "command") }, nil},
		{"start section", func() *manifest.Package { return packageNamed(t, "start-submit") }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n, network := inMemoryNetwork(t)
			n.HandleHTTP("http://api.example.com", http.NotFoundHandler())
			p := load(t, newRuntime(t, append(tt.opts, network)...), tt.pkg(), host.GrantRequested())
			var cfg any
			if strings.HasPrefix(p.Manifest().ID, "http-check") {
				cfg = map[string]any{"url": "http://api.example.com/", "expect_status": 404}
			}
			report, err := p.Execute(t.Context(), cfg)
			if err != nil || report.Result.Status != result.OK {
				t.Errorf("%v: %v %q, stderr %q", err, report.Result.Status, report.Result.Summary, report.Stderr)
			}
		})
	}
}

// tinyGoShape traps unless _initialize ran before the entrypoint.
func tinyGoShape() *manifest.Package {
	var b wasmgen.Builder
	submit := b.ImportFunc("env", "submit_result", wasmgen.Env("", 2).Sig)
	b.Memory(1)
	b.Data(0, []byte(fineDoc))
	ready := b.Global(wasmgen.I32, true, wasmgen.I32Const(0))
	b.ExportFunc("_initialize", b.Func(wasmgen.Sig{}, nil, wasmgen.GlobalSet(ready, wasmgen.I32Const(1))))
	b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil,
		wasmgen.If(wasmgen.I32Eqz(wasmgen.GlobalGet(ready)), wasmgen.Unreachable()),
		wasmgen.Drop(wasmgen.Call(submit, wasmgen.I32Const(0), wasmgen.I32Const(int32(len(fineDoc)))))))
	return packageOf(b.Bytes(), "submit_result")
}

// One unknown import refused the module.
func TestW10(t *testing.T) {
	t.Parallel()
	pkg := packageOf(wasmgen.Proxy(wasmgen.Script{
		Imports: []wasmgen.Func{wasmgen.Env("emit_telemetry", 2)},
		Entry:   []wasmgen.Step{wasmgen.Do("emit_telemetry", wasmgen.Text("x"))},
	}), "submit_result")
	p := load(t, newRuntime(t), pkg)
	i := slices.IndexFunc(p.Inspection().Imports, func(im host.Import) bool { return im.Name == "emit_telemetry" })
	if i < 0 || p.Inspection().Imports[i].Code != capability.NotFound || len(p.Inspection().Warnings) == 0 {
		t.Errorf("Inspect: %+v, warnings %q", p.Inspection().Imports, p.Inspection().Warnings)
	}
	report, err := p.Execute(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := told(t, report)[0]; n.R != int64(capability.NotFound) {
		t.Errorf("the call answered %d", n.R)
	}
}

// Every run on every machine got the same random bytes.
func TestW11(t *testing.T) {
	t.Parallel()
	p := load(t, newRuntime(t), telling(wasmgen.Do("wasi.random_get", wasmgen.OutPtr(4096), wasmgen.Lit(4096))))
	seen := map[string]bool{}
	for range 2 {
		report, err := p.Execute(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		out := told(t, report)[0].Out
		for i := 0; i < len(out); i += 16 {
			seen[string(out[i:i+16])] = true
		}
	}
	if len(seen) != 512 {
		t.Errorf("%d different blocks of 512", len(seen))
	}
}

// What a guest printed was thrown away.
func TestW12(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		steps []wasmgen.Step
		want  error
	}{
		{"Rust", []wasmgen.Step{wasmgen.Print(2, "thread panicked at src/lib.rs:3:\nboom\n"), wasmgen.Trap()}, host.ErrTrap},
		{"TinyGo", []wasmgen.Step{wasmgen.Print(1, "panic: boom\n"), wasmgen.Trap()}, host.ErrTrap},
		{"standard Go", []wasmgen.Step{wasmgen.Print(2, "panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n"), wasmgen.Exit(2)}, host.ErrExit},
		{"stderr before stdout", []wasmgen.Step{wasmgen.Print(2, "boom\n\n"), wasmgen.Print(1, "last words\n"), wasmgen.Trap()}, host.ErrTrap},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			engines(t, func(t *testing.T, engine ...host.Option) {
				report, err := load(t, newRuntime(t, engine...), quietly(tt.steps...)).Execute(t.Context(), nil)
				r := report.Result
				if !errors.Is(err, tt.want) || r.Status != result.Unknown || !strings.Contains(r.Summary+r.Details, "boom") {
					t.Errorf("%v: summary %q, details %q", err, r.Summary, r.Details)
				}
				if strings.Contains(r.Summary, "\n") {
					t.Errorf("summary of several lines: %q", r.Summary)
				}
			})
		})
	}
}

// A trap after any submit counted as success, even after {}.
func TestW14(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, doc string
		last      wasmgen.Step
		ended     host.Ending
		err       error
		summary   string
	}{
		{"accepted, trap", fineDoc, wasmgen.Trap(), host.Trapped, nil, "fine"},
		{"accepted, exit", fineDoc, wasmgen.Exit(3), host.Exited, nil, "fine"},
		{"refused, trap", "{}", wasmgen.Trap(), host.Trapped, host.ErrTrap, "trap: unreachable"},
		{"refused, exit", "{}", wasmgen.Exit(3), host.Exited, host.ErrExit, "exit: code 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			report, err := load(t, newRuntime(t), quietly(wasmgen.Do("submit_result", wasmgen.Text(tt.doc)), tt.last)).Execute(t.Context(), nil)
			if !errors.Is(err, tt.err) || report.Ended != tt.ended || report.Result.Summary != tt.summary {
				t.Errorf("ended %v, %v, summary %q", report.Ended, err, report.Result.Summary)
			}
			if report.Cause == nil {
				t.Error("the report does not say why it ended")
			}
		})
	}
}

// Entrypoint type, runtime and outputs were not looked at.
func TestW15(t *testing.T) {
	t.Parallel()
	var b wasmgen.Builder
	b.ExportFunc("run_check", b.Func(wasmgen.Sig{Params: wasmgen.I32s(1)}, nil))
	parameter := packageOf(b.Bytes(), "submit_result")
	runtimeNone := quietly(wasmgen.Sleep(1))
	runtimeNone.Manifest.Runtime = "none"
	outputs := packageOf(wasmgen.Silent(), "submit_result")
	outputs.Manifest.Outputs = "serviceradar.something_else.v9"
	for name, tt := range map[string]struct {
		pkg  *manifest.Package
		want string
	}{
		"entrypoint with a parameter":    {parameter, "run_check"},
		"runtime none and a WASI import": {runtimeNone, "poll_oneoff"},
		"unknown outputs":                {outputs, "outputs"},
	} {
		if _, err := newRuntime(t).Load(t.Context(), tt.pkg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// Nothing was measured.
func TestW16(t *testing.T) {
	t.Parallel()
	n, network := inMemoryNetwork(t)
	n.HandleTCP("echo.test:7", netproxytest.Echo)
	pkg := anywhere(telling(
		wasmgen.Do("get_config", wasmgen.Out(1)),
		wasmgen.Do("get_config", wasmgen.Out(64)).Times(2),
		wasmgen.Do("log", wasmgen.Lit(1), wasmgen.Text("hello")).Times(3),
		wasmgen.Do("tcp_connect", wasmgen.Text("echo.test"), wasmgen.Lit(7), wasmgen.Lit(0)).As("c"),
		wasmgen.Do("tcp_write", wasmgen.Ref("c"), wasmgen.Text("12345"), wasmgen.Lit(0)),
		wasmgen.Do("tcp_read", wasmgen.Ref("c"), wasmgen.Out(16), wasmgen.Lit(0)),
		wasmgen.Do("tcp_close", wasmgen.Lit(99)),
		wasmgen.Grow(3),
		wasmgen.Sleep(20),
	))
	report, err := load(t, newRuntime(t, network), pkg, host.GrantRequested()).Execute(t.Context(), map[string]int{"n": 1})
	if err != nil {
		t.Fatal(err)
	}
	u := report.Usage
	calls := `{"get_config":3,"log":3,"submit_result":1,"tcp_close":1,"tcp_connect":1,"tcp_read":1,"tcp_write":1}`
	if got := string(mustJSON(t, u.Calls)); got != calls {
		t.Errorf("calls %s, want %s", got, calls)
	}
	if got := string(mustJSON(t, u.Failed)); got != `{"get_config -3":1,"tcp_close -7":1}` {
		t.Errorf("failed %s", got)
	}
	if u.BytesIn != 5 || u.BytesOut != 5 || u.PeakConnections != 1 || u.Dials != 1 || u.Lookups != 1 {
		t.Errorf("network: %+v", u)
	}
	pages := limits.Bytes(told(t, report)[slices.IndexFunc(told(t, report), func(n wasmgen.Note) bool { return n.Call == "memory.grow" })].R)
	if want := (pages + 3) * 64 * limits.KiB; u.PeakMemory != want {
		t.Errorf("peak memory %v, want %v", u.PeakMemory, want)
	}
	if u.Wall < 20*time.Millisecond || u.HostWait < 20*time.Millisecond || u.HostWait > u.Wall || u.CPU <= 0 || u.CPU > u.Wall {
		t.Errorf("wall %v, waited %v, CPU %v", u.Wall, u.HostWait, u.CPU)
	}
}
