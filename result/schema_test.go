package result_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/sandcheck/sandcheck/result"
)

// TestJSONSchemaAgreesWithParse holds the schema against every case of the
// vectors: what is read without an issue fits, what has no status or summary,
// or a field of a wrong type, does not.
func TestJSONSchemaAgreesWithParse(t *testing.T) {
	t.Parallel()
	c := jsonschema.NewCompiler()
	if err := c.AddResource("result.json", strings.NewReader(string(result.JSONSchema()))); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("result.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Result struct{ Cases []json.RawMessage }
	}
	readVectors(t, "abi.json", &file)
	docs := []string{
		with(`"metrics":[{"name":"a"}]`), with(`"display":[{"widget":"gauge"}]`), with(`"display":[{"widget":"stat_card","tone":"red"}]`),
		with(`"labels":{"a":1}`), with(`"events":[{"severity_id":7}]`), with(`"alert_hint":"yes"`), with(`"schema_version":0`), with(`"observed_at":"soon"`),
		with(`"display":[{"widget":"sparkline","data":{"values":[1]}},{"widget":"markdown","data":{"markdown":"x"}}],"vendor":1`),
	}
	for _, raw := range file.Result.Cases {
		var c resultCase
		strictly(t, raw, &c)
		docs = append(docs, string(c.doc(t)))
	}
	fits := 0
	for _, doc := range docs {
		var v any
		d := json.NewDecoder(strings.NewReader(doc))
		d.UseNumber()
		if len(doc) > 1<<20 || d.Decode(&v) != nil || d.More() {
			continue
		}
		r, err := result.Parse([]byte(doc))
		if err != nil && refusal(doc) != "status_missing" && refusal(doc) != "status_value" && !strings.HasPrefix(refusal(doc), "summary_") {
			continue // of structure a schema says nothing
		}
		clean := err == nil
		for _, i := range issuesOf(r) {
			switch i.Code {
			case "schema_version_newer", "case_mismatch", "perfdata", "invalid_utf8": // beyond a schema
			case "text_truncated": // a schema counts characters, not bytes
				got := schema.Validate(v)
				clean = got == nil
			default:
				clean = false
			}
		}
		switch got := schema.Validate(v); {
		case clean && got != nil:
			t.Errorf("read without an issue, but does not fit: %.200s\n%v", doc, got)
		case !clean && got == nil && !strings.Contains(doc, "1e400"):
			t.Errorf("fits, but is refused or repaired: %.200s\n%v %v", doc, err, r)
		case clean:
			fits++
		}
	}
	if fits < 15 {
		t.Errorf("only %d documents were held against the schema", fits)
	}
	result.JSONSchema()[0] = '#'
	if result.JSONSchema()[0] != '{' {
		t.Error("a caller can change the schema of others")
	}
}

func issuesOf(r *result.Result) []result.Issue {
	if r == nil {
		return nil
	}
	return r.Issues
}
