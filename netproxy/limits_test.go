package netproxy_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

const open80 = `{"allowed_domains":["*"],"allowed_ports":[80,443,5432]}`

func wantExceeded(t testing.TB, err error, resource string) {
	t.Helper()
	var over *limits.ExceededError
	if !errors.As(err, &over) || over.Resource != resource {
		t.Errorf("err = %v, want the %s limit exceeded", err, resource)
	}
}

// W33: the limit is checked before the dial.
func TestW33SlotComesBeforeLookupAndDial(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	var accepted atomic.Int32
	n.HandleTCP("db.example.com:5432", func(c net.Conn) {
		accepted.Add(1)
		netproxytest.Echo(c)
	})
	g, _ := newGuard(t, &n, open80, func(c *netproxy.Config) { c.Limits.Connections = 1 })
	first, err := g.DialContext(t.Context(), "tcp", "db.example.com:5432")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Read(make([]byte, 1)); err != nil { // the server has accepted
		t.Fatal(err)
	}
	for range 9 {
		_, err := g.DialContext(t.Context(), "tcp", "db.example.com:5432")
		wantExceeded(t, err, "connections")
	}
	if accepted.Load() != 1 || len(n.Lookups()) != 1 {
		t.Errorf("accepted %d, lookups %q; want one each", accepted.Load(), n.Lookups())
	}
	for range 3 { // idempotent: the slot comes back once
		first.Close()
	}
	a, err := g.DialContext(t.Context(), "tcp", "db.example.com:5432")
	if err != nil {
		t.Fatalf("after close: %v", err)
	}
	defer a.Close()
	_, err = g.DialContext(t.Context(), "tcp", "db.example.com:5432")
	wantExceeded(t, err, "connections")
	if u := g.Usage(); u.PeakConnections != 1 || u.Dials != 2 || u.Lookups != 2 {
		t.Errorf("usage = %+v", u)
	}
}

// W34: all kinds of connections share the count.
func TestW34KindsShareTheCount(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.HandleTCP("a.example.com:5432", netproxytest.Echo)
	n.HandleHTTP("http://a.example.com", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			io.WriteString(w, "ok")
			return
		}
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			defer c.Close()
			netproxytest.Echo(c)
		}
	}))
	g, l := newGuard(t, &n, open80, func(c *netproxy.Config) { c.Limits.Connections = 1 })
	client := g.HTTPClient(netproxy.HTTPOptions{})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a.example.com/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	ws, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.all()) != 0 {
		t.Errorf("decisions before the end of the connection: %+v", l.all())
	}
	_, err = g.DialContext(t.Context(), "tcp", "a.example.com:5432")
	wantExceeded(t, err, "connections")
	_, _, err = get(t.Context(), client, "http://a.example.com/")
	wantExceeded(t, err, "connections")
	rwc := ws.Body.(io.ReadWriteCloser)
	if _, err := io.WriteString(rwc, "hello"); err != nil {
		t.Fatal(err)
	}
	var echo [5]byte
	if _, err := io.ReadFull(rwc, echo[:]); err != nil || string(echo[:]) != "hello" {
		t.Fatalf("echo = %q, %v", echo, err)
	}
	rwc.Close()
	if ds := l.all(); len(ds) != 3 || ds[2].Status != 101 || ds[2].BytesIn != 5 || ds[2].BytesOut != 5 {
		t.Errorf("decisions = %+v", ds)
	}
	if _, _, err := get(t.Context(), client, "http://a.example.com/"); err != nil {
		t.Errorf("after close: %v", err)
	}
	// The pooled connection is idle now and yields.
	c, err := g.DialContext(t.Context(), "tcp", "a.example.com:5432")
	if err != nil {
		t.Fatalf("idle connections did not yield: %v", err)
	}
	c.Close()
}

// Every way an HTTP exchange can end gives its slot back at once, or a run with
// one connection would fail now and then.
func TestSlotIsFreeAfterEachExchange(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"whole body": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") },
		"no body":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"connection close": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			io.WriteString(w, "ok")
		},
		"close, no body": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			w.WriteHeader(204)
		},
		"body too large": func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 5000)) },
		"broken off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "ok")
		},
		"aborted": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, scheme := range []string{"http", "https"} {
				for _, http2 := range []bool{false, true} {
					var n netproxytest.Network
					n.HandleHTTP("a.example.com", h)
					g, l := newGuard(t, &n, open80, func(c *netproxy.Config) {
						c.Limits = limits.Limits{Connections: 1, Body: 1000, DialRate: 1000, LookupRate: 1000}
						c.HTTP2 = http2
					})
					client := g.HTTPClient(netproxy.HTTPOptions{})
					attempts := 0
					for i := range 12 {
						attempts++
						r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://a.example.com/", nil)
						if err != nil {
							t.Fatal(err)
						}
						resp, err := client.Do(r)
						if err != nil {
							var over *limits.ExceededError
							if errors.As(err, &over) && over.Resource == "connections" {
								t.Fatalf("%s http2=%v: request %d found no slot", scheme, http2, i)
							}
							continue
						}
						if i%2 == 0 {
							io.Copy(io.Discard, resp.Body)
						}
						resp.Body.Close()
						attempts++
						if c, err := g.DialContext(t.Context(), "tcp", "a.example.com:80"); i%3 == 0 && err != nil {
							t.Fatalf("%s http2=%v: dial after request %d: %v", scheme, http2, i, err)
						} else if err == nil {
							c.Close()
						}
					}
					if u := g.Usage(); u.PeakConnections != 1 {
						t.Errorf("peak = %d", u.PeakConnections)
					}
					g.Close()
					if got := len(l.all()); got != attempts {
						t.Errorf("%d decisions for %d attempts", got, attempts)
					}
				}
			}
		})
	}
}

func TestSlotIsFreeAfterFailedDials(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.Refuse("a.example.com:5432")
	n.HandleTCP("b.example.com:5432", netproxytest.Echo)
	n.HandleTCP("a.example.com:443", func(c net.Conn) { io.WriteString(c, "220 mail.example.com ready"); netproxytest.Silence(c) })
	g, l := newGuard(t, &n, open80, func(c *netproxy.Config) { c.Limits.Connections = 1 })
	client := g.HTTPClient(netproxy.HTTPOptions{})
	for range 3 {
		if _, err := g.DialContext(t.Context(), "tcp", "a.example.com:5432"); err == nil {
			t.Fatal("a refused port connected")
		}
		if _, _, err := get(t.Context(), client, "https://a.example.com/"); err == nil || errors.Is(err, limits.ErrExceeded) {
			t.Fatalf("TLS to an echo: %v", err)
		}
	}
	if c, err := g.DialContext(t.Context(), "tcp", "b.example.com:5432"); err != nil {
		t.Errorf("no slot left: %v", err)
	} else {
		c.Close()
	}
	if d := l.all()[0]; !d.Allowed || d.Err != "connect:refused" {
		t.Errorf("decision = %+v", d)
	}
	if d := l.all()[1]; !d.Allowed || d.Err != "tls:not TLS" {
		t.Errorf("decision = %+v", d)
	}
}

func TestCountsPerRun(t *testing.T) {
	t.Parallel()
	t.Run("dials", func(t *testing.T) {
		t.Parallel()
		var n netproxytest.Network
		n.HandleTCP("a.example.com:5432", netproxytest.Echo)
		n.HandleHTTP("http://a.example.com", text("ok"))
		g, _ := newGuard(t, &n, open80, func(c *netproxy.Config) { c.Limits.Dials = 2 })
		for range 2 {
			c, err := g.DialContext(t.Context(), "tcp", "a.example.com:5432")
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
		_, err := g.DialContext(t.Context(), "tcp", "a.example.com:5432")
		wantExceeded(t, err, "dials")
		_, _, err = get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{}), "http://a.example.com/")
		wantExceeded(t, err, "dials")
		if len(n.Lookups()) != 2 {
			t.Errorf("lookups = %q", n.Lookups())
		}
	})
	t.Run("a pooled connection is no dial", func(t *testing.T) {
		t.Parallel()
		var n netproxytest.Network
		n.HandleHTTP("http://a.example.com", text("ok"))
		g, l := newGuard(t, &n, open80, func(c *netproxy.Config) { c.Limits = limits.Limits{Dials: 1, Connections: 1} })
		for range 5 {
			if _, _, err := get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{}), "http://a.example.com/"); err != nil {
				t.Fatal(err)
			}
		}
		if ds := l.all(); ds[0].Pooled || !ds[4].Pooled || ds[4].Peer != ds[0].Peer || !ds[4].Peer.IsValid() {
			t.Errorf("decisions = %+v", ds)
		}
	})
	t.Run("distinct names", func(t *testing.T) {
		t.Parallel()
		var n netproxytest.Network
		n.AddDNS("*", "45.1.1.1")
		g, _ := newGuard(t, &n, open80, func(c *netproxy.Config) { c.Limits.Lookups = 2 })
		for i, want := range []bool{true, true, true, false, true} {
			name := []string{"a.example", "b.example", "a.example", "c.example", "b.example"}[i]
			_, err := g.Decide(t.Context(), "tcp", name, 80)
			if got := err == nil; got != want {
				t.Errorf("lookup %d of %s = %v", i, name, err)
			}
		}
	})
	t.Run("a sweep of addresses by UDP", func(t *testing.T) {
		t.Parallel()
		var n netproxytest.Network
		n.HandleUDP("*", nil)
		g, l := newGuard(t, &n, `{"allowed_networks":["10.0.0.0/24"],"allowed_ports":[161]}`, func(c *netproxy.Config) { c.Limits.DatagramRate = 1e6 })
		reached := 0
		for i := range 256 {
			if c, err := g.DialContext(t.Context(), "udp", fmt.Sprintf("10.0.0.%d:161", i)); err == nil {
				reached++
				c.Close()
			} else {
				wantExceeded(t, err, "targets")
			}
		}
		if reached != 64 || len(l.all()) != 256 || g.Usage().Targets != 64 {
			t.Errorf("reached %d, decisions %d, usage %+v", reached, len(l.all()), g.Usage())
		}
	})
}

func TestCircuitOpensOnce(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.HandleTCP("ok.example:5432", netproxytest.Echo)
	g, l := newGuard(t, &n, `{"allowed_domains":["ok.example"],"allowed_ports":[5432]}`, func(c *netproxy.Config) { c.Limits.Denials = 3 })
	g.DialContext(t.Context(), "tcp", "a b:1")    // -1 does not count
	g.DialContext(t.Context(), "tcp", "nope..:x") // nor this
	for range 3 {
		_, err := g.DialContext(t.Context(), "tcp", "evil.example:5432")
		wantReason(t, err, netproxy.BadDomain)
	}
	for range 5 {
		_, err := g.DialContext(t.Context(), "tcp", "ok.example:5432")
		wantReason(t, err, netproxy.CircuitOpen)
	}
	wantReason(t, g.VetHeader(nil, nil), netproxy.CircuitOpen)
	opened := 0
	for _, d := range l.all() {
		if d.Reason == netproxy.CircuitOpen {
			opened++
		}
	}
	if opened != 1 || len(l.all()) != 6 || g.Usage().Denials != 9 || len(n.Dials())+len(n.Lookups()) != 0 {
		t.Errorf("opened %d times, %d decisions, usage %+v, dials %v", opened, len(l.all()), g.Usage(), n.Dials())
	}
}

func TestPaceOutlivesRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n netproxytest.Network
		n.HandleTCP("10.0.0.1:5432", netproxytest.Echo)
		l := limits.Limits{DialRate: 1, Dials: 1000}
		pace := netproxy.NewPace(l)
		began := time.Now()
		for range 5 {
			cfg := n.Config()
			cfg.Pace, cfg.Limits = pace, l
			g, err := netproxy.New(rules(t, `{"allowed_networks":["10.0.0.1"],"allowed_ports":[5432]}`), cfg)
			if err != nil {
				t.Fatal(err)
			}
			for range 6 {
				c, err := g.DialContext(t.Context(), "tcp", "10.0.0.1:5432")
				if err != nil {
					t.Fatal(err)
				}
				c.Close()
			}
			g.Close()
		}
		n.Close()
		if took := time.Since(began); took != 10*time.Second { // 30 dials, 20 at once
			t.Errorf("30 dials took %v, want 10s", took)
		}
	})
}

// W42: datagrams are paced, then refused, and their size is bounded.
func TestW42DatagramsArePaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n netproxytest.Network
		n.HandleUDP("10.0.0.9:161", nil)
		g, _ := newGuard(t, &n, `{"allowed_networks":["10.0.0.9"],"allowed_ports":[161]}`, nil)
		send := func(size int, within time.Duration) error {
			ctx, cancel := contextWithTimeout(t, within)
			defer cancel()
			c, err := g.DialContext(ctx, "udp", "10.0.0.9:161")
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write(make([]byte, size))
			return err
		}
		began := time.Now()
		for i := range 150 {
			if err := send(10, time.Minute); err != nil {
				t.Fatalf("datagram %d: %v", i, err)
			}
		}
		if took := time.Since(began); took != 2*time.Second { // 50 at once, then 50 a second
			t.Errorf("150 datagrams took %v, want 2s", took)
		}
		wantExceeded(t, send(10, time.Millisecond), "datagram rate")
		for size, want := range map[int]bool{0: true, 1199: true, 1200: true, 1201: false} {
			if err := send(size, time.Minute); (err == nil) != want {
				t.Errorf("datagram of %d bytes: %v", size, err)
			}
		}
		if got := len(n.Datagrams()); got != 153 {
			t.Errorf("%d datagrams arrived", got)
		}
		g.Close()
	})
}

func TestDatagramBytesArePaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n netproxytest.Network
		n.HandleUDP("10.0.0.9:161", nil)
		g, _ := newGuard(t, &n, `{"allowed_networks":["10.0.0.9"],"allowed_ports":[161]}`, func(c *netproxy.Config) {
			c.Limits = limits.Limits{Datagram: 8 * limits.KiB, DatagramBytes: 8 * limits.KiB, DatagramRate: 1000}
		})
		c, err := g.DialContext(t.Context(), "udp", "10.0.0.9:161")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for range 5 {
			if _, err := c.Write(make([]byte, 8<<10)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began).Round(time.Millisecond); took != 4*time.Second {
			t.Errorf("40 KiB took %v, want 4s", took)
		}
		c.SetWriteDeadline(time.Now().Add(time.Millisecond))
		_, err = c.Write(make([]byte, 8<<10))
		wantExceeded(t, err, "datagram bytes")
		g.Close()
	})
}

// A request that is given up in the middle of a dial or handshake leaves no
// slot behind, however soon the next one comes.
func TestSlotIsFreeAfterGivingUp(t *testing.T) {
	t.Parallel()
	for name, world := range map[string]func(*netproxytest.Network){
		"dial":      func(n *netproxytest.Network) { n.Blackhole("a.example:443") },
		"handshake": func(n *netproxytest.Network) { n.Silent("a.example:443") },
		"lookup":    func(n *netproxytest.Network) { n.FailDNS("a.example", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n netproxytest.Network
			world(&n)
			n.HandleTCP("b.example:80", netproxytest.Echo)
			g, _ := newGuard(t, &n, open80, func(c *netproxy.Config) {
				c.Limits = limits.Limits{Connections: 1, DialRate: 1e6, LookupRate: 1e6}
			})
			for i := range 20 {
				ctx, cancel := contextWithTimeout(t, 2*time.Millisecond)
				if _, _, err := get(ctx, g.HTTPClient(netproxy.HTTPOptions{}), "https://a.example/"); err == nil || errors.Is(err, limits.ErrExceeded) {
					t.Fatalf("request %d: %v", i, err)
				}
				cancel()
				c, err := g.DialContext(t.Context(), "tcp", "b.example:80")
				if err != nil {
					t.Fatalf("dial %d: %v", i, err)
				}
				c.Close()
			}
		})
	}
}

// Requests of many goroutines share pools and slots without losing any.
func TestConcurrentRequests(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		var n netproxytest.Network
		n.HandleHTTP("a.example", text("ok"))
		g, l := newGuard(t, &n, open80, func(c *netproxy.Config) {
			c.Limits = limits.Limits{Connections: 3, DialRate: 1e5, LookupRate: 1e5, Dials: 1e5}
			c.HTTP2 = http2
		})
		const workers, each = 8, 25
		results := make(chan error, workers*each)
		for w := range workers {
			go func() {
				client := g.HTTPClient(netproxy.HTTPOptions{})
				for range each {
					_, _, err := get(t.Context(), client, []string{"http", "https"}[w%2]+"://a.example/")
					results <- err
				}
			}()
		}
		for range workers * each {
			if err := <-results; err != nil && !errors.Is(err, limits.ErrExceeded) {
				t.Errorf("http2=%v: %v (%v)", http2, err, errors.Unwrap(err))
			}
		}
		if u := g.Usage(); u.PeakConnections > 3 {
			t.Errorf("peak = %d", u.PeakConnections)
		}
		g.Close()
		if len(l.all()) != workers*each || n.Open() != 0 {
			t.Errorf("%d decisions, %d connections left", len(l.all()), n.Open())
		}
	}
}
