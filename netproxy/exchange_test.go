package netproxy_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

func TestBodyCap(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]bool{0: true, 999: true, 1000: true, 1001: false, 100_000: false} {
		for _, zipped := range []bool{false, true} {
			for _, chunked := range []bool{false, true} {
				var n netproxytest.Network
				n.HandleHTTP("http://a.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					out := io.Writer(w)
					if zipped {
						if r.Header.Get("Accept-Encoding") != "gzip" {
							t.Errorf("Accept-Encoding = %q", r.Header.Get("Accept-Encoding"))
						}
						w.Header().Set("Content-Encoding", "gzip")
						z := gzip.NewWriter(w)
						defer z.Close()
						out = z
					}
					if chunked {
						w.(http.Flusher).Flush()
					}
					out.Write(bytes.Repeat([]byte("a"), size))
				}))
				g, l := newGuard(t, &n, open80, func(c *netproxy.Config) { c.Limits.Body = 1000 })
				_, body, err := get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{}), "http://a.example/")
				if want && (err != nil || len(body) != size) {
					t.Errorf("%d bytes, gzip %v: got %d, %v", size, zipped, len(body), err)
				}
				if !want {
					wantExceeded(t, err, "body")
					if len(body) != 1000 {
						t.Errorf("%d bytes came before the error, want 1000", len(body))
					}
					if d := l.all()[0]; !d.Allowed || d.Err != "limit:body" || d.BytesIn != 1000 {
						t.Errorf("decision = %+v", d)
					}
				}
			}
		}
	}
}

// hostile serves raw bytes to whatever request comes.
func hostile(serve func(w io.Writer)) func(net.Conn) {
	return func(c net.Conn) {
		var buf [4096]byte
		c.Read(buf[:])
		serve(c)
		c.Read(buf[:]) // until the client is gone
	}
}

// Input without end must end: every peer here would go on for ever.
func TestEndlessAnswers(t *testing.T) {
	t.Parallel()
	forever := func(head, piece string) func(net.Conn) {
		return hostile(func(w io.Writer) {
			_, err := io.WriteString(w, head)
			for err == nil {
				_, err = io.WriteString(w, piece)
			}
		})
	}
	// A gzip stream of empty stored blocks decodes to nothing, for ever.
	nothing := "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
	for _, tt := range []struct {
		name, resource string
		serve          func(net.Conn)
	}{
		{"body", "body", forever("HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("a", 4096))},
		{"gzip of nothing", "wire bytes", forever("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"+nothing, strings.Repeat("\x00\x00\x00\xff\xff", 800))},
		{"gzip members of nothing", "wire bytes", forever("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", strings.Repeat(nothing+"\x01\x00\x00\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00", 200))},
		{"chunks with long extensions", "", forever("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1;"+strings.Repeat("x", 2000)+"\r\na\r\n")},
		{"header", "response header", forever("HTTP/1.1 200 OK\r\n", "X-A: "+strings.Repeat("a", 1000)+"\r\n")},
		{"one header line", "response header", forever("HTTP/1.1 200 OK\r\nX-A: ", strings.Repeat("a", 4096))},
		{"interim answers", "response header", forever("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")},
		{"status line", "response header", forever("HTTP/1.1 ", strings.Repeat("2", 4096))},
		{"trailers", "", forever("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\n", "X: "+strings.Repeat("a", 1000)+"\r\n")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var n netproxytest.Network
			n.HandleTCP("a.example:80", tt.serve)
			g, l := newGuard(t, &n, open80, nil)
			_, body, err := get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{}), "http://a.example/")
			if err == nil {
				t.Fatalf("it ended well, with %d bytes", len(body))
			}
			if tt.resource != "" {
				wantExceeded(t, err, tt.resource)
			}
			g.Close()
			if len(l.all()) != 1 || n.Open() != 0 {
				t.Errorf("%d decisions, %d connections left", len(l.all()), n.Open())
			}
		})
	}
}

func TestW35RunEndInterruptsEverything(t *testing.T) {
	t.Parallel()
	handshake := func(n *netproxytest.Network) { n.Silent("a.example:443") }
	for _, tt := range []struct {
		name  string
		world func(n *netproxytest.Network)
		limit limits.Limits
		call  func(ctx context.Context, g *netproxy.Guard) error
	}{
		{"blocked read", func(n *netproxytest.Network) { n.Silent("a.example:80") }, limits.Limits{}, func(ctx context.Context, g *netproxy.Guard) error {
			c, err := g.DialContext(ctx, "tcp", "a.example:80")
			if err != nil {
				return fmt.Errorf("too early: %w", err)
			}
			_, err = c.Read(make([]byte, 1))
			return err
		}},
		{"blocked write", func(n *netproxytest.Network) {
			n.HandleTCP("a.example:80", func(c net.Conn) { time.Sleep(time.Minute) })
		}, limits.Limits{}, func(ctx context.Context, g *netproxy.Guard) error {
			c, err := g.DialContext(ctx, "tcp", "a.example:80")
			if err != nil {
				return fmt.Errorf("too early: %w", err)
			}
			_, err = c.Write(make([]byte, 1<<20))
			return err
		}},
		{"dripping body", func(n *netproxytest.Network) {
			n.HandleHTTP("http://a.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for r.Context().Err() == nil {
					io.WriteString(w, "a")
					w.(http.Flusher).Flush()
					time.Sleep(time.Second / 2)
				}
			}))
		}, limits.Limits{}, fetch("http://a.example/")},
		{"stuck TLS handshake", handshake, limits.Limits{}, fetch("https://a.example/")},
		{"no answer", func(n *netproxytest.Network) { n.Silent("a.example:80") }, limits.Limits{}, fetch("http://a.example/")},
		{"hanging resolver", func(n *netproxytest.Network) { n.FailDNS("a.example", nil) }, limits.Limits{}, fetch("http://a.example/")},
		{"hanging dial", func(n *netproxytest.Network) { n.Blackhole("a.example:80") }, limits.Limits{}, fetch("http://a.example/")},
		{"waiting for the limiter", func(n *netproxytest.Network) { n.Refuse("a.example:80") }, limits.Limits{DialRate: 0.01}, func(ctx context.Context, g *netproxy.Guard) error {
			var err error
			for range 21 {
				_, err = g.DialContext(ctx, "tcp", "a.example:80")
			}
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // fails if a goroutine is left
				var n netproxytest.Network
				tt.world(&n)
				g, l := newGuard(t, &n, open80, func(c *netproxy.Config) { c.Limits = tt.limit })
				done := make(chan error, 1)
				began := time.Now()
				go func() { done <- tt.call(context.Background(), g) }()
				time.Sleep(2 * time.Second)
				synctest.Wait()
				select {
				case err := <-done:
					t.Fatalf("ended early: %v", err)
				default:
				}
				if err := g.Close(); err != nil {
					t.Error(err)
				}
				err := <-done
				if took := time.Since(began); err == nil || took > 2*time.Second {
					t.Errorf("err = %v after %v, want an error after 2s", err, took)
				}
				if ds := l.all(); len(ds) == 0 || !ds[len(ds)-1].Allowed {
					t.Errorf("decisions = %+v", ds)
				}
				if n.Open() != 0 {
					t.Errorf("%d connections left", n.Open())
				}
				if _, err := g.DialContext(t.Context(), "tcp", "a.example:80"); err != nil {
					wantReason(t, err, netproxy.HostDenied)
				}
				n.Close()
				time.Sleep(2 * time.Minute) // sleeping servers
			})
		})
	}
}

func fetch(url string) func(ctx context.Context, g *netproxy.Guard) error {
	return func(ctx context.Context, g *netproxy.Guard) error {
		_, _, err := get(ctx, g.HTTPClient(netproxy.HTTPOptions{}), url)
		return err
	}
}

// Every phase has its own deadline inside the caller's, and its error says
// which it was and nothing else.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	drip := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			io.WriteString(w, "a")
			w.(http.Flusher).Flush()
			time.Sleep(time.Second / 2)
		}
	})
	for _, tt := range []struct {
		name   string
		world  func(n *netproxytest.Network)
		url    string
		within time.Duration // zero: the caller says nothing
		phase  string
		want   time.Duration
	}{
		{"dns", func(n *netproxytest.Network) { n.FailDNS("a.example", nil) }, "http://a.example/", time.Minute, "dns", 3 * time.Second},
		{"connect", func(n *netproxytest.Network) { n.Blackhole("a.example:80") }, "http://a.example/", time.Minute, "connect", 5 * time.Second},
		{"tls", func(n *netproxytest.Network) { n.Silent("a.example:443") }, "https://a.example/", time.Minute, "tls", 5 * time.Second},
		{"header", func(n *netproxytest.Network) { n.Silent("a.example:80") }, "http://a.example/", time.Minute, "exchange", 10 * time.Second},
		{"body", func(n *netproxytest.Network) { n.HandleHTTP("a.example", drip) }, "http://a.example/", 20 * time.Second, "body", 20 * time.Second},
		{"the caller's", func(n *netproxytest.Network) { n.Silent("a.example:80") }, "http://a.example/", time.Second, "exchange", time.Second},
		{"15 s for want of one", func(n *netproxytest.Network) { n.HandleHTTP("a.example", drip) }, "http://a.example/", 0, "body", 15 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var n netproxytest.Network
				tt.world(&n)
				g, l := newGuard(t, &n, open80, nil)
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if tt.within > 0 {
					ctx, cancel = context.WithTimeout(ctx, tt.within)
				}
				defer cancel()
				began := time.Now()
				_, _, err := get(ctx, g.HTTPClient(netproxy.HTTPOptions{}), tt.url)
				var ne net.Error
				if !errors.As(err, &ne) || !ne.Timeout() || err.Error() != tt.phase {
					t.Errorf("err = %v, want a timeout in %s", err, tt.phase)
				}
				if took := time.Since(began); took != tt.want {
					t.Errorf("took %v, want %v", took, tt.want)
				}
				g.Close()
				n.Close()
				if d := l.all(); len(d) != 1 || d[0].Err != "timeout:"+tt.phase || !d[0].Allowed {
					t.Errorf("decisions = %+v", d)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

func TestFailureText(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.AddDNS("*", "45.1.1.1")
	n.AddDNS("empty.example")
	n.FailDNS("broken.example", errors.New("boom at 10.0.0.53"))
	n.FailDNS("gone.example", &net.DNSError{Err: "no such host", Name: "gone.example.", IsNotFound: true})
	n.Refuse("45.1.1.1:80")
	g, _ := newGuard(t, &n, open80, nil)
	for url, want := range map[string]string{
		"http://gone.example/?q=hunter2":   "dns: no such host, ",
		"http://empty.example/?q=hunter2":  "dns: no address, ",
		"http://broken.example/?q=hunter2": "dns: server failure, ",
		"http://a.example/?q=hunter2":      "connect: refused, ",
	} {
		_, _, err := get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{}), url)
		if err == nil || !regexp.MustCompile("^"+want+`\d+ ms$`).MatchString(err.Error()) {
			t.Errorf("%s: %q, want %q and milliseconds", url, err, want)
		}
		var dns *net.DNSError
		if got := errors.As(err, &dns); got != strings.HasPrefix(want, "dns") {
			t.Errorf("%s: a *net.DNSError = %v", url, got)
		}
		if errors.Is(err, netproxy.ErrDenied) || errors.Is(err, netproxy.ErrInvalid) {
			t.Errorf("%s: %v is no refusal", url, err)
		}
	}
}

func TestRequestBodyCap(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.HandleHTTP("http://a.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, got)
	}))
	g, _ := newGuard(t, &n, open80, nil)
	const most = 2 << 20
	for _, known := range []bool{true, false} {
		for size, want := range map[int]bool{most - 1: true, most: true, most + 1: false} {
			var body io.Reader = bytes.NewReader(make([]byte, size))
			if !known {
				body = io.MultiReader(body)
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://a.example/", body)
			if err != nil {
				t.Fatal(err)
			}
			_, got, err := do(g.HTTPClient(netproxy.HTTPOptions{}), r)
			if want && (err != nil || got != fmt.Sprint(size)) {
				t.Errorf("%d bytes, length known %v: %q, %v", size, known, got, err)
			}
			if !want {
				wantExceeded(t, err, "request body")
			}
		}
	}
}

func TestUnaskedProtocolSwitch(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.HandleTCP("a.example:80", hostile(func(w io.Writer) {
		io.WriteString(w, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	}))
	g, _ := newGuard(t, &n, open80, nil)
	_, _, err := get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{}), "http://a.example/")
	if err == nil || errors.Is(err, netproxy.ErrDenied) || !strings.Contains(err.Error(), "protocol switch") {
		t.Errorf("err = %v", err)
	}
	if n.Open() != 0 {
		t.Error("the connection stays open")
	}
}
