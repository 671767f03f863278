package websocket_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	ws "github.com/coder/websocket"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host/hosttest"
	"github.com/sandcheck/sandcheck/netproxy"
)

// strictVectors reads one key of abi.json and refuses fields that the test does
// not know.
func strictVectors(t *testing.T, key string, into any) {
	t.Helper()
	var text json.RawMessage
	vectors(t, "abi.json", key, &text)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
}

// What a payload asks for is seen at the server: its URL, its headers, and
// whether an unknown certificate will do.
func TestVectorsPayload(t *testing.T) {
	t.Parallel()
	var cases []struct {
		ID, In, Note string
		Expect       struct {
			Error    bool
			Code     capability.Code
			URL      string
			Headers  map[string]string
			Insecure bool `json:"insecure_skip_verify"`
		}
	}
	strictVectors(t, "ws_payload", &cases)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{rules: netproxy.Rules{Domains: []netproxy.Domain{"*"}, Ports: netproxy.Ports(80, 443), AllowInsecureTLS: true}})
			seen := make(chan *http.Request, 1)
			serve := accept(silent)
			w.HandleHTTP("*", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				seen <- r
				serve.ServeHTTP(rw, r)
			}))
			w.AddDNS("*", "93.184.215.14")
			code := w.connect(c.In)
			if c.Expect.Error {
				if code != c.Expect.Code || len(w.Lookups()) > 0 {
					t.Errorf("websocket_connect(%q) = %v, want %v; lookups %v", c.In, code, c.Expect.Code, w.Lookups())
				}
				return
			}
			if code != 1 {
				t.Fatalf("websocket_connect(%q) = %v, %s", c.In, code, w.lastError())
			}
			r, d := <-seen, w.session.Net
			u, err := url.Parse(c.Expect.URL)
			if err != nil {
				t.Fatal(err)
			}
			if r.Host != u.Host || r.URL.Path != "/"+strings.TrimPrefix(u.Path, "/") || (r.TLS != nil) != (u.Scheme == "wss") {
				t.Errorf("asked for %s of %s (TLS %v), want %s", r.URL, r.Host, r.TLS != nil, u)
			}
			for name, want := range c.Expect.Headers {
				if got := r.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			handshake := 6 // User-Agent and five of the library
			if len(r.Header) > handshake+len(c.Expect.Headers) {
				t.Errorf("more headers than were asked for: %v", r.Header)
			}
			d.Close()
			if got := w.decided()[0].InsecureTLS; got != c.Expect.Insecure {
				t.Errorf("verification skipped: %v, want %v", got, c.Expect.Insecure)
			}
		})
	}
}

type callCase struct {
	ID, Function, Note, Payload string
	Setup                       struct {
		HandleKind     string `json:"handle_kind"`
		Max            int    `json:"max_open_connections"`
		OpenWebsockets int    `json:"open_websockets"`
		MessageBytes   int    `json:"message_bytes"`
		AfterTooLarge  bool   `json:"after_too_large"`
		Peer           string
		Closed         bool
	}
	Args struct {
		BufLen, TimeoutMS, DataLen *int
	}
	Code capability.Code
}

// The rows of call_codes that concern WebSockets, each through real guest
// memory. The others belong to the core.
func TestVectorsCallCodes(t *testing.T) {
	t.Parallel()
	var all []json.RawMessage
	vectors(t, "abi.json", "call_codes", &all)
	ran := 0
	for _, text := range all {
		if !bytes.Contains(bytes.ToLower(text), []byte("websocket")) {
			continue
		}
		var c callCase
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		ran++
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
	if ran != 9 {
		t.Errorf("%d cases, want 9", ran)
	}
}

func (c callCase) run(t *testing.T) {
	s := setup{}
	s.limits.Connections = c.Setup.Max
	w := newWorld(t, s)
	w.serve(c.peer(t))
	through := func(name string, args ...any) capability.Code {
		t.Helper()
		code, _ := hosttest.CallFunc(t, w.session, w.funcs[name], args...)
		return code
	}
	handle := 0
	if c.Function != "websocket_connect" {
		if c.Setup.OpenWebsockets > 1 {
			t.Fatalf("%d WebSockets open", c.Setup.OpenWebsockets)
		}
		handle = int(through("websocket_connect", feed, 5000))
	}
	or := func(n *int, otherwise int) int {
		if n == nil {
			return otherwise
		}
		return *n
	}
	timeout := or(c.Args.TimeoutMS, 5000)
	dials := len(w.Dials())
	var got capability.Code
	switch c.Function {
	case "tcp_read":
		if c.Setup.HandleKind != "websocket" {
			t.Fatalf("handle of kind %q", c.Setup.HandleKind)
		}
		got = through("tcp_read", handle, or(c.Args.BufLen, 64), timeout)
	case "tcp_connect":
		got = through("tcp_connect", server, 443, timeout)
	case "websocket_connect":
		got = through("websocket_connect", c.Payload, timeout)
	case "websocket_send":
		got = through("websocket_send", handle, strings.Repeat("x", or(c.Args.DataLen, 0)), timeout)
	case "websocket_recv":
		if c.Setup.AfterTooLarge {
			if code := through("websocket_recv", handle, 16, timeout); code != capability.TooLarge {
				t.Fatalf("the first, small buffer: %v", code)
			}
		}
		got = through("websocket_recv", handle, or(c.Args.BufLen, 64), timeout)
		if c.Setup.Peer == "silent" {
			if code := through("websocket_send", handle, "still usable", 1000); code != 12 {
				t.Errorf("after the timeout: send = %v", code)
			}
		}
	case "websocket_close":
		if c.Setup.Closed {
			through("websocket_close", handle)
		}
		got = through("websocket_close", handle)
	default:
		t.Fatalf("unknown function %q", c.Function)
	}
	if got != c.Code {
		t.Errorf("%s: %s = %v, want %v; %s", c.Note, c.Function, got, c.Code, w.lastError())
	}
	if c.Setup.Max > 0 && len(w.Dials()) != dials {
		t.Errorf("%s: dialled %v", c.Note, w.Dials()[dials:])
	}
	if c.Setup.Peer == "closed_1000" && !strings.Contains(w.lastError(), "1000") {
		t.Errorf("last_error = %q", w.lastError())
	}
}

// peer is what stands at the other end.
func (c callCase) peer(t *testing.T) func(context.Context, *ws.Conn) {
	switch c.Setup.Peer {
	case "", "silent":
		return func(ctx context.Context, conn *ws.Conn) {
			if n := c.Setup.MessageBytes; n > 0 {
				conn.Write(ctx, ws.MessageText, make([]byte, n))
			}
			silent(ctx, conn)
		}
	case "closed_1000":
		return func(_ context.Context, conn *ws.Conn) { conn.Close(ws.StatusNormalClosure, "") }
	default:
		t.Fatalf("unknown peer %q", c.Setup.Peer)
		return nil
	}
}

// egressCase is one WebSocket case of egress.json; the others belong to
// netproxy, which also runs these through VetHeader and HTTPClient.
type egressCase struct {
	ID, Topic, Name, Kind, API, URL string
	Request                         struct {
		Method  string
		Headers map[string]string
		Skip    bool `json:"insecure_skip_verify"`
	}
	Grant     json.RawMessage
	DNS       map[string][]string
	Redirects map[string]struct {
		Status   int
		Location string
	}
	Expect                string
	ExpectCode            string    `json:"expect_code"`
	ExpectDial            *[]string `json:"expect_dial"`
	ExpectLookups         *[]string `json:"expect_lookups"`
	Why, Source, Decision string
}

func TestVectorsEgress(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("testdata/vectors/egress.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Format string
		Cases  []json.RawMessage
	}
	if err := json.Unmarshal(doc, &file); err != nil || file.Format != "egress-cases/1" {
		t.Fatalf("format %q, %v", file.Format, err)
	}
	ran := 0
	for _, text := range file.Cases {
		if !strings.Contains(string(text), `"websocket_connect"`) {
			continue
		}
		var c egressCase
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		ran++
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if t.Failed() {
					t.Logf("%s\nwhy: %s\nsource: %s\ndecision: %s", c.Name, c.Why, c.Source, c.Decision)
				}
			}()
			c.run(t)
		})
	}
	if ran != 6 {
		t.Errorf("%d cases, want 6", ran)
	}
}

func (c egressCase) run(t *testing.T) {
	s := setup{}
	if err := json.Unmarshal(c.Grant, &s.rules); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, s)
	serve := accept(silent)
	w.HandleHTTP("*", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		scheme := "ws://"
		if r.TLS != nil {
			scheme = "wss://"
		}
		if to, ok := c.Redirects[scheme+r.Host+r.URL.RequestURI()]; ok {
			rw.Header().Set("Location", to.Location)
			rw.WriteHeader(to.Status)
			return
		}
		serve.ServeHTTP(rw, r)
	}))
	for name, addrs := range c.DNS {
		w.AddDNS(name, addrs...)
	}
	payload, err := json.Marshal(map[string]any{"url": c.URL, "headers": c.Request.Headers, "insecure_skip_verify": c.Request.Skip})
	if err != nil {
		t.Fatal(err)
	}
	code := w.connect(string(payload))
	want := map[string]capability.Code{"invalid_request": capability.Invalid, "denied": capability.Denied, "dns_error": capability.Internal, "": capability.Denied}
	switch {
	case c.Expect == "allow" && code <= 0:
		t.Errorf("websocket_connect = %v, %s", code, w.lastError())
	case c.Expect == "deny" && code != want[c.ExpectCode]:
		t.Errorf("websocket_connect = %v, want %v", code, want[c.ExpectCode])
	}
	for _, d := range w.Dials() {
		address := strings.TrimPrefix(d, "tcp ")
		if _, err := netip.ParseAddrPort(address); err != nil || c.ExpectDial != nil && !slices.Contains(*c.ExpectDial, address) {
			t.Errorf("dialled %q, want only %v", d, *c.ExpectDial)
		}
	}
	if c.Expect == "allow" && len(w.Dials()) == 0 {
		t.Error("nothing was dialled")
	}
	if c.ExpectLookups != nil && !slices.Equal(w.Lookups(), *c.ExpectLookups) {
		t.Errorf("lookups %q, want %q", w.Lookups(), *c.ExpectLookups)
	}
}

// Every hop of a handshake is judged and leaves its Decision, and what the
// plugin sent along stays with the first origin.
func TestRedirects(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		location string
		want     capability.Code
	}{
		{"/other", 1},
		{"wss://other.example.com/feed", 1},
		{"https://other.example.com/feed", 1},
		{"ws://other.example.com/feed", 1},
		{"wss://evil.example.com/", capability.Denied},
		{"wss://127.0.0.1/", capability.Denied},
		{"wss://other.example.com:8443/", capability.Denied},
		{"ftp://other.example.com/", capability.Denied},
		{"wss://" + server + "/feed", capability.Denied}, // for ever
	} {
		t.Run(tt.location, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{rules: netproxy.Rules{Domains: []netproxy.Domain{server, "other.example.com"}, Ports: netproxy.Ports(80, 443)}})
			seen := make(chan *http.Request, 20)
			serve := func(rw http.ResponseWriter, r *http.Request) {
				seen <- r
				accept(silent).ServeHTTP(rw, r)
			}
			w.HandleHTTP(server, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/feed" {
					http.Redirect(rw, r, tt.location, http.StatusTemporaryRedirect)
					return
				}
				serve(rw, r)
			}))
			w.HandleHTTP("other.example.com", http.HandlerFunc(serve))
			w.HandleHTTP("evil.example.com", http.HandlerFunc(serve))
			code := w.connect(fmt.Sprintf(`{"url":%q,"headers":{"X-Api-Key":"k","Sec-WebSocket-Protocol":"p"}}`, feed))
			if code != tt.want {
				t.Fatalf("websocket_connect = %v, want %v; %s", code, tt.want, w.lastError())
			}
			if slices.Contains(w.Lookups(), "evil.example.com") {
				t.Error("a refused hop was looked up")
			}
			w.session.Net.Close()
			hops := 0
			for _, d := range w.decided() {
				hops = max(hops, d.Target.Hop)
			}
			if code > 0 {
				r := <-seen
				same := strings.HasPrefix(tt.location, "/")
				if kept := r.Header.Get("X-Api-Key") != ""; kept != same {
					t.Errorf("X-Api-Key sent on: %v", kept)
				}
				if n := len(w.decided()); n != 2 || hops != 1 {
					t.Errorf("%d decisions, last hop %d", n, hops)
				}
			}
		})
	}
}

// Everything that a guest may not reach is refused with one answer.
func TestRefusalsAreAlike(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"wss://evil.example.com/", "wss://" + server + ":8443/", "ws://127.0.0.1/", "ws://[::1]:80/", "wss://169.254.169.254/", "wss://10.0.0.1/",
	} {
		w := newWorld(t, setup{})
		if code := w.connect(url); code != capability.Denied || w.lastError() != "denied: websocket_connect" || len(w.Lookups())+len(w.Dials()) > 0 {
			t.Errorf("%s: %v, %q, lookups %v, dials %v", url, code, w.lastError(), w.Lookups(), w.Dials())
		}
		if d := w.decided(); len(d) != 1 || d[0].Allowed {
			t.Errorf("%s: decisions %+v", url, d)
		}
	}
	for _, payload := range []string{"wss://u:p@" + server + "/", "wss://a b/", "wss://", "wss://" + server + ":0/", "wss://" + strings.Repeat("a", 9000), "wss://x" + strings.Repeat(" ", 20_000) + "y"} {
		w := newWorld(t, setup{})
		if code := w.connect(payload); code != capability.Invalid {
			t.Errorf("%.30q: %v", payload, code)
		}
		if d := w.decided(); len(d) != 1 || d[0].Reason != netproxy.BadTarget {
			t.Errorf("%.30q: decisions %+v", payload, d)
		}
	}
	w := newWorld(t, setup{})
	w.session.Net.Close()
	for _, payload := range []string{feed, "nonsense"} {
		if code := w.connect(payload); code != capability.Denied {
			t.Errorf("%q after the end of the run: %v", payload, code)
		}
	}
}
