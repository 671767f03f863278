package netproxy_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

// hops serves "/N?s=STATUS" by a redirect to /N-1 and "/0" by what it got.
func hops(w http.ResponseWriter, r *http.Request) {
	var left int
	fmt.Sscanf(r.URL.Path, "/%d", &left)
	if left > 0 {
		status := 302
		fmt.Sscanf(r.URL.Query().Get("s"), "%d", &status)
		w.Header().Set("Location", fmt.Sprintf("/%d?s=%d", left-1, status))
		w.WriteHeader(status)
		io.WriteString(w, "moved")
		return
	}
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %q %s", r.Method, body, r.Header.Get("Content-Type"))
	if r.Header.Get("Referer") != "" {
		fmt.Fprint(w, " with a Referer")
	}
}

func TestRedirectCount(t *testing.T) {
	t.Parallel()
	for _, most := range []int{0, 3} { // zero means 10
		var n netproxytest.Network
		n.HandleHTTP("http://a.example", http.HandlerFunc(hops))
		g, l := newGuard(t, &n, open80, func(c *netproxy.Config) {
			c.Limits = limits.Limits{Redirects: most, Connections: 1, LookupRate: 1000, DialRate: 1000}
		})
		limit := most
		if most == 0 {
			limit = 10
		}
		client := g.HTTPClient(netproxy.HTTPOptions{})
		for _, count := range []int{limit - 1, limit} {
			if status, _, err := get(t.Context(), client, fmt.Sprintf("http://a.example/%d", count)); err != nil || status != 200 {
				t.Errorf("%d redirects of %d: %d, %v", count, limit, status, err)
			}
		}
		before := len(l.all())
		_, _, err := get(t.Context(), client, fmt.Sprintf("http://a.example/%d", limit+1))
		d := wantReason(t, err, netproxy.BadRedirect)
		if d.Err != string(netproxy.OverLimit) || d.Rule != "redirects" || d.Target.Hop != limit+1 {
			t.Errorf("decision = %+v", d)
		}
		if got := len(l.all()) - before; got != limit+2 {
			t.Errorf("%d decisions for %d hops", got, limit+2)
		}
	}
}

func TestRedirectMethods(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.HandleHTTP("http://a.example", http.HandlerFunc(hops))
	for _, tt := range []struct {
		method string
		status int
		want   string
	}{
		{"POST", 301, `GET "" `}, {"POST", 302, `GET "" `}, {"POST", 303, `GET "" `}, {"PUT", 302, `GET "" `}, {"DELETE", 301, `GET "" `},
		{"POST", 307, `POST "data" text/x`}, {"PUT", 308, `PUT "data" text/x`}, {"GET", 302, `GET "" text/x`},
	} {
		g, _ := newGuard(t, &n, open80, nil)
		var body io.Reader
		if tt.method != "GET" {
			body = strings.NewReader("data")
		}
		r, err := http.NewRequestWithContext(t.Context(), tt.method, fmt.Sprintf("http://a.example/2?s=%d", tt.status), body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "text/x")
		r.Header.Set("Referer", "https://a.example/?token=hunter2")
		if _, got, err := do(g.HTTPClient(netproxy.HTTPOptions{}), r); err != nil || got != tt.want {
			t.Errorf("%s through %d = %q, %v, want %q", tt.method, tt.status, got, err, tt.want)
		}
	}
	t.Run("a body that cannot be sent again", func(t *testing.T) {
		g, _ := newGuard(t, &n, open80, nil)
		r, err := http.NewRequestWithContext(t.Context(), "POST", "http://a.example/1?s=307", io.MultiReader(strings.NewReader("data")))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = do(g.HTTPClient(netproxy.HTTPOptions{}), r)
		wantReason(t, err, netproxy.BadRedirect)
	})
}

func TestManualRedirects(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.HandleHTTP("http://a.example", http.HandlerFunc(hops))
	g, _ := newGuard(t, &n, open80, nil)
	status, body, err := get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{ManualRedirects: true}), "http://a.example/1?s=307")
	if err != nil || status != 307 || body != "moved" {
		t.Errorf("%d %q, %v", status, body, err)
	}
	for _, odd := range []int{300, 304, 305, 306} {
		if status, _, err := get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{}), fmt.Sprintf("http://a.example/1?s=%d", odd)); err != nil || status != odd {
			t.Errorf("status %d: %d, %v; want it handed back", odd, status, err)
		}
	}
}

// W21: every hop is a new decision, and what a plugin sent to one origin goes
// to no other, the way back included.
func TestW21Redirects(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		location string
		reason   netproxy.Reason // of the hop
	}{
		{"http://evil.test/", netproxy.BadDomain},
		{"http://169.254.169.254/", netproxy.BadAddress},
		{"http://127.0.0.1/", netproxy.BadAddress},
		{"http://[::ffff:7f00:1]/", netproxy.BadAddress},
		{"http://inside.a.example/", netproxy.BadAddress},
		{"http://a.example:8080/", netproxy.BadPort},
		{"file:///etc/passwd", netproxy.BadTarget},
		{"ws://a.example/", netproxy.BadTarget},
		{"http://u:p@a.example/", netproxy.BadTarget},
		{"http://a%2eexample/", netproxy.BadTarget},
		{"http://%61.example/", netproxy.BadTarget},
		{"//2130706433/", netproxy.BadTarget},
		{"http://a.example\\@evil.test/", netproxy.BadTarget},
		{"javascript:alert(1)", netproxy.BadTarget},
		{"http://", netproxy.BadTarget},
		{"/" + strings.Repeat("a", 9000), netproxy.BadTarget},
	} {
		var n netproxytest.Network
		n.AddDNS("inside.a.example", "10.0.0.1")
		n.HandleHTTP("http://a.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Location"] = []string{tt.location}
			w.WriteHeader(302)
		}))
		g, l := newGuard(t, &n, `{"allowed_domains":["*.a.example"],"allowed_ports":[80]}`, nil)
		_, _, err := get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{}), "http://a.example/?token=hunter2")
		d := wantReason(t, err, netproxy.BadRedirect)
		name := cutText(tt.location)
		if !strings.HasPrefix(d.Err, string(tt.reason)) && !(tt.reason == netproxy.BadTarget && d.Err == string(netproxy.BadTarget)) {
			t.Errorf("%s: Err = %q, want %q", name, d.Err, tt.reason)
		}
		if len(n.Dials()) != 1 {
			t.Errorf("%s: dials = %q", name, n.Dials())
		}
		if len(l.all()) != 2 || !l.all()[0].Allowed || l.all()[0].Status != 302 {
			t.Errorf("%s: decisions = %+v", name, l.all())
		}
	}
}

func cutText(s string) string {
	if len(s) > 60 {
		return s[:60]
	}
	return s
}

func TestW21HeadersAcrossOrigins(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	var mu sync.Mutex
	var got []http.Header
	send := func(to string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			got = append(got, r.Header.Clone())
			mu.Unlock()
			if to != "" && r.URL.Path == "/" {
				http.Redirect(w, r, to, http.StatusTemporaryRedirect)
			}
		})
	}
	n.HandleHTTP("https://a.example.com", send("https://b.example.com/"))
	n.HandleHTTP("https://b.example.com", send("https://a.example.com/end"))
	g, _ := newGuard(t, &n, `{"allowed_domains":["*.example.com"],"allowed_ports":[80,443,8443]}`, nil)
	r, err := http.NewRequestWithContext(t.Context(), "POST", "https://a.example.com/", strings.NewReader("data"))
	if err != nil {
		t.Fatal(err)
	}
	keep := []string{"Accept", "Accept-Language", "Cache-Control", "Content-Type", "Range", "User-Agent"}
	lose := []string{"Authorization", "Cookie", "X-Api-Key", "Referer", "Origin", "Content-Disposition", "If-None-Match"}
	for _, h := range append(keep, lose...) {
		r.Header.Set(h, "v")
	}
	if _, _, err := do(g.HTTPClient(netproxy.HTTPOptions{}), r); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 {
		t.Fatalf("%d requests", len(got))
	}
	for i, h := range got {
		for _, name := range keep {
			if h.Get(name) != "v" {
				t.Errorf("request %d lacks %s", i, name)
			}
		}
		for _, name := range lose {
			if (h.Get(name) != "") != (i == 0) {
				t.Errorf("request %d has %s: %q", i, name, h.Get(name))
			}
		}
	}
}

func TestGrantedHopThatFailsSaysSo(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.HandleHTTP("http://a.example", http.RedirectHandler("http://gone.example/", http.StatusFound))
	n.FailDNS("gone.example", &net.DNSError{Err: "no such host", IsNotFound: true})
	g, _ := newGuard(t, &n, open80, nil)
	_, _, err := get(t.Context(), g.HTTPClient(netproxy.HTTPOptions{}), "http://a.example/")
	var dns *net.DNSError
	if !errors.As(err, &dns) || errors.Is(err, netproxy.ErrDenied) {
		t.Errorf("err = %v, want the failed lookup", err)
	}
}

// One hop is one hop, whoever asks.
func TestRoundTripDoesNotFollow(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.HandleHTTP("http://a.example", http.HandlerFunc(hops))
	g, _ := newGuard(t, &n, open80, nil)
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://a.example/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := g.RoundTrip(r)
	if err != nil || resp.StatusCode != 302 {
		t.Fatalf("%v, %v", resp, err)
	}
	resp.Body.Close()
}
