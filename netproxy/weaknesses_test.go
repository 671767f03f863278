package netproxy_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

// Each test here is a mistake that software of this kind has made.

func TestW20PortsHoldForHTTP(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.HandleHTTP("https://a.example:8443", text("no"))
	g, _ := newGuard(t, &n, `{"allowed_domains":["a.example"],"allowed_ports":[443]}`, nil)
	_, _, err := get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{}), "https://a.example:8443/")
	wantReason(t, err, netproxy.BadPort)
	if len(n.Dials())+len(n.Lookups()) != 0 {
		t.Errorf("dials %q, lookups %q", n.Dials(), n.Lookups())
	}
}

func TestW22AddressesAreJudgedForHTTP(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.AddDNS("to-loopback.example", "127.0.0.1")
	n.AddDNS("to-metadata.example", "169.254.169.254")
	for _, upgrade := range []bool{false, true} {
		for _, host := range []string{"127.0.0.1", "169.254.169.254", "to-loopback.example", "to-metadata.example"} {
			g, _ := newGuard(t, &n, open80, nil)
			r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+host+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			if upgrade {
				r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
			}
			_, _, err = do(g.HTTPClient(netproxy.HTTPOptions{}), r)
			wantReason(t, err, netproxy.BadAddress)
		}
	}
	if len(n.Dials()) != 0 {
		t.Errorf("dials = %q", n.Dials())
	}
}

func TestW23OneLookupDecides(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.SequenceDNS("rebind.example", []string{"45.1.1.1"}, []string{"127.0.0.1"})
	n.HandleTCP("45.1.1.1:80", netproxytest.Echo)
	n.HandleTCP("127.0.0.1:80", netproxytest.Echo)
	g, _ := newGuard(t, &n, open80, nil)
	c, err := g.DialContext(t.Context(), "tcp", "rebind.example:80")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	_, err = g.DialContext(t.Context(), "tcp", "rebind.example:80")
	wantReason(t, err, netproxy.BadAddress)
	if want := []string{"tcp 45.1.1.1:80"}; !slices.Equal(n.Dials(), want) || len(n.Lookups()) != 2 {
		t.Errorf("dials = %q, lookups = %q", n.Dials(), n.Lookups())
	}
}

func TestW27NamesMeetIPv4Networks(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.AddDNS("localhost", "::ffff:127.0.0.1") // as Go reads a hosts file
	n.HandleTCP("127.0.0.1:5432", netproxytest.Echo)
	g, _ := newGuard(t, &n, `{"allowed_domains":["localhost"],"allowed_networks":["127.0.0.0/8"],"allowed_ports":[5432]}`, nil)
	c, err := g.DialContext(t.Context(), "tcp", "localhost:5432")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestW28NamesHoldForSockets(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.HandleTCP("a.example:80", netproxytest.Echo)
	n.HandleUDP("a.example:80", nil)
	g, _ := newGuard(t, &n, `{"allowed_domains":["a.example"],"allowed_ports":[80]}`, nil)
	for _, network := range []string{"tcp", "udp"} {
		c, err := g.DialContext(t.Context(), network, "a.example:80")
		if err != nil {
			t.Errorf("%s: %v", network, err)
			continue
		}
		c.Close()
	}
}

func TestW29MappedLiterals(t *testing.T) {
	t.Parallel()
	for _, grant := range []string{"::/0", "::/1", "::ffff:0:0/96", "0.0.0.0/0"} {
		r := rules(t, `{"allowed_networks":["`+grant+`"],"allowed_ports":[80]}`)
		for _, host := range []string{"::ffff:127.0.0.1", "[::ffff:7f00:1]", "127.0.0.1", "::ffff:169.254.169.254"} {
			if d := r.Explain(netproxy.Config{}, netproxy.Target{Host: host, Port: 80}, nil); d.Allowed {
				t.Errorf("%s under %s: %+v", host, grant, d)
			}
		}
	}
	deny := netproxy.Config{DenyNetworks: []netip.Prefix{netip.MustParsePrefix("::ffff:45.0.0.0/104")}}
	d := rules(t, open80).Explain(deny, netproxy.Target{Host: "45.1.1.1", Port: 80}, nil)
	if d.Reason != netproxy.HostDenied {
		t.Errorf("a mapped deny network: %+v", d)
	}
}

func TestW30BareAddresses(t *testing.T) {
	t.Parallel()
	r := rules(t, `{"allowed_networks":["10.0.0.1"],"allowed_ports":[80]}`)
	for host, want := range map[string]bool{"10.0.0.1": true, "10.0.0.2": false} {
		if d := r.Explain(netproxy.Config{}, netproxy.Target{Host: host, Port: 80}, nil); d.Allowed != want {
			t.Errorf("%s: %+v", host, d)
		}
	}
}

func TestW31NoPortsMeansNone(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{`{"allowed_domains":["*"]}`, `{"allowed_domains":["*"],"allowed_ports":[]}`, `{}`, `null`} {
		r := rules(t, doc)
		for _, port := range []uint16{1, 80, 443, 65535} {
			if d := r.Explain(netproxy.Config{}, netproxy.Target{Host: "8.8.8.8", Port: port}, nil); d.Reason != netproxy.BadPort {
				t.Errorf("%s port %d: %+v", doc, port, d)
			}
		}
	}
}

func TestW32MalformedRulesNeverRun(t *testing.T) {
	t.Parallel()
	bad := netproxy.Rules{Domains: []netproxy.Domain{"*", "not a name"}, Ports: netproxy.AnyPort()}
	if _, err := netproxy.New(bad, netproxy.Config{}); err == nil || !strings.Contains(err.Error(), "allowed_domains[1]") {
		t.Errorf("New = %v", err)
	}
	good := netproxy.Rules{Domains: []netproxy.Domain{"*"}, Ports: netproxy.AnyPort()}
	for name, r := range map[string]netproxy.Rules{"bad": bad, "bad by good": bad.Intersect(good), "good by bad": good.Intersect(bad), "granted": bad.GrantedBy(good), "granted by bad": good.GrantedBy(bad)} {
		if d := r.Explain(netproxy.Config{}, netproxy.Target{Host: "8.8.8.8", Port: 80}, nil); d.Allowed {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if _, err := netproxy.New(good, netproxy.Config{DenyNetworks: []netip.Prefix{{}}, DenyAddrs: []netip.AddrPort{{}}}); err == nil || !strings.Contains(err.Error(), "DenyNetworks[0]") || !strings.Contains(err.Error(), "DenyAddrs[0]") {
		t.Errorf("New = %v, want both mistakes", err)
	}
}

// W43: what a plugin may not set is refused, never dropped, and several values
// stay apart.
func TestW43Headers(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.HandleHTTP("http://a.example", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = []string{"a=1, b", "c=2"}
	}))
	g, _ := newGuard(t, &n, open80, nil)
	resp, err := g.HTTPClient(netproxy.HTTPOptions{}).Get("http://a.example/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Values("Set-Cookie"); len(got) != 2 {
		t.Errorf("cookies = %q", got)
	}
	u := resp.Request.URL
	for _, h := range []http.Header{{"Host": {"evil.test"}}, {"Connection": {"close"}}} {
		wantReason(t, g.VetHeader(u, h), netproxy.BadHeader)
	}
}

func TestW44AllowListIsNormalised(t *testing.T) {
	t.Parallel()
	r := rules(t, `{"allowed_domains":["Example.COM.","*.bücher.example","[2606:4700::1]"],"allowed_ports":[80]}`)
	for _, host := range []string{"example.com", "EXAMPLE.com.", "shop.xn--bcher-kva.example", "BÜCHER.example", "2606:4700:0::1"} {
		if d := r.Explain(netproxy.Config{}, netproxy.Target{Host: host, Port: 80}, nil); !d.Allowed {
			t.Errorf("%s: %+v", host, d)
		}
	}
	for _, junk := range []string{"http://a.example", "a.example/", "a.example:80", "a@b", "", " ", "a..b", "*.", "**", "*.*", "a.*", "*a.example", "*.10.0.0.1", "10.0.0.0/8", "1.2.3", "0x1", "[a.example]", "fe80::1%eth0", "a b", "\x00", "."} {
		doc, err := json.Marshal(map[string][]string{"allowed_domains": {junk}})
		if err != nil {
			t.Fatal(err)
		}
		var r netproxy.Rules
		if err := json.Unmarshal(doc, &r); err == nil {
			t.Errorf("%s was accepted as %q", doc, r.Domains)
		}
	}
}

// Hidden in an escape the host is another one once net/url has read it.
func TestEscapedHosts(t *testing.T) {
	t.Parallel()
	g, _ := newGuard(t, &netproxytest.Network{}, open80, nil)
	for _, text := range []string{"http://[::1%25.example.com]/", "http://[fe80::1%25lo]/", "http://169.254.169.254%2f.example.com/"} {
		if _, err := netproxy.ParseURL(text, "http"); !errors.Is(err, netproxy.ErrInvalid) {
			t.Errorf("ParseURL(%q) = %v", text, err)
		}
		r, err := http.NewRequestWithContext(t.Context(), "GET", text, nil)
		if err != nil {
			continue // net/url refuses it as well
		}
		if _, _, err := do(g.HTTPClient(netproxy.HTTPOptions{}), r); !errors.Is(err, netproxy.ErrInvalid) {
			t.Errorf("Do(%q) = %v", text, err)
		}
	}
}

// Answers of one refusal look like those of any other.
func TestRefusalsAreAlike(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.AddDNS("inside.example", "10.0.0.1")
	g, _ := newGuard(t, &n, `{"allowed_domains":["*.example"],"allowed_ports":[80]}`, nil)
	for _, address := range []string{"evil.test:80", "a.example:81", "10.0.0.1:80", "inside.example:80", "169.254.169.254:80"} {
		_, err := g.DialContext(t.Context(), "tcp", address)
		if err == nil || err.Error() != "netproxy: denied" || errors.Unwrap(err) != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestLint(t *testing.T) {
	t.Parallel()
	r := netproxy.Rules{
		Domains:  []netproxy.Domain{"München.example", "*.co.uk", "127.0.0.1"},
		Networks: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/16"), netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("2002::/16")},
		Ports:    netproxy.AnyPort(),
	}
	notes := strings.Join(r.Lint(), "\n")
	for _, want := range []string{"xn--mnchen-3ya.example", "public suffix", "127.0.0.1", "10.1.0.0/16", "does not open 10.0.0.0/8", "does not open 127.0.0.0/8", "opens nothing", "every port"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes lack %q:\n%s", want, notes)
		}
	}
	if notes := (netproxy.Rules{Domains: []netproxy.Domain{"a.example"}}).Lint(); len(notes) != 1 || !strings.Contains(notes[0], "no port") {
		t.Errorf("notes = %q", notes)
	}
	if notes := (netproxy.Rules{Domains: []netproxy.Domain{"a.example"}, Ports: netproxy.Ports(443)}).Lint(); len(notes) != 0 {
		t.Errorf("notes on what is fine = %q", notes)
	}
}
