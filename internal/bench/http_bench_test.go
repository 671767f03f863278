package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
)

// BenchmarkHTTPRequest compares an http_request of 1 KB over loopback, by the
// handler that guests call and through a Guard of its own, with the same request
// by plain net/http with a fresh Transport, decoded and encoded alike. refused
// is a request that the Guard turns down.
func BenchmarkHTTPRequest(b *testing.B) {
	payload := bytes.Repeat([]byte("x"), 1024)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(payload) }))
	defer server.Close()
	at := netip.MustParseAddrPort(server.Listener.Addr().String())
	request := capability.HTTP()[0]
	doc, err := json.Marshal(map[string]string{"url": server.URL})
	if err != nil {
		b.Fatal(err)
	}
	out := make([]byte, 8192)
	unpaced := limits.Limits{DialRate: 1e9, LookupRate: 1e9}
	guarded := func(port uint16) capability.Code {
		guard, err := netproxy.New(netproxy.Rules{
			Networks: []netip.Prefix{netip.PrefixFrom(at.Addr(), 32)}, Ports: netproxy.Ports(port),
		}, netproxy.Config{Limits: unpaced})
		if err != nil {
			b.Fatal(err)
		}
		defer guard.Close()
		return request.Handle(context.Background(), &capability.Call{
			Func: request.Name, Session: &capability.Session{Net: guard}, In: [][]byte{doc}, Out: out,
		})
	}
	compare(b, "us",
		timed("plain", func() {
			client := http.Client{Transport: &http.Transport{}, Timeout: 15 * time.Second}
			resp, err := client.Get(server.URL)
			if err != nil {
				b.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				b.Fatal(err)
			}
			resp.Body.Close()
			if _, err := json.Marshal(map[string]any{"status": resp.StatusCode, "headers": resp.Header, "body_base64": body}); err != nil {
				b.Fatal(err)
			}
			client.CloseIdleConnections()
		}),
		timed("guarded", func() {
			if code := guarded(at.Port()); code <= 0 {
				b.Fatal(code)
			}
		}),
		timed("refused", func() {
			if code := guarded(1); code != capability.Denied {
				b.Fatal(code)
			}
		}))
}
