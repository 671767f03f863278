package netproxy_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func (f dialFunc) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}

type lookupFunc func(ctx context.Context, network, host string) ([]netip.Addr, error)

func (f lookupFunc) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return f(ctx, network, host)
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A dialer that leads elsewhere is caught, unless it is declared as a tunnel.
func TestDialerThatLeadsElsewhere(t *testing.T) {
	t.Parallel()
	for _, tunnel := range []bool{false, true} {
		var n netproxytest.Network
		var w witness
		n.HandleHTTP("http://a.example", text("unused"))
		n.HandleHTTP("http://10.9.9.9", &w)
		var asked []string
		g, l := newGuard(t, &n, open80, func(c *netproxy.Config) {
			c.Tunnel = tunnel
			c.Dialer = dialFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
				asked = append(asked, address)
				return n.DialContext(ctx, network, "10.9.9.9:80")
			})
		})
		_, _, err := get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{}), "http://a.example/")
		if got := err == nil; got != tunnel {
			t.Errorf("tunnel %v: err = %v", tunnel, err)
		}
		if got := len(w.seen) == 1; got != tunnel {
			t.Errorf("tunnel %v: the other server saw %q", tunnel, w.seen)
		}
		if len(asked) != 1 || !netip.MustParseAddrPort(asked[0]).IsValid() {
			t.Errorf("asked for %q, want one literal", asked)
		}
		g.Close()
		if d := l.all()[0]; d.Tunnel != tunnel || !d.Allowed || n.Open() != 0 {
			t.Errorf("decision = %+v, %d connections left", d, n.Open())
		}
	}
}

func TestDialerThatMisbehaves(t *testing.T) {
	t.Parallel()
	for name, dial := range map[string]dialFunc{
		"panics":  func(context.Context, string, string) (net.Conn, error) { panic("boom") },
		"nothing": func(context.Context, string, string) (net.Conn, error) { return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n netproxytest.Network
			n.AddHost("a.example")
			g, l := newGuard(t, &n, open80, func(c *netproxy.Config) { c.Dialer, c.Limits.Connections = dial, 1 })
			for range 3 {
				if _, err := g.DialContext(t.Context(), "tcp", "a.example:80"); err == nil || errors.Is(err, netproxy.ErrDenied) {
					t.Errorf("err = %v", err)
				}
			}
			if len(l.all()) != 3 || l.all()[0].Err != "connect:failed" {
				t.Errorf("decisions = %+v", l.all())
			}
		})
	}
}

func TestResolverAnswers(t *testing.T) {
	t.Parallel()
	var many []netip.Addr
	for i := range 1000 {
		many = append(many, netip.AddrFrom4([4]byte{45, 1, byte(i >> 8), byte(i)}))
	}
	addrs := func(texts ...string) (out []netip.Addr) {
		for _, s := range texts {
			out = append(out, netip.MustParseAddr(s))
		}
		return out
	}
	for _, tt := range []struct {
		name    string
		answers []netip.Addr
		want    int // candidates; -1 for an error of the lookup, -2 for a refusal
	}{
		{"a thousand", many, 16},
		{"zoned", addrs("fe80::1%eth0"), -1},
		{"zoned public", addrs("2606:4700::1%eth0"), -1},
		{"mapped and plain are one", addrs("::ffff:45.1.1.1", "45.1.1.1"), 1},
		{"invalid", []netip.Addr{{}, {}}, -1},
		{"mapped loopback", addrs("::ffff:127.0.0.1"), -2},
		{"mixed", addrs("127.0.0.1", "45.1.1.1", "fe80::1", "2606:4700::1"), 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, l := newGuard(t, &netproxytest.Network{}, open80, func(c *netproxy.Config) {
				c.Resolver = lookupFunc(func(_ context.Context, network, host string) ([]netip.Addr, error) {
					if network != "ip" || host != "a.example." {
						t.Errorf("asked for %s %q", network, host)
					}
					return tt.answers, nil
				})
			})
			target, err := g.Decide(t.Context(), "tcp", "A.example", 80)
			var dns *net.DNSError
			switch {
			case tt.want == -1 && !errors.As(err, &dns), tt.want == -2 && !errors.Is(err, netproxy.ErrDenied), tt.want >= 0 && err != nil:
				t.Errorf("err = %v, want %d", err, tt.want)
			case tt.want >= 0 && len(target.Addrs) != tt.want:
				t.Errorf("addresses = %v, want %d", target.Addrs, tt.want)
			}
			if tt.name == "mixed" && (len(l.all()[0].Dropped) != 2 || !target.Addrs[0].Addr().Is6()) {
				t.Errorf("decision = %+v", l.all()[0])
			}
		})
	}
	t.Run("panics", func(t *testing.T) {
		t.Parallel()
		g, _ := newGuard(t, &netproxytest.Network{}, open80, func(c *netproxy.Config) {
			c.Resolver = lookupFunc(func(context.Context, string, string) ([]netip.Addr, error) { panic("boom") })
		})
		var dns *net.DNSError
		if _, err := g.Decide(t.Context(), "tcp", "a.example", 80); !errors.As(err, &dns) {
			t.Errorf("err = %v, want a *net.DNSError", err)
		}
	})
	t.Run("a single label is looked up as written", func(t *testing.T) {
		t.Parallel()
		g, _ := newGuard(t, &netproxytest.Network{}, open80, func(c *netproxy.Config) {
			c.Resolver = lookupFunc(func(_ context.Context, _, host string) ([]netip.Addr, error) {
				if host != "localhost" {
					t.Errorf("asked for %q", host)
				}
				return addrs("45.1.1.1"), nil
			})
		})
		if _, err := g.Decide(t.Context(), "tcp", "localhost", 80); err != nil {
			t.Error(err)
		}
	})
}

func TestAnswerSettings(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.AddDNS("mixed.example", "127.0.0.1", "45.1.1.1")
	g, _ := newGuard(t, &n, open80, func(c *netproxy.Config) { c.StrictAnswers = true })
	_, err := g.Decide(t.Context(), "tcp", "mixed.example", 80)
	wantReason(t, err, netproxy.BadAddress)

	g, _ = newGuard(t, &n, `{"allowed_domains":["*.internal.example","gone.internal.example"],"allowed_ports":[80]}`, func(c *netproxy.Config) { c.OpaqueWildcardDNS = true })
	_, err = g.Decide(t.Context(), "tcp", "other.internal.example", 80)
	wantReason(t, err, netproxy.BadAddress)
	var dns *net.DNSError
	if _, err = g.Decide(t.Context(), "tcp", "gone.internal.example", 80); !errors.As(err, &dns) {
		t.Errorf("a name with its own entry: %v", err)
	}
}

// dialTarget is a Transport as an embedder should write it.
func dialTarget(n *netproxytest.Network, change func(netproxy.Target) string) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		t, ok := netproxy.TargetFrom(ctx)
		if !ok {
			return nil, errors.New("no target")
		}
		return n.DialContext(ctx, network, change(t))
	}}
}

func TestCustomTransport(t *testing.T) {
	t.Parallel()
	honest := func(t netproxy.Target) string { return t.Addrs[0].String() }
	for _, tt := range []struct {
		name   string
		dial   func(netproxy.Target) string
		tunnel bool
		want   bool
	}{
		{"honest", honest, false, true},
		{"elsewhere", func(netproxy.Target) string { return "10.9.9.9:80" }, false, false},
		{"elsewhere, through a tunnel", func(netproxy.Target) string { return "10.9.9.9:80" }, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var n netproxytest.Network
			var w witness
			n.HandleHTTP("http://a.example", &w)
			n.HandleHTTP("http://10.9.9.9", &w)
			rt := dialTarget(&n, tt.dial)
			g, l := newGuard(t, &n, open80, func(c *netproxy.Config) {
				c.Transport, c.Tunnel, c.Limits.Connections = rt, tt.tunnel, 1
			})
			defer rt.CloseIdleConnections()
			for range 3 {
				_, _, err := get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{}), "http://a.example/")
				if got := err == nil; got != tt.want {
					t.Errorf("err = %v, want success %v", err, tt.want)
				}
			}
			if !tt.want && len(w.seen) > 0 {
				t.Errorf("the wrong server saw %q", w.seen)
			}
			if len(l.all()) != 3 {
				t.Errorf("decisions = %+v", l.all())
			}
		})
	}
	t.Run("insecure TLS is refused", func(t *testing.T) {
		t.Parallel()
		var n netproxytest.Network
		g, _ := newGuard(t, &n, `{"allowed_domains":["*"],"allowed_ports":[443],"allow_insecure_tls":true}`, func(c *netproxy.Config) { c.Transport = dialTarget(&n, honest) })
		_, _, err := get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{InsecureTLS: true}), "https://a.example/")
		wantReason(t, err, netproxy.BadTLS)
	})
	t.Run("the request is decided and canonical", func(t *testing.T) {
		t.Parallel()
		var n netproxytest.Network
		n.AddDNS("a.example", "45.1.1.1")
		g, _ := newGuard(t, &n, open80, func(c *netproxy.Config) {
			c.Transport = roundTripFunc(func(r *http.Request) (*http.Response, error) {
				target, ok := netproxy.TargetFrom(r.Context())
				if !ok || target.Host != "a.example" || len(target.Addrs) != 1 || r.URL.String() != "http://a.example/p%2fq?x=1" || r.Host != "a.example" {
					t.Errorf("target %+v, url %s, host %s", target, r.URL, r.Host)
				}
				return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("fine")), Request: r, Header: http.Header{}}, nil
			})
		})
		if _, body, err := get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{}), "HTTP://A.Example.:080/p%2fq?x=1#f"); err != nil || body != "fine" {
			t.Errorf("%q, %v", body, err)
		}
	})
}

// W26 and the environment: no proxy of the embedding process is ever asked.
func TestW26EnvironmentProxiesAreIgnored(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(name, "http://10.8.8.8:3128")
	}
	t.Setenv("NO_PROXY", "")
	t.Setenv("no_proxy", "")
	var n netproxytest.Network
	n.HandleHTTP("a.example", text("direct"))
	addr := n.AddHost("a.example").String()
	g, _ := newGuard(t, &n, open80, nil)
	for _, url := range []string{"http://a.example/", "https://a.example/"} {
		if _, body, err := get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{}), url); err != nil || body != "direct" {
			t.Errorf("%s: %q, %v", url, body, err)
		}
	}
	if want := []string{"tcp " + addr + ":80", "tcp " + addr + ":443"}; !slices.Equal(n.Dials(), want) {
		t.Errorf("dials = %q, want %q", n.Dials(), want)
	}
}

// W24, W25: certificates are checked unless the grant says otherwise, and the
// exception leaks nothing.
func TestW24Certificates(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	var sni, host string
	n.HandleHTTP("https://good.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { sni, host = r.TLS.ServerName, r.Host }))
	n.HandleHTTP("https://45.2.2.2", text("literal"))
	n.HandleHTTP("https://self.example", text("self"))
	n.SelfSigned("self.example")
	other := n.Certificate("other.example")
	n.HandleTCP("wrong.example:443", func(c net.Conn) {
		tls.Server(c, &tls.Config{Certificates: []tls.Certificate{other}}).Handshake()
	})
	n.HandleTCP("old.example:443", func(c net.Conn) {
		c2 := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{other}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
		c2.Handshake()
	})
	g, _ := newGuard(t, &n, open80, nil)
	client := g.HTTPClient(netproxy.HTTPOptions{})
	for url, want := range map[string]string{
		"https://good.example/":      "",
		"https://GOOD.example.:443/": "",
		"https://45.2.2.2/":          "",
		"https://self.example/":      "tls: certificate signed by unknown authority",
		"https://wrong.example/":     "tls: certificate for another name",
		"https://old.example/":       "tls: ",
	} {
		_, _, err := get(t.Context(), client, url)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
	if sni != "good.example" || host != "good.example" {
		t.Errorf("SNI %q, Host %q", sni, host)
	}
	_, _, err := get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{InsecureTLS: true}), "https://self.example/")
	if d := wantReason(t, err, netproxy.BadTLS); d.Hint != "allow_insecure_tls: true" {
		t.Errorf("hint = %q", d.Hint)
	}
	g.Close()

	g, l := newGuard(t, &n, bothPortsAnywhere, nil)
	if _, body, err := get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{InsecureTLS: true}), "https://self.example/"); err != nil || body != "self" {
		t.Fatalf("%q, %v", body, err)
	}
	if !l.all()[0].InsecureTLS {
		t.Errorf("decision = %+v", l.all()[0])
	}
	g.Close()
	if n.Open() != 0 {
		t.Errorf("%d connections left", n.Open())
	}
}

const bothPortsAnywhere = `{"allowed_domains":["*"],"allowed_ports":[80,443],"allow_insecure_tls":true}`

func TestW25InsecureCallsShareAPool(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.HandleHTTP("https://45.2.2.2", text("self"))
	n.SelfSigned("45.2.2.2")
	g, _ := newGuard(t, &n, bothPortsAnywhere, nil)
	for range 100 {
		if _, _, err := get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{InsecureTLS: true}), "https://45.2.2.2/"); err != nil {
			t.Fatal(err)
		}
	}
	if len(n.Dials()) != 1 || n.Open() != 1 {
		t.Errorf("%d dials, %d open", len(n.Dials()), n.Open())
	}
	g.Close()
	if n.Open() != 0 {
		t.Errorf("%d connections left", n.Open())
	}
}

// The real dialer, on loopback: the hook sees the pin and the embedder's own
// hook still runs.
func TestNetDialer(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	port := netip.MustParseAddrPort(ln.Addr().String()).Port()
	var hooked atomic.Int32
	g, err := netproxy.New(netproxy.Rules{Domains: []netproxy.Domain{"box"}, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Ports: netproxy.Ports(port)}, netproxy.Config{
		Resolver: lookupFunc(func(context.Context, string, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("::ffff:127.0.0.1")}, nil
		}),
		Dialer: &net.Dialer{Control: func(string, string, syscall.RawConn) error { hooked.Add(1); return nil }},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for _, host := range []string{"box", "127.0.0.1", "::ffff:127.0.0.1", "[::ffff:7f00:1]"} {
		c, err := g.DialContext(t.Context(), "tcp", host+":"+netproxy.PortRange{First: port, Last: port}.String())
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		c.Write([]byte("x"))
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Errorf("%s: %v", host, err)
		}
		c.Close()
	}
	if hooked.Load() != 4 {
		t.Errorf("the embedder's hook ran %d times, want 4", hooked.Load())
	}
	u, err := g.DialContext(t.Context(), "udp", "box:"+netproxy.PortRange{First: port, Last: port}.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write([]byte("nobody listens")); err != nil {
		t.Error(err)
	}
	u.Close()
}
