package host_test

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/host/hosttest"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
)

type callCase struct {
	ID, Function, Note, Payload string
	Setup                       struct {
		ConfigBytes        *int `json:"config_bytes"`
		EarlierSubmits     int  `json:"earlier_submits"`
		Peer, Target, DNS  string
		RunMS              int    `json:"run_ms"`
		HandleKind         string `json:"handle_kind"`
		Closed             bool
		Grant              json.RawMessage
		MaxOpenConnections int `json:"max_open_connections"`
		Open               int
		OpenWebsockets     int `json:"open_websockets"`
		BodyBytes          int `json:"body_bytes"`
		Granted            *[]string
		MessageBytes       int  `json:"message_bytes"`
		AfterTooLarge      bool `json:"after_too_large"`
	}
	Args    map[string]any
	Request map[string]any
	Code    any
}

const (
	targetHost = "api.example.com"
	targetPort = 443
)

// callWorld is the network, the script and the grant of one case.
type callWorld struct {
	c      callCase
	h      *hosttest.Host
	rules  netproxy.Rules
	before []wasmgen.Step
	limits limits.Limits
	host   string
	port   int
}

func TestVectorsCallCodes(t *testing.T) {
	t.Parallel()
	var cases []callCase
	vectors(t, "call_codes", &cases)
	ran := 0
	for _, c := range cases {
		if strings.HasPrefix(c.Function, "websocket_") || c.Setup.OpenWebsockets > 0 || c.Setup.HandleKind == "websocket" {
			t.Logf("%s belongs to capability/websocket: %s", c.ID, c.Note)
			continue
		}
		ran++
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			if c.Function == "*" {
				notGranted(t)
				return
			}
			runCallCase(t, c)
		})
	}
	t.Logf("%d of %d cases, the rest need websockets", ran, len(cases))
}

func runCallCase(t *testing.T, c callCase) {
	w := &callWorld{c: c, host: targetHost, port: targetPort, h: hosttest.New(t)}
	w.rules = netproxy.Rules{Domains: []netproxy.Domain{targetHost}, Ports: netproxy.Ports(targetPort)}
	w.declare(t)
	w.allow(t)
	w.connections()
	script := wasmgen.Script{Entry: append(w.before, w.step(t)), Report: wasmgen.ReportSubmit, Pages: w.pages()}
	if c.Function == "emit_telemetry" {
		script.Imports = []wasmgen.Func{wasmgen.Env(c.Function, 2)}
	}
	if c.Setup.EarlierSubmits > 0 { // the report itself needs one: take it from the log
		script.Report = wasmgen.ReportLog
		script.Entry = append([]wasmgen.Step{wasmgen.Do("submit_result", wasmgen.Text(c.Payload)).TimesLast(uint32(c.Setup.EarlierSubmits))}, script.Entry...)
	}
	if c.Setup.RunMS > 0 {
		script.Report = wasmgen.ReportLog
		w.limits.Wall = time.Duration(c.Setup.RunMS) * time.Millisecond
	}
	pkg := packageOf(wasmgen.Proxy(script))
	pkg.Manifest.Resources.Memory = 64 * limits.MiB
	pkg.Manifest.Resources.Connections = w.c.Setup.MaxOpenConnections
	pkg.Manifest.Permissions = w.rules
	p := w.h.MustLoad(pkg, host.WithGrant(capability.Grant{Capabilities: everything(), Permissions: w.rules, Limits: w.limits}))
	var cfg any
	if n := c.Setup.ConfigBytes; n != nil && *n > 0 {
		cfg = []byte(`"` + strings.Repeat("c", *n-2) + `"`)
	}
	began := time.Now()
	report, err := p.Execute(t.Context(), cfg)
	if c.Setup.RunMS > 0 {
		if report.Ended != host.TimedOut || time.Since(began) > w.limits.Wall+time.Second {
			t.Fatalf("ended %v after %v", report.Ended, time.Since(began))
		}
		checkCode(t, c, int64(lastFailure(report, c.Function)), report)
		return
	}
	if err != nil && script.Report == wasmgen.ReportSubmit {
		t.Fatalf("%s: %v", c.Note, err)
	}
	notes := notesOf(t, report, script.Report)
	checkCode(t, c, notes[len(notes)-1].R, report)
	if c.Setup.MaxOpenConnections > 0 && len(w.h.Network.Dials()) != c.Setup.Open {
		t.Errorf("dialled beyond the limit: %v", w.h.Network.Dials())
	}
	if strings.Contains(c.Note, "nothing is sent") && len(w.h.Network.Dials()) > 0 {
		t.Errorf("something was sent: %v", w.h.Network.Dials())
	}
}

func lastFailure(r *host.Report, fn string) capability.Code {
	for _, f := range r.Failures {
		if f.Func == fn {
			return f.Code
		}
	}
	return 0
}

func notesOf(t *testing.T, report *host.Report, how wasmgen.Reporting) []wasmgen.Note {
	t.Helper()
	var docs [][]byte
	if how == wasmgen.ReportLog {
		for _, l := range report.Logs {
			docs = append(docs, []byte(l.Text))
		}
	} else {
		docs = append(docs, report.Submits[len(report.Submits)-1].Raw)
	}
	notes, err := wasmgen.Notes(docs...)
	if err != nil || len(notes) == 0 {
		t.Fatalf("notes %v, %v; report %+v", notes, err, report)
	}
	return notes
}

// declare makes the network that the case describes.
func (w *callWorld) declare(t *testing.T) {
	n, c := w.h.Network, w.c
	where := fmt.Sprintf("%s:%d", targetHost, targetPort)
	if strings.HasPrefix(c.Function, "tcp_") || c.Function == "udp_sendto" {
		w.declareSocket(t, where)
		return
	}
	https := "https://" + targetHost
	switch c.Setup.Target {
	case "":
		body := strings.Repeat("b", cmp.Or(c.Setup.BodyBytes, 2))
		n.HandleHTTP(https, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, body) }))
	case "refused":
		n.Refuse(where)
	case "silent":
		n.HandleHTTP(https, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	case "headers_then_silent":
		n.HandleHTTP(https, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.WriteHeader(200)
			rw.(http.Flusher).Flush()
			<-r.Context().Done()
		}))
	case "self_signed":
		n.HandleHTTP(https, http.NotFoundHandler())
		n.SelfSigned(targetHost)
	case "redirect_to_ungranted":
		n.HandleHTTP(https, http.RedirectHandler("https://other.example.com/", http.StatusFound))
		n.HandleHTTP("https://other.example.com", http.NotFoundHandler())
	default:
		t.Fatalf("unknown target %q", c.Setup.Target)
	}
	if c.Setup.DNS == "nxdomain" {
		n.FailDNS(targetHost, &net.DNSError{Err: "no such host", Name: targetHost, IsNotFound: true})
	}
}

func (w *callWorld) declareSocket(t *testing.T, where string) {
	n, c := w.h.Network, w.c
	switch c.Setup.Peer {
	case "", "silent":
		n.HandleTCP(where, func(conn net.Conn) { io.Copy(io.Discard, conn) })
	case "closed":
		n.HandleTCP(where, func(net.Conn) {})
	case "not_reading":
		n.HandleTCP(where, func(conn net.Conn) { <-t.Context().Done() })
	default:
		t.Fatalf("unknown peer %q", c.Setup.Peer)
	}
	switch c.Setup.Target {
	case "":
	case "refused":
		n.Refuse(where)
	case "blackhole":
		n.Blackhole(where)
	default:
		t.Fatalf("unknown target %q", c.Setup.Target)
	}
	n.HandleUDP(where, nil)
	if c.Setup.DNS == "nxdomain" {
		n.FailDNS(targetHost, &net.DNSError{Err: "no such host", Name: targetHost, IsNotFound: true})
	}
}

// allow is the grant of the case. The word "target" in a port list is the port.
func (w *callWorld) allow(t *testing.T) {
	if w.c.Setup.Grant == nil {
		return
	}
	text := strings.ReplaceAll(string(w.c.Setup.Grant), `"target"`, fmt.Sprint(targetPort))
	w.rules = netproxy.Rules{}
	if err := json.Unmarshal([]byte(text), &w.rules); err != nil {
		t.Fatal(err)
	}
	if name, _ := w.c.Args["host"].(string); name == "localhost" {
		w.host = name
		w.h.Network.AddDNS(name, "127.0.0.1")
		w.h.Network.HandleTCP(fmt.Sprintf("localhost:%d", targetPort), func(conn net.Conn) { io.Copy(io.Discard, conn) })
	}
}

// connections opens what a case needs open before its call.
func (w *callWorld) connections() {
	open := w.c.Setup.Open
	_, ownHandle := w.c.Args["handle"]
	if !ownHandle && (w.c.Function == "tcp_read" || w.c.Function == "tcp_write" || w.c.Function == "tcp_close") {
		open = 1
	}
	for range open {
		w.before = append(w.before, wasmgen.Do("tcp_connect", wasmgen.Text(targetHost), wasmgen.Lit(targetPort), wasmgen.Lit(0)).As("conn"))
	}
	if w.c.Setup.Closed {
		w.before = append(w.before, wasmgen.Do("tcp_close", wasmgen.Ref("conn")))
	}
}

func (w *callWorld) pages() uint32 {
	n, _ := w.c.Args["bufLen"].(float64)
	m, _ := w.c.Args["reqLen"].(float64)
	s, _ := w.c.Args["size"].(float64)
	if n > 1<<28 {
		n = 0
	}
	return uint32(max(n, m, s)/65536) + 2
}

// num is an argument of the case, or what it is without one.
func (w *callWorld) num(name string, otherwise wasmgen.Arg) wasmgen.Arg {
	switch v := w.c.Args[name].(type) {
	case nil:
		return otherwise
	case float64:
		return wasmgen.Lit(int64(v))
	case string:
		if v == "memory_size" {
			return wasmgen.MemSize()
		}
	}
	panic(fmt.Sprintf("argument %s: %v", name, w.c.Args[name]))
}

func (w *callWorld) text(name, otherwise string) string {
	if v, ok := w.c.Args[name].(string); ok {
		return v
	}
	return otherwise
}

// step is the call itself.
func (w *callWorld) step(t *testing.T) wasmgen.Step {
	lit := wasmgen.Lit
	handle, timeout := w.num("handle", wasmgen.Ref("conn")), w.num("timeoutMS", lit(0))
	host := wasmgen.Text(w.text("host", w.host))
	port := w.num("port", lit(int64(w.port)))
	switch w.c.Function {
	case "get_config":
		return wasmgen.Do("get_config", w.num("ptr", lit(8192)), w.num("size", lit(64)))
	case "submit_result":
		if w.c.Payload != "" {
			return wasmgen.Do("submit_result", wasmgen.Text(w.c.Payload))
		}
		return wasmgen.Do("submit_result", w.num("ptr", lit(0)), w.num("size", lit(0)))
	case "tcp_read":
		return wasmgen.Do("tcp_read", handle, lit(8192), w.num("bufLen", lit(64)), timeout)
	case "tcp_write":
		return wasmgen.Do("tcp_write", handle, lit(8192), w.num("bufLen", lit(4)), timeout)
	case "tcp_close":
		return wasmgen.Do("tcp_close", handle)
	case "tcp_connect":
		return wasmgen.Do("tcp_connect", host, port, timeout)
	case "udp_sendto":
		return wasmgen.Do("udp_sendto", host, port, lit(8192), w.num("bufLen", lit(4)), timeout)
	case "http_request":
		req := map[string]any{"url": "https://" + targetHost + "/"}
		for k, v := range w.c.Request {
			req[k] = v
		}
		doc := wasmgen.Text(string(mustJSON(t, req)))
		if n, ok := w.c.Args["reqLen"].(float64); ok {
			return wasmgen.Do("http_request", lit(8192), lit(int64(n)), lit(8192), lit(64))
		}
		if _, ok := w.c.Args["respPtr"]; ok {
			return wasmgen.Do("http_request", doc, w.num("respPtr", lit(0)), w.num("respLen", lit(0)))
		}
		size := 4 << 20
		if n, ok := w.c.Args["respLen"].(float64); ok {
			size = int(n)
		}
		return wasmgen.Do("http_request", doc, wasmgen.Out(uint32(size)))
	case "emit_telemetry":
		return wasmgen.Do("emit_telemetry", lit(0), lit(0))
	}
	t.Fatalf("unknown function %q", w.c.Function)
	return wasmgen.Step{}
}

func checkCode(t *testing.T, c callCase, got int64, r *host.Report) {
	t.Helper()
	switch want := c.Code.(type) {
	case float64:
		if got != int64(want) {
			t.Errorf("%s: %d, want %v; failures %+v", c.Note, got, want, r.Failures)
		}
	case string:
		ok := map[string]bool{"handle": got > 0, "handle 1": got == 1, "bytes > 0": got > 0}[want]
		if !ok {
			t.Errorf("%s: %d, want %s; failures %+v", c.Note, got, want, r.Failures)
		}
	default:
		t.Fatalf("code %v", c.Code)
	}
}

// notGranted calls every offered function that has a result and a capability,
// without a grant: all answer -2, and nothing happens.
func notGranted(t *testing.T) {
	h := hosttest.New(t)
	var steps []wasmgen.Step
	for _, f := range append(capability.Core(), capability.Network()...) {
		if f.Void || f.Name == "last_error" {
			continue
		}
		known, _ := wasmgen.Known(f.Name)
		var args []wasmgen.Arg
		for range known.Sig.Params {
			args = append(args, wasmgen.Lit(0))
		}
		steps = append(steps, wasmgen.Do(f.Name, args...))
	}
	// log is granted, so that the guest can tell; all else is not.
	pkg := packageOf(wasmgen.Proxy(wasmgen.Script{Entry: steps, Report: wasmgen.ReportLog}), "log")
	report, _ := h.MustLoad(pkg, host.GrantRequested()).Execute(t.Context(), map[string]any{"a": 1})
	notes := notesOf(t, report, wasmgen.ReportLog)
	if len(notes) != len(steps) {
		t.Fatalf("%d notes for %d calls", len(notes), len(steps))
	}
	for _, n := range notes {
		if n.R != int64(capability.Denied) {
			t.Errorf("%v, want -2", n)
		}
	}
	if len(report.Decisions) != len(steps) {
		t.Errorf("%d decisions for %d refused calls", len(report.Decisions), len(steps))
	}
	for _, d := range report.Decisions {
		if d.Allowed || d.Reason != netproxy.NotGranted || d.Hint == "" {
			t.Errorf("decision %+v", d)
		}
	}
	if len(h.Network.Dials())+len(h.Network.Lookups()) > 0 {
		t.Error("something happened on the network")
	}
}

func TestVectorsLastError(t *testing.T) {
	t.Parallel()
	type step struct {
		Call, Payload, Grant, URL, Server string
		Args                              map[string]any
		Returns                           any
		LastErrorLen                      any    `json:"last_error_len"`
		LastErrorPtr                      string `json:"last_error_ptr"`
		Text                              string
		TextPrefix                        string   `json:"text_prefix"`
		TextContains                      []string `json:"text_contains"`
		TextLacks                         []string `json:"text_lacks"`
	}
	var cases []struct {
		ID, Note string
		Setup    struct {
			ConfigBytes int `json:"config_bytes"`
		}
		Steps []step
	}
	vectors(t, "last_error", &cases)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			h := hosttest.New(t)
			rules := netproxy.Rules{Domains: []netproxy.Domain{targetHost}, Ports: netproxy.Ports(targetPort)}
			var steps []wasmgen.Step
			for _, s := range c.Steps {
				w := &callWorld{c: callCase{Function: s.Call, Payload: s.Payload, Args: s.Args}, h: h, host: targetHost, port: targetPort}
				switch {
				case s.LastErrorPtr == "memory_size":
					steps = append(steps, wasmgen.Do("last_error", wasmgen.MemSize(), wasmgen.Lit(64)))
				case s.LastErrorLen == "n":
					steps = append(steps, wasmgen.Do("last_error", wasmgen.Lit(8192), wasmgen.Ref("n")), readBack())
				case s.LastErrorLen != nil:
					n := uint32(s.LastErrorLen.(float64))
					st := wasmgen.Do("last_error", wasmgen.Out(n))
					if n == 0 {
						st = st.As("n")
					}
					steps = append(steps, st)
				case s.Call == "http_request":
					url := cmp.Or(s.URL, map[string]string{"name not granted": "https://other.example.com/", "port not granted": "https://" + targetHost + ":8443/"}[s.Grant])
					if s.Server == "refused" {
						h.Network.Refuse(fmt.Sprintf("%s:%d", targetHost, targetPort))
					}
					steps = append(steps, wasmgen.Do("http_request", wasmgen.Text(string(mustJSON(t, map[string]any{"url": url}))), wasmgen.Out(256)))
				default:
					steps = append(steps, w.step(t))
				}
			}
			pkg := packageOf(wasmgen.Proxy(wasmgen.Script{Entry: steps, Report: wasmgen.ReportLog, Pages: 4}))
			pkg.Manifest.Permissions = rules
			var cfg any
			if n := c.Setup.ConfigBytes; n > 0 {
				cfg = []byte(`"` + strings.Repeat("c", n-2) + `"`)
			}
			report, _ := h.MustLoad(pkg, host.GrantRequested()).Execute(t.Context(), cfg)
			notes := notesOf(t, report, wasmgen.ReportLog)
			n := int64(0)
			for _, s := range c.Steps {
				note := notes[0]
				notes = notes[1:]
				if s.LastErrorLen == 0.0 {
					n = note.R
				}
				text := string(note.Out)
				if s.LastErrorLen == "n" { // read from its fixed place
					text = string(notes[0].Out)[:n]
					notes = notes[1:]
				}
				checkReturn(t, s.Returns, note.R, n)
				if s.Text != "" && text != s.Text || !strings.HasPrefix(text, s.TextPrefix) {
					t.Errorf("%s: text %q, want %q %q", c.Note, text, s.Text, s.TextPrefix)
				}
				for _, want := range s.TextContains {
					if !strings.Contains(text, want) {
						t.Errorf("%s: %q lacks %q", c.Note, text, want)
					}
				}
				for _, bad := range s.TextLacks {
					if strings.Contains(text, bad) {
						t.Errorf("%s: %q holds %q", c.Note, text, bad)
					}
				}
			}
		})
	}
	t.Logf("%d cases", len(cases))
}

// readBack notes what lies at the fixed address: the text is asked for once more
// with room to spare, for a note shows Out buffers only.
func readBack() wasmgen.Step { return wasmgen.Do("last_error", wasmgen.Out(1024)) }

func checkReturn(t *testing.T, want any, got, n int64) {
	t.Helper()
	ok := false
	switch w := want.(type) {
	case float64:
		ok = got == int64(w)
	case string:
		switch w {
		case "n > 0":
			ok = got > 0
		case "n":
			ok = got == n
		}
	}
	if !ok {
		t.Errorf("answered %d, want %v", got, want)
	}
}

func TestVectorsHTTP(t *testing.T) {
	t.Parallel()
	var v struct {
		Requests []struct {
			ID, Note string
			In       *string
			InJSON   json.RawMessage `json:"in_json"`
			Expect   struct {
				Code    *int64
				Method  string
				URL     string
				Headers map[string]string
				Body    string
			}
		}
		Responses []struct {
			ID, Note, Mode string
			Upstream       struct {
				Status  int
				Headers [][2]string
				Body    string
				BodyHex string `json:"body_hex"`
			}
			Expect struct {
				JSON     json.RawMessage
				Bytes    string
				BytesHex string `json:"bytes_hex"`
			}
		}
	}
	vectors(t, "http", &v)
	for _, c := range v.Requests {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			doc := string(c.InJSON)
			if c.In != nil {
				doc = *c.In
			}
			var got *http.Request
			var body []byte
			h := hosttest.New(t)
			h.Network.HandleHTTP("https://"+targetHost, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, _ = io.ReadAll(r.Body)
				got = r
			}))
			note := oneHTTP(t, h, doc)
			if c.Expect.Code != nil {
				if note.R != *c.Expect.Code || got != nil {
					t.Errorf("%s: %d, want %d; sent %v", c.Note, note.R, *c.Expect.Code, got != nil)
				}
				return
			}
			if note.R <= 0 || got == nil {
				t.Fatalf("%s: %d", c.Note, note.R)
			}
			if url := "https://" + got.Host + got.URL.RequestURI(); got.Method != c.Expect.Method || url != c.Expect.URL || string(body) != c.Expect.Body {
				t.Errorf("%s: sent %s %s %q, want %+v", c.Note, got.Method, url, body, c.Expect)
			}
			for name, want := range c.Expect.Headers {
				if got.Header.Get(name) != want {
					t.Errorf("%s: header %s is %q, want %q", c.Note, name, got.Header.Get(name), want)
				}
			}
			for name := range got.Header {
				switch name {
				case "User-Agent", "Accept-Encoding", "Content-Length":
					continue
				}
				found := false
				for want := range c.Expect.Headers {
					found = found || strings.EqualFold(want, name)
				}
				if !found {
					t.Errorf("%s: header %s was not asked for", c.Note, name)
				}
			}
		})
	}
	for _, c := range v.Responses {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			body := c.Upstream.Body
			if c.Upstream.BodyHex != "" {
				b, err := hex.DecodeString(c.Upstream.BodyHex)
				if err != nil {
					t.Fatal(err)
				}
				body = string(b)
			}
			h := hosttest.New(t)
			rules := netproxy.Rules{Domains: []netproxy.Domain{targetHost}, Ports: netproxy.Ports(80)}
			// Written by hand, so that no server adds a header.
			h.Network.HandleTCP(targetHost+":80", func(conn net.Conn) {
				io.ReadFull(conn, make([]byte, 64))
				fmt.Fprintf(conn, "HTTP/1.1 %d X\r\n", c.Upstream.Status)
				for _, hd := range c.Upstream.Headers {
					fmt.Fprintf(conn, "%s: %s\r\n", hd[0], hd[1])
				}
				io.WriteString(conn, "\r\n"+body)
			})
			note := askHTTP(t, h, rules, string(mustJSON(t, map[string]any{"url": "http://" + targetHost + "/", "response_mode": c.Mode})))
			if c.Expect.JSON != nil {
				var got, want any
				if err := json.Unmarshal(note.Out, &got); err != nil {
					t.Fatalf("%s: %v in %q (%d)", c.Note, err, note.Out, note.R)
				}
				if err := json.Unmarshal(c.Expect.JSON, &want); err != nil {
					t.Fatal(err)
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s:\n got %v\nwant %v", c.Note, got, want)
				}
				return
			}
			want := c.Expect.Bytes
			if c.Expect.BytesHex != "" {
				b, _ := hex.DecodeString(c.Expect.BytesHex)
				want = string(b)
			}
			if string(note.Out) != want {
				t.Errorf("%s: %q, want %q", c.Note, note.Out, want)
			}
		})
	}
	t.Logf("%d requests, %d responses", len(v.Requests), len(v.Responses))
}

func oneHTTP(t *testing.T, h *hosttest.Host, doc string) wasmgen.Note {
	t.Helper()
	return askHTTP(t, h, netproxy.Rules{Domains: []netproxy.Domain{targetHost}, Ports: netproxy.Ports(targetPort)}, doc)
}

// askHTTP makes one request with a guest and returns what it got.
func askHTTP(t *testing.T, h *hosttest.Host, rules netproxy.Rules, doc string) wasmgen.Note {
	t.Helper()
	pkg := packageOf(wasmgen.Proxy(wasmgen.Script{Entry: []wasmgen.Step{wasmgen.Do("http_request", wasmgen.Text(doc), wasmgen.Out(64<<10))}, Pages: 4}))
	pkg.Manifest.Permissions = rules
	report, err := h.MustLoad(pkg, host.GrantRequested()).Execute(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return notesOf(t, report, wasmgen.ReportSubmit)[0]
}
