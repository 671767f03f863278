package host_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

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
		if n := <-collected; n < 2 {
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

// A trap leaked its connections; after a few, every plugin was refused.
func TestW35(t *testing.T) {
	t.Parallel()
	n, network := inMemoryNetwork(t)
	n.Silent("silent.test:7")
	connect := wasmgen.Do("tcp_connect", wasmgen.Text("silent.test"), wasmgen.Lit(7), wasmgen.Lit(0))
	trapping, other := anywhere(quietly(connect.Times(3), wasmgen.Trap())), anywhere(telling(connect.Times(3)))
	other.Manifest.ID = "other-plugin"
	trapping.Manifest.Resources.Connections, other.Manifest.Resources.Connections = 3, 3
	rt := newRuntime(t, network, host.WithBudget(limits.NewBudget(limits.Limits{Connections: 3}, 0)))
	p := load(t, rt, trapping, host.GrantRequested())
	for range 3 {
		if report, err := p.Execute(t.Context(), nil); !errors.Is(err, host.ErrTrap) || report.Usage.PeakConnections != 3 {
			t.Fatalf("%v, %d connections", err, report.Usage.PeakConnections)
		}
	}
	if open := n.Open(); open != 0 || rt.Stats().Connections != 0 {
		t.Errorf("%d connections are left", open)
	}
	report, err := load(t, rt, other, host.GrantRequested()).Execute(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, note := range told(t, report) {
		if note.R != int64(i+1) {
			t.Errorf("connection %d of another package: %d", i+1, note.R)
		}
	}
}

// tcp_read allocated what the guest named. Reads the process's allocations, so
// it runs alone.
func TestW36(t *testing.T) {
	n, network := inMemoryNetwork(t)
	n.Silent("silent.test:7")
	var stats runtime.MemStats
	var allocated []uint64
	hooks := host.Hooks{HostCall: func(context.Context, host.HostCall) {
		runtime.ReadMemStats(&stats)
		allocated = append(allocated, stats.TotalAlloc)
	}}
	pkg := anywhere(quietly(
		wasmgen.Do("tcp_connect", wasmgen.Text("silent.test"), wasmgen.Lit(7), wasmgen.Lit(0)).As("c"),
		wasmgen.Do("tcp_read", wasmgen.Ref("c"), wasmgen.Lit(0), wasmgen.Lit(1<<30), wasmgen.Lit(0)),
		submitFine(),
	))
	report, err := load(t, newRuntime(t, network, host.WithHooks(hooks)), pkg, host.GrantRequested()).Execute(t.Context(), nil)
	if err != nil || report.Usage.Failed["tcp_read -1"] != 1 || len(allocated) != 3 {
		t.Fatalf("%v, failed %v, %d calls", err, report.Usage.Failed, len(allocated))
	}
	if grown := allocated[1] - allocated[0]; grown > 1<<20 {
		t.Errorf("%d bytes were allocated for a buffer of 1 GiB", grown)
	}
}

// One plugin's submits pushed out another's.
func TestW51(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	many := load(t, rt, quietly(submitFine().TimesLast(2000)))
	one := packageOf(wasmgen.Submits(fineDoc), "submit_result")
	one.Manifest.ID = "one"
	b := load(t, rt, one)
	done := make(chan *host.Report)
	go func() {
		report, _ := many.Execute(context.Background(), nil)
		done <- report
	}()
	for range 20 {
		if r, err := b.Run(t.Context(), nil); err != nil || r.Summary != "fine" {
			t.Errorf("the other plugin: %v", err)
		}
	}
	report := <-done
	if u := report.Usage; u.Calls["submit_result"] != 2000 || u.Failed["submit_result -3"] != 976 || len(report.Submits) != 1024 {
		t.Errorf("%v, failed %v, %d kept", u.Calls, u.Failed, len(report.Submits))
	}
}

// Logs had no limit, no cleaning, and a guest could write to a terminal.
func TestW54(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&text, nil))
	p := load(t, newRuntime(t, host.WithLogger(logger)),
		quietly(wasmgen.Do("log", wasmgen.Lit(2), wasmgen.Text("a\x1b[2Jb\nlevel=ERROR msg=forged")).TimesLast(100_000), submitFine()))
	report, err := p.Execute(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if u := report.Usage; len(report.Logs) != 1000 || u.LogDropped != 99_000 || u.Calls["log"] != 100_000 {
		t.Errorf("%d lines, %d dropped, %v", len(report.Logs), u.LogDropped, u.Calls)
	}
	if want := "a\ufffdb level=ERROR msg=forged"; report.Logs[0].Text != want || report.Logs[0].Level != slog.LevelWarn {
		t.Errorf("line %+v, want %q", report.Logs[0], want)
	}
	if s := text.String(); strings.Contains(s, "\x1b") || strings.Count(s, "\n") != 1000 {
		t.Errorf("the logger wrote %d lines", strings.Count(s, "\n"))
	}
}

// Summaries were cut by bytes and held stack traces.
func TestW55(t *testing.T) {
	t.Parallel()
	panics := capability.Func{Name: "own", Handle: func(context.Context, *capability.Call) capability.Code {
		panic("open /etc/secret: permission denied")
	}}
	own := packageOf(wasmgen.Proxy(wasmgen.Script{
		Imports: []wasmgen.Func{wasmgen.Env("own", 0)}, Entry: []wasmgen.Step{wasmgen.Do("own")}, Report: wasmgen.ReportNone,
	}), "own")
	long := strings.Repeat("ü", 3000)
	for _, tt := range []struct {
		name, prefix string
		pkg          *manifest.Package
	}{
		{"long stderr", "trap: unreachable: x", quietly(wasmgen.Print(2, "x"+long), wasmgen.Trap())},
		{"escape sequences", "trap: unreachable: \ufffdx", quietly(wasmgen.Print(2, "\x1b[31mx\r\n"), wasmgen.Trap())},
		{"long submission", "x", quietly(wasmgen.Do("submit_result", wasmgen.Text(`{"status":"OK","summary":"x`+long+`"}`)))},
		{"stack overflow", "trap: stack_overflow", packageOf(wasmgen.Recurses())},
		{"host panic", "trap: host_panic", own},
		{"refused result", "plugin result invalid: not_json", quietly(wasmgen.Do("submit_result", wasmgen.Text("/etc/passwd")))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			report, _ := load(t, newRuntime(t, host.WithCapabilities(panics)), tt.pkg, host.GrantRequested()).Execute(t.Context(), nil)
			s := report.Result.Summary
			if !strings.HasPrefix(s, tt.prefix) || len(s) > 2048 || !utf8.ValidString(s) {
				t.Errorf("summary of %d bytes: %.60q", len(s), s)
			}
			for _, part := range []string{"\n", "\x1b", "goroutine", "stack trace", "/etc", ".go:"} {
				if strings.Contains(s, part) || strings.Contains(report.Result.Details, part) && part != "\n" {
					t.Errorf("the result tells %q: %.200q", part, s)
				}
			}
		})
	}
}

// Any change restarted and re-ran every plugin.
func TestW70(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	long := load(t, rt, quietly(wasmgen.Sleep(200), submitFine()))
	done := make(chan error)
	go func() {
		_, err := long.Run(context.Background(), nil)
		done <- err
	}()
	for i := range 10 {
		pkg := packageOf(wasmgen.Submits(fineDoc), "submit_result")
		pkg.Manifest.Version = "1.0." + string(rune('0'+i))
		p := load(t, rt, pkg)
		if _, err := p.Run(t.Context(), nil); err != nil {
			t.Error(err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := <-done; err != nil {
		t.Errorf("the long run: %v", err)
	}
	if s := rt.Stats(); s.Runs != 11 || s.Plugins != 1 {
		t.Errorf("%d runs, %d plugins; want 11 and 1", s.Runs, s.Plugins)
	}
}

// A config of null panicked.
func TestW71(t *testing.T) {
	t.Parallel()
	schema, err := manifest.ParseConfigSchema([]byte(`{"type":"object","properties":{"n":{"type":"integer"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	rt := newRuntime(t)
	plain := load(t, rt, packageOf(wasmgen.Submits(fineDoc), "submit_result"))
	pkg := packageOf(wasmgen.Submits(fineDoc), "submit_result")
	pkg.Schema = schema
	strictly := load(t, rt, pkg)
	for _, cfg := range []any{
		nil, json.RawMessage("null"), json.RawMessage(""), []byte{}, []byte("{"), []byte("\xff"), "", []any{}, 5, math.NaN(), true,
		map[string]any{}, struct{}{}, func() {}, make(chan int), json.RawMessage(nil), json.RawMessage(`{"n":1,"n":2}`), (*int)(nil),
	} {
		for name, p := range map[string]*host.Plugin{"plain": plain, "with a schema": strictly} {
			r, err := p.Run(t.Context(), cfg)
			if r == nil || (err == nil) != (r.Status == result.OK) || err != nil && !errors.Is(err, host.ErrInvalidConfig) {
				t.Errorf("%s, config %T %v: %+v, %v", name, cfg, cfg, r, err)
			}
		}
	}
}

// Two runners of one id leaked one that could not be stopped.
func TestW72(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	pkg := packageOf(wasmgen.Submits(fineDoc), "submit_result")
	a, b := load(t, rt, pkg), load(t, rt, pkg)
	if s := rt.Stats(); s.Plugins != 2 || s.Compiles != 1 {
		t.Errorf("%d plugins, %d compiles", s.Plugins, s.Compiles)
	}
	if err := a.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := b.Run(t.Context(), nil); err != nil {
		t.Errorf("the second after the first was closed: %v", err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for _, p := range []*host.Plugin{a, b} {
		if r, err := p.Run(t.Context(), nil); !errors.Is(err, host.ErrClosed) || r.Status != result.Unknown || r.Summary != "closed" {
			t.Errorf("a closed plugin ran: %v, %q", err, r.Summary)
		}
	}
	if s := rt.Stats(); s.Plugins != 0 || s.Active != 0 {
		t.Errorf("left: %+v", s)
	}
}

// A busy engine answered UNKNOWN instead of waiting.
func TestW73(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t, host.WithBudget(limits.NewBudget(limits.Limits{Memory: 256 * limits.MiB}, 2)))
	p := load(t, rt, quietly(wasmgen.Sleep(20), submitFine()))
	errs := make(chan error)
	for range 8 {
		go func() {
			_, err := p.Run(context.Background(), nil)
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Errorf("a run that had to wait: %v", err)
		}
	}
	huge := packageOf(wasmgen.Submits(fineDoc), "submit_result")
	huge.Manifest.Resources.Memory = 512 * limits.MiB
	rt = newRuntime(t, host.WithMemoryLimit(1024*limits.MiB), host.WithBudget(limits.NewBudget(limits.Limits{Memory: 256 * limits.MiB}, 2)))
	r, err := load(t, rt, huge).Run(t.Context(), nil)
	if !errors.Is(err, limits.ErrAdmission) || !strings.HasPrefix(r.Summary, "admission denied") {
		t.Errorf("what can never fit: %v, %q", err, r.Summary)
	}
}

// Closing during a host call could hit a closed channel. Matters under -race.
func TestW75(t *testing.T) {
	t.Parallel()
	n, network := inMemoryNetwork(t)
	n.Silent("silent.test:7")
	n.HandleTCP("echo.test:7", netproxytest.Echo)
	pkg := anywhere(quietly(
		wasmgen.Do("tcp_connect", wasmgen.Text("echo.test"), wasmgen.Lit(7), wasmgen.Lit(0)).As("e"),
		wasmgen.Do("tcp_write", wasmgen.Ref("e"), wasmgen.Text("x"), wasmgen.Lit(0)),
		wasmgen.Do("tcp_connect", wasmgen.Text("silent.test"), wasmgen.Lit(7), wasmgen.Lit(0)).As("c"),
		wasmgen.Do("tcp_read", wasmgen.Ref("c"), wasmgen.Out(16), wasmgen.Lit(0)),
	))
	rt := newRuntime(t, network, host.WithLimits(limits.Limits{Wall: time.Minute, DialRate: 1e6, LookupRate: 1e6}))
	p := load(t, rt, pkg, host.GrantRequested())
	errs := make(chan error)
	const runs = 8
	for range runs {
		go func() {
			_, err := p.Run(context.Background(), nil)
			errs <- err
		}()
	}
	for rt.Stats().Active < runs {
		time.Sleep(time.Millisecond)
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := rt.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
	soon(t, start, 0, 5*time.Second)
	for range runs {
		if err := <-errs; !errors.Is(err, host.ErrClosed) {
			t.Errorf("a run ended with %v", err)
		}
	}
	if open := n.Open(); open != 0 {
		t.Errorf("%d connections are left", open)
	}
}

// A nil logger panicked, and clocks were mixed.
func TestW76(t *testing.T) {
	t.Parallel()
	bare, err := host.New(host.WithUnsigned(), host.WithLogger(nil), host.WithRedactor(nil), host.WithClock(nil), host.WithRand(nil), host.WithHooks(host.Hooks{}))
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close(context.Background()) //nolint:errcheck // checked elsewhere
	work := []wasmgen.Step{wasmgen.Do("log", wasmgen.Lit(1), wasmgen.Text("x")), wasmgen.Do("wasi.clock_time_get", wasmgen.Lit(0), wasmgen.Lit(0), wasmgen.OutPtr(8))}
	wasm := wasmgen.Proxy(wasmgen.Script{Entry: work})
	if _, err := load(t, bare, packageOf(wasm, "log", "submit_result")).Run(t.Context(), nil); err != nil {
		t.Errorf("zero options: %v", err)
	}

	at := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	rt := newRuntime(t, host.WithClock(func() time.Time { return at }))
	stub := wasmgen.Do("http_request", wasmgen.Text("{}"), wasmgen.Out(8))
	report, err := load(t, rt, telling(append(work, stub)...)).Execute(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]time.Time{
		"Started": report.Started, "Logs": report.Logs[0].At, "Decisions": report.Decisions[0].At,
		"ObservedAt": report.Result.ObservedAt, "Stats.LastRun": rt.Stats().LastRun,
	}
	for name, got := range times {
		if !got.Equal(at) {
			t.Errorf("%s is %v, want %v", name, got, at)
		}
	}
	if r, _ := load(t, rt, packageOf(wasmgen.Silent(), "submit_result")).Run(t.Context(), nil); !r.ObservedAt.Equal(at) {
		t.Errorf("ObservedAt of a host's result is %v", r.ObservedAt)
	}
}

// A config was never validated before a run.
func TestW77(t *testing.T) {
	t.Parallel()
	schema, err := manifest.ParseConfigSchema([]byte(`{"type":"object","required":["host"],"properties":{"host":{"type":"string"},"token":{"type":"string","maxLength":4}}}`))
	if err != nil {
		t.Fatal(err)
	}
	pkg := packageOf(wasmgen.Submits(fineDoc), "submit_result")
	pkg.Schema = schema
	p := load(t, newRuntime(t), pkg)
	for _, tt := range []struct {
		cfg, pointer string
	}{
		{`{"host":5}`, "/host"},
		{`{"host":"h","token":"s3cr3t"}`, "/token"},
		{`{}`, "host"},
	} {
		report, err := p.Execute(t.Context(), json.RawMessage(tt.cfg))
		if !errors.Is(err, host.ErrInvalidConfig) || report.Ended != host.NotStarted || len(report.Usage.Calls) != 0 {
			t.Errorf("%s: ended %v, %v, calls %v", tt.cfg, report.Ended, err, report.Usage.Calls)
			continue
		}
		for _, text := range []string{err.Error(), report.Result.Summary} {
			if !strings.Contains(text, tt.pointer) || strings.Contains(text, "s3cr3t") {
				t.Errorf("%s: told %q, want %q", tt.cfg, text, tt.pointer)
			}
		}
	}
}
