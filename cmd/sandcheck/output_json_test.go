package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
)

// TestJSONShape compares whole objects with golden files, after what differs
// from run to run was replaced.
func TestJSONShape(t *testing.T) {
	t.Parallel()
	refused := `{"url":"http://127.0.0.1:9/"}`
	for _, tt := range []struct {
		name string
		args []string
		code int
	}{
		{"ok", []string{"run", "--unsigned", shared("alive")}, 0},
		{"refused", []string{"run", "--unsigned", "--grant-requested", "--config", refused, shared("http-check")}, 2},
		{"not-granted", []string{"run", "--unsigned", "--config", refused, shared("http-check")}, 2},
		{"trap", []string{"run", "--unsigned", own("trap")}, 3},
		{"late", []string{"run", "--unsigned", own("late")}, 0},
		{"invalid-config", []string{"run", "--unsigned", shared("http-check")}, 3},
		{"invalid-package", []string{"run", "--unsigned", shared("import-memory")}, 3},
		{"unsigned", []string{"run", shared("alive")}, 3},
		{"invalid-argument", []string{"run", "--memory", "0", shared("alive")}, 3},
		{"inspect-ok", []string{"inspect", shared("http-check")}, 0},
		{"inspect-invalid", []string{"inspect", shared("import-memory")}, 3},
		{"inspect-unread", []string{"inspect", t.TempDir()}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := invoke(t, append(tt.args, "--format", "json")...)
			got.wantCode(t, tt.code)
			if !strings.HasSuffix(got.out, "}\n") || strings.Count(got.out, "\n") != 1 {
				t.Errorf("not one line: %q", got.out)
			}
			golden(t, tt.name, normalised(t, got.out))
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".json")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; rewrite it with -update", err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n%s", path, got)
	}
}

// changing are the values that differ from run to run.
var changing = regexp.MustCompile(`"((?:cpu|wall|host_wait|instantiate|took|lookup|connect|tls|first_byte)_ms|fuel|init_fuel)": [0-9.e+-]+`)

var stamps = regexp.MustCompile(`"(at|observed_at|run)": "[^"]+"`)

// normalised is doc indented, in the order in which it was written.
func normalised(t *testing.T, doc string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(doc), "", "  "); err != nil {
		t.Fatal(err)
	}
	text := changing.ReplaceAllString(b.String(), `"$1": 0`)
	return strings.TrimSpace(stamps.ReplaceAllString(text, `"$1": "..."`)) + "\n"
}

// TestJSONHasEveryField fills every field of the core's types and expects each
// under its name in snake_case with a value: a field that is new there, or that
// was forgotten here, shows.
func TestJSONHasEveryField(t *testing.T) {
	t.Parallel()
	var u limits.Usage
	var d netproxy.Decision
	var l host.LogLine
	for _, tt := range []struct {
		from any
		to   func() any
	}{
		{&u, func() any { return usageToJSON(u) }},
		{&d, func() any { return decisionToJSON(d) }},
		{&d.Target, func() any { return decisionToJSON(d).Target }},
		{&l, func() any { return logJSON(l) }},
	} {
		fill(t, reflect.ValueOf(tt.from).Elem())
		doc, err := json.Marshal(tt.to())
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(doc, &got); err != nil {
			t.Fatal(err)
		}
		from := reflect.TypeOf(tt.from).Elem()
		if len(got) != from.NumField() {
			t.Errorf("%v has %d fields, its JSON %d: %s", from, from.NumField(), len(got), doc)
		}
		for i := range from.NumField() {
			name := snake(from.Field(i).Name)
			if from.Field(i).Type == reflect.TypeFor[time.Duration]() {
				name += "_ms"
			}
			value, ok := got[name]
			if !ok || value == nil || reflect.ValueOf(value).IsZero() {
				t.Errorf("%v.%s: %q is %v in %s", from, from.Field(i).Name, name, value, doc)
			}
		}
	}
}

// fill sets every field of a struct to something other than zero.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		f := v.Field(i)
		switch {
		case f.Type() == reflect.TypeFor[time.Duration]():
			f.SetInt(int64(1500 * time.Microsecond))
		case f.Type() == reflect.TypeFor[time.Time]():
			f.Set(reflect.ValueOf(time.Unix(1, 0)))
		case f.CanInt():
			f.SetInt(4)
		case f.CanUint():
			f.SetUint(4)
		case f.Kind() == reflect.String:
			f.SetString("text")
		case f.Kind() == reflect.Bool:
			f.SetBool(true)
		case f.Kind() == reflect.Map:
			f.Set(reflect.ValueOf(map[string]int{"log": 1}))
		case f.Kind() == reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case f.Type() == reflect.TypeFor[netproxy.Target]():
			fill(t, f)
		case f.Kind() == reflect.Struct:
			if err := f.Addr().Interface().(interface{ UnmarshalText([]byte) error }).UnmarshalText([]byte("192.0.2.1:80")); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("cannot fill a %v", f.Type())
		}
	}
}

// snake turns BytesIn into bytes_in and InsecureTLS into insecure_tls.
func snake(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

func TestDurationsAreMilliseconds(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0", 999: "0", time.Microsecond: "0.001", 1500 * time.Microsecond: "1.5", 2*time.Minute + 3*time.Millisecond: "120003",
	} {
		if got, err := json.Marshal(ms(d)); err != nil || string(got) != want {
			t.Errorf("ms(%v) = %s, %v, want %s", d, got, err, want)
		}
	}
}
