package manifest_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/sandcheck/sandcheck/manifest"
)

// A suiteGroup is a schema of the JSON Schema Test Suite with values to judge.
type suiteGroup struct {
	Description string
	Schema      json.RawMessage
	Tests       []struct {
		Description string
		Data        json.RawMessage
		Valid       bool
	}
}

// TestJSONSchemaSuite compares verdicts with those of the official suite, for
// each of its schemas that the subset takes as it is written. Most of them say
// no type, or have a keyword outside the subset: those must be refused, since
// one that is accepted is judged here by every keyword it has.
func TestJSONSchemaSuite(t *testing.T) {
	t.Parallel()
	// Both are of the files as they are: fewer means that the subset shrank or
	// a file went missing, and both would go unnoticed otherwise.
	const leastFitted, allCases = 44, 179
	fitted, all := 0, 0
	refusals := map[string]int{}
	for name, groups := range suiteFiles(t) {
		for _, g := range groups {
			all += len(g.Tests)
			s, err := manifest.ParseConfigSchema([]byte(`{"type":"object","properties":{"v":` + string(g.Schema) + `}}`))
			if err != nil {
				refusals[refusal(t, err)] += len(g.Tests)
				continue
			}
			for _, c := range g.Tests {
				fitted++
				if _, err := s.Apply([]byte(`{"v":` + string(c.Data) + `}`)); (err == nil) != c.Valid {
					t.Errorf("%s: %s: %s\nschema %s\ndata %s\ngot %v, want valid = %v", name, g.Description, c.Description, g.Schema, c.Data, err, c.Valid)
				}
			}
		}
	}
	t.Logf("%d of %d cases fit the subset; the schemas of the others were refused for %v", fitted, all, refusals)
	if fitted < leastFitted || all < allCases {
		t.Errorf("%d of %d cases fit, want at least %d of %d", fitted, all, leastFitted, allCases)
	}
}

func suiteFiles(t *testing.T) map[string][]suiteGroup {
	t.Helper()
	const folder = "testdata/jsonschema"
	files := map[string][]suiteGroup{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".json" {
			return err
		}
		doc, err := os.ReadFile(path) //nolint:gosec // a file of this test
		if err != nil {
			return err
		}
		var groups []suiteGroup
		if err := json.Unmarshal(doc, &groups); err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		files[filepath.ToSlash(name)] = groups
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// refusal is the rule of the first problem, which every refusal has.
func refusal(t *testing.T, err error) string {
	t.Helper()
	var e *manifest.Error
	if !errors.As(err, &e) {
		t.Errorf("a schema was refused without a rule: %v", err)
		return ""
	}
	return e.Rule
}
