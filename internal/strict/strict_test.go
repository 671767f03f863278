package strict_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sandcheck/sandcheck/internal/strict"
)

// problems lists "code pointer" of every problem.
func problems(err error) []string {
	var list strict.Errors
	if !errors.As(err, &list) {
		return nil
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Code+" "+e.Pointer)
	}
	return out
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, doc string
		want      []string
	}{
		{"object", ` {"a": [1, -0.5e+3, true, false, null, "x", {}, []]} `, nil},
		{"empty", "", []string{"empty "}},
		{"white space", " \n", []string{"not_json "}},
		{"byte order mark", "\xef\xbb\xbf{}", []string{"bom "}},
		{"UTF-16", "\xff\xfe{\x00}\x00", []string{"bom "}},
		{"word", "not json", []string{"not_json "}},
		{"list", "[]", []string{"not_object "}},
		{"null", "null", []string{"not_object "}},
		{"trailing word", "{} junk", []string{"trailing_data "}},
		{"two documents", "{}{}", []string{"trailing_data "}},
		{"cut", `{"a":[1,{"b":`, []string{"not_json /a/1/b"}},
		{"NaN", `{"a":NaN}`, []string{"not_json /a"}},
		{"final comma in object", `{"a":1,}`, []string{"not_json "}},
		{"final comma in list", `{"a":[1,]}`, []string{"not_json /a/1"}},
		{"leading zero", `{"a":01}`, []string{"not_json /a"}},
		{"plus", `{"a":+1}`, []string{"not_json /a"}},
		{"bare point", `{"a":1.}`, []string{"not_json /a"}},
		{"bare exponent", `{"a":1e}`, []string{"not_json /a"}},
		{"bare minus", `{"a":-}`, []string{"not_json /a"}},
		{"single quotes", `{'a':1}`, []string{"not_json "}},
		{"raw newline in text", "{\"a\":\"x\ny\"}", []string{"not_json /a"}},
		{"unknown escape", `{"a":"\x41"}`, []string{"not_json /a"}},
		{"short escape", `{"a":"\u12"}`, []string{"not_json /a"}},
		{"open text", `{"a":"x`, []string{"not_json /a"}},
		{"duplicate", `{"a":1,"a":2}`, []string{"duplicate_key /a"}},
		{"duplicate by escape", `{"a":1,"\u0061":2}`, []string{"duplicate_key /a"}},
		{"duplicate in a list", `{"x":[0,{"b/~":1,"b/~":2}]}`, []string{"duplicate_key /x/1/b~1~0"}},
		{"same key in two objects", `{"a":{"a":1},"b":{"a":1}}`, nil},
		{"case differs", `{"a":1,"A":2}`, nil},
		{"broken key", "{\"a\xff\":1}", []string{"key_utf8 /a\ufffd"}},
		{"half a surrogate in a key", `{"\udc00":1}`, []string{"key_utf8 /\ufffd"}},
		{"broken value", "{\"a\":\"\xff\"}", []string{"invalid_utf8 /a"}},
		{"half a surrogate", `{"a":"\ud800\u0041"}`, []string{"invalid_utf8 /a"}},
		{"surrogate pair", `{"a":"\ud83d\ude00"}`, nil},
		{"several at once", "{\"a\":\"\xff\",\"a\":1e999,\"b\":\"\xfe\"} x", []string{
			"invalid_utf8 /a", "duplicate_key /a", "number_too_long /a", "invalid_utf8 /b", "trailing_data ",
		}},
		{"pointer names the object", `{"a":{"b":1},"c":{`, []string{"not_json /c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := strict.Check([]byte(tt.doc), strict.Options{})
			if diff := cmp.Diff(tt.want, problems(err)); diff != "" {
				t.Errorf("Check(%q) (-want +got):\n%s", tt.doc, diff)
			}
		})
	}
}

// TestBounds asks one below, at and one above each bound.
func TestBounds(t *testing.T) {
	t.Parallel()
	keys := func(n int) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = fmt.Sprintf(`"k%d":0`, i)
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	for _, tt := range []struct {
		name string
		code string
		o    strict.Options
		most int
		doc  func(n int) string
	}{
		{"bytes", "too_large", strict.Options{}, 2_097_152, func(n int) string { return "{}" + strings.Repeat(" ", n-2) }},
		{"depth", "too_deep", strict.Options{}, 32, func(n int) string {
			return `{"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + "}"
		}},
		{"depth by option", "too_deep", strict.Options{Depth: 3}, 3, func(n int) string {
			return strings.Repeat(`{"a":`, n-1) + "{}" + strings.Repeat("}", n-1)
		}},
		{"tokens", "too_many_tokens", strict.Options{}, 200_000, func(n int) string {
			return `{"a":[` + strings.Repeat("1,", n-6) + "1]}"
		}},
		{"keys", "too_many_keys", strict.Options{}, 1024, keys},
		{"few keys by option", "too_many_keys", strict.Options{Keys: 2}, 2, keys},
		{"digits", "number_too_long", strict.Options{}, 64, func(n int) string { return `{"a":` + strings.Repeat("1", n) + "}" }},
		{"exponent", "number_too_long", strict.Options{}, 400, func(n int) string { return fmt.Sprintf(`{"a":1e%d}`, n) }},
		{"negative exponent", "number_too_long", strict.Options{}, 400, func(n int) string { return fmt.Sprintf(`{"a":1E-00%d}`, n) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, n := range []int{tt.most - 1, tt.most} {
				if err := strict.Check([]byte(tt.doc(n)), tt.o); err != nil {
					t.Errorf("%d of at most %d: %v", n, tt.most, err)
				}
			}
			var e *strict.Error
			if err := strict.Check([]byte(tt.doc(tt.most+1)), tt.o); !errors.As(err, &e) || e.Code != tt.code {
				t.Errorf("%d of at most %d: got %v, want %s", tt.most+1, tt.most, err, tt.code)
			}
		})
	}
}

// TestDuplicateAnywhere puts the second of two equal keys behind objects small
// and large, written alike or by an escape.
func TestDuplicateAnywhere(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 2, 15, 16, 17, 18, 40, 1000} {
		for _, first := range []int{0, size / 2, size - 1} {
			for _, again := range []string{fmt.Sprintf("k%d", first), fmt.Sprintf(`\u006b%d`, first)} {
				var b strings.Builder
				for i := range size {
					fmt.Fprintf(&b, `"k%d":0,`, i)
				}
				doc := fmt.Sprintf(`{"o":{%s"%s":1}}`, b.String(), again)
				want := []string{fmt.Sprintf("duplicate_key /o/k%d", first)}
				if diff := cmp.Diff(want, problems(strict.Check([]byte(doc), strict.Options{}))); diff != "" {
					t.Errorf("%d keys, key %d twice as %q (-want +got):\n%s", size, first, again, diff)
				}
			}
		}
	}
}

func TestManyProblemsAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 10_000)
	doc := "{" + strings.Repeat(`"`+long+`":1,`, 90) + `"z":1}`
	err := strict.Check([]byte(doc), strict.Options{})
	if got := len(problems(err)); got != 50 {
		t.Errorf("89 duplicate keys: %d problems reported, want 50", got)
	}
	if n := len(err.Error()); n > 20_000 {
		t.Errorf("the message of 50 problems with long keys has %d bytes", n)
	}
	if !utf8.ValidString(err.Error()) {
		t.Error("a long key was cut inside of a character")
	}
}

func TestAnyRoot(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{"null", "5", `"x"`, "[1]", "{}"} {
		if err := strict.Check([]byte(doc), strict.Options{AnyRoot: true}); err != nil {
			t.Errorf("Check(%q, AnyRoot) = %v, want nil", doc, err)
		}
	}
}

func TestRepair(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, doc, want string
		repaired        []string
	}{
		{"nothing to do", `{"a":"\\ud800"}`, `{"a":"\\ud800"}`, nil},
		{"byte", "{\"a\":\"x\xff\xfey\"}", "{\"a\":\"x\ufffd\ufffdy\"}", []string{"invalid_utf8 /a"}},
		{"half", `{"a":["\ud800x","\udc00\ud800\u0041"]}`, `{"a":["\ufffdx","\ufffd\ufffd\u0041"]}`, []string{"invalid_utf8 /a/0", "invalid_utf8 /a/1"}},
		{"pair stays", `{"a":"\ud83d\ude00\ud83d"}`, `{"a":"\ud83d\ude00\ufffd"}`, []string{"invalid_utf8 /a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, repaired, err := strict.Repair([]byte(tt.doc), strict.Options{})
			if err != nil || string(got) != tt.want {
				t.Errorf("Repair(%q) = %q, %v; want %q", tt.doc, got, err, tt.want)
			}
			if diff := cmp.Diff(tt.repaired, problems(repaired)); diff != "" {
				t.Errorf("Repair(%q) (-want +got):\n%s", tt.doc, diff)
			}
		})
	}
	if _, _, err := strict.Repair([]byte("{\"a\xff\":1}"), strict.Options{}); err == nil {
		t.Error("a broken key was repaired; two keys could become one")
	}
}

func TestWalk(t *testing.T) {
	t.Parallel()
	doc := []byte(` { "a" : [ 1 , "x\"]" , {"b":[]} ] , "\u0062\n" : 1.50 , "c":null,"d":true } `)
	if err := strict.Check(doc, strict.Options{}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for name, value := range strict.Fields(doc) {
		got = append(got, fmt.Sprintf("%q %s %d", name, value, strict.KindOf(value)))
		for i, v := range strict.Elements(value) {
			got = append(got, fmt.Sprintf("%d %s %q", i, v, strict.Unquote(v)))
		}
	}
	want := []string{
		fmt.Sprintf(`"a" [ 1 , "x\"]" , {"b":[]} ] %d`, strict.Array),
		`0 1 ""`, `1 "x\"]" "x\"]"`, `2 {"b":[]} ""`,
		fmt.Sprintf(`"b\n" 1.50 %d`, strict.Number),
		fmt.Sprintf(`"c" null %d`, strict.Null),
		fmt.Sprintf(`"d" true %d`, strict.Bool),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("walking %s (-want +got):\n%s", doc, diff)
	}
}

// FuzzCheck holds the promises: whatever passes is JSON for encoding/json too
// and walks to the same values, whatever fails says where, nothing panics.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,"x",{"b":null}]}`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}", `{"a":1,"a":2}`, `[1e400]`, `{"a":`, "\xef\xbb\xbf{}", `{} {}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		walk(doc) // of unchecked text as well
		clean, repaired, err := strict.Repair(doc, strict.Options{})
		if err != nil {
			for _, p := range problems(err) {
				if !utf8.ValidString(p) {
					t.Errorf("Repair(%q): problem %q is not UTF-8", doc, p)
				}
			}
			return
		}
		if (strict.Check(doc, strict.Options{}) == nil) != (len(repaired) == 0) {
			t.Errorf("Check and Repair disagree on %q", doc)
		}
		if !json.Valid(clean) || !utf8.Valid(clean) {
			t.Errorf("Repair(%q) = %q, which is not JSON", doc, clean)
		}
		if err := strict.Check(clean, strict.Options{Bytes: 1 << 30}); err != nil {
			t.Errorf("Repair(%q) = %q, which does not pass: %v", doc, clean, err)
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(clean, &want); err != nil {
			t.Fatalf("Repair(%q) = %q: %v", doc, clean, err)
		}
		got := map[string]json.RawMessage{}
		for name, value := range strict.Fields(clean) {
			got[name] = value
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("fields of %q (-want +got):\n%s", clean, diff)
		}
	})
}

func walk(value []byte) {
	strict.Unquote(value)
	for _, v := range strict.Fields(value) {
		walk(v)
	}
	for _, v := range strict.Elements(value) {
		walk(v)
	}
}
