package websocket_test

import (
	"context"
	"strings"
	"testing"

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
