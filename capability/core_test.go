package capability_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
	"github.com/sandcheck/sandcheck/result"
)

func TestGetConfig(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		config string
		room   int
		want   capability.Code
	}{
		{"one byte too few is never invalid", `{"n":1}`, 6, capability.TooLarge},
		{"exactly as large", `{"n":1}`, 7, 7},
		{"larger", `{"n":1}`, 16, 7},
		{"no config", "", 16, 0},
		{"no config and no buffer", "", 0, 0},
		{"config and no buffer", `{"n":1}`, 0, capability.TooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			buf := []byte(strings.Repeat("-", tt.room))
			s := &capability.Session{Config: []byte(tt.config)}
			got := invoke(t, t.Context(), s, "get_config", buf)
			if got != tt.want {
				t.Fatalf("get_config into %d bytes = %d, want %d", tt.room, got, tt.want)
			}
			want := strings.Repeat("-", tt.room)
			if got > 0 {
				want = tt.config + want[len(tt.config):]
			}
			if string(buf) != want {
				t.Errorf("buffer is %q, want %q", buf, want)
			}
		})
	}
}

const fine = `{"status":"OK","summary":"x"}`

// padded is a valid document of n bytes: white space is not content.
func padded(n int) string {
	return `{"status":"OK","summary":"x"` + strings.Repeat(" ", n-len(fine)) + `}`
}

func TestSubmitResult(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, doc string
		want      capability.Code
		issue     string // code of the reason, for Invalid
	}{
		{"valid", fine, 0, ""},
		{"empty", "", capability.Invalid, "empty"},
		{"W50: text that is not JSON", "not json", capability.Invalid, "not_json"},
		{"W53: text after the value", fine + " junk", capability.Invalid, "trailing_data"},
		{"W53: unreadable observed_at is repaired", `{"status":"OK","summary":"x","observed_at":"yesterday","labels":[1],"metrics":7,"display":"x"}`, 0, ""},
		{"W56: a duplicate key", `{"status":"OK","status":"CRITICAL","summary":"x"}`, capability.Invalid, "duplicate_key"},
		{"W56: names are exact", `{"status":"OK","Status":"CRITICAL","summary":"x"}`, 0, ""},
		{"an action result", `{"schema":"serviceradar.northbound_action_result.v1","status":"succeeded","summary":{}}`, capability.Invalid, "status_value"},
		{"one byte below the payload limit", padded(2<<20 - 1), 0, ""},
		{"at the payload limit", padded(2 << 20), 0, ""},
		{"one byte above", padded(2<<20 + 1), capability.TooLarge, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &capability.Session{}
			if got := invoke(t, t.Context(), s, "submit_result", tt.doc); got != tt.want {
				t.Fatalf("submit_result(%.80q) = %d, want %d (%s)", tt.doc, got, tt.want, lastErrorOf(t, s))
			}
			if n := len(s.Results()); n != stored(tt.want) {
				t.Errorf("%d results are stored after %d", n, tt.want)
			}
			subs := s.Submissions()
			if len(subs) != 1 || (subs[0].Err == nil) != (tt.want == 0) {
				t.Fatalf("submissions: %d", len(subs))
			}
			var issue *result.Issue
			if errors.As(subs[0].Err, &issue) && issue.Code != tt.issue {
				t.Errorf("reason %q, want %q", issue.Code, tt.issue)
			}
			if told := lastErrorOf(t, s); tt.issue != "" && !strings.HasPrefix(told, "invalid: submit_result: "+tt.issue) {
				t.Errorf("last_error = %q, want the reason %q", told, tt.issue)
			}
			switch kept := string(subs[0].Raw); {
			case tt.want == capability.TooLarge && kept != "":
				t.Errorf("%d bytes of a document above the limit are kept", len(kept))
			case tt.want != capability.TooLarge && kept != tt.doc:
				t.Errorf("kept %.80q, want the guest's own bytes", kept)
			}
		})
	}
}

func TestSubmitAcceptsWithIssues(t *testing.T) {
	t.Parallel()
	s := &capability.Session{}
	doc := `{"status":"OK","summary":"x","Status":"CRITICAL","observed_at":"yesterday","labels":[1],"metrics":7}`
	if got := invoke(t, t.Context(), s, "submit_result", doc); got != 0 {
		t.Fatalf("submit_result(%q) = %d", doc, got)
	}
	r := s.Results()[0]
	if r.Status != result.OK || len(r.Issues) < 3 {
		t.Errorf("status %v, issues %v", r.Status, r.Issues)
	}
}

func TestSubmitAttemptsAreBounded(t *testing.T) {
	t.Parallel()
	s := &capability.Session{}
	for i := 1; i <= 1024; i++ {
		doc, want := fine, capability.OK
		if i%2 == 0 { // a refused attempt counts as well
			doc, want = "not json", capability.Invalid
		}
		if got := invoke(t, t.Context(), s, "submit_result", doc); got != want {
			t.Fatalf("attempt %d = %d, want %d", i, got, want)
		}
	}
	for i := 1025; i <= 2000; i++ {
		if got := invoke(t, t.Context(), s, "submit_result", fine); got != capability.TooLarge {
			t.Fatalf("attempt %d = %d, want -3", i, got)
		}
	}
	if got := invoke(t, t.Context(), s, "submit_result", ""); got != capability.Invalid {
		t.Errorf("an empty document beyond the limit = %d, want -1: that is looked at first", got)
	}
	if n := len(s.Submissions()); n != 1024 {
		t.Errorf("%d attempts are kept, want 1024", n)
	}
	if n := len(s.Results()); n != 512 {
		t.Errorf("%d results are stored, want 512", n)
	}
	if got := lastErrorOf(t, s); !strings.HasPrefix(got, "invalid: submit_result: empty") {
		t.Errorf("last_error = %q", got)
	}
}

func TestSubmitLimitOfAnotherSession(t *testing.T) {
	t.Parallel()
	a, b := &capability.Session{}, &capability.Session{}
	for range 2000 {
		invoke(t, t.Context(), a, "submit_result", fine)
	}
	if got := invoke(t, t.Context(), b, "submit_result", fine); got != 0 || len(b.Results()) != 1 {
		t.Errorf("W51: the other session's result answered %d", got)
	}
}

func TestSubmittedBytesAreBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		last int
		want capability.Code
	}{
		{"one byte below", 99, 0},
		{"at", 100, 0},
		{"one byte above", 101, capability.TooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &capability.Session{Limits: limits.Limits{Submitted: 300}}
			for range 2 {
				if got := invoke(t, t.Context(), s, "submit_result", padded(100)); got != 0 {
					t.Fatalf("answered %d", got)
				}
			}
			if got := invoke(t, t.Context(), s, "submit_result", padded(tt.last)); got != tt.want {
				t.Errorf("%d bytes more = %d, want %d", tt.last, got, tt.want)
			}
			if tt.want < 0 { // what still fits is taken afterwards
				if got := invoke(t, t.Context(), s, "submit_result", padded(100)); got != 0 {
					t.Errorf("the 100 bytes that are left: %d", got)
				}
			}
		})
	}
	full := &capability.Session{}
	for i := range 16 {
		if got := invoke(t, t.Context(), full, "submit_result", padded(2<<20)); got != 0 {
			t.Fatalf("document %d of 2 MiB: %d", i, got)
		}
	}
	if got := invoke(t, t.Context(), full, "submit_result", fine); got != capability.TooLarge {
		t.Errorf("beyond 32 MiB: %d, want -3", got)
	}
}

func TestSubmitKeepsACopy(t *testing.T) {
	t.Parallel()
	s := &capability.Session{}
	doc := []byte(fine)
	if err := s.Submit(doc); err != nil {
		t.Fatal(err)
	}
	clear(doc)
	if got := string(s.Submissions()[0].Raw); got != fine {
		t.Errorf("kept %q, want a copy of %q", got, fine)
	}
}

func TestSubmitAfterClose(t *testing.T) {
	t.Parallel()
	s := &capability.Session{}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Submit([]byte(fine)); err == nil || len(s.Results()) != 0 {
		t.Errorf("a result was stored after the end of the run: %v", err)
	}
}

func TestVectorsLastError(t *testing.T) {
	t.Parallel()
	var cases []struct {
		ID, Note string
		Setup    struct {
			ConfigBytes int `json:"config_bytes"`
		}
		Steps []struct {
			Call, Payload, Grant, URL, Server string
			Args                              struct{ Size, Handle int }
			LastErrorLen                      any    `json:"last_error_len"`
			LastErrorPtr                      string `json:"last_error_ptr"`
			Returns                           any
			Text                              *string
			TextPrefix                        string   `json:"text_prefix"`
			TextContains                      []string `json:"text_contains"`
			TextLacks                         []string `json:"text_lacks"`
		}
	}
	vectors(t, "last_error", &cases)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			s := lastErrorSession(t)
			s.Config = []byte(strings.Repeat("c", c.Setup.ConfigBytes))
			known := 0
			for i, step := range c.Steps {
				var got capability.Code
				var text string
				switch {
				case step.Call == "get_config":
					got = invoke(t, t.Context(), s, "get_config", make([]byte, step.Args.Size))
				case step.Call == "tcp_close":
					got = invoke(t, t.Context(), s, "tcp_close", step.Args.Handle)
				case step.Call == "submit_result":
					got = invoke(t, t.Context(), s, "submit_result", step.Payload)
				case step.Call == "http_request" && step.Grant == "name not granted":
					got = request(t, s, "https://other.example.org/")
				case step.Call == "http_request" && step.Grant == "port not granted":
					got = request(t, s, "https://api.example.com:8443/")
				case step.Call == "http_request" && step.Server == "refused":
					got = request(t, s, step.URL)
				case step.Call != "":
					t.Fatalf("step %d is not understood: %+v", i, step)
				case step.LastErrorPtr == "memory_size":
					// The range check stands before the handler; it fails the
					// call in the same way.
					got = (&capability.Call{Func: "last_error", Session: s}).Fail(capability.ErrInvalid)
				default:
					n := known
					if f, ok := step.LastErrorLen.(float64); ok {
						n = int(f)
					} else if step.LastErrorLen != "n" {
						t.Fatalf("length %v is not understood", step.LastErrorLen)
					}
					buf := make([]byte, n)
					got = invoke(t, t.Context(), s, "last_error", buf)
					if got > 0 && n > 0 {
						text = string(buf[:got])
					}
				}
				switch want := step.Returns.(type) {
				case float64:
					if got != capability.Code(want) {
						t.Errorf("step %d answered %d, want %v", i, got, want)
					}
				case string:
					switch {
					case want == "n > 0" && got > 0:
						known = int(got)
					case want == "n" && int(got) == known:
					default:
						t.Errorf("step %d answered %d, want %s", i, got, want)
					}
				default:
					t.Fatalf("returns %v is not understood", step.Returns)
				}
				if step.Text != nil && text != *step.Text || !strings.HasPrefix(text, step.TextPrefix) {
					t.Errorf("step %d: text %q, want %+v", i, text, step)
				}
				for _, part := range step.TextContains {
					if !strings.Contains(text, part) {
						t.Errorf("step %d: text %q lacks %q", i, text, part)
					}
				}
				for _, part := range step.TextLacks {
					if strings.Contains(text, part) {
						t.Errorf("step %d: text %q tells %q", i, text, part)
					}
				}
			}
		})
	}
	t.Logf("%d cases", len(cases))
}

// lastErrorSession reaches api.example.com on port 443, which refuses.
func lastErrorSession(t *testing.T) *capability.Session {
	var n netproxytest.Network
	n.AddHost("api.example.com")
	n.Refuse("api.example.com:443")
	return guarded(t, &n, netproxy.Rules{Domains: []netproxy.Domain{"api.example.com"}, Ports: netproxy.Ports(443)})
}

// request asks for url with a buffer of 64 KiB.
func request(t *testing.T, s *capability.Session, url string) capability.Code {
	t.Helper()
	doc, err := json.Marshal(map[string]string{"url": url})
	if err != nil {
		t.Fatal(err)
	}
	return invoke(t, t.Context(), s, "http_request", string(doc), make([]byte, 64<<10))
}

func TestLastErrorCutsLongReasons(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1000, 1001, 1002, 1003, 5000} {
		s := &capability.Session{}
		(&capability.Call{Func: "f", Session: s}).Fail(capabilityInvalid(strings.Repeat("x", n)))
		got, whole := lastErrorOf(t, s), len("invalid: f: invalid argument: ")+n
		if len(got) > 1024 || whole <= 1024 && len(got) != whole || whole > 1024 && !strings.HasSuffix(got, "...") {
			t.Errorf("a reason of %d bytes is told in %d: ...%q", whole, len(got), got[len(got)-8:])
		}
	}
}

// FuzzLastError holds any reason and any name to one clean line.
func FuzzLastError(f *testing.F) {
	f.Add("f", "plain", uint8(1))
	f.Add("f\x1b[2J", "\x1b]0;title\a\r\n\u202e\u2028\xff\xc3", uint8(3))
	f.Add("f", strings.Repeat("ü", 600), uint8(7))
	f.Add(strings.Repeat("n", 2000), "", uint8(4))
	f.Fuzz(func(t *testing.T, name, reason string, code uint8) {
		if name == "last_error" {
			return
		}
		s := &capability.Session{}
		c := capability.Code(-1 - int32(code%7))
		(&capability.Call{Func: name, Session: s}).Fail(fmt.Errorf("%w: %s", c, reason))
		text := lastErrorOf(t, s)
		if len(text) > 1024 || !utf8.ValidString(text) {
			t.Errorf("%d bytes, %q", len(text), text)
		}
		for _, r := range text {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == 0x2028 || r == 0x2029 {
				t.Errorf("holds %U: %q", r, text)
			}
		}
		if len(name) < 900 && !strings.HasPrefix(text, c.String()+": ") {
			t.Errorf("%q does not start with %q", text, c)
		}
	})
}

// stored is how many results one attempt with this answer leaves.
func stored(c capability.Code) int {
	if c == capability.OK {
		return 1
	}
	return 0
}
