package capability

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseHTTPRequestIsStrict(t *testing.T) {
	t.Parallel()
	deep := func(n int) string {
		return `{"url":"u","x":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`
	}
	for _, tt := range []struct {
		name, doc string
		ok        bool
	}{
		{"smallest", `{"url":"u"}`, true},
		{"white space around", " \n{\"url\":\"u\"}\t ", true},
		{"every field null", `{"method":null,"url":null,"headers":null,"body":null,"body_base64":null,"timeout_ms":null,"insecure_skip_verify":null,"response_mode":null,"redirect":null,"on_limit":null,"body_limit":null}`, true},
		{"unknown fields of any type", `{"url":"u","a":1e3,"b":[true,{"c":null}]}`, true},
		{"depth 32", deep(32), true},
		{"depth 33", deep(33), false},
		{"number as method", `{"method":1}`, false},
		{"text as headers", `{"headers":"x"}`, false},
		{"list as headers", `{"headers":[]}`, false},
		{"null as a header", `{"headers":{"A":null}}`, true},
		{"text as flag", `{"insecure_skip_verify":"true"}`, false},
		{"number as flag", `{"insecure_skip_verify":1}`, false},
		{"list as body", `{"body":[1]}`, false},
		{"a whole number as a fraction", `{"timeout_ms":2000.0}`, false},
		{"a whole number with exponent", `{"timeout_ms":2e3}`, false},
		{"largest timeout", `{"timeout_ms":9223372036854775807}`, true},
		{"one above", `{"timeout_ms":9223372036854775808}`, false},
		{"smallest timeout", `{"timeout_ms":-9223372036854775808}`, true},
		{"fraction of a limit", `{"body_limit":0.5}`, false},
		{"duplicate key", `{"url":"a","url":"a"}`, false},
		{"duplicate key by escape", `{"url":"a","\u0075rl":"b"}`, false},
		{"duplicate key among unknown ones", `{"x":1,"x":1}`, false},
		{"duplicate header", `{"headers":{"A":"1","A":"2"}}`, false},
		{"trailing value", `{"url":"u"}{}`, false},
		{"byte order mark", "\ufeff{}", false},
		{"null", `null`, false},
		{"text", `"https://api.example.com"`, false},
		{"cut off", `{"url":"u"`, false},
		{"comment", `{"url":"u"/**/}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := parseHTTPRequest([]byte(tt.doc))
			if (err == nil) != tt.ok {
				t.Fatalf("parse %q: %v, want ok %v", tt.doc, err, tt.ok)
			}
			if err != nil && !errors.Is(err, ErrInvalid) {
				t.Errorf("%v does not match ErrInvalid", err)
			}
			if err == nil && r.Method != http.MethodGet {
				t.Errorf("method %q", r.Method)
			}
		})
	}
}

func TestParseHTTPRequestReads(t *testing.T) {
	t.Parallel()
	r, err := parseHTTPRequest([]byte(`{"method":" pOst\n","url":"\t https://a/ ","body":"caf\u00e9 \ud800","headers":{" x-a ":"1","X-A":"2"," ":"no"},` +
		`"insecure_skip_verify":true,"response_mode":"STATUS_BODY ","redirect":"manual","on_limit":"truncate","body_limit":7,"timeout_ms":9}`))
	if err != nil {
		t.Fatal(err)
	}
	if r.Method != "POST" || r.URL != "https://a/" || string(r.Body) != "café \ufffd" {
		t.Errorf("method %q, url %q, body %q", r.Method, r.URL, r.Body)
	}
	if len(r.Header) != 1 || len(r.Header["X-A"]) != 1 {
		t.Errorf("headers %v: setting replaces", r.Header)
	}
	if !r.InsecureSkipVerify || !r.StatusBody || !r.ManualRedirects || !r.Truncate || r.BodyLimit != 7 || r.TimeoutMS != 9 {
		t.Errorf("%+v", r)
	}
	if blank, err := parseHTTPRequest([]byte(`{"method":"  "}`)); err != nil || blank.Method != http.MethodGet {
		t.Errorf("a blank method: %+v, %v", blank, err)
	}
	if raw, err := parseHTTPRequest([]byte("{\"body\":\"a\xffb\"}")); err != nil || string(raw.Body) != "a\ufffdb" {
		t.Errorf("invalid bytes: %+v, %v", raw, err)
	}
}

// FuzzParseHTTPRequest compares with encoding/json: what we take it takes too,
// and the texts are the same.
func FuzzParseHTTPRequest(f *testing.F) {
	for _, seed := range []string{
		`{"url":"https://api.example.com/health","method":" post ","body":"x"}`,
		`{"url":"u","headers":{"A":"1"},"timeout_ms":1}`, "{\"url\":\"\xff\\ud800\"}", `{"a":[{}],"url":null}`, `{`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		r, err := parseHTTPRequest(doc)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("%q: %v does not match ErrInvalid", doc, err)
			}
			return
		}
		var want map[string]any
		if err := json.Unmarshal(doc, &want); err != nil {
			t.Fatalf("%q is taken: %v", doc, err)
		}
		url, _ := want["url"].(string)
		if r.URL != strings.Trim(url, blanks) {
			t.Errorf("%q: url %q, want %q", doc, r.URL, strings.Trim(url, blanks))
		}
		if body, _ := want["body"].(string); want["body_base64"] == nil && string(r.Body) != body {
			t.Errorf("%q: body %q, want %q", doc, r.Body, body)
		}
		if !utf8.ValidString(r.URL) || r.Method != strings.ToUpper(r.Method) || r.Method == "" {
			t.Errorf("%q: %+v", doc, r)
		}
	})
}
