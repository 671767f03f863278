package netproxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"

	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

// witness is a server that records what it was shown.
type witness struct {
	mu   sync.Mutex
	seen []string
}

func (w *witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	who := "nobody"
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		who = r.TLS.PeerCertificates[0].DNSNames[0]
	}
	if r.TLS != nil && r.TLS.DidResume {
		who += " resumed"
	}
	w.mu.Lock()
	w.seen = append(w.seen, who+"/"+r.Header.Get("X-Agent-Key"))
	w.mu.Unlock()
	io.WriteString(rw, "ok")
}

const bothPorts = `{"allowed_domains":["api.example.com","b.example.com"],"allowed_ports":[80,443,8443],"allow_insecure_tls":true}`

func agent(n *netproxytest.Network, key func(context.Context) (string, error)) netproxy.Identity {
	c := n.Certificate("agent.example")
	return netproxy.Identity{ID: "agent", Domains: []netproxy.Domain{"API.example.com."}, Ports: netproxy.Ports(443), Certificate: &c,
		Headers: map[string]func(context.Context) (string, error){"x-agent-key": key}}
}

func TestIdentityIsBoundAndIsolated(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	var w witness
	for _, where := range []string{"https://api.example.com", "https://api.example.com:8443", "http://api.example.com", "https://b.example.com"} {
		n.HandleHTTP(where, &w)
	}
	n.AddDNS("api.example.com", "45.9.9.9")
	n.AddDNS("b.example.com", "45.9.9.9") // one address, so only the name tells them apart
	calls := 0
	key := func(context.Context) (string, error) {
		calls++
		return fmt.Sprintf("key%d", calls), nil
	}
	g, l := newGuard(t, &n, bothPorts, func(c *netproxy.Config) { c.Identities = []netproxy.Identity{agent(&n, key)} })
	plain, _ := newGuard(t, &n, bothPorts, nil)
	verified, insecure := g.HTTPClient(netproxy.HTTPOptions{}), g.HTTPClient(netproxy.HTTPOptions{InsecureTLS: true})
	for _, step := range []struct {
		client *http.Client
		url    string
		want   string
	}{
		{verified, "https://api.example.com/", "agent.example/key1"},
		{verified, "https://api.example.com/", "agent.example/key2"}, // the secret rotates
		{insecure, "https://api.example.com/", "nobody/"},            // same host, other mode: no pooled or resumed connection
		{verified, "https://api.example.com:8443/", "nobody/"},
		{verified, "http://api.example.com/", "nobody/"},
		{verified, "https://b.example.com/", "nobody/"},
		{verified, "https://API.EXAMPLE.com.:443/", "agent.example/key3"},
		{plain.HTTPClient(netproxy.HTTPOptions{}), "https://api.example.com/", "nobody/"}, // another run
	} {
		if _, _, err := get(t.Context(), step.client, step.url); err != nil {
			t.Fatalf("%s: %v", step.url, err)
		}
		if got := w.seen[len(w.seen)-1]; got != step.want {
			t.Errorf("%s showed %q, want %q", step.url, got, step.want)
		}
	}
	var used []string
	for _, d := range l.all() {
		used = append(used, d.Identity)
	}
	if got, want := strings.Join(used, ","), "agent,agent,,,,,agent"; got != want {
		t.Errorf("identities of decisions = %q, want %q", got, want)
	}
}

func TestIdentityHeaderFailureFailsTheCall(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]func(context.Context) (string, error){
		"error":   func(context.Context) (string, error) { return "", errors.New("vault sealed") },
		"panic":   func(context.Context) (string, error) { panic("hunter2") },
		"newline": func(context.Context) (string, error) { return "a\r\nX: y", nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n netproxytest.Network
			var w witness
			n.HandleHTTP("https://api.example.com", &w)
			g, l := newGuard(t, &n, bothPorts, func(c *netproxy.Config) { c.Identities = []netproxy.Identity{agent(&n, key)} })
			_, _, err := get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{}), "https://api.example.com/")
			if err == nil || errors.Is(err, netproxy.ErrDenied) || strings.Contains(fmt.Sprintf("%v %+v", err, l.all()), "hunter2") {
				t.Errorf("err = %v, want a failure without the secret", err)
			}
			if len(w.seen) != 0 {
				t.Errorf("the server saw %q", w.seen)
			}
		})
	}
}

func TestIdentityHeadersAreReserved(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.HandleHTTP("https://b.example.com", text("ok"))
	key := func(context.Context) (string, error) { return "secret", nil }
	g, _ := newGuard(t, &n, bothPorts, func(c *netproxy.Config) { c.Identities = []netproxy.Identity{agent(&n, key)} })
	for _, name := range []string{"X-Agent-Key", "x-agent-key", "X-AGENT-KEY"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://b.example.com/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{name: {"forged"}}
		wantReason(t, g.VetHeader(r.URL, r.Header), netproxy.BadHeader)
		_, _, err = do(g.HTTPClient(netproxy.HTTPOptions{}), r)
		wantReason(t, err, netproxy.BadHeader)
	}
}

// A client wrapped for tracing, and the trace itself, must not see a secret.
func TestInjectedHeadersStayInside(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.HandleHTTP("https://api.example.com", text("ok"))
	key := func(context.Context) (string, error) { return "hunter2", nil }
	g, l := newGuard(t, &n, bothPorts, func(c *netproxy.Config) { c.Identities = []netproxy.Identity{agent(&n, key)} })
	var seen strings.Builder
	got := false
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		WroteHeaderField: func(k string, v []string) { fmt.Fprintln(&seen, k, v) },
		GotConn:          func(httptrace.GotConnInfo) { got = true },
	})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := g.HTTPClient(netproxy.HTTPOptions{}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	fmt.Fprint(&seen, resp.Request.Header, r.Header, resp.Header)
	if strings.Contains(seen.String(), "hunter2") || strings.Contains(fmt.Sprintf("%+v", l.all()), "hunter2") {
		t.Errorf("the secret is in %q or in %+v", seen.String(), l.all())
	}
	if !got {
		t.Error("the caller's other hooks were lost")
	}
}

func TestIdentityConfig(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	cert := n.Certificate("agent")
	value := func(context.Context) (string, error) { return "", nil }
	headers := map[string]func(context.Context) (string, error){"X-A": value}
	for _, tt := range []struct {
		name string
		id   netproxy.Identity
		want string
	}{
		{"no ID", netproxy.Identity{Domains: []netproxy.Domain{"a"}, Ports: netproxy.Ports(1), Headers: headers}, "ID"},
		{"no domain", netproxy.Identity{ID: "x", Ports: netproxy.Ports(1), Headers: headers}, "bound to nothing"},
		{"no port", netproxy.Identity{ID: "x", Domains: []netproxy.Domain{"a"}, Headers: headers}, "bound to nothing"},
		{"nothing held", netproxy.Identity{ID: "x", Domains: []netproxy.Domain{"a"}, Ports: netproxy.Ports(1)}, "neither"},
		{"reserved header", netproxy.Identity{ID: "x", Domains: []netproxy.Domain{"a"}, Ports: netproxy.Ports(1), Headers: map[string]func(context.Context) (string, error){"connection": value}}, "connection"},
		{"host header", netproxy.Identity{ID: "x", Domains: []netproxy.Domain{"a"}, Ports: netproxy.Ports(1), Headers: map[string]func(context.Context) (string, error){"host": value}}, "connection"},
		{"certificate with a custom Transport", netproxy.Identity{ID: "x", Domains: []netproxy.Domain{"a"}, Ports: netproxy.Ports(1), Certificate: &cert}, "Transport"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := netproxy.New(netproxy.Rules{}, netproxy.Config{Identities: []netproxy.Identity{tt.id}, Transport: http.DefaultTransport})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New = %v, want an error with %q", err, tt.want)
			}
		})
	}
}
