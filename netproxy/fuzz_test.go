package netproxy_test

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

// seeds reads the cases, so that fuzzing starts from what matters.
func seeds(f *testing.F) []vector {
	f.Helper()
	doc, err := os.ReadFile("../testdata/vectors/egress.json")
	if err != nil {
		f.Fatal(err)
	}
	var file struct{ Cases []vector }
	if err := json.Unmarshal(doc, &file); err != nil {
		f.Fatal(err)
	}
	return file.Cases
}

// hostOf is the canonical form of host text in a socket argument.
func hostOf(text string) (string, bool) {
	d := netproxy.Rules{}.Explain(netproxy.Config{}, netproxy.Target{Host: text, Port: 1}, nil)
	return d.Target.Host, d.Reason != netproxy.BadTarget
}

func FuzzHost(f *testing.F) {
	for _, v := range seeds(f) {
		f.Add(v.Host)
		if u, err := url.Parse(v.URL); err == nil {
			f.Add(u.Host)
		}
	}
	for _, s := range []string{"①②⑦.⓪.⓪.①", "0x7f.1", "a..b", "[::1]", "::ffff:1.2.3.4", "xn--e1aybc.example", "тест.example", "a\u3002b", "-a.b", "_acme.example", strings.Repeat("a.", 127) + "a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		host, ok := hostOf(text)
		if !ok {
			return
		}
		// The canonical text reads as itself everywhere.
		if again, ok := hostOf(host); !ok || again != host {
			t.Fatalf("%q -> %q -> %q", text, host, again)
		}
		inURL := host
		addr, err := netip.ParseAddr(host)
		if err == nil && addr.Is6() {
			inURL = "[" + host + "]"
		}
		if again, ok := hostOf(inURL); !ok || again != host {
			t.Fatalf("%q -> %q -> %q", text, inURL, again)
		}
		u, err := netproxy.ParseURL("http://"+inURL+"/", "http")
		if err != nil || u.Host != inURL {
			t.Fatalf("%q in a URL: %v, %v", inURL, u, err)
		}
		if !netproxy.Domain(host).Match(strings.Trim(text, " \t\n\v\f\r")) || !netproxy.Domain(host).Match(host) {
			t.Fatalf("the entry %q does not match %q", host, text)
		}
		// Other spellings get the same verdict.
		if !addr.IsValid() {
			for _, other := range []string{strings.ToUpper(host), host + ".", strings.ReplaceAll(host, ".", "\u3002")} {
				again, ok := hostOf(other)
				if !ok && strings.Contains(host, "xn--") {
					continue // bogus punycode: ASCII names are not decoded, mixed ones are
				}
				if !ok || again != host {
					t.Fatalf("%q is %q, %v; want %q", other, again, ok, host)
				}
			}
			last := host[strings.LastIndexByte(host, '.')+1:]
			if strings.Trim(last, "0123456789") == "" || strings.ContainsAny(host, "/?#@:%[] \x00") || len(host) > 253 {
				t.Fatalf("%q was accepted as the name %q", text, host)
			}
		} else if addr.Is4() {
			if again, ok := hostOf("::ffff:" + host); !ok || again != host {
				t.Fatalf("the mapped form of %q is %q", host, again)
			}
		}
	})
}

func FuzzURL(f *testing.F) {
	for _, v := range seeds(f) {
		f.Add(v.URL)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := netproxy.ParseURL(text, "http", "https")
		if err != nil {
			return
		}
		again, err := netproxy.ParseURL(u.String(), "http", "https")
		if err != nil || again.String() != u.String() {
			t.Fatalf("%q -> %q -> %v, %v", text, u, again, err)
		}
		plain, err := url.Parse(u.String())
		if err != nil || plain.Scheme != u.Scheme || plain.Host != u.Host || plain.EscapedPath() != u.EscapedPath() || plain.RawQuery != u.RawQuery || plain.User != nil || plain.Fragment != "" {
			t.Fatalf("%q: net/url reads %q as %+v", text, u, plain)
		}
		if host, ok := hostOf(plain.Hostname()); !ok || host != plain.Hostname() {
			t.Fatalf("%q: host %q is canonically %q", text, plain.Hostname(), host)
		}
	})
}

func FuzzRules(f *testing.F) {
	for _, v := range seeds(f) {
		f.Add([]byte(v.Grant))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var r, back netproxy.Rules
		if json.Unmarshal(doc, &r) != nil {
			return
		}
		if err := r.Validate(); err != nil {
			t.Fatalf("%s decodes to what is not valid: %v", doc, err)
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatalf("%s -> %s: %v", doc, text, err)
		}
		if diff := cmp.Diff(r, back, cmpRules); diff != "" {
			t.Fatalf("%s -> %s: %s", doc, text, diff)
		}
		r.Lint()
		r.Intersect(back)
	})
}

func FuzzHeader(f *testing.F) {
	f.Add("X-A", "b")
	f.Add("connection", "close")
	f.Add("Host", "a.example:443")
	f.Add("Proxy-Foo", "\r\nX: y")
	f.Fuzz(func(t *testing.T, name, value string) {
		var n netproxytest.Network
		g, l := newGuard(t, &n, `{}`, nil)
		u := &url.URL{Scheme: "https", Host: "a.example"}
		if err := g.VetHeader(u, http.Header{name: {value}}); err != nil {
			if len(l.all()) != 1 {
				t.Fatalf("%d decisions", len(l.all()))
			}
			return
		}
		lower := strings.ToLower(name)
		if strings.ContainsAny(name+value, "\r\n\x00") || lower == "connection" || lower == "upgrade" || strings.HasPrefix(lower, "proxy-") || lower == "transfer-encoding" || lower == "content-length" {
			t.Fatalf("%q: %q was accepted", name, value)
		}
	})
}
