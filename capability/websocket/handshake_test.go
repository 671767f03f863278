package websocket_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	ws "github.com/coder/websocket"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/capability/websocket"
	"github.com/sandcheck/sandcheck/netproxy"
)

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
