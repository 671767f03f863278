package netproxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

// vector is one case of testdata/vectors/egress.json.
type vector struct {
	ID, Topic, Name, Kind, API, URL, Host string
	Port                                  int
	Request                               struct {
		Method             string            `json:"method"`
		Headers            map[string]string `json:"headers"`
		Body               string            `json:"body"`
		InsecureSkipVerify bool              `json:"insecure_skip_verify"`
	}
	Grant      json.RawMessage
	HostConfig struct {
		NAT64      []string `json:"nat64_prefixes"`
		Deny       []string `json:"deny_networks"`
		Identities []struct {
			ID      string            `json:"id"`
			Hosts   []netproxy.Domain `json:"hosts"`
			Ports   []uint16          `json:"ports"`
			Headers []string          `json:"headers"`
		} `json:"identities"`
	} `json:"host_config"`
	DNS       map[string][]string   `json:"dns"`
	DNSSeq    map[string][][]string `json:"dns_seq"`
	Redirects map[string]struct {
		Status   int
		Location string
	} `json:"redirects"`

	Expect        string
	ExpectCode    string    `json:"expect_code"`
	ExpectDial    *[]string `json:"expect_dial"`
	ExpectLookups *[]string `json:"expect_lookups"`
	Assert        struct {
		IdentityPerHop []*string `json:"identity_per_hop"`
		Lacks          []string  `json:"final_request_lacks_headers"`
		Has            []string  `json:"final_request_has_headers"`
		Method         *string   `json:"final_method"`
		Body           *string   `json:"final_body"`
	} `json:"assert"`
	Why, Source string
	Decision    any
}

func TestVectors(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../testdata/vectors/egress.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Format    string
		Fields    map[string]string
		Decisions map[string]string
		Cases     []vector
	}
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields() // a field that is not understood must fail
	if err := dec.Decode(&file); err != nil {
		t.Fatal(err)
	}
	if file.Format != "egress-cases/1" || len(file.Cases) != 328 {
		t.Fatalf("format %q with %d cases, want egress-cases/1 with 328", file.Format, len(file.Cases))
	}
	for _, v := range file.Cases {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if t.Failed() {
					t.Logf("name: %s\nwhy: %s\nsource: %s\ndecision: %v", v.Name, v.Why, v.Source, v.Decision)
				}
			}()
			first := v.run(t, nil)
			v.check(t, first)
			v.explain(t, first)
			if v.Expect == "allow" && len(v.Redirects) == 0 && v.ExpectDial != nil {
				v.lastOnly(t)
			}
		})
	}
}

// outcome is what one run of a case did.
type outcome struct {
	err       error
	code      string
	dials     []string
	lookups   []string
	requests  []seen
	decisions []netproxy.Decision
	rules     netproxy.Rules
	cfg       netproxy.Config
}

type seen struct {
	method, body string
	header       http.Header
	identity     *string
}

// world is the fake network of a case; refuse picks dials to fail.
type world struct {
	netproxytest.Network
	t      *testing.T
	refuse func(address string) bool
	mu     sync.Mutex
	out    outcome
}

func (w *world) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		w.t.Errorf("dialled %q, which is not a literal", address)
	}
	w.mu.Lock()
	w.out.dials = append(w.out.dials, address)
	w.mu.Unlock()
	if w.refuse != nil && w.refuse(address) {
		return nil, syscall.ECONNREFUSED
	}
	return w.Network.DialContext(ctx, network, address)
}

func (v vector) run(t *testing.T, refuse func(string) bool) *outcome {
	w := &world{t: t, refuse: refuse}
	defer w.Close()
	w.HTTP = map[string]http.Handler{"*": w.server(v)}
	w.HandleUDP("*", nil)
	if v.Kind == "tcp" {
		w.HandleTCP("*", netproxytest.Echo)
	}
	for name, addrs := range v.DNS {
		w.AddDNS(name, addrs...)
	}
	for name, seq := range v.DNSSeq {
		w.SequenceDNS(name, seq...)
	}
	if v.Request.InsecureSkipVerify {
		if u, err := url.Parse(v.URL); err == nil {
			w.SelfSigned(u.Hostname())
		}
	}
	out := &w.out
	defer func() { out.lookups = w.Lookups() }()
	if err := json.Unmarshal(v.Grant, &out.rules); err != nil {
		out.err, out.code = err, "grant_invalid"
		return out
	}
	out.cfg = v.config(w)
	g, err := netproxy.New(out.rules, out.cfg)
	if err != nil {
		out.err, out.code = err, "grant_invalid"
		return out
	}
	defer g.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	switch v.Kind {
	case "tcp", "udp":
		out.err = v.send(ctx, g)
	case "http":
		out.err = v.request(ctx, g)
	default:
		t.Fatalf("unknown kind %q", v.Kind)
	}
	out.code = codeOf(out.err)
	g.Close() // delivers what is open
	return out
}

func (v vector) config(w *world) netproxy.Config {
	cfg := w.Config()
	cfg.Dialer = w
	cfg.Audit = func(_ context.Context, d netproxy.Decision) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.out.decisions = append(w.out.decisions, d)
	}
	for _, p := range v.HostConfig.NAT64 {
		cfg.NAT64Prefixes = append(cfg.NAT64Prefixes, netip.MustParsePrefix(p))
	}
	for _, p := range v.HostConfig.Deny {
		cfg.DenyNetworks = append(cfg.DenyNetworks, netip.MustParsePrefix(p))
	}
	for _, id := range v.HostConfig.Identities {
		headers := map[string]func(context.Context) (string, error){}
		for _, h := range id.Headers {
			headers[h] = func(context.Context) (string, error) { return id.ID, nil }
		}
		cfg.Identities = append(cfg.Identities, netproxy.Identity{ID: id.ID, Domains: id.Hosts, Ports: netproxy.Ports(id.Ports...), Headers: headers})
	}
	return cfg
}

// server answers every URL with 200 or a handshake, except those that redirect.
func (w *world) server(v vector) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) //nolint:errcheck // an empty body shows in the assertion
		s := seen{method: r.Method, body: string(body), header: r.Header.Clone()}
		s.header.Set("Host", r.Host)
		for _, id := range v.HostConfig.Identities {
			if got := r.Header.Get(id.Headers[0]); got != "" {
				s.identity = &got
			}
		}
		w.mu.Lock()
		w.out.requests = append(w.out.requests, s)
		w.mu.Unlock()
		scheme := "http"
		if r.Header.Get("Upgrade") != "" {
			scheme = "ws"
		}
		if r.TLS != nil {
			scheme += "s"
		}
		if to, ok := v.Redirects[scheme+"://"+r.Host+r.URL.RequestURI()]; ok {
			rw.Header().Set("Location", to.Location)
			rw.WriteHeader(to.Status)
			return
		}
		if scheme[0] != 'w' {
			fmt.Fprint(rw, "fine")
			return
		}
		rw.Header().Set("Connection", "Upgrade")
		rw.Header().Set("Upgrade", "websocket")
		rw.WriteHeader(http.StatusSwitchingProtocols)
		c, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			w.t.Error(err)
			return
		}
		defer c.Close()
		netproxytest.Echo(c)
	})
}

func (v vector) send(ctx context.Context, g *netproxy.Guard) error {
	c, err := g.DialContext(ctx, v.Kind, fmt.Sprintf("%s:%d", v.Host, v.Port))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte("ping"))
	return err
}

func (v vector) request(ctx context.Context, g *netproxy.Guard) error {
	schemes := []string{"http", "https"}
	if v.API == "websocket_connect" {
		schemes = []string{"ws", "wss"}
	}
	u, err := netproxy.ParseURL(v.URL, schemes...)
	if err != nil {
		return err
	}
	header := http.Header{}
	for name, value := range v.Request.Headers {
		header[name] = []string{value} // as the guest wrote it
	}
	if err := g.VetHeader(u, header); err != nil {
		return err
	}
	if v.API == "websocket_connect" { // as a client library does
		u.Scheme = map[string]string{"ws": "http", "wss": "https"}[u.Scheme]
		maps.Copy(header, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"x"}})
	}
	r, err := http.NewRequestWithContext(ctx, cmpOr(v.Request.Method, "GET"), u.String(), strings.NewReader(v.Request.Body))
	if err != nil {
		return err
	}
	r.Header = header
	resp, err := g.HTTPClient(netproxy.HTTPOptions{InsecureTLS: v.Request.InsecureSkipVerify}).Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if v.API == "websocket_connect" {
		if resp.StatusCode != http.StatusSwitchingProtocols {
			return fmt.Errorf("status %d for a handshake", resp.StatusCode)
		}
		rwc := resp.Body.(io.ReadWriteCloser)
		var echo [4]byte
		if _, err := io.WriteString(rwc, "ping"); err != nil {
			return err
		}
		_, err := io.ReadFull(rwc, echo[:])
		return err
	}
	_, err = io.ReadAll(resp.Body)
	return err
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func codeOf(err error) string {
	var dns *net.DNSError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, netproxy.ErrInvalid):
		return "invalid_request"
	case errors.Is(err, netproxy.ErrDenied):
		return "denied"
	case errors.As(err, &dns):
		return "dns_error"
	default:
		return "other: " + err.Error()
	}
}

func (v vector) check(t *testing.T, out *outcome) {
	t.Helper()
	switch {
	case v.Expect == "allow" && out.err != nil:
		t.Errorf("err = %v, want allow (%+v)", out.err, out.decisions)
	case v.Expect == "deny" && out.err == nil:
		t.Error("allowed, want deny")
	case v.Expect == "deny" && strings.HasPrefix(out.code, "other"):
		t.Errorf("code = %s, want a refusal", out.code)
	case v.ExpectCode != "" && out.code != v.ExpectCode:
		t.Errorf("code = %q (%v), want %q", out.code, out.err, v.ExpectCode)
	}
	if v.ExpectDial != nil {
		for _, d := range out.dials {
			if !slices.Contains(*v.ExpectDial, d) {
				t.Errorf("dialled %s, want only %v", d, *v.ExpectDial)
			}
		}
		if v.Expect == "allow" && len(out.dials) == 0 {
			t.Error("nothing was dialled")
		}
	}
	if v.ExpectLookups != nil && !slices.Equal(out.lookups, *v.ExpectLookups) {
		t.Errorf("lookups = %q, want %q", out.lookups, *v.ExpectLookups)
	}
	v.checkRequests(t, out)
}

func (v vector) checkRequests(t *testing.T, out *outcome) {
	t.Helper()
	a := v.Assert
	if a.IdentityPerHop != nil {
		var got []string
		for _, r := range out.requests {
			got = append(got, deref(r.identity))
		}
		var want []string
		for _, id := range a.IdentityPerHop {
			want = append(want, deref(id))
		}
		if !slices.Equal(got, want) {
			t.Errorf("identities = %q, want %q", got, want)
		}
	}
	if a.Lacks == nil && a.Has == nil && a.Method == nil && a.Body == nil {
		return
	}
	if len(out.requests) == 0 {
		t.Fatal("no request arrived")
	}
	last := out.requests[len(out.requests)-1]
	for _, h := range a.Lacks {
		if last.header.Get(h) != "" {
			t.Errorf("final request has %s: %q", h, last.header.Get(h))
		}
	}
	for _, h := range a.Has {
		if last.header.Get(h) == "" {
			t.Errorf("final request lacks %s: %v", h, last.header)
		}
	}
	if a.Method != nil && last.method != *a.Method {
		t.Errorf("final method = %s, want %s", last.method, *a.Method)
	}
	if a.Body != nil && last.body != *a.Body {
		t.Errorf("final body = %q, want %q", last.body, *a.Body)
	}
}

func deref(s *string) string {
	if s == nil {
		return "none"
	}
	return *s
}

// lastOnly runs the case again with all dials but the last candidate failing:
// every permitted address must be tried.
func (v vector) lastOnly(t *testing.T) {
	t.Helper()
	want := slices.Clone(*v.ExpectDial)
	var mu sync.Mutex
	tried := map[string]bool{}
	out := v.run(t, func(address string) bool {
		mu.Lock()
		defer mu.Unlock()
		tried[address] = true
		return len(tried) < len(want)
	})
	if out.err != nil {
		t.Errorf("second pass: %v", out.err)
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(tried)); !slices.Equal(got, want) {
		t.Errorf("second pass: tried %v, want %v", got, want)
	}
}

// explain compares the verdict on the first hop with Rules.Explain.
func (v vector) explain(t *testing.T, out *outcome) {
	t.Helper()
	if out.code == "grant_invalid" || len(out.decisions) == 0 {
		return
	}
	live := out.decisions[0]
	for _, d := range out.decisions { // the first hop may end after the others
		if d.Target.Hop == 0 {
			live = d
		}
	}
	switch live.Reason {
	case netproxy.BadTarget, netproxy.BadHeader, netproxy.BadMethod, netproxy.BadTLS:
		return
	}
	answers := []netip.Addr{}
	texts, ok := v.DNS[live.Target.Host]
	if seq := v.DNSSeq[live.Target.Host]; len(seq) > 0 {
		texts = seq[0]
	} else if !ok {
		texts = v.DNS["*"]
	}
	for _, a := range texts {
		answers = append(answers, netip.MustParseAddr(a))
	}
	got := out.rules.Explain(out.cfg, netproxy.Target{Network: live.Target.Network, Host: live.Target.Host, Port: live.Target.Port}, answers)
	if got.Allowed != live.Allowed || got.Reason != live.Reason || got.Hint != live.Hint || !slices.Equal(got.Target.Addrs, live.Target.Addrs) {
		t.Errorf("Explain = %+v\nlive     = %+v", got, live)
	}
}
