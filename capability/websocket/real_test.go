package websocket_test

import (
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	ws "github.com/coder/websocket"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
)

// loopback is a run that may reach one server on the loopback interface.
func loopback(t *testing.T, s *httptest.Server) *world {
	t.Helper()
	at := netip.MustParseAddrPort(s.Listener.Addr().String())
	return newWorld(t, setup{
		rules: netproxy.Rules{Networks: []netip.Prefix{netip.PrefixFrom(at.Addr(), 32)}, Ports: netproxy.Ports(at.Port())},
		config: func(c *netproxy.Config) {
			c.Dialer, c.Resolver, c.RootCAs = nil, nil, x509.NewCertPool()
			if s.Certificate() != nil {
				c.RootCAs.AddCert(s.Certificate())
			}
		},
	})
}

func urlOf(s *httptest.Server) string { return "ws" + strings.TrimPrefix(s.URL, "http") }

func TestLoopback(t *testing.T) {
	t.Parallel()
	for _, s := range []*httptest.Server{httptest.NewServer(accept(echo)), httptest.NewTLSServer(accept(echo))} {
		defer s.Close()
		w := loopback(t, s)
		h := w.open(urlOf(s))
		for _, msg := range []string{"hello", strings.Repeat("z", 2<<20)} {
			if code := w.send(h, msg, 5000); int(code) != len(msg) {
				t.Fatalf("send = %v, %s", code, w.lastError())
			}
			if code, got := w.recv(h, 2<<20, 5000); int(code) != len(msg) || got != msg {
				t.Fatalf("recv = %v, %.20q, %s", code, got, w.lastError())
			}
		}
		if code, _ := w.recv(h, 16, 20); code != capability.Timeout {
			t.Errorf("recv of nothing = %v", code)
		}
		if code := w.close(h); code != 0 || w.session.Net.Open() != 0 {
			t.Errorf("close = %v, %d slots taken", code, w.session.Net.Open())
		}
	}
}

// endless is a server that announces a message of 256 MiB and sends it.
func endless(rw http.ResponseWriter, r *http.Request) {
	c := hijack(rw, r)
	defer c.Close()
	io.WriteString(c, "\x82\x7f\x00\x00\x00\x00\x10\x00\x00\x00")
	zeroes := make([]byte, 64<<10)
	for range 4096 {
		if _, err := c.Write(zeroes); err != nil {
			return
		}
	}
}

// Not parallel: it measures what all goroutines allocate.
func TestW37HugeMessage(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(endless))
	defer s.Close()
	w := loopback(t, s)
	h := w.open(urlOf(s))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	out := make([]byte, 16)
	code := w.call(t.Context(), "websocket_recv", &capability.Call{Out: out, Ints: []uint32{h, 10_000}})
	runtime.ReadMemStats(&after)
	if code != capability.TooLarge {
		t.Errorf("recv = %v, %s", code, w.lastError())
	}
	// Everything that was allocated, collected since or not.
	if grown := limits.Bytes(after.TotalAlloc - before.TotalAlloc); grown > 4*limits.MiB {
		t.Errorf("allocated %v", grown)
	}
	if code, _ := w.recv(h, 16, 1000); code != capability.Internal {
		t.Errorf("then recv = %v", code)
	}
	if n := w.session.Net.Open(); n != 0 {
		t.Errorf("%d connections open", n)
	}
}

// A peer that sends without end fills two messages and no more, whatever the
// guest does meanwhile.
func TestBackPressure(t *testing.T) {
	sent := make(chan int, 1)
	s := httptest.NewServer(accept(func(ctx context.Context, c *ws.Conn) {
		n := 0
		for c.Write(ctx, ws.MessageBinary, make([]byte, 1<<20)) == nil {
			n++
		}
		sent <- n
	}))
	defer s.Close()
	w := loopback(t, s)
	h := w.open(urlOf(s))
	time.Sleep(200 * time.Millisecond) // long enough for gigabytes
	w.close(h)
	if n := <-sent; n > 40 { // the rest is what the system buffers
		t.Errorf("the peer could send %d MiB", n)
	}
}

// Whatever a run leaves behind, nothing of it stays: no goroutine, no
// connection, no slot.
func TestNothingStays(t *testing.T) {
	before := runtime.NumGoroutine()
	for name, leave := range map[string]func(w *world, h uint32){
		"an open connection":      func(*world, uint32) {},
		"a message nobody took":   func(w *world, h uint32) { w.send(h, "x", 1000); time.Sleep(10 * time.Millisecond) },
		"many messages":           func(w *world, h uint32) { w.send(h, "x", 1000); w.send(h, "y", 1000); w.send(h, "z", 1000) },
		"a message that is kept":  func(w *world, h uint32) { w.send(h, "xyz", 1000); w.recv(h, 1, 1000) },
		"a timeout":               func(w *world, h uint32) { w.recv(h, 16, 5) },
		"a closed handle":         func(w *world, h uint32) { w.close(h) },
		"a Guard closed too soon": func(w *world, _ uint32) { w.session.Net.Close() },
		"a failed handshake":      func(w *world, _ uint32) { w.connect("wss://" + server + "/nowhere") },
		"a refusal":               func(w *world, _ uint32) { w.connect("wss://evil.example.com/") },
		"a call under way": func(w *world, h uint32) {
			over := make(chan struct{})
			go func() { w.end(); close(over) }()
			w.recv(h, 16, 0)
			<-over
		},
		"four connections": func(w *world, _ uint32) { w.open(feed); w.open(feed); w.open(feed) },
	} {
		for _, scheme := range []string{"ws://", "wss://"} {
			w := newWorld(t, setup{})
			m := http.NewServeMux()
			m.Handle("/feed", accept(echo))
			w.HandleHTTP(server, m)
			leave(w, w.open(scheme+server+"/feed"))
			w.end()
			eventually(t, name+": no goroutine left", func() bool { return ours() == 0 })
			if n, slots := w.Open(), w.session.Net.Open(); n+slots > 0 {
				t.Errorf("%s: %d connections open, %d slots taken", name, n, slots)
			}
			w.Close()
			for _, d := range w.decided() {
				if d.Allowed && d.Target.Host != server {
					t.Errorf("%s: %+v", name, d)
				}
			}
		}
	}
	eventually(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= before })
}

// A handshake that ends too late for its run is closed again.
func TestHandshakeAfterTheRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	arrived, answer := make(chan struct{}), make(chan struct{})
	serve := accept(echo)
	w.HandleHTTP(server, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-answer
		serve.ServeHTTP(rw, r)
	}))
	code := make(chan capability.Code)
	go func() { code <- w.connect(feed) }()
	<-arrived
	w.session.Close()
	close(answer)
	if got := <-code; got != capability.Internal {
		t.Errorf("connect = %v", got)
	}
	if n := w.session.Net.Open(); n != 0 {
		t.Errorf("%d slots taken", n)
	}
}
