package websocket_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/capability/websocket"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/host/hosttest"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/result"
)

var names = []string{"websocket_connect", "websocket_send", "websocket_recv", "websocket_close"}

// guest is testdata/guest, entered at one of its exports.
func guest(t *testing.T, entrypoint string) *manifest.Package {
	t.Helper()
	wasm, err := os.ReadFile("testdata/guest/guest.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return &manifest.Package{Wasm: wasm, Manifest: &manifest.Manifest{
		ID: "ws-guest", Name: "WebSocket guest", Version: "1.0.0", Entrypoint: entrypoint, Outputs: "serviceradar.plugin_result.v1",
		Capabilities: append([]string{"get_config", "submit_result"}, names...),
		Permissions:  granted(),
	}}
}

func newHost(t *testing.T) *hosttest.Host {
	h := hosttest.New(t, host.WithCapabilities(websocket.Funcs()...), host.WithLimits(limits.Limits{Wall: 2 * time.Second}))
	h.Network.HandleHTTP(server, accept(echo))
	return h
}

// A real guest in the real Runtime: from the manifest's capability to the
// server and back.
func TestGuest(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.MustLoad(guest(t, "echo"), host.GrantRequested())
	for range 2 {
		r, err := p.Execute(t.Context(), "wss://"+server+"/feed")
		if err != nil || r.Result.Status != result.OK {
			t.Fatalf("%v, %v; %+v", r.Result.Status, err, r.Failures)
		}
		want := map[string]int{"websocket_close -7": 1}
		if u := r.Usage; !maps.Equal(u.Failed, want) || u.PeakConnections != 1 || u.Dials != 1 {
			t.Errorf("usage %+v", u)
		}
		if len(r.Decisions) != 1 || r.Decisions[0].Func != "websocket_connect" || !r.Decisions[0].Allowed {
			t.Errorf("decisions %+v", r.Decisions)
		}
	}
	want := strings.Repeat("get_config out 1024 = 27\nwebsocket_connect in 25 = 1\nwebsocket_send in 5 = 5\nwebsocket_recv out 64 = 5\nwebsocket_close = ok\nwebsocket_close = bad_handle\nsubmit_result in 32 = ok\n", 2)
	if got := h.Trace(); got != want {
		t.Errorf("trace:\n%s\nwant:\n%s", got, want)
	}
}

// Neither the manifest's wish nor the operator's grant is enough alone.
func TestGuestNotGranted(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for name, opts := range map[string][]host.LoadOption{
		"no capability": {host.WithGrant(capability.Grant{Permissions: granted()})},
		"no place":      {host.WithGrant(capability.Grant{Capabilities: names})},
		"another port":  {host.WithGrant(capability.Grant{Capabilities: names, Permissions: netproxy.Rules{Domains: []netproxy.Domain{server}, Ports: netproxy.Ports(8443)}})},
	} {
		r, err := h.MustLoad(guest(t, "echo"), opts...).Execute(t.Context(), "wss://"+server+"/feed")
		if err != nil || r.Result.Status != result.Critical || r.Usage.Failed["websocket_connect -2"] != 1 {
			t.Errorf("%s: %v, %v, failed %v", name, r.Result.Status, err, r.Usage.Failed)
		}
	}
	if n := len(h.Network.Dials()); n > 0 {
		t.Errorf("dialled %v", h.Network.Dials())
	}
}

// Without the module the names are unknown, and a manifest that lists them does
// not load.
func TestGuestNotOffered(t *testing.T) {
	t.Parallel()
	h := hosttest.New(t)
	if _, err := h.Load(t.Context(), guest(t, "echo"), host.GrantRequested()); err == nil || !strings.Contains(err.Error(), "websocket_connect") {
		t.Errorf("err = %v", err)
	}
}

// A run that leaves its connection behind, by returning, by a trap or by its
// deadline, gives all of it back, also to the budget of all runs.
func TestGuestLeavesConnectionsBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("runs", func(t *testing.T) {
		budget := limits.NewBudget(limits.Limits{Connections: 4}, 0)
		h := hosttest.New(t, host.WithCapabilities(websocket.Funcs()...), host.WithBudget(budget), host.WithLimits(limits.Limits{Wall: time.Second, DialRate: 1000}))
		h.Network.HandleHTTP(server, accept(echo))
		for entrypoint, want := range map[string]error{"leave": nil, "trap": nil, "wait": host.ErrTimeout} {
			p := h.MustLoad(guest(t, entrypoint), host.GrantRequested())
			runs := 5
			if want != nil {
				runs = 1
			}
			for i := range runs {
				began := time.Now()
				r, err := p.Execute(t.Context(), fmt.Sprintf("wss://%s/%d", server, i))
				if !errors.Is(err, want) || r.Usage.Dials != 1 || r.Usage.PeakConnections != 1 {
					t.Errorf("%s: %v, %v; failures %v", entrypoint, r.Ended, err, r.Failures)
				}
				if want == nil && r.Result.Status != result.OK {
					t.Errorf("%s: %v", entrypoint, r.Result.Status)
				}
				if took := time.Since(began); took > 1500*time.Millisecond {
					t.Errorf("%s took %v", entrypoint, took)
				}
				if n := h.Network.Open(); n > 0 {
					t.Errorf("%s: %d connections open", entrypoint, n)
				}
				// One that has said that it is done may take a moment to be gone.
				eventually(t, entrypoint+": no goroutine left", func() bool { return ours() == 0 })
			}
		}
	})
	eventually(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= before+1 })
}

// The functions through real guest memory, with one Session for several calls.
func TestCallFunc(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	w.serve(echo)
	f := w.funcs
	h, _ := hosttest.CallFunc(t, w.session, f["websocket_connect"], feed, 5000)
	if h != 1 {
		t.Fatalf("connect = %v", h)
	}
	if code, _ := hosttest.CallFunc(t, w.session, f["websocket_send"], int(h), "grüße", 5000); code != 7 {
		t.Errorf("send = %v", code)
	}
	if code, _ := hosttest.CallFunc(t, w.session, f["websocket_recv"], int(h), 3, 5000); code != capability.TooLarge {
		t.Errorf("recv into 3 bytes = %v", code)
	}
	if code, out := hosttest.CallFunc(t, w.session, f["websocket_recv"], int(h), 64, 5000); code != 7 || string(out) != "grüße" {
		t.Errorf("recv = %v %q", code, out)
	}
	if code, _ := hosttest.CallFunc(t, w.session, f["websocket_close"], int(h)); code != 0 {
		t.Errorf("close = %v", code)
	}
}
