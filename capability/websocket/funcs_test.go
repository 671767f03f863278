package websocket_test

import (
	"bytes"
	"context"
	"errors"
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
	"github.com/sandcheck/sandcheck/capability/websocket"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

// The functions are those of the ABI, with its types.
func TestFuncs(t *testing.T) {
	t.Parallel()
	var table []struct {
		Name       string
		Params     []string
		Result     *string
		Capability string
		Module     string
		Home       string
	}
	vectors(t, "abi.json", "functions", &table)
	want := map[string]int{}
	for _, f := range table {
		if strings.HasPrefix(f.Name, "websocket_") {
			want[f.Name] = len(f.Params)
		}
	}
	if len(want) != 4 {
		t.Fatalf("the table names %v", want)
	}
	for _, f := range websocket.Funcs() {
		if err := f.Validate(); err != nil {
			t.Error(err)
		}
		n := 0
		for _, p := range f.Params {
			n += map[capability.Kind]int{capability.I32: 1, capability.In: 2, capability.Out: 2}[p.Kind]
		}
		if n != want[f.Name] || f.Void || f.Capability() != f.Name {
			t.Errorf("%s has %d wasm parameters, void %v, capability %s; want %d", f.Name, n, f.Void, f.Capability(), want[f.Name])
		}
		delete(want, f.Name)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

func TestEcho(t *testing.T) {
	t.Parallel()
	for _, url := range []string{feed, "ws://" + server + "/feed", `{"url":"WSS://WS.Example.com./feed"}`} {
		w := newWorld(t, setup{})
		w.serve(echo)
		h := w.open(url)
		for _, msg := range []string{"hello", "", strings.Repeat("x", 5000), "\xff\x00", strings.Repeat("y", 2<<20)} {
			if code := w.send(h, msg, 5000); int(code) != len(msg) {
				t.Fatalf("%s: send of %d bytes = %v, %s", url, len(msg), code, w.lastError())
			}
			if code, got := w.recv(h, 2<<20, 5000); int(code) != len(msg) || got != msg {
				t.Fatalf("%s: recv = %v, %.20q; want %.20q of %d bytes", url, code, got, msg, len(msg))
			}
		}
		if code := w.close(h); code != 0 {
			t.Errorf("%s: close = %v", url, code)
		}
		if code := w.close(h); code != capability.BadHandle {
			t.Errorf("%s: second close = %v", url, code)
		}
		if n := w.Open(); n != 0 {
			t.Errorf("%s: %d connections open after close", url, n)
		}
		d := w.decided()
		if len(d) != 1 || !d[0].Allowed || d[0].Status != 101 || d[0].Target.Host != server || d[0].BytesIn == 0 || d[0].BytesOut == 0 {
			t.Errorf("%s: decisions %+v", url, d)
		}
	}
}

// One byte above what a message may hold is refused, with the handle in order.
func TestSendLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{limits: limits.Limits{Payload: 1000}})
	w.serve(echo)
	if code := w.connect("wss://" + server + "/" + strings.Repeat("p", 1000)); code != capability.TooLarge {
		t.Errorf("connect = %v", code)
	}
	h := w.open(feed)
	for n, want := range map[int]capability.Code{999: 999, 1000: 1000, 1001: capability.TooLarge} {
		if code := w.send(h, strings.Repeat("x", n), 5000); code != want {
			t.Errorf("send of %d = %v, want %v", n, code, want)
		}
	}
	if code := w.send(h+1, strings.Repeat("x", 1001), 0); code != capability.BadHandle {
		t.Errorf("send to no handle = %v", code)
	}
}

// A message above the limit ends the connection; at the limit it is a message.
func TestReceiveLimit(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]capability.Code{999: 999, 1000: 1000, 1001: capability.TooLarge, 70_000: capability.TooLarge} {
		w := newWorld(t, setup{limits: limits.Limits{Payload: 1000}})
		status := make(chan ws.StatusCode, 1)
		w.serve(func(ctx context.Context, c *ws.Conn) {
			c.Write(ctx, ws.MessageBinary, make([]byte, n))
			_, _, err := c.Read(ctx)
			status <- ws.CloseStatus(err)
		})
		h := w.open(feed)
		if code, _ := w.recv(h, 4000, 5000); code != want {
			t.Errorf("a message of %d bytes: %v, want %v", n, code, want)
		}
		if want > 0 {
			continue
		}
		if got := w.lastError(); !strings.Contains(got, "too_large: websocket_recv: ") || !strings.Contains(got, "1000") {
			t.Errorf("last_error = %q", got)
		}
		for range 3 {
			if code, _ := w.recv(h, 4000, 5000); code != capability.Internal {
				t.Errorf("then recv = %v, want %v", code, capability.Internal)
			}
		}
		if code := w.send(h, "x", 1000); code != capability.Internal {
			t.Errorf("then send = %v", code)
		}
		if got := <-status; got != ws.StatusMessageTooBig {
			t.Errorf("the server was told %v", got)
		}
	}
}

func TestFrames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		opts []websocket.Option
		data string
		want ws.MessageType // 0: refused
	}{
		{"binary by default", nil, "text", ws.MessageBinary},
		{"text", []websocket.Option{websocket.Text()}, "grüße", ws.MessageText},
		{"text cannot hold other bytes", []websocket.Option{websocket.Text()}, "\xff", 0},
		{"auto, text", []websocket.Option{websocket.Auto()}, "grüße", ws.MessageText},
		{"auto, empty", []websocket.Option{websocket.Auto()}, "", ws.MessageText},
		{"auto, other bytes", []websocket.Option{websocket.Auto()}, "a\xc3", ws.MessageBinary},
		{"the last stands", []websocket.Option{websocket.Auto(), nil, websocket.Text()}, "\xff", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{opts: tt.opts})
			got := make(chan ws.MessageType, 1)
			w.serve(func(ctx context.Context, c *ws.Conn) {
				kind, _, _ := c.Read(ctx)
				got <- kind
			})
			h := w.open(feed)
			code := w.send(h, tt.data, 5000)
			if tt.want == 0 {
				if code != capability.Invalid {
					t.Errorf("send(%q) = %v", tt.data, code)
				}
				return
			}
			if kind := <-got; int(code) != len(tt.data) || kind != tt.want {
				t.Errorf("send(%q) = %v, the server got %v, want %v", tt.data, code, kind, tt.want)
			}
		})
	}
}

func TestW41BinaryUnlessAsked(t *testing.T) {
	t.Parallel()
	textOnly := func(ctx context.Context, c *ws.Conn) {
		for {
			kind, p, err := c.Read(ctx)
			if err != nil {
				return
			}
			if kind != ws.MessageText {
				c.Close(ws.StatusUnsupportedData, "text only")
				return
			}
			c.Write(ctx, kind, p)
		}
	}
	for name, tt := range map[string]struct {
		opts []websocket.Option
		want capability.Code
	}{"binary": {nil, capability.Internal}, "text": {[]websocket.Option{websocket.Text()}, 2}, "auto": {[]websocket.Option{websocket.Auto()}, 2}} {
		w := newWorld(t, setup{opts: tt.opts})
		w.serve(textOnly)
		h := w.open(feed)
		w.send(h, "hi", 5000)
		if code, _ := w.recv(h, 16, 5000); code != tt.want {
			t.Errorf("%s: recv = %v, want %v", name, code, tt.want)
		}
		if tt.want < 0 && !strings.Contains(w.lastError(), `1003, "text only"`) {
			t.Errorf("%s: last_error = %q", name, w.lastError())
		}
	}
}

func TestW34OneCountForAllConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{limits: limits.Limits{Connections: 1}})
	w.serve(echo)
	h := w.open(feed)
	dials := len(w.Dials())
	tcp := func() capability.Code {
		return w.call(t.Context(), "tcp_connect", &capability.Call{In: [][]byte{[]byte(server)}, Ints: []uint32{443, 1000}})
	}
	get := func() capability.Code {
		doc := []byte(`{"url":"https://` + server + `/"}`)
		return w.call(t.Context(), "http_request", &capability.Call{In: [][]byte{doc}, Out: make([]byte, 4096)})
	}
	for name, code := range map[string]capability.Code{"tcp_connect": tcp(), "http_request": get(), "websocket_connect": w.connect(feed)} {
		if code != capability.TooLarge {
			t.Errorf("%s with an open WebSocket = %v", name, code)
		}
	}
	if n := len(w.Dials()); n != dials {
		t.Errorf("%d dials beyond the limit", n-dials)
	}
	if code := w.close(h); code != 0 {
		t.Fatalf("close = %v", code)
	}
	if code := get(); code <= 0 {
		t.Errorf("http_request after close = %v, %s", code, w.lastError())
	}
	if code := tcp(); code != 2 {
		t.Errorf("tcp_connect after close = %v", code)
	}
	if code := w.connect(feed); code != capability.TooLarge {
		t.Errorf("websocket_connect with an open TCP connection = %v", code)
	}
}

func TestW38MessagesAreKept(t *testing.T) {
	t.Parallel()
	t.Run("a larger buffer gets the message", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, setup{})
		w.serve(func(ctx context.Context, c *ws.Conn) {
			for _, msg := range []string{strings.Repeat("a", 100), "", "c"} {
				c.Write(ctx, ws.MessageText, []byte(msg))
			}
			silent(ctx, c)
		})
		h := w.open(feed)
		for _, size := range []int{0, 16, 99} {
			if code, _ := w.recv(h, size, 5000); code != capability.TooLarge || !strings.Contains(w.lastError(), "100 bytes") {
				t.Errorf("buffer of %d: %v, %s", size, code, w.lastError())
			}
		}
		for _, want := range []string{strings.Repeat("a", 100), "", "c"} {
			if code, got := w.recv(h, 100, 5000); int(code) != len(want) || got != want {
				t.Errorf("got %v %q, want %q", code, got, want)
			}
		}
	})
	t.Run("a timeout leaves it usable", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, setup{})
		w.serve(echo)
		h := w.open(feed)
		for range 3 {
			if code, _ := w.recv(h, 16, 20); code != capability.Timeout || w.lastError() != "timeout: websocket_recv: receive" {
				t.Fatalf("recv = %v, %q", code, w.lastError())
			}
		}
		w.send(h, "late", 5000)
		if code, got := w.recv(h, 16, 5000); code != 4 || got != "late" {
			t.Errorf("after timeouts: %v %q, %s", code, got, w.lastError())
		}
	})
	t.Run("a close is told with its code, for ever", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, setup{})
		w.serve(func(ctx context.Context, c *ws.Conn) {
			c.Write(ctx, ws.MessageText, []byte("last words"))
			c.Close(ws.StatusNormalClosure, "")
		})
		h := w.open(feed)
		if code, got := w.recv(h, 16, 5000); code != 10 || got != "last words" {
			t.Errorf("before the close: %v %q", code, got)
		}
		for range 2000 {
			if code, _ := w.recv(h, 16, 5000); code != capability.Internal {
				t.Fatalf("recv = %v", code)
			}
		}
		if got, want := w.lastError(), "internal: websocket_recv: closed by the peer: code 1000"; got != want {
			t.Errorf("last_error = %q, want %q", got, want)
		}
		if code := w.send(h, "x", 1000); code != capability.Internal {
			t.Errorf("send = %v", code)
		}
		if code := w.close(h); code != 0 {
			t.Errorf("close = %v", code)
		}
	})
}

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

// Why a handshake failed, as the guest and the report learn it.
func TestHandshakeFailures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		declare func(*world)
		code    capability.Code
		want    string // of last_error
	}{
		"status": {func(w *world) { w.HandleHTTP(server, http.NotFoundHandler()) }, capability.Internal, "internal: websocket_connect: handshake: answered with status 404"},
		"redirect without a place": {func(w *world) {
			w.HandleHTTP(server, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(302) }))
		}, capability.Internal, "handshake: answered with status 302"},
		"refused":     {func(w *world) { w.Refuse(server + ":443") }, capability.Internal, "connect: refused"},
		"no name":     {func(w *world) {}, capability.Internal, "no such host"},
		"certificate": {func(w *world) { w.serve(echo); w.SelfSigned(server) }, capability.Internal, "certificate"},
		"compression nobody asked for": {func(w *world) {
			w.HandleHTTP(server, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				c, buf, _ := http.NewResponseController(rw).Hijack()
				defer c.Close()
				io.WriteString(buf, "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Accept: "+
					acceptKey(r.Header.Get("Sec-WebSocket-Key"))+"\r\n\r\n")
				buf.Flush()
			}))
		}, capability.Internal, "breaks the protocol"},
	} {
		w := newWorld(t, setup{})
		tt.declare(w)
		if code := w.connect(feed + "?secret=hunter2"); code != tt.code || !strings.Contains(w.lastError(), tt.want) {
			t.Errorf("%s: %v, %q; want %v, %q", name, code, w.lastError(), tt.code, tt.want)
		}
		if d := w.decided(); len(d) != 1 || !d[0].Allowed {
			t.Errorf("%s: decisions %+v", name, d)
		}
		w.end()
		if n, slots := w.Open(), w.session.Net.Open(); n+slots != 0 {
			t.Errorf("%s: %d connections open, %d slots taken", name, n, slots)
		}
	}
}

// The reason that a report keeps holds nothing of the URL's query.
func TestReasonHoldsNoQuery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	w.Refuse(server + ":443")
	c := &capability.Call{Session: w.session, In: [][]byte{[]byte(feed + "?token=hunter2")}, Ints: []uint32{1000}}
	websocket.Funcs()[0].Handle(t.Context(), c)
	if err := c.Err(); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("err = %v", err)
	}
}

func TestWithoutNetwork(t *testing.T) {
	t.Parallel()
	c := &capability.Call{Session: &capability.Session{}, In: [][]byte{[]byte(feed)}, Ints: []uint32{0}}
	if code := websocket.Funcs()[0].Handle(t.Context(), c); code != capability.Denied || !errors.Is(c.Err(), netproxy.ErrDenied) {
		t.Errorf("got %v, %v", code, c.Err())
	}
}

// Handles of other kinds, and of nothing.
func TestHandleKinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{rules: netproxy.Rules{Domains: []netproxy.Domain{server}, Ports: netproxy.Ports(443, 7)}})
	w.serve(echo)
	w.HandleTCP(server+":7", netproxytest.Echo)
	tcp := uint32(w.call(t.Context(), "tcp_connect", &capability.Call{In: [][]byte{[]byte(server)}, Ints: []uint32{7, 1000}}))
	h := w.open(feed)
	for _, bad := range []uint32{0, tcp, h + 1, ^uint32(0)} {
		recv, _ := w.recv(bad, 16, 10)
		if send, shut := w.send(bad, "x", 10), w.close(bad); send != capability.BadHandle || recv != capability.BadHandle || shut != capability.BadHandle {
			t.Errorf("handle %d: send %v, recv %v, close %v", bad, send, recv, shut)
		}
	}
	for _, f := range []string{"tcp_read", "tcp_write", "tcp_close"} {
		c := &capability.Call{In: [][]byte{[]byte("x")}, Out: make([]byte, 1), Ints: []uint32{h, 10}}
		if code := w.call(t.Context(), f, c); code != capability.BadHandle {
			t.Errorf("%s of a WebSocket = %v", f, code)
		}
	}
	if code := w.send(h, "still here", 1000); code != 10 {
		t.Errorf("send = %v", code)
	}
}

// What the server sees of a handshake.
func TestHandshakeHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{config: func(c *netproxy.Config) {
		c.Identities = []netproxy.Identity{{ID: "feed", Domains: []netproxy.Domain{server}, Ports: netproxy.Ports(443), Headers: map[string]func(context.Context) (string, error){
			"Authorization": func(context.Context) (string, error) { return "Bearer host-held", nil },
		}}}
	}})
	var got atomic.Pointer[http.Request]
	w.HandleHTTP(server, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		got.Store(r)
		c, err := ws.Accept(rw, r, &ws.AcceptOptions{Subprotocols: []string{"v2.feed"}})
		if err == nil {
			c.CloseNow()
		}
	}))
	w.open(`{"url":"wss://` + server + `/a%2Fb?q=1#frag","headers":{"sec-websocket-protocol":"v1.feed, v2.feed","Host":"` + server + `","x-trace":" 7 ","Origin":"https://` + server + `"}}`)
	r := got.Load()
	for name, want := range map[string]string{
		"Authorization": "Bearer host-held", "X-Trace": "7", "Sec-Websocket-Protocol": "v1.feed,v2.feed", "Sec-Websocket-Extensions": "", "Upgrade": "websocket",
	} {
		if v := r.Header.Get(name); v != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	if r.RequestURI != "/a%2Fb?q=1" || r.Host != server {
		t.Errorf("asked for %q of %q", r.RequestURI, r.Host)
	}
	for _, h := range []string{"authorization", "Sec-WebSocket-Key", "Sec-WebSocket-Extensions", "Upgrade", "Connection", "Proxy-Authorization"} {
		if code := w.connect(`{"url":"` + feed + `","headers":{"` + h + `":"x"}}`); code != capability.Denied || w.lastError() != "denied: websocket_connect" {
			t.Errorf("header %s: %v, %q", h, code, w.lastError())
		}
	}
	if code := w.connect(`{"url":"` + feed + `","headers":{"Host":"other.example.com"}}`); code != capability.Denied {
		t.Errorf("a foreign Host: %v", code)
	}
	for _, h := range []string{`"X-A":"a\r\nb"`, `"bad name":"x"`, `"X":"\u0000"`} {
		if code := w.connect(`{"url":"` + feed + `","headers":{` + h + `}}`); code != capability.Invalid {
			t.Errorf("header %s: %v", h, code)
		}
	}
}

// Skipping verification needs the grant, on every scheme.
func TestInsecureTLS(t *testing.T) {
	t.Parallel()
	open := granted()
	open.AllowInsecureTLS = true
	for _, tt := range []struct {
		rules netproxy.Rules
		url   string
		want  capability.Code
	}{{granted(), feed, capability.Denied}, {granted(), "ws://" + server, capability.Denied}, {open, feed, 1}} {
		w := newWorld(t, setup{rules: tt.rules})
		w.SelfSigned(server)
		w.serve(echo)
		if code := w.connect(`{"url":"` + tt.url + `","insecure_skip_verify":true}`); code != tt.want {
			t.Errorf("%s: %v, want %v", tt.url, code, tt.want)
		}
		if tt.want < 0 && len(w.Dials()) > 0 {
			t.Errorf("%s: dialled %v", tt.url, w.Dials())
		}
	}
}

// HTTP/2 has no such switch: the handshake is HTTP/1.1 where both are offered.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{config: func(c *netproxy.Config) { c.HTTP2 = true }})
	w.serve(echo)
	h := w.open(feed)
	w.send(h, "hi", 1000)
	if code, got := w.recv(h, 8, 5000); code != 2 || got != "hi" {
		t.Errorf("recv = %v %q, %s", code, got, w.lastError())
	}
}

// A Transport of the embedder's own carries WebSockets as well.
func TestCustomTransport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{config: func(c *netproxy.Config) {
		n := c.Dialer
		c.Transport = &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			target, _ := netproxy.TargetFrom(ctx)
			return n.DialContext(ctx, network, target.Addrs[0].String())
		}}
	}})
	w.serve(echo)
	h := w.open("ws://" + server)
	w.send(h, "hi", 1000)
	if code, got := w.recv(h, 8, 5000); code != 2 || got != "hi" {
		t.Errorf("recv = %v %q, %s", code, got, w.lastError())
	}
	w.end()
	if d := w.decided(); w.Open() != 0 || len(d) != 1 || !d[0].Allowed {
		t.Errorf("%d open, decisions %+v", w.Open(), d)
	}
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
