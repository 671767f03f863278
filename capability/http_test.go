package capability_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

// upstream is a RoundTripper that answers every request alike and remembers the
// last one.
type upstream struct {
	status int
	header http.Header
	body   []byte

	request *http.Request
	sent    []byte
	left    time.Duration
}

func (u *upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	u.request = r
	if at, ok := r.Context().Deadline(); ok {
		u.left = time.Until(at)
	}
	if r.Body != nil {
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		u.sent = sent
	}
	status := u.status
	if status == 0 {
		status = 200
	}
	return &http.Response{StatusCode: status, Header: u.header.Clone(), Body: io.NopCloser(bytes.NewReader(u.body)), Request: r}, nil
}

// behind makes a Session whose requests all go to u.
func behind(t testing.TB, u *upstream, l limits.Limits) *capability.Session {
	t.Helper()
	var n netproxytest.Network
	n.AddHost("api.example.com")
	s := guarded(t, &n, netproxy.Rules{Domains: []netproxy.Domain{"api.example.com"}, Ports: netproxy.Ports(80, 443)},
		func(c *netproxy.Config) { c.Transport, c.Limits = u, l })
	s.Limits = l
	return s
}

func TestVectorsHTTPRequests(t *testing.T) {
	t.Parallel()
	var v struct {
		Requests []struct {
			ID, Note string
			In       *string
			InJSON   json.RawMessage `json:"in_json"`
			Expect   map[string]json.RawMessage
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
			u := &upstream{body: []byte("x")}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			out := make([]byte, 4096)
			s := behind(t, u, limits.Limits{})
			got := invoke(t, ctx, s, "http_request", doc, out)
			if code, ok := c.Expect["code"]; ok {
				if fmt.Sprint(int32(got)) != string(code) {
					t.Errorf("%s: %s answered %d (%s), want %s", c.Note, doc, got, lastErrorOf(t, s), code)
				}
				if u.request != nil {
					t.Errorf("%s: %s was sent", c.Note, doc)
				}
				return
			}
			if got <= 0 {
				t.Fatalf("%s: %s answered %d (%s)", c.Note, doc, got, lastErrorOf(t, s))
			}
			checkSent(t, c.Expect, u, out[:got])
		})
	}
	t.Logf("%d cases", len(v.Requests))
}

// checkSent compares what went out with every key that the case expects.
func checkSent(t *testing.T, expect map[string]json.RawMessage, u *upstream, answer []byte) {
	t.Helper()
	text := func(raw json.RawMessage) string {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		return s
	}
	for key, want := range expect {
		switch key {
		case "method":
			if got := u.request.Method; got != text(want) {
				t.Errorf("method %q, want %s", got, want)
			}
		case "url":
			if got := u.request.URL.String(); got != text(want) {
				t.Errorf("url %q, want %s", got, want)
			}
		case "body":
			if got := string(u.sent); got != text(want) {
				t.Errorf("body %q, want %s", got, want)
			}
		case "headers":
			var headers map[string]string
			if err := json.Unmarshal(want, &headers); err != nil {
				t.Fatal(err)
			}
			whole := http.Header{}
			for name, value := range headers {
				whole.Set(name, value)
			}
			if d := cmp.Diff(u.request.Header, whole); d != "" {
				t.Errorf("headers (-got +want):\n%s", d)
			}
		case "timeout_ms":
			least, most := 59*time.Second, time.Minute // "run remaining"
			if string(want) != `"run remaining"` {
				var ms int64
				if err := json.Unmarshal(want, &ms); err != nil {
					t.Fatal(err)
				}
				most = time.Duration(ms) * time.Millisecond
				least = most - time.Second
			}
			if u.left > most || u.left < least {
				t.Errorf("%v are left, want %s", u.left, want)
			}
		case "insecure_skip_verify":
			if string(want) != "false" {
				t.Fatalf("insecure_skip_verify %s is not understood", want)
			}
		case "mode":
			got := "envelope"
			if bytes.HasPrefix(answer, []byte("200\n")) {
				got = "status_body"
			}
			if got != text(want) {
				t.Errorf("answer %q is in mode %s, want %s", answer, got, want)
			}
		default:
			t.Fatalf("expectation %q is not understood", key)
		}
	}
}

func TestVectorsHTTPResponses(t *testing.T) {
	t.Parallel()
	var v struct {
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
				Bytes    *string
				BytesHex *string `json:"bytes_hex"`
			}
		}
	}
	vectors(t, "http", &v)
	for _, c := range v.Responses {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			u := &upstream{status: c.Upstream.Status, body: []byte(c.Upstream.Body), header: http.Header{}}
			if c.Upstream.BodyHex != "" {
				u.body = unhex(t, c.Upstream.BodyHex)
			}
			for _, h := range c.Upstream.Headers {
				u.header.Add(h[0], h[1])
			}
			s := behind(t, u, limits.Limits{})
			doc := fmt.Sprintf(`{"url":"https://api.example.com/","response_mode":%q}`, c.Mode)
			answer := make([]byte, 64<<10)
			got := invoke(t, t.Context(), s, "http_request", doc, answer)
			if got <= 0 {
				t.Fatalf("%s: answered %d (%s)", c.Note, got, lastErrorOf(t, s))
			}
			answer = answer[:got]
			switch e := c.Expect; {
			case e.JSON != nil:
				checkJSON(t, answer, e.JSON)
			case e.Bytes != nil:
				checkBytes(t, answer, []byte(*e.Bytes))
			case e.BytesHex != nil:
				checkBytes(t, answer, unhex(t, *e.BytesHex))
			default:
				t.Fatalf("%s: nothing is expected", c.Note)
			}
			checkRoom(t, s, doc, answer)
		})
	}
	t.Logf("%d cases", len(v.Responses))
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func checkBytes(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("answer %q, want %q", got, want)
	}
}

func checkJSON(t *testing.T, got, want []byte) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("answer %q: %v", got, err)
	}
	if err := json.Unmarshal(want, &w); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(g, w); d != "" {
		t.Errorf("answer (-got +want):\n%s", d)
	}
}

// checkRoom asks again with buffers one byte too small and exactly as large.
func checkRoom(t *testing.T, s *capability.Session, doc string, answer []byte) {
	t.Helper()
	small := bytes.Repeat([]byte("-"), len(answer)-1)
	if got := invoke(t, t.Context(), s, "http_request", doc, small); got != capability.TooLarge {
		t.Errorf("one byte too few: %d, want -3", got)
	}
	if !bytes.Equal(small, bytes.Repeat([]byte("-"), len(small))) {
		t.Errorf("bytes were written all the same: %q", small)
	}
	if told := lastErrorOf(t, s); !strings.Contains(told, fmt.Sprintf("need %d bytes, buffer has %d", len(answer), len(small))) {
		t.Errorf("last_error = %q", told)
	}
	exact := make([]byte, len(answer))
	if got := invoke(t, t.Context(), s, "http_request", doc, exact); int(got) != len(answer) || !bytes.Equal(exact, answer) {
		t.Errorf("exactly enough: %d %q, want %d %q", got, exact, len(answer), answer)
	}
	if got := invoke(t, t.Context(), s, "http_request", doc, []byte{}); got != capability.TooLarge {
		t.Errorf("no buffer: %d, want -3", got)
	}
}

func TestHTTPRequestDocumentSize(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		size int
		want capability.Code
	}{
		{"one byte below", 2<<20 - 1, 1},
		{"at the limit", 2 << 20, 1},
		{"one byte above", 2<<20 + 1, capability.TooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const doc = `{"url":"https://api.example.com/"}`
			u := &upstream{}
			s := behind(t, u, limits.Limits{})
			got := invoke(t, t.Context(), s, "http_request", doc+strings.Repeat(" ", tt.size-len(doc)), make([]byte, 256))
			if min(got, 1) != tt.want {
				t.Errorf("%d bytes = %d, want %d", tt.size, got, tt.want)
			}
			if sent := u.request != nil; sent != (tt.want > 0) {
				t.Errorf("sent: %v", sent)
			}
		})
	}
}

func TestHTTPBodySize(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		limits limits.Limits
		size   int
		ask    string // more members of the request
		want   capability.Code
		cut    int // where the body ends, if it is truncated
	}{
		{"one byte below", limits.Limits{}, 2<<20 - 1, "", 1, 0},
		{"at the limit", limits.Limits{}, 2 << 20, "", 1, 0},
		{"one byte above", limits.Limits{}, 2<<20 + 1, "", capability.TooLarge, 0},
		{"one byte above, cut", limits.Limits{}, 2<<20 + 1, `,"on_limit":"truncate"`, 1, 2 << 20},
		{"at the limit, not cut", limits.Limits{}, 2 << 20, `,"on_limit":" Truncate "`, 1, 0},
		{"an own limit", limits.Limits{}, 11, `,"body_limit":10`, capability.TooLarge, 0},
		{"an own limit that fits", limits.Limits{}, 10, `,"body_limit":10`, 1, 0},
		{"an own limit, cut", limits.Limits{}, 11, `,"body_limit":10,"on_limit":"truncate"`, 1, 10},
		{"an own limit lifts nothing", limits.Limits{Body: 10}, 11, `,"body_limit":1000000`, capability.TooLarge, 0},
		{"zero is not said", limits.Limits{}, 11, `,"body_limit":0`, 1, 0},
		{"negative is not said", limits.Limits{}, 11, `,"body_limit":-1`, 1, 0},
		{"a host's limit, cut", limits.Limits{Body: 10}, 1000, `,"on_limit":"truncate"`, 1, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := bytes.Repeat([]byte("b"), tt.size)
			s := behind(t, &upstream{body: body}, tt.limits)
			out := make([]byte, 4<<20)
			got := invoke(t, t.Context(), s, "http_request", `{"url":"https://api.example.com/"`+tt.ask+`}`, out)
			if min(got, 1) != tt.want {
				t.Fatalf("answered %d (%s), want %d", got, lastErrorOf(t, s), tt.want)
			}
			if got < 0 {
				if told := lastErrorOf(t, s); !strings.Contains(told, "response body limit exceeded") {
					t.Errorf("last_error = %q", told)
				}
				return
			}
			var answer struct {
				Body      []byte `json:"body_base64"`
				Truncated bool
			}
			if err := json.Unmarshal(out[:got], &answer); err != nil {
				t.Fatal(err)
			}
			want := body
			if tt.cut > 0 {
				want = body[:tt.cut]
			}
			if !bytes.Equal(answer.Body, want) || answer.Truncated != (tt.cut > 0) {
				t.Errorf("%d bytes, truncated %v; want %d, %v", len(answer.Body), answer.Truncated, len(want), tt.cut > 0)
			}
		})
	}
}

func TestHTTPOverTheNetwork(t *testing.T) {
	t.Parallel()
	hung := make(chan struct{})
	t.Cleanup(func() { close(hung) })
	n := func() *netproxytest.Network {
		var n netproxytest.Network
		n.HandleHTTP("https://api.example.com", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/away":
				http.Redirect(w, r, "https://other.example.org/", http.StatusFound)
			case "/here":
				http.Redirect(w, r, "/", http.StatusFound)
			case "/spoilt":
				w.Header().Set("Location", "https://u:p@api.example.com/")
				w.WriteHeader(http.StatusFound)
			case "/lost":
				w.WriteHeader(http.StatusFound)
			case "/body":
				w.(http.Flusher).Flush()
				select {
				case <-hung:
				case <-r.Context().Done():
				}
			default:
				w.Write([]byte(r.Method + " " + r.URL.Path)) //nolint:errcheck // the client tells
			}
		}))
		n.HandleHTTP("https://other.example.org", http.NotFoundHandler())
		n.HandleHTTP("https://self.example.com", http.NotFoundHandler())
		n.SelfSigned("self.example.com")
		n.Refuse("refused.example.com:443")
		n.Silent("silent.example.com:443")
		return &n
	}
	rules := netproxy.Rules{Domains: []netproxy.Domain{"*.example.com"}, Ports: netproxy.Ports(443)}
	for _, tt := range []struct {
		name, ask string
		want      string // the answer in mode status_body, or the code
		told      string // by last_error
	}{
		{"an answer", `"url":"https://api.example.com/x","method":"PUT"`, "200\nPUT /x", ""},
		{"a redirect", `"url":"https://api.example.com/here"`, "200\nGET /", ""},
		{"a redirect by hand", `"url":"https://api.example.com/away","redirect":" MANUAL "`, "302\n<a href=\"https://other.example.org/\">Found</a>.\n\n", ""},
		{"a redirect without a Location", `"url":"https://api.example.com/lost"`, "302\n", ""},
		{"a redirect elsewhere", `"url":"https://api.example.com/away"`, "-2", "denied: http_request"},
		{"a redirect that makes no sense", `"url":"https://api.example.com/spoilt?token=s3cr3t"`, "-2", "denied: http_request"},
		{"a port that is not granted", `"url":"https://api.example.com:8443/"`, "-2", "denied: http_request"},
		{"a method that is not allowed", `"method":"TRACE","url":"https://api.example.com/"`, "-2", "denied: http_request"},
		{"bad base64", `"url":"https://api.example.com/","body_base64":"Yg"`, "-1", "invalid: http_request: "},
		{"base64 with a line break", `"url":"https://api.example.com/","body_base64":"Yg==\n"`, "-1", "invalid: http_request: "},
		{"base64 with spare bits", `"url":"https://api.example.com/","body_base64":"Yh=="`, "-1", "invalid: http_request: "},
		{"a blank that is not ASCII", `"url":"\u00a0https://api.example.com/"`, "-1", "invalid: http_request: "},
		{"bad base64 to where nothing is granted", `"url":"https://other.example.org/","body_base64":"Yg"`, "-2", "denied: http_request"},
		{"insecure without grant", `"url":"https://self.example.com/","insecure_skip_verify":true`, "-2", "denied: http_request"},
		{"self-signed", `"url":"https://self.example.com/"`, "-5", "internal: http_request: "},
		{"refused", `"url":"https://refused.example.com/"`, "-5", "internal: http_request: connect: refused"},
		{"no such host", `"url":"https://nowhere.example.com/"`, "-5", "internal: http_request: "},
		{"no TLS in time", `"url":"https://silent.example.com/","timeout_ms":50`, "-6", "timeout: http_request: "},
		{"no body in time", `"url":"https://api.example.com/body","timeout_ms":100`, "-6", "timeout: http_request: body"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := guarded(t, n(), rules)
			out := make([]byte, 4096)
			got := invoke(t, t.Context(), s, "http_request", `{"response_mode":"status_body",`+tt.ask+`}`, out)
			text := fmt.Sprint(int32(got))
			if got >= 0 {
				text = string(out[:got])
			}
			if text != tt.want {
				t.Errorf("%s answered %q (%s), want %q", tt.ask, text, lastErrorOf(t, s), tt.want)
			}
			told := lastErrorOf(t, s)
			if !strings.HasPrefix(told, tt.told) || tt.want == "-2" && told != tt.told {
				t.Errorf("last_error = %q, want %q", told, tt.told)
			}
			for _, secret := range []string{"45.", "example.com", "https://", "s3cr3t"} {
				if strings.Contains(told, secret) {
					t.Errorf("last_error = %q, which tells %q", told, secret)
				}
			}
		})
	}
}

func TestHTTPWithoutANetwork(t *testing.T) {
	t.Parallel()
	s := &capability.Session{}
	if got := request(t, s, "https://api.example.com/"); got != capability.Denied {
		t.Errorf("answered %d, want -2", got)
	}
}

func TestHTTPEndsWithTheRun(t *testing.T) {
	t.Parallel()
	var n netproxytest.Network
	n.Silent("silent.example.com:443")
	s := guarded(t, &n, anywhere())
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(30*time.Millisecond, cancel)
	start := time.Now()
	got := invoke(t, ctx, s, "http_request", `{"url":"https://silent.example.com/","timeout_ms":60000}`, make([]byte, 99))
	if got >= 0 || time.Since(start) > 5*time.Second {
		t.Errorf("answered %d after %v", got, time.Since(start))
	}
}

func TestCookiesStayApart(t *testing.T) {
	t.Parallel()
	u := &upstream{header: http.Header{"Set-Cookie": {"a=1, 2; Path=/", "b=2"}, "X-<&>": {"<&>"}}}
	s := behind(t, u, limits.Limits{})
	out := make([]byte, 4096)
	got := invoke(t, t.Context(), s, "http_request", `{"url":"https://api.example.com/"}`, out)
	want := `{"status":200,"headers":{"set-cookie":"a=1, 2; Path=/\nb=2","x-<&>":"<&>"},"body_base64":"","body_encoding":"base64"}`
	if string(out[:max(got, 0)]) != want {
		t.Errorf("answer %q, want %q", out[:max(got, 0)], want)
	}
}

// failing is a RoundTripper whose errors hold what a guest must not see.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestErrorsOfTheTransportAreNotTold(t *testing.T) {
	t.Parallel()
	const secret = "10.1.2.3 /etc/secret"
	for _, err := range []error{
		errors.New(secret),
		&net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3)}, Err: errors.New(secret)},
		fmt.Errorf("%s: %w", secret, context.DeadlineExceeded),
	} {
		var n netproxytest.Network
		n.AddHost("api.example.com")
		s := guarded(t, &n, anywhere(), func(c *netproxy.Config) { c.Transport = failing{err} })
		code := request(t, s, "https://api.example.com/x?token=s3cr3t")
		told := lastErrorOf(t, s)
		if code >= 0 || strings.Contains(told, "10.1") || strings.Contains(told, "secret") || strings.Contains(told, "s3cr3t") {
			t.Errorf("%v: %d, told %q", err, code, told)
		}
	}
}

// FuzzHTTPRequest holds any document to an answer or a code, and checks that
// nothing but the granted name is asked for.
func FuzzHTTPRequest(f *testing.F) {
	for _, seed := range []string{
		`{"url":"https://api.example.com/health","headers":{"X-A":"1"},"timeout_ms":5}`,
		`{"url":"https://u:p@api.example.com/","body_base64":"` + base64.StdEncoding.EncodeToString([]byte("x")) + `"}`,
		`{"url":"https://api.example.com@other.example.org/"}`, `{"url":null}`, `[]`, "", `{"url":"http://[::1%25x]/"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		u := &upstream{body: []byte("x")}
		s := behind(t, u, limits.Limits{})
		out := make([]byte, 256)
		got := invoke(t, t.Context(), s, "http_request", doc, out)
		if got == 0 || int(got) > len(out) {
			t.Errorf("%q answered %d", doc, got)
		}
		if u.request != nil && u.request.URL.Hostname() != "api.example.com" {
			t.Errorf("%q asked %q", doc, u.request.URL)
		}
		if got < 0 && lastErrorOf(t, s) == "" {
			t.Errorf("%q answered %d without a reason", doc, got)
		}
	})
}
