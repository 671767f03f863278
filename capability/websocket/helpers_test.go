package websocket_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	ws "github.com/coder/websocket"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/capability/websocket"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

const (
	server = "ws.example.com"
	feed   = "wss://" + server + "/feed"
)

// granted is what most tests may reach.
func granted() netproxy.Rules {
	return netproxy.Rules{Domains: []netproxy.Domain{server}, Ports: netproxy.Ports(80, 443)}
}

// world is one run on a network in memory.
type world struct {
	netproxytest.Network
	t       *testing.T
	session *capability.Session
	funcs   map[string]capability.Func

	mu        sync.Mutex
	decisions []netproxy.Decision
}

// setup changes a world before its Guard is made.
type setup struct {
	rules  netproxy.Rules
	limits limits.Limits
	config func(*netproxy.Config)
	opts   []websocket.Option
}

func newWorld(t *testing.T, s setup) *world {
	t.Helper()
	w := &world{t: t, funcs: map[string]capability.Func{}}
	for _, f := range append(append(websocket.Funcs(s.opts...), capability.Network()...), capability.Core()...) {
		w.funcs[f.Name] = f
	}
	if s.rules.Ports == nil {
		s.rules = granted()
	}
	cfg := w.Config()
	cfg.Limits = s.limits
	cfg.Audit = func(_ context.Context, d netproxy.Decision) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.decisions = append(w.decisions, d)
	}
	if s.config != nil {
		s.config(&cfg)
	}
	guard, err := netproxy.New(s.rules, cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.session = &capability.Session{Net: guard, Limits: s.limits}
	t.Cleanup(func() { w.end(); w.Close() })
	return w
}

// end is the end of the run.
func (w *world) end() {
	w.session.Close()
	w.session.Net.Close()
}

// serve declares a server that hands each accepted connection to talk and
// closes it when that returns.
func (w *world) serve(talk func(ctx context.Context, c *ws.Conn)) {
	w.HandleHTTP(server, accept(talk))
}

func accept(talk func(ctx context.Context, c *ws.Conn)) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		c, err := ws.Accept(rw, r, &ws.AcceptOptions{CompressionMode: ws.CompressionContextTakeover})
		if err != nil {
			return // the client sees the status
		}
		defer c.CloseNow()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		talk(ctx, c)
	})
}

// echo answers every message with itself until the client is gone.
func echo(ctx context.Context, c *ws.Conn) {
	c.SetReadLimit(-1)
	for {
		kind, p, err := c.Read(ctx)
		if err != nil || c.Write(ctx, kind, p) != nil {
			return
		}
	}
}

// silent reads and says nothing.
func silent(ctx context.Context, c *ws.Conn) {
	c.SetReadLimit(-1)
	for {
		if _, _, err := c.Read(ctx); err != nil {
			return
		}
	}
}

func (w *world) call(ctx context.Context, name string, c *capability.Call) capability.Code {
	w.t.Helper()
	f, ok := w.funcs[name]
	if !ok {
		w.t.Fatalf("no function %q", name)
	}
	c.Session = w.session
	return f.Handle(ctx, c)
}

func (w *world) connect(payload string) capability.Code {
	w.t.Helper()
	return w.call(w.t.Context(), "websocket_connect", &capability.Call{In: [][]byte{[]byte(payload)}, Ints: []uint32{10_000}})
}

// open is connect that must succeed.
func (w *world) open(payload string) uint32 {
	w.t.Helper()
	h := w.connect(payload)
	if h <= 0 {
		w.t.Fatalf("websocket_connect(%.80q) = %v, %s; decisions %+v", payload, h, w.lastError(), w.decided())
	}
	return uint32(h)
}

func (w *world) send(h uint32, data string, ms uint32) capability.Code {
	w.t.Helper()
	return w.call(w.t.Context(), "websocket_send", &capability.Call{In: [][]byte{[]byte(data)}, Ints: []uint32{h, ms}})
}

// recv receives into a buffer of size bytes.
func (w *world) recv(h uint32, size int, ms uint32) (capability.Code, string) {
	w.t.Helper()
	out := make([]byte, size)
	code := w.call(w.t.Context(), "websocket_recv", &capability.Call{Out: out, Ints: []uint32{h, ms}})
	return code, string(out[:max(0, code)])
}

func (w *world) close(h uint32) capability.Code {
	w.t.Helper()
	return w.call(w.t.Context(), "websocket_close", &capability.Call{Ints: []uint32{h}})
}

func (w *world) lastError() string {
	w.t.Helper()
	out := make([]byte, 1024)
	return string(out[:max(0, w.call(w.t.Context(), "last_error", &capability.Call{Out: out}))])
}

func (w *world) decided() []netproxy.Decision {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]netproxy.Decision(nil), w.decisions...)
}

// eventually waits for something that happens on another goroutine.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// ours counts goroutines that are at work for this module.
func ours() int {
	buf := make([]byte, 4<<20)
	stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	n := 0
	for _, s := range stacks {
		if strings.Contains(s, "capability/websocket.(*") {
			n++
		}
	}
	return n
}

// vectors reads one key of a case file.
func vectors(t testing.TB, file, key string, into any) {
	t.Helper()
	doc, err := os.ReadFile("testdata/vectors/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(doc, &all); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(all[key], into); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
}
