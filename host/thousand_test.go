package host_test

import (
	"errors"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/host/hosttest"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
)

// A thousand runs at one time against a server that answers too late: each keeps
// within its one connection, ends at its own deadline and leaves nothing.
func TestThousandRunsAgainstASlowServer(t *testing.T) {
	const (
		runs     = 1000
		deadline = 400 * time.Millisecond
	)
	goroutines := runtime.NumGoroutine()
	var open, peak atomic.Int64
	t.Run("run", func(t *testing.T) {
		h := hosttest.New(t, host.WithBudget(limits.NewBudget(limits.Limits{Connections: runs}, runs)))
		h.Network.HandleHTTP("http://slow.example.com", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			n := open.Add(1)
			defer open.Add(-1)
			for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
			}
			<-r.Context().Done()
		}))
		// Two requests: the second would need a second connection, were the first still open.
		ask := wasmgen.Do("http_request", wasmgen.Text(`{"url":"http://slow.example.com/"}`), wasmgen.Out(4096))
		pkg := packageOf(wasmgen.Proxy(wasmgen.Script{Entry: []wasmgen.Step{ask, ask}}))
		pkg.Manifest.Resources.Connections = 1
		pkg.Manifest.Permissions = netproxy.Rules{Domains: []netproxy.Domain{"slow.example.com"}, Ports: netproxy.Ports(80)}
		p := h.MustLoad(pkg, host.WithGrant(capability.Grant{
			Capabilities: networkNames, Permissions: pkg.Manifest.Permissions,
			Limits: limits.Limits{Wall: deadline, DialRate: 1e6, LookupRate: 1e6},
		}))
		var wg sync.WaitGroup
		for range runs {
			wg.Go(func() {
				report, err := p.Execute(t.Context(), nil)
				switch {
				case !errors.Is(err, host.ErrTimeout) || report.Ended != host.TimedOut:
					t.Errorf("ended %v, %v", report.Ended, err)
				case report.Usage.PeakConnections > 1:
					t.Errorf("%d connections at one time", report.Usage.PeakConnections)
				case report.Usage.Wall > deadline+20*time.Second:
					t.Errorf("took %v", report.Usage.Wall)
				}
			})
		}
		wg.Wait()
		if s := h.Stats(); s.Active != 0 || s.Connections != 0 || s.Runs != runs {
			t.Errorf("afterwards: %+v", s)
		}
	})
	t.Logf("%d runs, at most %d requests in the server at one time", runs, peak.Load())
	if peak.Load() > runs {
		t.Errorf("%d requests at one time for %d runs of one connection", peak.Load(), runs)
	}
	for patience := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines+5; {
		if time.Now().After(patience) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
