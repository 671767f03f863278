package httpstore_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/manifest/httpstore"
	"github.com/sandcheck/sandcheck/manifest/manifesttest"
)

// A server answers requests in memory and remembers them.
type server struct {
	mu       sync.Mutex
	requests []*http.Request
	bodies   []int64
	answer   func(n int, r *http.Request) (*http.Response, error)
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent int64
	if r.Body != nil {
		sent, _ = io.Copy(io.Discard, r.Body) // the tests send no bodies, so 0 is what counts
		r.Body.Close()
	}
	s.mu.Lock()
	s.requests, s.bodies = append(s.requests, r), append(s.bodies, sent)
	n := len(s.requests)
	s.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	res, err := s.answer(n, r)
	if res != nil {
		res.Request = r
	}
	return res, err
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

func respond(status int, body string, header ...string) *http.Response {
	res := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
	for i := 0; i+1 < len(header); i += 2 {
		res.Header.Set(header[i], header[i+1])
	}
	return res
}

func always(status int, body string, header ...string) *server {
	return &server{answer: func(int, *http.Request) (*http.Response, error) { return respond(status, body, header...), nil }}
}

func digestOf(text string) manifest.Digest { return sha256.Sum256([]byte(text)) }

func rule(err error) string {
	var e *manifest.Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Rule
}

const (
	address = "https://plugins.example.com/api/plugin-packages/7/blob/download"
	token   = "t0ken-s3cret"
)

func want(body string) httpstore.Download {
	return httpstore.Download{URL: address, Digest: digestOf(body)}
}

func withToken(d httpstore.Download) httpstore.Download { d.Token = token; return d }

// fetch downloads in a bubble where time passes by itself, and returns how long
// it took there.
func fetch(t *testing.T, s *server, o httpstore.Options, d httpstore.Download) (content []byte, took time.Duration, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o.Transport = s
		start := time.Now()
		content, err = httpstore.New(o).Fetch(t.Context(), d)
		took = time.Since(start)
	})
	return content, took, err
}

var steps = map[string]func(*testing.T){
	"dl-001": tokenIsPosted, "dl-003": normal, "dl-005": captivePortal, "dl-007": declaredTooLarge, "dl-009": otherHost,
	"dl-011": sameHost307, "dl-013": unauthorized, "dl-015": retryAfter, "dl-017": partialContent, "dl-019": slowSender,
	"dl-021": shared, "dl-023": schemes, "dl-025": tokenStaysSecret,
}

func TestVectors(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join("..", "..", "testdata", "vectors", "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Cases []struct{ ID, Kind, Note string }
	}
	if err := json.Unmarshal(doc, &vectors); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, c := range vectors.Cases {
		if c.Kind != "download" {
			continue
		}
		step, known := steps[c.ID]
		if !known {
			t.Errorf("%s: nothing runs this case: %s", c.ID, c.Note)
			continue
		}
		ran++
		t.Run(c.ID, func(t *testing.T) { t.Parallel(); step(t) })
	}
	if ran != len(steps) {
		t.Errorf("ran %d cases, know %d", ran, len(steps))
	}
}

func tokenIsPosted(t *testing.T) {
	s := always(200, "good")
	if _, _, err := fetch(t, s, httpstore.Options{}, withToken(want("good"))); err != nil {
		t.Fatal(err)
	}
	r := s.requests[0]
	if r.Method != http.MethodPost || r.Header.Get("X-ServiceRadar-Plugin-Token") != token || s.bodies[0] != 0 || r.URL.String() != address {
		t.Errorf("sent %s %s %v, %d bytes", r.Method, r.URL, r.Header, s.bodies[0])
	}
}

func normal(t *testing.T) {
	s := always(200, "good")
	got, _, err := fetch(t, s, httpstore.Options{}, want("good"))
	if err != nil || string(got) != "good" {
		t.Errorf("got %q, %v", got, err)
	}
	r := s.requests[0]
	if r.Method != http.MethodGet || r.Header.Get("X-ServiceRadar-Plugin-Token") != "" || r.Header.Get("Accept-Encoding") != "identity" {
		t.Errorf("sent %s %v", r.Method, r.Header)
	}
}

func captivePortal(t *testing.T) {
	s := always(200, "<html>log in</html>")
	if _, _, err := fetch(t, s, httpstore.Options{}, want("good")); rule(err) != "digest_mismatch" || s.count() != 1 {
		t.Errorf("%v after %d requests", err, s.count())
	}
}

type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) { u.t.Error("the body was read"); return 0, io.EOF }
func (unread) Close() error               { return nil }

func declaredTooLarge(t *testing.T) {
	s := &server{answer: func(int, *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: unread{t}, ContentLength: 99_999_999_999}, nil
	}}
	if _, _, err := fetch(t, s, httpstore.Options{}, want("good")); rule(err) != "too_large" {
		t.Error(err)
	}
}

// redirected answers with a redirect first and with good then.
func redirected(status int, location string) *server {
	return &server{answer: func(n int, _ *http.Request) (*http.Response, error) {
		if n == 1 {
			return respond(status, "", "Location", location), nil
		}
		return respond(200, "good"), nil
	}}
}

func otherHost(t *testing.T) {
	for _, location := range []string{"https://evil.example.net/x", "//evil.example.net/x", "https://plugins.example.com:8443/x", "https://plugins.example.com.evil.net/x"} {
		s := redirected(302, location)
		if _, _, err := fetch(t, s, httpstore.Options{}, withToken(want("good"))); rule(err) != "redirect_host" || s.count() != 1 {
			t.Errorf("%s with a token: %v after %d requests", location, err, s.count())
		}
		s = redirected(302, location)
		if _, _, err := fetch(t, s, httpstore.Options{}, want("good")); err != nil || s.count() != 2 {
			t.Errorf("%s without a token: %v after %d requests", location, err, s.count())
		}
	}
}

func sameHost307(t *testing.T) {
	for status, method := range map[int]string{301: "GET", 302: "GET", 303: "GET", 307: "POST", 308: "POST"} {
		s := redirected(status, "/elsewhere?a=b")
		if _, _, err := fetch(t, s, httpstore.Options{}, withToken(want("good"))); err != nil {
			t.Fatalf("%d: %v", status, err)
		}
		r := s.requests[1]
		if r.Method != method || r.Header.Get("X-ServiceRadar-Plugin-Token") != token || r.URL.String() != "https://plugins.example.com/elsewhere?a=b" {
			t.Errorf("%d: sent %s %s %v", status, r.Method, r.URL, r.Header)
		}
	}
}

func unauthorized(t *testing.T) {
	for status, code := range map[int]string{401: "unauthorized", 403: "unauthorized", 404: "not_found", 410: "not_found", 400: "unexpected_status", 204: "unexpected_status", 304: "unexpected_status"} {
		s := always(status, "")
		_, _, err := fetch(t, s, httpstore.Options{}, want("good"))
		if rule(err) != code || s.count() != 1 || errors.Is(err, fs.ErrNotExist) != (code == "not_found") {
			t.Errorf("%d: %v after %d requests", status, err, s.count())
		}
	}
}

func retryAfter(t *testing.T) {
	for _, tt := range []struct {
		header      string
		least, most time.Duration
	}{{"2", 2 * time.Second, 3 * time.Second}, {"3600", 30 * time.Second, 31 * time.Second}, {"soon", 200 * time.Millisecond, time.Second}} {
		s := &server{answer: func(n int, _ *http.Request) (*http.Response, error) {
			if n == 1 {
				return respond(503, "", "Retry-After", tt.header), nil
			}
			return respond(200, "good"), nil
		}}
		if _, took, err := fetch(t, s, httpstore.Options{}, want("good")); err != nil || took < tt.least || took > tt.most {
			t.Errorf("Retry-After %s: %v after %v", tt.header, err, took)
		}
	}
}

func partialContent(t *testing.T) {
	s := always(206, "good")
	if _, _, err := fetch(t, s, httpstore.Options{}, want("good")); rule(err) != "unexpected_status" {
		t.Error(err)
	}
}

// drip sends one byte a second for as long as somebody listens.
type drip struct{ ctx context.Context }

func (d drip) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		p[0] = 'x'
		return 1, nil
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}
func (drip) Close() error { return nil }

func slowSender(t *testing.T) {
	s := &server{answer: func(_ int, r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: drip{r.Context()}, ContentLength: -1}, nil
	}}
	for timeout, want15 := range map[time.Duration]time.Duration{0: 15 * time.Second, 3 * time.Second: 3 * time.Second} {
		if _, took, err := fetch(t, s, httpstore.Options{Timeout: timeout}, want("good")); rule(err) != "timeout" || took != want15 {
			t.Errorf("timeout %v: %v after %v, want %v", timeout, err, took, want15)
		}
	}
}

func shared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: func(int, *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return respond(200, "good"), nil
		}}
		c := httpstore.New(httpstore.Options{Transport: s})
		var wg sync.WaitGroup
		for i := range 20 {
			ctx := t.Context()
			if i == 0 { // who asked first leaves
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 500*time.Millisecond)
				defer cancel()
			}
			wg.Go(func() {
				got, err := c.Fetch(ctx, want("good"))
				if i == 0 {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("who leaves: %v", err)
					}
				} else if err != nil || string(got) != "good" {
					t.Errorf("Fetch = %q, %v", got, err)
				}
				clear(got) // each has bytes of its own
			})
			synctest.Wait()
		}
		wg.Wait()
		if s.count() != 1 {
			t.Errorf("%d requests for 20 callers, want 1", s.count())
		}
	})
}

func schemes(t *testing.T) {
	s := always(200, "good")
	for address, code := range map[string]string{
		"file:///etc/passwd": "scheme", "ftp://a/b": "scheme", "plugins.example.com/x": "scheme", "": "scheme", "https://": "scheme",
		"https:opaque": "scheme", "http://a b/": "scheme", "https://user@a/b": "userinfo", "https://user:" + token + "@a/b": "userinfo",
	} {
		_, _, err := fetch(t, s, httpstore.Options{}, httpstore.Download{URL: address, Token: token, Digest: digestOf("good")})
		if rule(err) != code || strings.Contains(err.Error(), token) {
			t.Errorf("%q: %v, want %s", address, err, code)
		}
	}
	if s.count() != 0 {
		t.Errorf("%d requests were sent", s.count())
	}
}

func tokenStaysSecret(t *testing.T) {
	for name, answer := range map[string]func(int, *http.Request) (*http.Response, error){
		"refused":   func(int, *http.Request) (*http.Response, error) { return respond(401, token), nil },
		"other":     func(int, *http.Request) (*http.Response, error) { return respond(200, token), nil },
		"transport": func(int, *http.Request) (*http.Response, error) { return nil, fmt.Errorf("cannot send %s", token) },
		"redirect": func(int, *http.Request) (*http.Response, error) {
			return respond(302, "", "Location", "http://"+token+".example.com/"), nil
		},
		"body": func(int, *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: -1,
				Body: io.NopCloser(io.MultiReader(strings.NewReader("a"), badReader{}))}, nil
		},
	} {
		_, _, err := fetch(t, &server{answer: answer}, httpstore.Options{}, httpstore.Download{URL: address + "?sig=abcdef", Token: token, Digest: digestOf("good")})
		for e := err; e != nil; e = errors.Unwrap(e) {
			if strings.Contains(e.Error(), token) || strings.Contains(e.Error(), "abcdef") {
				t.Errorf("%s: a secret is in %q", name, e)
			}
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

type badReader struct{}

func (badReader) Read([]byte) (int, error) { return 0, errors.New("reset by " + token) }

func TestRetries(t *testing.T) {
	t.Parallel()
	broken := func(int, *http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }
	short := func(int, *http.Request) (*http.Response, error) {
		res := respond(200, "goo")
		res.ContentLength = 4
		return res, nil
	}
	status := func(n int) func(int, *http.Request) (*http.Response, error) {
		return func(int, *http.Request) (*http.Response, error) { return respond(n, ""), nil }
	}
	for _, tt := range []struct {
		name     string
		answer   func(int, *http.Request) (*http.Response, error)
		rule     string
		requests int
	}{
		{"server error", status(500), "server_error", 4}, {"too many requests", status(429), "unexpected_status", 4},
		{"transport", broken, "transport", 4}, {"cut short", short, "unexpected_eof", 4}, {"teapot", status(418), "unexpected_status", 1},
	} {
		s := &server{answer: tt.answer}
		if _, _, err := fetch(t, s, httpstore.Options{}, want("good")); rule(err) != tt.rule || s.count() != tt.requests {
			t.Errorf("%s: %v after %d requests, want %s after %d", tt.name, err, s.count(), tt.rule, tt.requests)
		}
	}
}

func TestSizeBound(t *testing.T) {
	t.Parallel()
	for n, code := range map[int]string{1023: "", 1024: "", 1025: "too_large"} {
		for _, declared := range []int64{int64(n), -1} {
			body := strings.Repeat("x", n)
			s := &server{answer: func(int, *http.Request) (*http.Response, error) {
				res := respond(200, body)
				res.ContentLength = declared
				return res, nil
			}}
			if _, _, err := fetch(t, s, httpstore.Options{Limit: limits.KiB}, want(body)); rule(err) != code {
				t.Errorf("%d bytes, %d declared: %v, want %q", n, declared, err, code)
			}
		}
	}
}

// A server may pack what nobody asked it to pack: the limit and the digest are
// about what comes out.
func TestUnaskedEncoding(t *testing.T) {
	t.Parallel()
	pack := func(n int) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := w.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for n, code := range map[int]string{1024: "", 1025: "too_large", 10 << 20: "too_large"} {
		s := always(200, pack(n), "Content-Encoding", "gzip")
		if _, _, err := fetch(t, s, httpstore.Options{Limit: limits.KiB}, want(string(make([]byte, n)))); rule(err) != code && n < 10<<20 || n == 10<<20 && err == nil {
			t.Errorf("%d bytes: %v, want %q", n, err, code)
		}
	}
	s := always(200, "plain", "Content-Encoding", "gzip")
	if _, _, err := fetch(t, s, httpstore.Options{}, want("plain")); rule(err) != "unexpected_eof" {
		t.Errorf("not packed at all: %v", err)
	}
}

// TestW66: the token goes to its own host alone and never over plain http.
func TestW66(t *testing.T) {
	t.Parallel()
	otherHost(t)
	for _, d := range []httpstore.Download{want("good"), withToken(want("good"))} {
		s := redirected(302, "http://plugins.example.com/x")
		if _, _, err := fetch(t, s, httpstore.Options{}, d); rule(err) != "redirect_downgrade" || s.count() != 1 {
			t.Errorf("to http: %v after %d requests", err, s.count())
		}
	}
	d := withToken(want("good"))
	d.URL = "http://plugins.example.com/x"
	if _, _, err := fetch(t, redirected(301, "https://PLUGINS.example.com/x"), httpstore.Options{}, d); err != nil {
		t.Errorf("to https on the same host: %v", err)
	}
	for n, code := range map[int]string{5: "", 6: "too_many_redirects"} {
		s := &server{answer: func(i int, _ *http.Request) (*http.Response, error) {
			if i <= n {
				return respond(302, "", "Location", "/again"), nil
			}
			return respond(200, "good"), nil
		}}
		if _, _, err := fetch(t, s, httpstore.Options{}, want("good")); rule(err) != code {
			t.Errorf("%d redirects: %v, want %q", n, err, code)
		}
	}
	if _, _, err := fetch(t, redirected(302, "ftp://plugins.example.com/"), httpstore.Options{}, want("good")); rule(err) != "scheme" {
		t.Errorf("to ftp: %v", err)
	}
	if _, _, err := fetch(t, redirected(302, "https://a@plugins.example.com/"), httpstore.Options{}, want("good")); rule(err) != "userinfo" {
		t.Errorf("to a URL with a user: %v", err)
	}
}

// TestW67: a new token is used by the next Open.
func TestW67(t *testing.T) {
	t.Parallel()
	bundle := bundleOf(t)
	s := always(200, bundle)
	now := "first"
	store := httpstore.New(httpstore.Options{Transport: s}).Store(func(_ context.Context, ref string) (httpstore.Download, error) {
		return httpstore.Download{URL: "https://h/" + ref, Token: now, Digest: digestOf(bundle)}, nil
	})
	for _, now = range []string{"first", "second"} {
		if _, err := store.Open(context.Background(), "a"); err != nil {
			t.Fatal(err)
		}
		if got := s.requests[s.count()-1].Header.Get("X-ServiceRadar-Plugin-Token"); got != now {
			t.Errorf("sent the token %q, want %q", got, now)
		}
	}
}

func bundleOf(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := manifest.WriteBundle(&b, manifesttest.Package()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestStoreKeepsTheRules(t *testing.T) {
	t.Parallel()
	bundle := bundleOf(t)
	s := always(200, bundle)
	store := httpstore.New(httpstore.Options{Transport: s}).Store(func(_ context.Context, ref string) (httpstore.Download, error) {
		if ref != "tiny" {
			return httpstore.Download{}, fs.ErrNotExist
		}
		return httpstore.Download{URL: address, Digest: digestOf(bundle)}, nil
	})
	if err := manifesttest.TestStore(store, "tiny", manifesttest.Package()); err != nil {
		t.Error(err)
	}
}

func TestNoDigestNoDownload(t *testing.T) {
	t.Parallel()
	s := always(200, "good")
	if _, _, err := fetch(t, s, httpstore.Options{}, httpstore.Download{URL: address}); rule(err) != "digest_syntax" || s.count() != 0 {
		t.Errorf("%v after %d requests", err, s.count())
	}
}

func TestCancellation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: func(_ int, r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: drip{r.Context()}, ContentLength: -1}, nil
		}}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, err := httpstore.New(httpstore.Options{Transport: s}).Fetch(ctx, want("good"))
		if !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// TestW62: other bytes are an error of the first download, not of a later one.
func TestW62(t *testing.T) {
	t.Parallel()
	captivePortal(t)
}

// TestW68: a package that the server has only later is waited for, within one
// Open.
func TestW68(t *testing.T) {
	t.Parallel()
	bundle := bundleOf(t)
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: func(n int, _ *http.Request) (*http.Response, error) {
			if n < 4 {
				return respond(503, ""), nil
			}
			return respond(200, bundle), nil
		}}
		store := httpstore.New(httpstore.Options{Transport: s}).Store(func(context.Context, string) (httpstore.Download, error) {
			return want(bundle), nil
		})
		if p, err := store.Open(t.Context(), "tiny"); err != nil || p.Manifest.ID != "tiny" {
			t.Errorf("Open = %v, %v", p, err)
		}
	})
}
