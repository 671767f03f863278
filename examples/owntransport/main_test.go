package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/proxy"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/host/hosttest"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
	"github.com/sandcheck/sandcheck/result"
)

const want = `http://status.example.com/         OK
  allowed: [10.20.0.5:80] through the relay
http://both.example.com/           OK
  allowed: [10.20.0.5:80] through the relay, not [10.30.0.1]
http://admin.example.com/          CRITICAL
  refused: address_not_allowed
http://metadata.example.com/       CRITICAL
  refused: address_not_allowed
http://rebound.example.com/        CRITICAL
  refused: address_not_allowed
http://status.example.com:8080/    CRITICAL
  refused: port_not_allowed
http://elsewhere.test/             CRITICAL
  refused: domain_not_allowed
http://10.20.0.5/                  CRITICAL
  refused: address_not_allowed

the relay was asked for
  10.20.0.5:80
  10.20.0.5:80
`

func TestOwnTransport(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := owntransport(t.Context(), &out, "../../testdata/packages/http-check"); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != want {
		t.Errorf("output:\n%s\nwant:\n%s", got, want)
	}
}

func TestMissingPackage(t *testing.T) {
	t.Parallel()
	err := owntransport(t.Context(), &strings.Builder{}, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "plugin.yaml") {
		t.Errorf("err = %v", err)
	}
}

// serveEcho is a TCP server that sends back what it reads.
func serveEcho(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
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
			go func() {
				defer c.Close()
				netproxytest.Echo(c)
			}()
		}
	}()
	return l.Addr().String()
}

// newRelay is a relay that knows an echo server as 10.20.0.9:7 and as
// [fc00:20::9]:7.
func newRelay(t *testing.T) (*relay, *relayDialer) {
	t.Helper()
	at := serveEcho(t)
	r, err := startRelay(map[string]string{"10.20.0.9:7": at, "[fc00:20::9]:7": at})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	d, err := throughRelay(r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return r, d
}

// Both seams keep the rules of their interfaces.
func TestSeams(t *testing.T) {
	t.Parallel()
	r, d := newRelay(t)
	for _, echo := range []string{"10.20.0.9:7", "[fc00:20::9]:7"} {
		if err := netproxytest.TestDialer(d, netip.MustParseAddrPort(echo), true); err != nil {
			t.Errorf("%s: %v", echo, err)
		}
	}
	if err := netproxytest.TestResolver(site, "status.example.com", "nowhere.example.com"); err != nil {
		t.Error(err)
	}
	for _, address := range r.Asked() {
		if _, err := netip.ParseAddrPort(address); err != nil {
			t.Errorf("the relay was asked for %q, which is no literal", address)
		}
	}
	if c, err := d.DialContext(t.Context(), "udp", "10.20.0.9:7"); err == nil {
		c.Close()
		t.Error("the relay carries no datagrams, and the Dialer said nothing")
	}
}

// Without Tunnel a Guard sees that the connection leads to the relay, and does
// not use it.
func TestTunnelMustBeDeclared(t *testing.T) {
	t.Parallel()
	_, d := newRelay(t)
	rules := netproxy.Rules{Networks: []netip.Prefix{netip.MustParsePrefix("10.20.0.9/32")}, Ports: netproxy.Ports(7)}
	for _, tunnel := range []bool{false, true} {
		var seen []netproxy.Decision
		g, err := netproxy.New(rules, netproxy.Config{Dialer: d, Tunnel: tunnel, Audit: func(_ context.Context, d netproxy.Decision) { seen = append(seen, d) }})
		if err != nil {
			t.Fatal(err)
		}
		c, err := g.DialContext(t.Context(), "tcp", "10.20.0.9:7")
		if (err == nil) != tunnel {
			t.Errorf("Tunnel %v: err = %v", tunnel, err)
		}
		if err == nil {
			c.Close()
		}
		g.Close()
		if len(seen) != 1 || seen[0].Tunnel != tunnel {
			t.Errorf("Tunnel %v: decisions %+v", tunnel, seen)
		}
	}
}

// The relay would reach everything, and names too. Neither the Dialer nor what
// the Resolver answers opens anything that the rules keep shut.
func TestDialerCannotWidenTheRules(t *testing.T) {
	t.Parallel()
	at := serveEcho(t)
	for _, tt := range []struct {
		host    string
		port    uint32
		answers []string
		want    capability.Code
		asked   []string
	}{
		{"db.example.com", 7, []string{"10.20.0.9"}, 1, []string{"10.20.0.9:7"}},
		{"db.example.com", 7, []string{"10.30.0.9", "127.0.0.1", "10.20.0.9", "::1"}, 1, []string{"10.20.0.9:7"}},
		{"10.20.0.9", 7, nil, 1, []string{"10.20.0.9:7"}},
		{"::ffff:10.20.0.9", 7, nil, 1, []string{"10.20.0.9:7"}},
		{"db.example.com", 7, []string{"10.30.0.9"}, capability.Denied, nil},
		{"db.example.com", 7, []string{"169.254.169.254"}, capability.Denied, nil},
		{"db.example.com", 7, []string{"127.0.0.1", "::1"}, capability.Denied, nil},
		{"db.example.com", 7, []string{"::ffff:127.0.0.1"}, capability.Denied, nil},
		{"db.example.com", 22, []string{"10.20.0.9"}, capability.Denied, nil},
		{"db.example.org", 7, []string{"10.20.0.9"}, capability.Denied, nil},
		{"10.30.0.9", 7, nil, capability.Denied, nil},
		{"127.0.0.1", 7, nil, capability.Denied, nil},
		{"nowhere.example.com", 7, nil, capability.Internal, nil},
	} {
		routes := map[string]string{}
		for _, to := range []string{"10.20.0.9:7", "10.30.0.9:7", "127.0.0.1:7", "[::1]:7", "169.254.169.254:7", "10.20.0.9:22", "db.example.com:7", "nowhere.example.com:7"} {
			routes[to] = at
		}
		r, err := startRelay(routes)
		if err != nil {
			t.Fatal(err)
		}
		d, err := throughRelay(r.Addr())
		if err != nil {
			t.Fatal(err)
		}
		names := zone{}
		if tt.answers != nil {
			names[tt.host] = tt.answers
		}
		g, err := netproxy.New(netproxy.Rules{
			Domains: []netproxy.Domain{"*.example.com"}, Networks: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}, Ports: netproxy.Ports(7),
		}, netproxy.Config{Dialer: d, Resolver: names, Tunnel: true})
		if err != nil {
			t.Fatal(err)
		}
		s := &capability.Session{Net: g}
		code, _ := hosttest.CallFunc(t, s, capability.TCP()[0], tt.host, tt.port, 2000)
		if asked := r.Asked(); code != tt.want || !slices.Equal(asked, tt.asked) {
			t.Errorf("%s port %d at %v: %v, the relay was asked for %q; want %v, %q", tt.host, tt.port, tt.answers, code, asked, tt.want, tt.asked)
		}
		s.Close()
		g.Close()
		r.Close()
	}
}

// A run whose relay does not answer ends with its deadline.
func TestSilentRelay(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d, err := throughRelay(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	rt, err := host.New(host.WithUnsigned(), host.WithCapabilities(capability.HTTP()...), host.WithNetwork(netproxy.Config{Dialer: d, Tunnel: true}))
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close(t.Context())
	p, err := rt.Load(t.Context(), hosttest.Fetches("http://10.20.0.9:7/"), host.WithGrant(capability.Grant{
		Capabilities: []string{"http_request"},
		Permissions:  netproxy.Rules{Networks: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}, Ports: netproxy.Ports(7)},
	}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	res, err := p.Run(ctx, nil)
	if took := time.Since(began); took > 2*time.Second || res.Status != result.Unknown || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, %v after %v", res.Status, err, took)
	}
}

// The relay speaks the protocol to clients of all kinds.
func TestRelay(t *testing.T) {
	t.Parallel()
	r, _ := newRelay(t)
	auth, err := proxy.SOCKS5("tcp", r.Addr(), &proxy.Auth{User: "u", Password: "p"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := auth.Dial("tcp", "10.20.0.9:7") // offers both ways, the relay takes none
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := auth.Dial("tcp", "db.example.com:7"); err == nil || !strings.Contains(err.Error(), "unreachable") {
		t.Errorf("a name without a route: %v", err)
	}
	if want := []string{"10.20.0.9:7", "db.example.com:7"}; !slices.Equal(r.Asked(), want) {
		t.Errorf("asked for %q, want %q", r.Asked(), want)
	}
	for name, tt := range map[string]struct{ send, want string }{
		"another version": {"\x04\x01\x00", "\x05\xff"},
		"only passwords":  {"\x05\x01\x02", "\x05\xff"},
		"bind":            {"\x05\x01\x00\x05\x02\x00\x01\x0a\x14\x00\x09\x00\x07", "\x05\x00\x05\x07\x00\x01\x00\x00\x00\x00\x00\x00"},
		"unknown address": {"\x05\x01\x00\x05\x01\x00\x09", "\x05\x00\x05\x08\x00\x01\x00\x00\x00\x00\x00\x00"},
		"cut off":         {"\x05\x01\x00\x05\x01", "\x05\x00"},
	} {
		if got := talk(t, r.Addr(), tt.send); got != tt.want {
			t.Errorf("%s: answered %x, want %x", name, got, tt.want)
		}
	}
}

// talk sends text, ends its side and returns all that comes back.
func talk(t *testing.T, address, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	c.Write([]byte(text))
	c.(*net.TCPConn).CloseWrite()
	var all strings.Builder
	buf := make([]byte, 64)
	for {
		n, err := c.Read(buf)
		all.Write(buf[:n])
		if err != nil {
			return all.String()
		}
	}
}
