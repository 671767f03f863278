package websocket_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	ws "github.com/coder/websocket"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
)

// raw is a server that writes bytes after a true handshake.
func raw(frames string, then func(net.Conn)) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		c := hijack(rw, r)
		if c == nil {
			return
		}
		defer c.Close()
		io.WriteString(c, frames)
		if then != nil {
			then(c)
		}
	})
}

// hijack answers the handshake by hand and returns the connection.
func hijack(rw http.ResponseWriter, r *http.Request) net.Conn {
	c, buf, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return nil
	}
	io.WriteString(buf, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "+
		acceptKey(r.Header.Get("Sec-WebSocket-Key"))+"\r\n\r\n")
	buf.Flush()
	return c
}

// A connection that breaks in the middle of a message is broken: what came is
// not passed off as a message.
func TestTruncatedMessages(t *testing.T) {
	t.Parallel()
	for name, frames := range map[string]string{
		"nothing of the payload":       "\x82\x05",
		"half of it":                   "\x82\x05abc",
		"one piece of it, to the byte": "\x82\x7e\x08\x00" + strings.Repeat("x", 1024),
		"no final frame":               "\x02\x05hello",
		"half a header":                "\x82",
		"nothing":                      "",
		"an unknown opcode":            "\x83\x00",
		"a reserved bit":               "\xc2\x00",
		"a continuation of nothing":    "\x80\x00",
		"a close code that is none":    "\x88\x02\x03\xe7",
		"a long control frame":         "\x89\x7e\x00\x7e",
	} {
		w := newWorld(t, setup{})
		w.HandleHTTP(server, raw(frames, nil))
		h := w.open(feed)
		if code, got := w.recv(h, 4096, 5000); code != capability.Internal {
			t.Errorf("%s: recv = %v, %q", name, code, got)
		}
		if got := w.lastError(); !strings.HasPrefix(got, "internal: websocket_recv: ") {
			t.Errorf("%s: last_error = %q", name, got)
		}
		eventually(t, name+": connection closed", func() bool { return w.Open() == 0 })
	}
}

// Fragments are one message, and pings between them are answered.
func TestFragmentsAndPings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	pong := make(chan []byte, 1)
	w.HandleHTTP(server, raw("\x01\x03hel\x89\x01p\x00\x00\x80\x02lo", func(c net.Conn) {
		b := make([]byte, 7)
		io.ReadFull(c, b)
		pong <- b
		io.Copy(io.Discard, c)
	}))
	h := w.open(feed)
	if code, got := w.recv(h, 16, 5000); code != 5 || got != "hello" {
		t.Errorf("recv = %v %q", code, got)
	}
	if b := <-pong; b[0] != 0x8a || b[1] != 0x81 || b[6]^b[2] != 'p' {
		t.Errorf("pong = %x", b)
	}
}

// The peer is told how the connection ended: 1000 by the guest, 1001 by the end
// of the run.
func TestGoodbye(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end  func(*world, uint32)
		want ws.StatusCode
	}{
		"websocket_close": {func(w *world, h uint32) { w.close(h) }, ws.StatusNormalClosure},
		"end of the run":  {func(w *world, _ uint32) { w.end() }, ws.StatusGoingAway},
	} {
		for _, url := range []string{feed, "ws://" + server} {
			w := newWorld(t, setup{})
			status := make(chan ws.StatusCode, 1)
			w.serve(func(ctx context.Context, c *ws.Conn) {
				_, _, err := c.Read(ctx)
				status <- ws.CloseStatus(err)
			})
			tt.end(w, w.open(url))
			if got := <-status; got != tt.want {
				t.Errorf("%s of %s: the server saw %v, want %v", name, url, got, tt.want)
			}
		}
	}
}

// stuck is a Dialer whose connections stop writing once told: a peer that does
// not read, or a line that fails.
type stuck struct {
	netproxy.Dialer
	blocked, failing *atomic.Bool
}

func (s stuck) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := s.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &stuckConn{Conn: c, stuck: s, closed: make(chan struct{})}, nil
}

type stuckConn struct {
	net.Conn
	stuck
	once   sync.Once
	closed chan struct{}
}

func (c *stuckConn) Write(p []byte) (int, error) {
	if c.blocked.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	if c.failing.Load() {
		return 0, syscall.EPIPE
	}
	return c.Conn.Write(p)
}

func (c *stuckConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// A peer that does not read holds up neither a send, nor a close, nor the end
// of a run, nor the answer to a message that is too large.
func TestPeerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(*world, uint32){
		"send": func(w *world, h uint32) {
			if code := w.send(h, "hello", 30); code != capability.Timeout || w.lastError() != "timeout: websocket_send: send" {
				w.t.Errorf("send = %v, %q", code, w.lastError())
			}
			if code := w.send(h, "x", 1000); code != capability.Internal {
				w.t.Errorf("send on a broken connection = %v", code)
			}
		},
		"close": func(w *world, h uint32) { w.close(h) },
		"run":   func(w *world, _ uint32) { w.end() },
		"recv": func(w *world, h uint32) {
			if code, _ := w.recv(h, 16, 1000); code != capability.TooLarge {
				w.t.Errorf("recv = %v, %s", code, w.lastError())
			}
		},
	} {
		for _, url := range []string{feed, "ws://" + server} {
			t.Run(name+" "+url, func(t *testing.T) {
				t.Parallel()
				s := stuck{blocked: new(atomic.Bool), failing: new(atomic.Bool)}
				w := newWorld(t, setup{limits: limits.Limits{Payload: 1000}, config: func(c *netproxy.Config) { s.Dialer = c.Dialer; c.Dialer = s }})
				speak := make(chan struct{})
				w.serve(func(ctx context.Context, c *ws.Conn) {
					<-speak
					c.Write(ctx, ws.MessageBinary, make([]byte, 2000))
					silent(ctx, c)
				})
				h := w.open(url)
				s.blocked.Store(true)
				if name == "recv" {
					close(speak)
				} else {
					defer close(speak)
				}
				began := time.Now()
				call(w, h)
				w.end()
				if took := time.Since(began); took > 700*time.Millisecond {
					t.Errorf("took %v", took)
				}
				if n := w.Open(); n > 0 {
					t.Errorf("%d connections open", n)
				}
			})
		}
	}
}

// A send that fails ends the connection: half a frame may be on its way.
func TestSendFails(t *testing.T) {
	t.Parallel()
	s := stuck{blocked: new(atomic.Bool), failing: new(atomic.Bool)}
	w := newWorld(t, setup{config: func(c *netproxy.Config) { s.Dialer = c.Dialer; c.Dialer = s }})
	w.serve(echo)
	h := w.open(feed)
	s.failing.Store(true)
	if code := w.send(h, "hello", 1000); code != capability.Internal || !strings.HasPrefix(w.lastError(), "internal: websocket_send: write: ") {
		t.Errorf("send = %v, %q", code, w.lastError())
	}
	eventually(t, "connection closed", func() bool { return w.Open() == 0 })
	s.failing.Store(false)
	if code := w.send(h, "hello", 1000); code != capability.Internal {
		t.Errorf("then send = %v", code)
	}
	if code, _ := w.recv(h, 16, 1000); code != capability.Internal {
		t.Errorf("then recv = %v", code)
	}
}

// The end of the run interrupts whatever the guest waits for.
func TestEndOfRunInterrupts(t *testing.T) {
	t.Parallel()
	dead := func(h http.Handler) func(*world) { return func(w *world) { w.HandleHTTP(server, h) } }
	reads := func(c net.Conn) { io.Copy(io.Discard, c) }
	for name, tt := range map[string]struct {
		declare func(*world)
		call    func(ctx context.Context, w *world) capability.Code
	}{
		"connect, silent server": {func(w *world) { w.Silent(server + ":443") }, connectUnder},
		"connect, no answer":     {dead(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })), connectUnder},
		"connect, another answer that drips": {dead(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.(http.Flusher).Flush()
			<-r.Context().Done()
		})), connectUnder},
		"connect, a switch without the right key": {dead(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			r.Header.Set("Sec-WebSocket-Key", "other")
			reads(hijack(rw, r))
		})), connectUnder},
		"recv": {dead(raw("", reads)), func(ctx context.Context, w *world) capability.Code {
			h := w.open(feed)
			return w.call(ctx, "websocket_recv", &capability.Call{Out: make([]byte, 16), Ints: []uint32{h, ^uint32(0)}})
		}},
		"send": {dead(raw("", func(net.Conn) { time.Sleep(2 * time.Second) })), func(ctx context.Context, w *world) capability.Code {
			h := w.open(feed)
			return w.call(ctx, "websocket_send", &capability.Call{In: [][]byte{make([]byte, 2<<20)}, Ints: []uint32{h, 0}})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			tt.declare(w)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			began := time.Now()
			code := tt.call(ctx, w)
			if code != capability.Timeout && code != capability.Internal {
				t.Errorf("code %v, %s", code, w.lastError())
			}
			if took := time.Since(began); took > 600*time.Millisecond {
				t.Errorf("took %v", took)
			}
			if code == capability.Internal && !strings.Contains(w.lastError(), "handshake") {
				t.Errorf("last_error = %q", w.lastError())
			}
		})
	}
}

func connectUnder(ctx context.Context, w *world) capability.Code {
	return w.call(ctx, "websocket_connect", &capability.Call{In: [][]byte{[]byte(feed)}, Ints: []uint32{0}})
}

// panicking is a Dialer whose connections panic on the nth Read.
type panicking struct {
	netproxy.Dialer
	after int32
}

func (p panicking) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := p.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &panickingConn{Conn: c, left: p.after}, nil
}

type panickingConn struct {
	net.Conn
	left int32
}

func (c *panickingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if bytes.Contains(p[:n], []byte("boom")) {
		panic("a broken dialer")
	}
	return n, err
}

// The reader's goroutine has nobody above it: a panic there must not end the
// program.
func TestPanicInDialer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{config: func(c *netproxy.Config) { c.Dialer = panicking{Dialer: c.Dialer} }})
	w.HandleHTTP(server, raw("", func(c net.Conn) {
		c.Read(make([]byte, 1))
		io.WriteString(c, "\x82\x04boom")
	}))
	h := w.open("ws://" + server)
	w.send(h, "go", 1000)
	if code, _ := w.recv(h, 16, 5000); code != capability.Internal {
		t.Errorf("recv = %v", code)
	}
}
