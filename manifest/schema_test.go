package manifest_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"
	"gopkg.in/yaml.v3"

	"github.com/sandcheck/sandcheck/manifest"
)

// beyondSchema are the bad files whose rule a schema cannot state, by the start
// of their names.
var beyondSchema = []string{
	"alias", "depth", "document-second", "encoding", "key-twice", "key-map", "key-number", "yaml", "permission-domain.",
	"permission-network.", "int-octal", "int-underscore", "version-float",
}

func editorSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.Draft = jsonschema.Draft7
	if err := c.AddResource("mem:///plugin.json", bytes.NewReader(manifest.JSONSchema())); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("mem:///plugin.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON reads YAML as an editor does. A null stands for an absent field.
func asJSON(t *testing.T, doc []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(doc, &v); err != nil {
		t.Fatal(err)
	}
	if m, ok := v.(map[string]any); ok {
		for key, value := range m {
			if value == nil {
				delete(m, key)
			}
		}
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, string(text))
}

func TestEditorSchemaAgreesWithParse(t *testing.T) {
	t.Parallel()
	s := editorSchema(t)
	files, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		valid := strings.Contains(file, "valid/") && !strings.Contains(file, "invalid/")
		if !valid && beyond(filepath.Base(file)) {
			continue
		}
		doc, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(asJSON(t, doc)); (err == nil) != valid {
			t.Errorf("%s: the schema says %v, want valid = %v", file, err, valid)
		}
	}
}

func beyond(name string) bool {
	for _, prefix := range beyondSchema {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func TestEditorSchemaAcceptsWhatParseAccepts(t *testing.T) {
	t.Parallel()
	s := editorSchema(t)
	for _, tt := range vectors[[]map[string]any](t, "abi.json", "manifest") {
		doc := tt["yaml"].(string)
		if _, err := manifest.Parse([]byte(doc)); err != nil {
			continue
		}
		if err := s.Validate(asJSON(t, []byte(doc))); err != nil {
			t.Errorf("%s: Parse accepts it, the schema says %v\n%s", tt["id"], err, doc)
		}
	}
	a, b := manifest.JSONSchema(), manifest.JSONSchema()
	a[0] = 'x'
	if b[0] != '{' {
		t.Error("callers share the schema")
	}
}
