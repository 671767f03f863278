package host_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
	"github.com/sandcheck/sandcheck/result"
)

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
