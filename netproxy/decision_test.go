package netproxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

// Every code path makes one Decision, and nothing secret or personal is in it.
func TestOneDecisionPerAttempt(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	for _, tt := range []struct {
		name, url string
		method    string
		insecure  bool
		host      string
		want      netproxy.Reason
		hint      string
	}{
		{name: "allowed", url: "https://a.example/p?q=" + secret, want: netproxy.Granted},
		{name: "not found", url: "https://gone.example/?q=" + secret, want: netproxy.Granted},
		{name: "refused port", url: "https://a.example:81/?q=" + secret, want: netproxy.Granted},
		{name: "port", url: "https://a.example:9999/?q=" + secret, want: netproxy.BadPort, hint: "allowed_ports: [9999]"},
		{name: "name", url: "https://evil.test/?q=" + secret, want: netproxy.BadDomain, hint: `allowed_domains: ["evil.test"]`},
		{name: "literal", url: "https://10.0.0.7/?q=" + secret, want: netproxy.BadAddress, hint: `allowed_networks: ["10.0.0.7/32"]`},
		{name: "never", url: "https://[fe80::1]/?q=" + secret, want: netproxy.BadAddress},
		{name: "answer", url: "https://inside.example/?q=" + secret, want: netproxy.BadAddress, hint: `allowed_networks: ["10.0.0.8/32"]`},
		{name: "denied by host", url: "https://45.3.3.3/?q=" + secret, want: netproxy.HostDenied},
		{name: "denied pair", url: "https://a.example:82/?q=" + secret, want: netproxy.HostDenied},
		{name: "method", url: "https://a.example/?q=" + secret, method: "TRACE", want: netproxy.BadMethod},
		{name: "no token", url: "https://a.example/?q=" + secret, method: "G T", want: netproxy.BadTarget},
		{name: "userinfo", url: "https://user:" + secret + "@a.example/", want: netproxy.BadTarget},
		{name: "host", url: "https://a.example/?q=" + secret, host: "evil.test", want: netproxy.BadHeader},
		{name: "insecure", url: "https://a.example/?q=" + secret, insecure: true, want: netproxy.BadTLS, hint: "allow_insecure_tls: true"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var n netproxytest.Network
			n.HandleHTTP("https://a.example", text("fine"))
			n.AddDNS("inside.example", "10.0.0.8")
			n.Refuse("a.example:81")
			n.HandleTCP("a.example:82", netproxytest.Silence)
			type key struct{}
			var withValues int
			g, l := newGuard(t, &n, `{"allowed_domains":["*.example","*.a.example","a.example"],"allowed_ports":[81,82,443]}`, func(c *netproxy.Config) {
				c.Plugin, c.Run = "p", "r"
				c.DenyNetworks = []netip.Prefix{netip.MustParsePrefix("45.3.3.0/24")}
				c.DenyAddrs = []netip.AddrPort{netip.AddrPortFrom(n.AddHost("a.example"), 82)}
				inner := c.Audit
				c.Audit = func(ctx context.Context, d netproxy.Decision) {
					if ctx.Value(key{}) == "call" && ctx.Err() == nil {
						withValues++
					}
					inner(ctx, d)
					panic("an observer's bug")
				}
				c.Identities = []netproxy.Identity{{ID: "id", Domains: []netproxy.Domain{"a.example"}, Ports: netproxy.Ports(443), Headers: map[string]func(context.Context) (string, error){
					"X-Key": func(context.Context) (string, error) { return secret, nil }}}}
			})
			ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "call"))
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://x/", strings.NewReader(secret))
			if err != nil {
				t.Fatal(err)
			}
			if r.URL, err = url.Parse(tt.url); err != nil {
				t.Fatal(err)
			}
			r.Host = tt.host
			r.Header.Set("Authorization", secret)
			if tt.method != "" {
				r.Method = tt.method
			}
			resp, err := g.HTTPClient(netproxy.HTTPOptions{InsecureTLS: tt.insecure}).Do(r)
			if err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			cancel()
			g.Close()
			ds := l.all()
			if len(ds) != 1 || withValues != 1 {
				t.Fatalf("%d decisions, %d with the caller's values: %+v", len(ds), withValues, ds)
			}
			d := ds[0]
			if d.Reason != tt.want || d.Hint != tt.hint || d.Allowed != (tt.want == netproxy.Granted) || d.Plugin != "p" || d.Run != "r" {
				t.Errorf("decision = %+v, want %s with hint %q", d, tt.want, tt.hint)
			}
			if text := fmt.Sprintf("%+v", ds); strings.Contains(text, secret) {
				t.Errorf("the secret is in %s", text)
			}
			if inner := errors.Unwrap(err); inner != nil && (strings.Contains(inner.Error(), secret) || errors.Is(err, netproxy.ErrDenied) && inner.Error() != "netproxy: denied") {
				t.Errorf("error text = %q", inner)
			}
		})
	}
}

func TestDecisionOfConnections(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.HandleTCP("a.example:80", netproxytest.Echo)
	g, l := newGuard(t, &n, open80, nil)
	c, err := g.DialContext(t.Context(), "tcp", "a.example:80")
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("hello"))
	io.ReadFull(c, make([]byte, 5))
	left, err := g.DialContext(t.Context(), "tcp", "a.example:80")
	if err != nil {
		t.Fatal(err)
	}
	if len(l.all()) != 0 {
		t.Error("a decision came before its connection ended")
	}
	c.Close()
	c.Close()
	if ds := l.all(); len(ds) != 1 || ds[0].BytesIn != 5 || ds[0].BytesOut != 5 || !ds[0].Peer.IsValid() || ds[0].Rule != "*" {
		t.Errorf("decisions = %+v", ds)
	}
	g.Close()
	if _, err := left.Read(make([]byte, 1)); err == nil {
		t.Error("a connection outlived its run")
	}
	if got := len(l.all()); got != 2 {
		t.Errorf("%d decisions", got)
	}
	if u := g.Usage(); u.BytesIn != 5 || u.BytesOut != 5 || u.Dials != 2 {
		t.Errorf("usage = %+v", u)
	}
	_, err = g.Decide(t.Context(), "tcp", "a.example", 80)
	wantReason(t, err, netproxy.HostDenied)
	_, _, err = get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{}), "http://a.example/")
	wantReason(t, err, netproxy.HostDenied)
	if g.Close() != nil {
		t.Error("the second Close failed")
	}
}

func TestVetHeader(t *testing.T) {
	t.Parallel()
	many := func(count, size int) http.Header {
		h := http.Header{}
		for i := range count {
			h[fmt.Sprintf("X-%02d", i)] = []string{strings.Repeat("a", size)}
		}
		return h
	}
	for _, tt := range []struct {
		name string
		url  string
		h    http.Header
		want error // nil, ErrInvalid, ErrDenied or ErrExceeded
	}{
		{"none", "https://a.example/", nil, nil},
		{"ordinary", "https://a.example/", http.Header{"Authorization": {"x"}, "X-A": {"1", "2"}, "Cookie": {"a=b"}}, nil},
		{"64 headers", "https://a.example/", many(64, 1), nil},
		{"65 headers", "https://a.example/", many(65, 1), limits.ErrExceeded},
		{"32 KiB", "https://a.example/", http.Header{"Abcd": {strings.Repeat("a", 32<<10-4)}}, nil},
		{"32 KiB and one", "https://a.example/", http.Header{"Abcd": {strings.Repeat("a", 32<<10-3)}}, limits.ErrExceeded},
		{"name with blank", "https://a.example/", http.Header{"X A": {"1"}}, netproxy.ErrInvalid},
		{"empty name", "https://a.example/", http.Header{"": {"1"}}, netproxy.ErrInvalid},
		{"value with LF", "https://a.example/", http.Header{"X": {"a\nb"}}, netproxy.ErrInvalid},
		{"value with DEL", "https://a.example/", http.Header{"X": {"a\x7f"}}, netproxy.ErrInvalid},
		{"syntax before rules", "https://a.example/", http.Header{"Connection": {"x"}, "X": {"\x00"}}, netproxy.ErrInvalid},
		{"own host", "https://a.example/", http.Header{"Host": {"A.example.:443"}}, nil},
		{"own host, other port", "https://a.example/", http.Header{"Host": {"a.example:80"}}, netproxy.ErrDenied},
		{"own host, its port", "https://a.example:8443/", http.Header{"host": {"a.example:8443"}}, nil},
		{"own host without its port", "https://a.example:8443/", http.Header{"Host": {"a.example"}}, netproxy.ErrDenied},
		{"empty host", "https://a.example/", http.Header{"Host": {""}}, netproxy.ErrDenied},
		{"IPv6 host", "https://[2001:DB8::1]/", http.Header{"Host": {"[2001:db8:0::1]"}}, nil},
		{"subprotocol", "wss://a.example/", http.Header{"Sec-WebSocket-Protocol": {"x"}}, nil},
		{"handshake key", "wss://a.example/", http.Header{"sec-websocket-key": {"x"}}, netproxy.ErrDenied},
		{"handshake extensions", "ws://a.example/", http.Header{"Sec-Websocket-Extensions": {"x"}}, netproxy.ErrDenied},
		{"handshake field on http", "https://a.example/", http.Header{"Sec-WebSocket-Key": {"x"}}, nil},
		{"scheme", "ftp://a.example/", nil, netproxy.ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, l := newGuard(t, &netproxytest.Network{}, open80, nil)
			u, err := url.Parse(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			if err := g.VetHeader(u, tt.h); !errors.Is(err, tt.want) {
				t.Errorf("VetHeader = %v, want %v", err, tt.want)
			}
			want := 0
			if tt.want != nil {
				want = 1
			}
			if got := len(l.all()); got != want {
				t.Errorf("%d decisions, want %d", got, want)
			}
		})
	}
	for _, name := range []string{"Connection", "keep-alive", "Proxy-Authorization", "PROXY-X", "Te", "Trailer", "Transfer-Encoding", "upgrade", "Content-Length", "Expect", "HTTP2-Settings"} {
		g, _ := newGuard(t, &netproxytest.Network{}, open80, nil)
		d := wantReason(t, g.VetHeader(&url.URL{Scheme: "https", Host: "a.example"}, http.Header{name: {"x"}}), netproxy.BadHeader)
		if d.Rule != http.CanonicalHeaderKey(name) {
			t.Errorf("rule = %q, want %q", d.Rule, name)
		}
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	long := "http://a.example/" + strings.Repeat("a", 8<<10-len("http://a.example/"))
	for in, want := range map[string]string{
		" \tHTTP://A.Example.:0080/a%2Fb?q=%20#frag\n": "http://a.example/a%2Fb?q=%20",
		"https://a.example":                            "https://a.example/",
		"https://a.example?":                           "https://a.example/?",
		"https://[::FFFF:1.2.3.4]:8443/":               "https://1.2.3.4:8443/",
		"https://[2001:DB8:0::1]/":                     "https://[2001:db8::1]/",
		"https://a.example/\\x":                        "https://a.example/%5Cx",
		long:                                           long,
		long + "a":                                     "",
		"http://%E2%91%A0.example/":                    "", // escaped: url.Parse alone would show ①
		"http://a.example%00/":                         "",
		"http://[::1%25eth0]/":                         "",
		"http://[a.example]/":                          "",
		"http://[127.0.0.1]/":                          "",
		"http://[::1/":                                 "",
		"http://[::1]x/":                               "",
		"http://::1/":                                  "",
		"http://a:80:80/":                              "",
		"http://a.example:65536/":                      "",
		"http://@a.example/":                           "",
		"http:a.example":                               "",
		"ws://a.example/":                              "",
		"http://a.example/\x7f":                        "",
		"":                                             "",
	} {
		u, err := netproxy.ParseURL(in, "http", "https")
		switch {
		case want == "" && !errors.Is(err, netproxy.ErrInvalid):
			t.Errorf("ParseURL(%.80q) = %v, %v; want ErrInvalid", in, u, err)
		case want != "" && (err != nil || u.String() != want):
			t.Errorf("ParseURL(%.80q) = %v, %v; want %.80s", in, u, err, want)
		}
	}
}

func TestDialContextArguments(t *testing.T) {
	t.Parallel()
	g, _ := newGuard(t, &netproxytest.Network{}, `{"allowed_networks":["::1","10.0.0.1"],"allowed_ports":[6379]}`, nil)
	for _, tt := range []struct {
		network, address string
		invalid          bool
	}{
		{"tcp", "::1:6379", false}, {"tcp", "[::1]:6379", false}, {"tcp", " 10.0.0.1:6379", false}, {"udp", "::ffff:10.0.0.1:6379", false},
		{"tcp", "10.0.0.1", true}, {"tcp", "10.0.0.1:", true}, {"tcp", ":6379", true}, {"tcp", "10.0.0.1:0", true}, {"tcp", "10.0.0.1:65536", true},
		{"tcp", "10.0.0.1:+1", true}, {"tcp", "10.0.0.1:6379:6379", true}, {"tcp", "fe80::1%lo:6379", true}, {"tcp", "[10.0.0.1]:6379", true},
		{"tcp4", "10.0.0.1:6379", true}, {"unix", "/tmp/x:1", true}, {"", "10.0.0.1:6379", true}, {"tcp", strings.Repeat("a", 10000) + ":1", true},
	} {
		_, err := g.DialContext(t.Context(), tt.network, tt.address)
		if got := errors.Is(err, netproxy.ErrInvalid); got != tt.invalid || err == nil || errors.Is(err, netproxy.ErrDenied) {
			t.Errorf("DialContext(%q, %.40q) = %v, want invalid %v", tt.network, tt.address, err, tt.invalid)
		}
	}
}
