package sandcheck_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/host/hosttest"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/result"
)

// A package that asks for every name on every port gets nothing from a caller
// who says nothing, and nothing from one who gives a zero Grant.
func TestWhatIsLeftOutIsNotGranted(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]host.LoadOption{
		"no grant":        nil,
		"zero grant":      {host.WithGrant(capability.Grant{})},
		"no ports":        {host.WithGrant(capability.Grant{Capabilities: []string{"http_request"}, Permissions: netproxy.Rules{Domains: []netproxy.Domain{"*"}}})},
		"no destinations": {host.WithGrant(capability.Grant{Capabilities: []string{"http_request"}, Permissions: netproxy.Rules{Ports: netproxy.AnyPort()}})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hosttest.New(t)
			res, err := h.MustLoad(hosttest.Fetches("http://api.example.com/"), opts...).Run(t.Context(), nil)
			if err != nil || res.Summary != "http_request answered -2" {
				t.Errorf("got %q, %v", res.Summary, err)
			}
			if ds := h.Decisions(); len(ds) != 1 || ds[0].Allowed || ds[0].Hint == "" {
				t.Errorf("decisions %+v, want one refusal that says what would allow it", ds)
			}
			if n := len(h.Network.Lookups()) + len(h.Network.Dials()); n > 0 {
				t.Errorf("%d lookups and dials", n)
			}
		})
	}
}

// Guests that never end by themselves end in time, and while they run the
// garbage collector, which has to stop every thread, is not kept waiting.
func TestAGuestNeverFreezesTheProcess(t *testing.T) {
	const wall, patience = 500 * time.Millisecond, 2 * time.Second // of a busy machine
	for name, wasm := range map[string][]byte{
		"a loop":                         wasmgen.Loops(),
		"calls that double, without one": wasmgen.Doubles(45),
	} {
		for engine, opts := range map[string][]host.Option{"compiler": nil, "interpreter": {host.WithInterpreter()}} {
			t.Run(name+"/"+engine, func(t *testing.T) {
				h := hosttest.New(t, append(opts, host.WithLimits(limits.Limits{Wall: wall}))...)
				p := h.MustLoad(module(wasm))
				ended := make(chan error, 1)
				began := time.Now()
				go func() {
					_, err := p.Run(t.Context(), nil)
					ended <- err
				}()
				collections := 0
				for {
					select {
					case err := <-ended:
						if !errors.Is(err, host.ErrTimeout) {
							t.Errorf("the run ended with %v, want %v", err, host.ErrTimeout)
						}
						if took := time.Since(began); took > wall+patience {
							t.Errorf("the run of %v ended after %v", wall, took)
						}
						if collections == 0 {
							t.Error("no collection came to its end beside the guest")
						}
						return
					default:
						runtime.GC()
						collections++
					}
				}
			})
		}
	}
}

// A guest that asks for ever more memory gets what it was granted, is told -1
// from then on, and goes on.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	const limit = 4 * limits.MiB
	for name, opts := range map[string][]host.Option{"compiler": nil, "interpreter": {host.WithInterpreter()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := hosttest.New(t, opts...).MustLoad(module(wasmgen.Grows()), host.WithGrant(capability.Grant{Limits: limits.Limits{Memory: limit}}))
			report, err := p.Execute(t.Context(), nil)
			if err != nil || report.Ended != host.Returned {
				t.Fatalf("ended %v: %v", report.Ended, err)
			}
			if u := report.Usage; u.PeakMemory != limit || u.FirstRefused != limit+64*limits.KiB || u.RefusedGrows == 0 {
				t.Errorf("peak %v, first refused %v, refused %d times", u.PeakMemory, u.FirstRefused, u.RefusedGrows)
			}
			notes, err := wasmgen.Notes(report.Submits[0].Raw)
			if err != nil || len(notes) != 1 || notes[0].R != -1 {
				t.Errorf("the last memory.grow answered %+v, %v", notes, err)
			}
		})
	}
}

// Whatever a guest holds when it traps comes back: connections, the budget of
// all runs, goroutines.
func TestATrapLeavesNothingBehind(t *testing.T) {
	budget := limits.NewBudget(limits.Limits{Memory: 64 * limits.MiB, Connections: 4}, 2)
	h := hosttest.New(t, host.WithBudget(budget))
	h.Network.HandleTCP("db.example.com:5432", func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) })
	connect := wasmgen.Do("tcp_connect", wasmgen.Text("db.example.com"), wasmgen.Lit(5432), wasmgen.Lit(0))
	pkg := module(wasmgen.Proxy(wasmgen.Script{Entry: []wasmgen.Step{connect, connect, wasmgen.Trap()}, Report: wasmgen.ReportNone}))
	pkg.Manifest.Capabilities = append(pkg.Manifest.Capabilities, "tcp_connect")
	pkg.Manifest.Permissions = netproxy.Rules{Domains: []netproxy.Domain{"db.example.com"}, Ports: netproxy.Ports(5432)}
	p := h.MustLoad(pkg, host.GrantRequested())
	before := 0
	for run := range 10 { // 20 dials are one burst
		report, err := p.Execute(t.Context(), nil)
		if !errors.Is(err, host.ErrTrap) || report.Result.Status != result.Unknown {
			t.Fatalf("run %d: %v, %v", run, report.Result.Status, err)
		}
		if report.Usage.PeakConnections != 2 {
			t.Fatalf("run %d held %d connections, want 2", run, report.Usage.PeakConnections)
		}
		if open := h.Network.Open() + h.Stats().Connections + h.Stats().Active; open != 0 {
			t.Fatalf("run %d left %d things open", run, open)
		}
		if run == 0 {
			before = runtime.NumGoroutine()
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	release, err := budget.Acquire(ctx, limits.Limits{Memory: 64 * limits.MiB, Connections: 4})
	if err != nil {
		t.Fatalf("the budget is not whole again: %v", err)
	}
	release()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d after the first run", runtime.NumGoroutine(), before)
		}
	}
}

// module is a package around wasm.
func module(wasm []byte) *manifest.Package {
	p := hosttest.Silent()
	p.Wasm = wasm
	return p
}
