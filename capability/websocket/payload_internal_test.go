package websocket

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sandcheck/sandcheck/capability"
)

func TestParseRequest(t *testing.T) {
	t.Parallel()
	nested := func(n int) string {
		return `{"url":"ws://c","x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
	}
	names := func(n int) string {
		var b strings.Builder
		for i := range n - 1 {
			fmt.Fprintf(&b, `,"n%d":0`, i)
		}
		return `{"url":"ws://c"` + b.String() + `}`
	}
	for _, tt := range []struct {
		name, in string
		ok       bool
	}{
		{"unknown fields", `{"a":[1,{"b":null}],"url":"ws://c","Url":5,"URL":"x"}`, true},
		{"null is absent", `{"url":"ws://c","headers":null,"insecure_skip_verify":null}`, true},
		{"a header of null", `{"url":"ws://c","headers":{"A":null}}`, true},
		{"only null", `{"url":null}`, false},
		{"names are exact", `{"URL":"ws://c"}`, false},
		{"blank", "{\"url\":\" \t \"}", false},
		{"empty object", `{}`, false},
		{"cut off", `{"url":"ws://c"`, false},
		{"two values", `{"url":"ws://c"}{}`, false},
		{"headers are no object", `{"url":"ws://c","headers":["A"]}`, false},
		{"header of a number", `{"url":"ws://c","headers":{"A":1}}`, false},
		{"header of an object", `{"url":"ws://c","headers":{"A":{}}}`, false},
		{"header twice", `{"url":"ws://c","headers":{"A":"1","A":"2"}}`, false},
		{"skip in quotes", `{"url":"ws://c","insecure_skip_verify":"true"}`, false},
		{"skip as a number", `{"url":"ws://c","insecure_skip_verify":1}`, false},
		{"the same name inside an unknown field", `{"url":"ws://c","x":{"a":1,"a":2}}`, false},
		{"the same name, one escaped", `{"url":"ws://c","\u0075rl":"ws://d"}`, false},
		{"32 deep", nested(31), true},
		{"33 deep", nested(32), false},
		{"objects 33 deep", `{"url":"ws://c","x":` + strings.Repeat(`{"x":`, 32) + "0" + strings.Repeat("}", 33), false},
		{"1023 names", names(1023), true},
		{"1024 names", names(1024), true},
		{"1025 names", names(1025), false},
		{"broken text", "{\"url\":\"ws://c\",\"x\":\"\xff\"}", true},
		{"a byte order mark", "\xef\xbb\xbf{\"url\":\"ws://c\"}", true}, // no object: a URL, which the Guard refuses
	} {
		req, err := parseRequest([]byte(tt.in))
		if tt.ok != (err == nil) || err != nil && !errors.Is(err, capability.ErrInvalid) {
			t.Errorf("%s: %.60q: %+v, %v", tt.name, tt.in, req, err)
		}
	}
	req, err := parseRequest([]byte(" {\"headers\":{\" x-b \":\" v \",\"X-B\":\"last\",\"\":\"no\"},\"url\":\" ws://c \"} \n"))
	if err != nil || req.url != "ws://c" || len(req.header) != 1 || req.header.Get("X-B") != "last" {
		t.Errorf("got %+v, %v", req, err)
	}
}

func TestSubprotocols(t *testing.T) {
	t.Parallel()
	got := subprotocols(http.Header{"Sec-Websocket-Protocol": {" a ,b,, "}})
	if len(got) != 2 || got[0] != "a" || got[1] != "b" {
		t.Errorf("got %q", got)
	}
}

// Whatever the payload: an error that says invalid, or a request whose parts
// stand in the payload and whose headers are clean.
func FuzzParseRequest(f *testing.F) {
	for _, s := range []string{
		"ws://camera.local/ws", "  wss://a/b  ", `{"url":"wss://c/ws","headers":{"Authorization":"Basic abc"},"insecure_skip_verify":true}`,
		"{bad", `{"url":""}`, `{"url":"ws://c/ws","headers":{"":"x","  ":"y"}}`, `["ws://x"]`, `{"url":"a","url":"b"}`, `{"url":"ws://c"} x`, `{"a":[[{"b":{}}]]}`, "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		req, err := parseRequest(payload)
		if err != nil {
			if !errors.Is(err, capability.ErrInvalid) {
				t.Errorf("%q: %v", payload, err)
			}
			return
		}
		if req.url == "" || strings.Trim(req.url, blanks) != req.url {
			t.Errorf("%q: url %q", payload, req.url)
		}
		for name, values := range req.header {
			if strings.TrimSpace(name) != name || name == "" || len(values) != 1 {
				t.Errorf("%q: header %q: %q", payload, name, values)
			}
		}
		again, err := parseRequest([]byte(req.url))
		if err == nil && !strings.HasPrefix(req.url, "{") && (again.url != req.url || again.insecure || len(again.header) > 0) {
			t.Errorf("%q read again is %+v", req.url, again)
		}
	})
}

func TestMessage(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 1023, 1024, 1025, 3072, 100_000, 2 << 20} {
		want := strings.Repeat("0123456789", size/10+1)[:size]
		var m message
		for r := strings.NewReader(want); r.Len() > 0; {
			n, err := r.Read(m.space())
			if err != nil || n == 0 {
				t.Fatal(n, err)
			}
			m.filled(n)
		}
		held := 0
		for _, p := range m.parts {
			held += cap(p)
		}
		out := make([]byte, size)
		if n := m.copyTo(out); n != size || m.size != size || string(out) != want {
			t.Errorf("%d bytes: copied %d", size, n)
		}
		if most := 2*size + firstPart; held > most || held > size+mostPart {
			t.Errorf("%d bytes are held in %d", size, held)
		}
	}
}
