package netproxytest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

func Example() {
	var n netproxytest.Network
	defer n.Close()
	n.HandleHTTP("https://api.example.com", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello from %s", r.Host)
	}))
	guard, err := netproxy.New(netproxy.Rules{Domains: []netproxy.Domain{"api.example.com"}, Ports: netproxy.Ports(443)}, n.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()
	resp, err := guard.HTTPClient(netproxy.HTTPOptions{}).Get("https://api.example.com/")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(string(body), err, n.Undeclared())
	// Output: hello from api.example.com <nil> []
}

func TestSuitesAcceptOurOwn(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.HandleTCP("45.1.1.1:7", netproxytest.Echo)
	n.AddHost("known.example")
	defer n.Close()
	if err := netproxytest.TestDialer(&n, netip.MustParseAddrPort("45.1.1.1:7"), false); err != nil {
		t.Error(err)
	}
	if err := netproxytest.TestDialer(&net.Dialer{}, netip.AddrPort{}, false); err != nil {
		t.Error(err)
	}
	if err := netproxytest.TestResolver(&n, "known.example", "unknown.example"); err != nil {
		t.Error(err)
	}
	rt := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		target, ok := netproxy.TargetFrom(ctx)
		if !ok {
			return nil, errors.New("no target")
		}
		return (&net.Dialer{}).DialContext(ctx, network, target.Addrs[0].String())
	}}
	defer rt.CloseIdleConnections()
	if err := netproxytest.TestTransport(rt); err != nil {
		t.Error(err)
	}
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

func (f dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}

type resolver func(ctx context.Context, network, host string) ([]netip.Addr, error)

func (f resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return f(ctx, network, host)
}

type follower struct{ http.RoundTripper }

func (f follower) RoundTrip(r *http.Request) (*http.Response, error) {
	return (&http.Client{Transport: f.RoundTripper}).Do(r)
}

// Each suite must find what is broken, and say which rule.
func TestSuitesFindBrokenRules(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.HandleTCP("45.1.1.1:7", netproxytest.Echo)
	n.HandleTCP("45.1.1.2:7", netproxytest.Echo)
	n.AddHost("known.example")
	defer n.Close()
	echo := netip.MustParseAddrPort("45.1.1.1:7")
	shared := []netip.Addr{echo.Addr()}
	good := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		target, _ := netproxy.TargetFrom(ctx)
		return (&net.Dialer{}).DialContext(ctx, network, target.Addrs[0].String())
	}}
	defer good.CloseIdleConnections()
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"dials elsewhere": {netproxytest.TestDialer(dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return n.DialContext(ctx, network, "45.1.1.2:7")
		}), echo, false), "rule 2"},
		"resolves names": {netproxytest.TestDialer(dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			return n.DialContext(ctx, network, strings.Replace(address, "localhost", "45.1.1.1", 1))
		}), echo, false), "rule 1"},
		"ignores its context": {netproxytest.TestDialer(dialer(func(_ context.Context, network, address string) (net.Conn, error) {
			return n.DialContext(context.Background(), network, address)
		}), echo, false), "rule 3"},
		"returns nothing": {netproxytest.TestDialer(dialer(func(context.Context, string, string) (net.Conn, error) { return nil, nil }), echo, false), "rule 4"},
		"invents answers": {netproxytest.TestResolver(resolver(func(context.Context, string, string) ([]netip.Addr, error) {
			return []netip.Addr{echo.Addr()}, nil
		}), "known.example", "unknown.example"), "rule 2"},
		"shares its answer": {netproxytest.TestResolver(resolver(func(ctx context.Context, network, host string) ([]netip.Addr, error) {
			if host != "known.example." {
				return n.LookupNetIP(ctx, network, host)
			}
			return shared, ctx.Err()
		}), "known.example", "unknown.example"), "rule 4"},
		"dials by name":     {netproxytest.TestTransport(&http.Transport{}), "rule 1"},
		"follows redirects": {netproxytest.TestTransport(follower{good}), "rule 2"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, tt.err, tt.want)
		}
	}
}

func TestNetworkAsLiteral(t *testing.T) {
	t.Parallel()
	n := netproxytest.Network{
		DNS:  map[string][]netip.Addr{"a.example": {netip.MustParseAddr("10.0.0.1")}, "b.example": {netip.MustParseAddr("10.0.0.1")}, "none.example": {}},
		HTTP: map[string]http.Handler{"http://a.example": text("a"), "http://b.example": text("b"), "https://10.0.0.1:8443": text("literal"), "both.example": text("both")},
		TCP:  map[string]func(net.Conn){"a.example:7": netproxytest.Echo},
		UDP:  map[string]func([]byte){"a.example:161": nil},
	}
	defer n.Close()
	ctx := t.Context()
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, port, _ := net.SplitHostPort(address)
			addrs, err := n.LookupNetIP(ctx, "ip", host)
			if a, perr := netip.ParseAddr(host); perr == nil {
				addrs, err = []netip.Addr{a}, nil
			}
			if err != nil {
				return nil, err
			}
			return n.DialContext(ctx, network, net.JoinHostPort(addrs[0].String(), port))
		},
		TLSClientConfig: &tls.Config{RootCAs: n.RootCAs()}, ForceAttemptHTTP2: true,
	}}
	defer client.CloseIdleConnections()
	for url, want := range map[string]string{"http://a.example/": "a", "http://b.example/": "b", "https://10.0.0.1:8443/": "literal", "https://both.example/": "both", "http://both.example/": "both"} {
		resp, err := client.Get(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != want {
			t.Errorf("%s: %q, %v, want %q", url, body, err, want)
		}
	}
	if _, err := n.DialContext(ctx, "tcp", "10.0.0.1:9"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("undeclared port: %v", err)
	}
	var dns *net.DNSError
	if _, err := n.LookupNetIP(ctx, "ip", "gone.example."); !errors.As(err, &dns) || !dns.IsNotFound {
		t.Errorf("undeclared name: %v", err)
	}
	if want := []string{"tcp 10.0.0.1:9", "gone.example"}; !slices.Equal(n.Undeclared(), want) {
		t.Errorf("Undeclared = %q, want %q", n.Undeclared(), want)
	}
	if addrs, err := n.LookupNetIP(ctx, "ip", "none.example."); err != nil || len(addrs) != 0 {
		t.Errorf("a name without address: %v, %v", addrs, err)
	}
	if _, err := n.DialContext(ctx, "tcp", "a.example:7"); err == nil {
		t.Error("dialled a name")
	}
	c, err := n.DialContext(ctx, "udp", "10.0.0.1:161")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("one"))
	c.Write(nil)
	if got := n.Datagrams(); len(got) != 2 || string(got[0].Payload) != "one" || len(got[1].Payload) != 0 || got[0].To.String() != "10.0.0.1:161" {
		t.Errorf("Datagrams = %v", got)
	}
}

func text(s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) })
}

func TestConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n netproxytest.Network
		n.HandleTCP("a.example:1", netproxytest.Echo)
		n.Silent("a.example:2")
		n.Refuse("a.example:3")
		n.Blackhole("a.example:4")
		n.HandleTCP("a.example:5", func(c net.Conn) { io.WriteString(c, "bye") })
		addr := n.AddHost("a.example").String()
		ctx := context.Background()
		echo, err := n.DialContext(ctx, "tcp", addr+":1")
		if err != nil {
			t.Fatal(err)
		}
		big := strings.Repeat("x", 1<<20) // more than both buffers hold
		go io.WriteString(echo, big)
		got := make([]byte, len(big))
		if _, err := io.ReadFull(echo, got); err != nil || string(got) != big {
			t.Errorf("echo of 1 MiB: %v", err)
		}
		echo.SetReadDeadline(time.Now().Add(time.Second))
		began := time.Now()
		if _, err := echo.Read(got); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("deadline: %v after %v", err, time.Since(began))
		}
		echo.SetReadDeadline(time.Time{})
		io.WriteString(echo, "after")
		if _, err := io.ReadFull(echo, got[:5]); err != nil {
			t.Errorf("after a deadline: %v", err)
		}
		bye, err := n.DialContext(ctx, "tcp", addr+":5")
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(bye); err != nil || string(text) != "bye" {
			t.Errorf("last words: %q, %v", text, err)
		}
		bye.Close()
		silent, err := n.DialContext(ctx, "tcp", addr+":2")
		if err != nil {
			t.Fatal(err)
		}
		go func() { time.Sleep(time.Second); silent.Close() }()
		if _, err := silent.Read(got); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Close: %v", err)
		}
		if _, err := n.DialContext(ctx, "tcp", addr+":3"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Refuse: %v", err)
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := n.DialContext(short, "tcp", addr+":4"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Blackhole: %v", err)
		}
		if len(n.Undeclared()) != 0 || n.Open() != 1 {
			t.Errorf("undeclared %q, %d open", n.Undeclared(), n.Open())
		}
		n.Close() // ends the echo server too, or synctest would complain
		if _, err := echo.Read(got); err == nil {
			t.Error("a connection outlived its network")
		}
	})
}

func TestDNSScripts(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	defer n.Close()
	n.SequenceDNS("a.example", []string{"45.0.0.1"}, []string{"45.0.0.2", "45.0.0.3"})
	n.FailDNS("b.example", errors.New("server failure"))
	n.AddDNS("*", "45.0.0.9")
	n.HandleTCP("a.example:1", netproxytest.Echo)
	for _, want := range []string{"[45.0.0.1]", "[45.0.0.2 45.0.0.3]", "[45.0.0.2 45.0.0.3]"} {
		if got, err := n.LookupNetIP(t.Context(), "ip", "A.example."); err != nil || fmt.Sprint(got) != want {
			t.Errorf("got %v, %v, want %s", got, err, want)
		}
	}
	if _, err := n.LookupNetIP(t.Context(), "ip", "b.example"); err == nil {
		t.Error("no failure")
	}
	if got, err := n.LookupNetIP(t.Context(), "ip", "any.example"); err != nil || fmt.Sprint(got) != "[45.0.0.9]" {
		t.Errorf("any name: %v, %v", got, err)
	}
	for _, a := range []string{"45.0.0.1:1", "45.0.0.3:1"} {
		c, err := n.DialContext(t.Context(), "tcp", a)
		if err != nil {
			t.Errorf("%s: %v", a, err)
			continue
		}
		c.Close()
	}
	if want := []string{"a.example", "a.example", "a.example", "b.example", "any.example"}; !slices.Equal(n.Lookups(), want) {
		t.Errorf("Lookups = %q", n.Lookups())
	}
}
