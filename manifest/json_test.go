package manifest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sandcheck/sandcheck/manifest"
)

// TestJSONEscapes: a manifest that is JSON may have every escape that JSON has,
// and YAML keeps its own rules.
func TestJSONEscapes(t *testing.T) {
	t.Parallel()
	doc := func(name string) string {
		return `{"id":"http-check","name":"` + name + `","version":"1.2.0","entrypoint":"run_check","outputs":"serviceradar.plugin_result.v1",` +
			`"capabilities":["get_config"],"resources":{"requested_memory_mb":16,"requested_cpu_ms":500}}`
	}
	for _, name := range []string{
		`a \/ b`, `\/`, `\\\/`, `\\/`, `\ud83d\ude00`, `x\ud83d\ude00\u00e9`, `\"\/\"`, `\u002f`, `a\\ud83d`, `\ud83d alone`, `\ude00`, `\ud83d\u0041`,
	} {
		var want string
		if err := json.Unmarshal([]byte(`"`+name+`"`), &want); err != nil {
			t.Fatal(err)
		}
		m, err := manifest.Parse([]byte(doc(name)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if m.Name != want {
			t.Errorf("%s: read as %q, want %q", name, m.Name, want)
		}
	}
	if _, err := manifest.Parse([]byte(strings.Replace(doc(`a \/ b`), "}}", "},}", 1))); err == nil {
		t.Error("an escape that YAML does not know was read in a document that is not JSON")
	}
	if _, err := manifest.Parse([]byte("\ufeff\ufeff" + doc("x"))); err == nil || !strings.Contains(err.Error(), "manifest-encoding") {
		t.Errorf("two byte order marks: %v", err)
	}
}
