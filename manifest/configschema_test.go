package manifest_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/sandcheck/sandcheck/manifest"
)

// firstOf is path and rule of the first problem, "" for none.
func firstOf(err error) string {
	var e *manifest.Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Path + " [" + e.Rule + "]"
}

// TestW77: a config is judged before anything runs; pointer and reason come
// back, secrets do not.
func TestW77(t *testing.T) {
	t.Parallel()
	s := mustSchema(t, `{"type":"object","additionalProperties":false,"required":["host"],"properties":{
		"host":{"type":"string","minLength":1,"maxLength":3},
		"port":{"type":"integer","minimum":1,"maximum":65535},
		"ratio":{"type":"number","minimum":0.5},
		"mode":{"type":"string","enum":["a","b"]},
		"id":{"type":"string","pattern":"^x"},
		"url":{"type":"string","format":"uri"},
		"mail":{"type":"string","format":"email"},
		"on":{"type":"boolean"},
		"tags":{"type":"array","items":{"type":"string"}},
		"key_secret_ref":{"type":"string","secretRef":true,"minLength":8,"pattern":"^secretref:","enum":["secretref:one"]}}}`)
	for _, tt := range []struct{ name, config, want string }{
		{"fine", `{"host":"é€𝄞","port":1,"ratio":0.5,"mode":"a","id":"xy","url":"a:b","mail":"a@b","on":false,"tags":["a"]}`, ""},
		{"missing", `{}`, " [config-required]"},
		{"too short", `{"host":""}`, "/host [config-length]"},
		{"too long", `{"host":"abcd"}`, "/host [config-length]"},
		{"below", `{"host":"h","port":0}`, "/port [config-range]"},
		{"above", `{"host":"h","port":65536}`, "/port [config-range]"},
		{"a fraction", `{"host":"h","port":1.5}`, "/port [config-type]"},
		{"a whole number with a point", `{"host":"h","port":1.0}`, ""},
		{"a whole number with an exponent", `{"host":"h","port":1e3}`, ""},
		{"just below", `{"host":"h","ratio":0.49999999999999999999999}`, "/ratio [config-range]"},
		{"not listed", `{"host":"h","mode":"c"}`, "/mode [config-enum]"},
		{"pattern", `{"host":"h","id":"y"}`, "/id [config-pattern]"},
		{"uri", `{"host":"h","url":"b"}`, "/url [config-format]"},
		{"email", `{"host":"h","mail":"b"}`, "/mail [config-format]"},
		{"boolean", `{"host":"h","on":"true"}`, "/on [config-type]"},
		{"in a list", `{"host":"h","tags":["a",1]}`, "/tags/1 [config-type]"},
		{"extra", `{"host":"h","a/b~c":1}`, "/a~1b~0c [config-extra]"},
		{"duplicate", `{"host":"h","host":"i"}`, "/host [config-json]"},
		{"invalid UTF-8", "{\"host\":\"\xff\"}", "/host [config-json]"},
		{"deep", `{"tags":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, ""},
		{"null", `null`, " [config-type]"},
		{"text", `""`, " [config-type]"},
		{"list", `[]`, " [config-type]"},
		{"number", `5`, " [config-type]"},
		{"huge exponent", `{"host":"h","port":1e999999999}`, "/port [config-json]"},
		{"secret", `{"host":"h","key_secret_ref":"hunter2"}`, "/key_secret_ref [config-enum]"},
		{"clear secret", `{"host":"h","key":{"a":"hunter2"}}`, "/key [config-type]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := s.Apply([]byte(tt.config))
			if tt.name == "deep" {
				if err == nil {
					t.Error("accepted")
				}
				return
			}
			if got := firstOf(err); got != tt.want {
				t.Errorf("%s: got %q, want %q: %v", tt.config, got, tt.want, err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: the secret is in the message: %v", tt.config, err)
			}
		})
	}
}

// TestW86: an author's mistakes in a schema are errors wherever they stand.
func TestW86(t *testing.T) {
	t.Parallel()
	property := func(s string) string { return `{"type":"object","properties":{"a":` + s + `}}` }
	for _, tt := range []struct{ name, schema, want string }{
		{"pattern", property(`{"type":"string","pattern":"("}`), "/properties/a/pattern [schema-pattern]"},
		{"pattern inside items", property(`{"type":"array","items":{"type":"string","pattern":"["}}`), "/properties/a/items/pattern [schema-pattern]"},
		{"default outside its type", property(`{"type":"integer","default":"5"}`), "/properties/a/default [schema-value]"},
		{"default of an array item", property(`{"type":"array","items":{"type":"integer"},"default":[1,"2"]}`), "/properties/a/default/1 [schema-value]"},
		{"default not in enum", property(`{"type":"string","enum":["a"],"default":"b"}`), "/properties/a/default [schema-value]"},
		{"default lacks a member", property(`{"type":"object","properties":{"b":{"type":"string"}},"required":["b"],"default":{}}`), "/properties/a/default [schema-value]"},
		{"required member of a default has a default", property(`{"type":"object","properties":{"b":{"type":"string","default":"x"}},"required":["b"],"default":{}}`), ""},
		{"unknown keyword inside items", property(`{"type":"array","items":{"type":"string","uniqueItems":true}}`), "/properties/a/items/uniqueItems [schema-keyword]"},
		{"enum at the root", `{"type":"object","enum":[{}]}`, "/enum [schema-keyword]"},
		{"default at the root", `{"type":"object","default":{}}`, "/default [schema-keyword]"},
		{"required twice", `{"type":"object","required":["a","a"]}`, "/required/1 [schema-value]"},
		{"dialect inside", property(`{"type":"string","$schema":"x"}`), "/properties/a/$schema [schema-keyword]"},
		{"dialect only", `{"$schema":"x"}`, ""},
		{"dialect is no text", `{"$schema":1,"type":"object"}`, "/$schema [schema-value]"},
		{"keyword in the wrong case", property(`{"Type":"string"}`), "/properties/a [schema-type]"},
		{"value rule on another type", property(`{"type":"boolean","items":3}`), "/properties/a/items [schema-value]"},
		{"title", property(`{"type":"boolean","title":3}`), "/properties/a/title [schema-value]"},
		{"length as 3.0", property(`{"type":"string","minLength":3.0}`), ""},
		{"host member required", `{"type":"object","additionalProperties":false,"required":["relay"]}`, ""},
		{"array", `[]`, " [schema-json]"},
		{"nothing", ``, " [schema-json]"},
		{"pattern that costs too much", property(`{"type":"string","pattern":"(\\pL{30}){30}"}`), "/properties/a/pattern [schema-pattern]"},
		{"pattern that alone costs too much", property(`{"type":"string","pattern":"\\pL{500}"}`), "/properties/a/pattern [schema-pattern]"},
		{"pattern of letters", property(`{"type":"string","pattern":"^\\p{L}{1,255}$"}`), ""},
		{"pattern of letters, digits and marks", property(`{"type":"string","pattern":"^[\\p{L}\\p{N}._-]{1,253}$"}`), ""},
		{"pattern that costs little", property(`{"type":"string","pattern":"(\\pL{3}){3}"}`), ""},
		{"patterns that cost too much together", costly(20), "/properties/p7/pattern [schema-pattern]"},
		{"pattern that explodes", property(`{"type":"string","pattern":"((\\pL{50}){50})"}`), "/properties/a/pattern [schema-pattern]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := manifest.ParseConfigSchema([]byte(tt.schema))
			if got := firstOf(err); got != tt.want {
				t.Errorf("%s\n got %q, want %q: %v", tt.schema, got, tt.want, err)
			}
		})
	}
}

// costly is a schema of n patterns that are each just small enough.
func costly(n int) string {
	var b strings.Builder
	b.WriteString(`{"type":"object","properties":{"x":{"type":"boolean"}`)
	for i := range n {
		fmt.Fprintf(&b, `,"p%d":{"type":"string","pattern":"(abcdefghijklmnopqrstuvwxyzabcdefghijklm){1000}"}`, i)
	}
	return b.String() + "}}"
}

func TestSchemaProblemsHavePositions(t *testing.T) {
	t.Parallel()
	_, err := manifest.ParseConfigSchema([]byte("{\n \"type\": \"object\",\n \"properties\": {\n  \"é\": {\"type\": \"text\", \"foo\": 1}\n }\n}\n"))
	want := "config.schema.json:4:17: /properties/é/type: must be one of string integer number boolean array object [schema-type]\n" +
		"config.schema.json:4:25: /properties/é/foo: is not supported; did you mean \"format\"? [schema-keyword]"
	want = strings.Replace(want, `; did you mean "format"?`, "", 1)
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestSchemaBounds(t *testing.T) {
	t.Parallel()
	nested := func(n int) string {
		return `{"type":"object","properties":{"a":` + strings.Repeat(`{"type":"array","items":`, n) + `{"type":"string"}` + strings.Repeat("}", n) + "}}"
	}
	wide := func(n int) string {
		var b strings.Builder
		b.WriteString(`{"type":"object","properties":{"x":{"type":"object","properties":{`)
		for i := range 500 {
			fmt.Fprintf(&b, `"p%d":{"type":"string"},`, i)
		}
		text := strings.TrimSuffix(b.String(), ",") + "}}"
		b.Reset()
		b.WriteString(text)
		for i := range n - 501 {
			fmt.Fprintf(&b, `,"q%d":{"type":"string"}`, i)
		}
		return b.String() + "}}"
	}
	padded := func(n int) string {
		doc := `{"type":"object"}`
		return doc + strings.Repeat(" ", n-len(doc))
	}
	for _, tt := range []struct {
		name string
		make func(int) string
		most int
	}{{"depth", nested, 14}, {"properties", wide, 1000}, {"bytes", padded, 262_144}, {"pattern", func(n int) string {
		return `{"type":"object","properties":{"a":{"type":"string","pattern":"` + strings.Repeat("a", n) + `"}}}`
	}, 1024}} {
		for _, d := range []int{-1, 0, 1} {
			_, err := manifest.ParseConfigSchema([]byte(tt.make(tt.most + d)))
			if (err == nil) != (d < 1) {
				t.Errorf("%s: %d: ok = %v, want %v: %v", tt.name, tt.most+d, err == nil, d < 1, err)
			}
		}
	}
}

func TestApplyKeepsWhatIsWritten(t *testing.T) {
	t.Parallel()
	s := mustSchema(t, `{"type":"object","properties":{
		"n":{"type":"integer","default":3},
		"o":{"type":"object","properties":{"a":{"type":"string","default":"<é>"},"b":{"type":"object","default":{},"properties":{"c":{"type":"number","default":1.50}}}}},
		"l":{"type":"array","items":{"type":"object","properties":{"k":{"type":"boolean","default":true}}}},
		"z":{"type":"string","default":null}}}`)
	for _, tt := range []struct{ config, want string }{
		{`{}`, `{"n":3}`},
		{"{ }\n", "{ \"n\":3}\n"},
		{``, `{"n":3}`},
		{`{"n":4}`, `{"n":4}`},
		{` { "n" : 4.0 , "x" : "\u00e9" } `, ` { "n" : 4.0 , "x" : "\u00e9" } `},
		{`{"o":{"a":"}"},"l":[{},{"k":false},{"j":[]}]}`, `{"o":{"a":"}","b":{"c":1.50}},"l":[{"k":true},{"k":false},{"j":[],"k":true}],"n":3}`},
		{`{"n":1,"o":{"b":{}}}`, `{"n":1,"o":{"b":{"c":1.50},"a":"<é>"}}`},
		{`{"n":1,"l":[]}`, `{"n":1,"l":[]}`},
	} {
		got, err := s.Apply([]byte(tt.config))
		if err != nil || string(got) != tt.want {
			t.Errorf("Apply(%s) = %s, %v\nwant %s", tt.config, got, err, tt.want)
		}
	}
}

func TestApplyWithoutSchema(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*manifest.ConfigSchema{"nil": nil, "empty": mustSchema(t, "{}")} {
		for _, cfg := range []string{``, `null`, `""`, `[]`, `5`, `{ "a" : 1.0 }`} {
			got, err := s.Apply([]byte(cfg))
			if err != nil || string(got) != cfg {
				t.Errorf("%s: Apply(%q) = %q, %v", name, cfg, got, err)
			}
		}
		if _, err := s.Apply([]byte(`{`)); firstOf(err) != " [config-json]" {
			t.Errorf("%s: Apply of half an object: %v", name, err)
		}
		big := `"` + strings.Repeat("a", 2<<20) + `"`
		if _, err := s.Apply([]byte(big)); firstOf(err) != " [config-size]" {
			t.Errorf("%s: Apply of %d bytes: %v", name, len(big), err)
		}
	}
}

// A default in every element of a long list must not multiply.
func TestDefaultsAreBounded(t *testing.T) {
	text := strings.Repeat("d", 100_000)
	s := mustSchema(t, `{"type":"object","properties":{"l":{"type":"array","items":{"type":"object","properties":{"a":{"type":"string","default":"`+text+`"}}}}}}`)
	list := func(n int) []byte { return []byte(`{"l":[` + strings.TrimSuffix(strings.Repeat("{},", n), ",") + `]}`) }
	if got, err := s.Apply(list(20)); err != nil || len(got) < 2_000_000 {
		t.Errorf("20 elements: %d bytes, %v", len(got), err)
	}
	var err error
	took, allocated := measure(func() { _, err = s.Apply(list(50_000)) })
	if firstOf(err) != " [config-size]" || took > time.Second || allocated > 64<<20 {
		t.Errorf("50,000 elements: %v in %v and %d MiB", err, took, allocated>>20)
	}
	nested := `{"type":"object","properties":{"x":{"type":"array","items":{"type":"object","properties":{"a":{"type":"string","default":"` + text + `"}}},"default":[` +
		strings.TrimSuffix(strings.Repeat("{},", 20_000), ",") + `]}}}`
	if _, err := manifest.ParseConfigSchema([]byte(nested)); firstOf(err) != "/properties/x/default [schema-size]" {
		t.Errorf("default of 20,000 elements: %.200s", fmt.Sprint(err))
	}
}

func TestCoerceStrings(t *testing.T) {
	t.Parallel()
	s := mustSchema(t, `{"type":"object","properties":{
		"i":{"type":"integer"},"n":{"type":"number"},"b":{"type":"boolean"},"s":{"type":"string"},
		"l":{"type":"array","items":{"type":"string"}},"p":{"type":"array","items":{"type":"integer"}},
		"o":{"type":"object","properties":{"i":{"type":"integer"}}}}}`)
	for _, tt := range []struct{ config, want string }{
		{`{"i":" 5 ","n":"1.50","b":"True","s":"5"}`, `{"i":5,"n":1.50,"b":true,"s":"5"}`},
		{`{"i":"5x","n":"","b":"yes"}`, `{"i":"5x","n":"","b":"yes"}`},
		{`{"i":"5.5","n":"1e400"}`, `{"i":"5.5","n":1e400}`},
		{`{"n":"1e401"}`, `{"n":"1e401"}`},
		{`{"l":"a, b\n\"c\" ,,","p":"80, 443,x"}`, `{"l":["a","b","\"c\""],"p":[80,443,"x"]}`},
		{`{"p":["1",2]}`, `{"p":[1,2]}`},
		{`{"o":{"i":"7"}, "x" : "8"}`, `{"o":{"i":7}, "x" : "8"}`},
		{`{"l":""}`, `{"l":[]}`},
		{``, ``},
	} {
		got, err := s.CoerceStrings([]byte(tt.config))
		if err != nil || string(got) != tt.want {
			t.Errorf("CoerceStrings(%s) = %s, %v\nwant %s", tt.config, got, err, tt.want)
		}
	}
	if _, err := s.CoerceStrings([]byte("{")); err == nil {
		t.Error("half an object is accepted")
	}
}

func TestConfigSchemaIsSafeForManyGoroutines(t *testing.T) {
	t.Parallel()
	s := mustSchema(t, `{"type":"object","properties":{"a":{"type":"string","default":"x","pattern":"^x"},"b":{"type":"integer","minimum":1}}}`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if got, err := s.Apply([]byte(`{"b":2}`)); err != nil || string(got) != `{"b":2,"a":"x"}` {
					t.Errorf("got %s, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
}

// The verdict agrees with an independent validator on every schema of the
// subset that it reads the same way.
func TestAgreesWithAnotherValidator(t *testing.T) {
	t.Parallel()
	schemas := []string{
		`{"type":"object","properties":{"a":{"type":"integer","minimum":-1,"maximum":3}},"required":["a"]}`,
		`{"type":"object","properties":{"a":{"type":"string","minLength":2,"maxLength":3,"pattern":"b"}},"additionalProperties":false}`,
		`{"type":"object","properties":{"a":{"type":"array","items":{"type":"number","enum":[1,2.5,1e2]}}}}`,
		`{"type":"object","properties":{"a":{"type":"object","enum":[{"x":1,"y":[2]},{}]}}}`,
		`{"type":"object","properties":{"a":{"type":"boolean"}},"required":["b"]}`,
	}
	values := []string{
		`1`, `-1`, `-2`, `3`, `4`, `1.0`, `1.5`, `1e0`, `100`, `2.50`, `"ab"`, `"b"`, `"abcd"`, `"éb"`, `"xyz"`, `true`, `null`, `[]`, `[1,2.5]`,
		`[100.0,1]`, `[3]`, `["1"]`, `{}`, `{"y":[2.0],"x":1}`, `{"x":1}`, `{"x":1,"y":[2],"z":0}`,
	}
	for _, doc := range schemas {
		ours := mustSchema(t, doc)
		theirs := jsonschema.MustCompileString("mem:///s.json", doc)
		var configs []string
		for _, v := range values {
			configs = append(configs, v, `{"a":`+v+`}`, `{"b":`+v+`}`, `{"a":`+v+`,"b":1}`)
		}
		for _, cfg := range configs {
			_, err := ours.Apply([]byte(cfg))
			if want := theirs.Validate(decode(t, cfg)); (err == nil) != (want == nil) {
				t.Errorf("%s\nwith %s: got %v, the other validator says %v", doc, cfg, err, want)
			}
		}
	}
}

func FuzzConfigSchema(f *testing.F) {
	f.Add(`{"type":"object","properties":{"a":{"type":"integer","default":1}}}`, `{}`)
	f.Add(`{"type":"object","properties":{"a":{"type":"array","items":{"type":"object","default":{},"properties":{"b":{"type":"string","default":"x"}}}}}}`, `{"a":[{}]}`)
	f.Add(`{"type":"object","additionalProperties":false,"properties":{"k_secret_ref":{"type":"string","secretRef":true}}}`, `{"k":"1"}`)
	f.Fuzz(func(t *testing.T, doc, cfg string) {
		s, err := manifest.ParseConfigSchema([]byte(doc))
		if err != nil {
			return
		}
		if coerced, err := s.CoerceStrings([]byte(cfg)); err == nil {
			cfg = string(coerced)
		}
		full, err := s.Apply([]byte(cfg))
		if err != nil {
			return
		}
		again, err := s.Apply(full)
		if err != nil || string(again) != string(full) {
			t.Errorf("%s: Apply(%s) = %s, but Apply of that = %s, %v", doc, cfg, full, again, err)
		}
	})
}
