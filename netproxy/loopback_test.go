package netproxy_test

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

// The tests here use the kernel's sockets on loopback and the default Dialer:
// what the network in memory promises, once more for real.

// names resolves every name to 127.0.0.1.
type names struct{}

func (names) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// loopbackRules grant names and 127.0.0.1 on the given ports.
func loopbackRules(ports ...uint16) netproxy.Rules {
	return netproxy.Rules{
		Domains:  []netproxy.Domain{"a.example", "b.example"},
		Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Ports: netproxy.Ports(ports...),
	}
}

func portOf(a net.Addr) uint16 { return netip.MustParseAddrPort(a.String()).Port() }

func loopbackGuard(t *testing.T, r netproxy.Rules, c netproxy.Config) *netproxy.Guard {
	t.Helper()
	c.Resolver = names{}
	g, err := netproxy.New(r, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

// arrival is what a TLS server recorded of one request.
type arrival struct {
	host, sni, client string
	resumed           bool
	header            http.Header
}

type recorder struct {
	mu   sync.Mutex
	seen []arrival
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s := arrival{host: req.Host, sni: req.TLS.ServerName, resumed: req.TLS.DidResume, header: req.Header.Clone()}
	if len(req.TLS.PeerCertificates) > 0 {
		s.client = req.TLS.PeerCertificates[0].Subject.CommonName
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, s)
}

func (r *recorder) all() []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]arrival(nil), r.seen...)
}

func TestLoopbackIdentity(t *testing.T) {
	t.Parallel()
	var ca netproxytest.Network
	rec := &recorder{}
	server := httptest.NewUnstartedServer(rec)
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{ca.Certificate("a.example", "b.example")},
		ClientAuth:   tls.RequestClientCert,
	}
	server.StartTLS()
	defer server.Close()
	port := portOf(server.Listener.Addr())
	client := ca.Certificate("agent")
	secret := "s3cr3t"
	config := netproxy.Config{RootCAs: ca.RootCAs(), Identities: []netproxy.Identity{{
		ID: "agent", Domains: []netproxy.Domain{"a.example"}, Ports: netproxy.Ports(port), Certificate: &client,
		Headers: map[string]func(context.Context) (string, error){"X-Agent": func(context.Context) (string, error) { return secret, nil }},
	}}}
	where := func(host string) string { return "https://" + net.JoinHostPort(host, itoa(port)) + "/" }
	for run := range 2 { // a second run resumes nothing of the first
		g := loopbackGuard(t, loopbackRules(port), config)
		c := g.HTTPClient(netproxy.HTTPOptions{})
		for _, host := range []string{"a.example", "b.example", "a.example"} {
			resp, err := c.Get(where(host))
			if err != nil {
				t.Fatalf("run %d, %s: %v", run, host, err)
			}
			if _, ok := resp.Request.Header["X-Agent"]; ok {
				t.Error("the injected header came back with the request")
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		secret = "rotated"
		g.Close()
	}
	got := rec.all()
	if len(got) != 6 {
		t.Fatalf("%d requests arrived", len(got))
	}
	for i, s := range got {
		host := []string{"a.example", "b.example", "a.example"}[i%3]
		wantSecret := []string{"s3cr3t", "rotated"}[i/3]
		if s.sni != host || s.host != net.JoinHostPort(host, itoa(port)) {
			t.Errorf("request %d: SNI %q, Host %q, want %s", i, s.sni, s.host, host)
		}
		if known := host == "a.example"; (s.client != "") != known || (s.header.Get("X-Agent") == wantSecret) != known {
			t.Errorf("request %d to %s: client %q, X-Agent %q", i, host, s.client, s.header.Get("X-Agent"))
		}
		if i%3 == 0 && s.resumed {
			t.Errorf("request %d resumed a TLS session of an earlier run", i)
		}
	}
}

func itoa(port uint16) string {
	_, text, _ := strings.Cut(netip.AddrPortFrom(netip.IPv4Unspecified(), port).String(), ":")
	return text
}

func TestLoopbackRedirectIsJudged(t *testing.T) {
	t.Parallel()
	hit := make(chan string, 1)
	forbidden := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { hit <- r.URL.Path }))
	defer forbidden.Close()
	open := httptest.NewServer(http.RedirectHandler(forbidden.URL+"/admin", http.StatusFound))
	defer open.Close()
	g := loopbackGuard(t, loopbackRules(portOf(open.Listener.Addr())), netproxy.Config{})
	_, err := g.HTTPClient(netproxy.HTTPOptions{}).Get(open.URL)
	if !errors.Is(err, netproxy.ErrDenied) {
		t.Errorf("err = %v, want ErrDenied", err)
	}
	select {
	case path := <-hit:
		t.Errorf("the refused hop was made: %s", path)
	default:
	}
}

// The address text of a rule is what is connected to, not another way to it.
func TestLoopbackNeedsItsEntry(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan struct{}, 16)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
			accepted <- struct{}{}
		}
	}()
	port := portOf(l.Addr())
	wide := netproxy.Rules{
		Domains:  []netproxy.Domain{"*"},
		Networks: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}, Ports: netproxy.Ports(port),
	}
	g := loopbackGuard(t, wide, netproxy.Config{Limits: limits.Limits{Denials: 100}})
	for _, host := range []string{"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "a.example", "2130706433", "[::ffff:7f00:1]", "64:ff9b::7f00:1"} {
		if c, err := g.DialContext(t.Context(), "tcp", host+":"+itoa(port)); err == nil {
			c.Close()
			t.Errorf("%s was reached", host)
		}
	}
	if len(accepted) > 0 {
		t.Error("a connection arrived")
	}
	g = loopbackGuard(t, loopbackRules(port), netproxy.Config{})
	for _, host := range []string{"127.0.0.1", "::ffff:127.0.0.1", "a.example", "A.Example."} {
		c, err := g.DialContext(t.Context(), "tcp", host+":"+itoa(port))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		c.Close()
	}
}

func TestLoopbackUDP(t *testing.T) {
	t.Parallel()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	port := portOf(server.LocalAddr())
	g := loopbackGuard(t, loopbackRules(port), netproxy.Config{})
	c, err := g.DialContext(t.Context(), "udp", "a.example:"+itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("metric:1|c")); err != nil {
		t.Fatal(err)
	}
	c.Close()
	buf := make([]byte, 64)
	server.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, _, err := server.ReadFrom(buf); err != nil || string(buf[:n]) != "metric:1|c" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	for _, host := range []string{"255.255.255.255", "127.255.255.255", "224.0.0.1"} {
		if _, err := g.DialContext(t.Context(), "udp", host+":"+itoa(port)); !errors.Is(err, netproxy.ErrDenied) {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// Not parallel: it sets the environment of the process.
func TestLoopbackIgnoresProxyVariables(t *testing.T) {
	asked := make(chan string, 8)
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.String() }))
	defer proxy.Close()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "direct") }))
	defer server.Close()
	g := loopbackGuard(t, loopbackRules(portOf(server.Listener.Addr())), netproxy.Config{})
	resp, err := g.HTTPClient(netproxy.HTTPOptions{}).Get("http://a.example:" + itoa(portOf(server.Listener.Addr())) + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "direct" || len(asked) > 0 {
		t.Errorf("got %q, the proxy was asked %d times", body, len(asked))
	}
}

func TestLoopbackBombsAndDrips(t *testing.T) {
	t.Parallel()
	zeros := make([]byte, 1<<20)
	mux := http.NewServeMux()
	mux.HandleFunc("/bomb", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		for range 512 { // half a gigabyte
			if _, err := z.Write(zeros); err != nil {
				return
			}
		}
		z.Close()
	})
	mux.HandleFunc("/drip", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			time.Sleep(5 * time.Millisecond)
		}
	})
	mux.HandleFunc("/header", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("h", 1<<20)) })
	server := httptest.NewServer(mux)
	defer server.Close()
	g := loopbackGuard(t, loopbackRules(portOf(server.Listener.Addr())), netproxy.Config{})
	for path, want := range map[string]error{"/bomb": limits.ErrExceeded, "/header": limits.ErrExceeded, "/drip": context.DeadlineExceeded} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if path == "/drip" {
			ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := g.HTTPClient(netproxy.HTTPOptions{}).Do(req)
		if err == nil {
			var n int64
			n, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if most := int64(limits.Default().Body); n > most {
				t.Errorf("%s: %d bytes came through, at most %d", path, n, most)
			}
		}
		var timeout net.Error
		if path == "/drip" && errors.As(err, &timeout) && timeout.Timeout() {
			err = context.DeadlineExceeded
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
		cancel()
	}
}

// A certificate that rotates is asked for at each handshake, by each run.
func TestLoopbackCertificateRotates(t *testing.T) {
	t.Parallel()
	var ca netproxytest.Network
	rec := &recorder{}
	server := httptest.NewUnstartedServer(rec)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Certificate("a.example")}, ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	defer server.Close()
	port := portOf(server.Listener.Addr())
	var mu sync.Mutex
	current, failure := ca.Certificate("first"), error(nil)
	config := netproxy.Config{RootCAs: ca.RootCAs(), Identities: []netproxy.Identity{{
		ID: "agent", Domains: []netproxy.Domain{"a.example"}, Ports: netproxy.Ports(port),
		Certificates: func(context.Context) (*tls.Certificate, error) {
			mu.Lock()
			defer mu.Unlock()
			c := current
			return &c, failure
		},
	}}}
	ask := func() error {
		g := loopbackGuard(t, loopbackRules(port), config)
		defer g.Close()
		resp, err := g.HTTPClient(netproxy.HTTPOptions{}).Get("https://a.example:" + itoa(port) + "/")
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	current = ca.Certificate("second")
	mu.Unlock()
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	failure = errors.New("vault is sealed: token hunter2")
	mu.Unlock()
	if err := ask(); err == nil || strings.Contains(err.(interface{ Unwrap() error }).Unwrap().Error(), "hunter2") {
		t.Errorf("a certificate that cannot be had: %v", err)
	}
	got := rec.all()
	if len(got) != 2 || got[0].client == got[1].client {
		t.Errorf("the server saw %+v", got)
	}
	bad := config
	bad.Identities = []netproxy.Identity{bad.Identities[0]}
	bad.Identities[0].Certificate = &current
	if _, err := netproxy.New(netproxy.Rules{}, bad); err == nil {
		t.Error("Certificate beside Certificates was accepted")
	}
}
