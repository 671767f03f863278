package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandcheck/sandcheck/manifest"
)

// changed is a copy of a shared package with a manifest that is changed, as a
// directory.
func changed(t *testing.T, name string, oldnew ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(shared(name))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "plugin.yaml")
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.NewReplacer(oldnew...).Replace(string(doc))), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestValidateText(t *testing.T) {
	t.Parallel()
	dir := changed(t, "alive", "id: alive", "id: Alive!", "requested_memory_mb: 1", "requested_memory_mb: 1MB")
	yaml := filepath.Join(dir, "plugin.yaml")
	for _, path := range []string{dir, yaml} {
		got := invoke(t, "validate", path)
		got.wantCode(t, 2)
		wantIn(t, "stdout", got.out,
			path+" has 2 problems\nerror: "+yaml+":1:1: id: \"Alive!\": must be ", " [manifest-id]\n    id: Alive!\n    ^\n",
			"\nerror: "+yaml+":11:3: resources.requested_memory_mb: ", "\n      requested_memory_mb: 1MB\n      ^\n")
	}
}

func TestValidateVerdicts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, path string
		code       int
		want       string
	}{
		{"valid package", shared("http-check"), 0, " is valid\n"},
		{"valid manifest", filepath.Join(shared("http-check"), "plugin.yaml"), 0, "plugin.yaml is valid\n"},
		{"valid zip", bundle(t, "http-check"), 0, ".zip is valid\n"},
		{"warnings", shared("unknown-imports"), 0, "plugin.wasm: env.moon_phase is not offered by this host"},
		{"module", shared("import-memory"), 2, "plugin.wasm: import env.memory: "},
		{"capability", changed(t, "alive", "- submit_result", "- submit_result\n  - moon"), 2, "plugin.yaml:10:5: capabilities[1]: \"moon\" is not offered"},
		{"no package", t.TempDir(), 2, " has 2 problems\n"},
		{"no zip", file(t, "a.zip", "hello"), 2, "bundle_not_zip"},
		{"no manifest", file(t, "plugin.yaml", "hello"), 2, "[manifest-"},
		{"empty manifest", file(t, "plugin.yaml", ""), 2, "[manifest-"},
		{"nothing", "no-such-file", 3, ""},
		{"neither file nor directory", os.DevNull, 3, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := invoke(t, "validate", tt.path)
			got.wantCode(t, tt.code)
			wantIn(t, "stdout", got.out, tt.want)
			if (got.err != "") != (tt.code == 3) {
				t.Errorf("stderr is %q", got.err)
			}
		})
	}
}

func TestValidateJSON(t *testing.T) {
	t.Parallel()
	dir := changed(t, "alive", "id: alive", "id: Alive!")
	got := invoke(t, "validate", "--format", "json", dir)
	got.wantCode(t, 2)
	var doc validatedJSON
	decode(t, got.out, &doc)
	if len(doc.Problems) != 1 || doc.Valid || doc.Warnings == nil {
		t.Fatalf("got %+v", doc)
	}
	p := doc.Problems[0]
	if p.File != "plugin.yaml" || p.Line != 1 || p.Column != 1 || p.Path != "id" || p.Rule != "manifest-id" || p.Message == "" {
		t.Errorf("got %+v", p)
	}
}

func TestValidateGitHub(t *testing.T) {
	t.Parallel()
	dir := changed(t, "alive", "id: alive", `id: "a%0Ab,\n::warning::c"`)
	got := invoke(t, "validate", "--format", "github", dir)
	got.wantCode(t, 2)
	want := "::error file=" + filepath.ToSlash(dir) + "/plugin.yaml,line=1,col=1::id: "
	if !strings.HasPrefix(got.out, want) || strings.Count(got.out, "\n") != 1 || !strings.Contains(got.out, "a%250Ab,") {
		t.Errorf("got %q, want %q...", got.out, want)
	}
	if got := invoke(t, "validate", "--format", "github", shared("alive")); got.out != "" || got.code != 0 {
		t.Errorf("got %+v of a valid package", got)
	}
}

// TestValidateZip shows lines of files inside a zip.
func TestValidateZip(t *testing.T) {
	t.Parallel()
	pkg, err := manifest.ReadPackage(os.DirFS(shared("alive")))
	if err != nil {
		t.Fatal(err)
	}
	pkg.Files["plugin.yaml"] = bytes.Replace(pkg.Files["plugin.yaml"], []byte("- submit_result"), []byte("- submit_result\n  - moon"), 1)
	if pkg.Manifest, err = manifest.Parse(pkg.Files["plugin.yaml"]); err != nil {
		t.Fatal(err)
	}
	var zip bytes.Buffer
	if err := manifest.WriteBundle(&zip, pkg); err != nil {
		t.Fatal(err)
	}
	path := file(t, "a.zip", zip.String())
	got := invoke(t, "validate", path)
	got.wantCode(t, 2)
	wantIn(t, "stdout", got.out, "error: "+filepath.Join(path, "plugin.yaml")+":10:5: capabilities[1]: ", "\n      - moon\n        ^\n")
	annotated := invoke(t, "validate", "--format", "github", path)
	wantIn(t, "stdout", annotated.out, "a.zip::plugin.yaml:10:5: capabilities[1]: ")
}

func TestFindingFrom(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want finding
	}{
		{"plugin.yaml:3:5: permissions.allowed_ports[1]: is no port [port-range]", finding{"plugin.yaml", 3, 5, "permissions.allowed_ports[1]", "port-range", "is no port"}},
		{"config.schema.json:1:2: /a/b: has no effect [schema-x]", finding{"config.schema.json", 1, 2, "/a/b", "schema-x", "has no effect"}},
		{"plugin.yaml: is missing [entry_missing]", finding{"plugin.yaml", 0, 0, "", "entry_missing", "is missing"}},
		{"import plugin.yaml:1:1: a [b]", finding{File: "plugin.wasm", Message: "import plugin.yaml:1:1: a [b]"}},
		{"", finding{File: "plugin.wasm"}},
	} {
		if got := findingFrom(tt.text); got != tt.want {
			t.Errorf("findingFrom(%q) = %+v, want %+v", tt.text, got, tt.want)
		}
	}
}

// TestFindingsOfMixedErrors keeps a file that could not be read from passing for
// a verdict about the package.
func TestFindingsOfMixedErrors(t *testing.T) {
	t.Parallel()
	problem := &manifest.Error{File: "plugin.yaml", Rule: "entry_missing", Message: "is missing"}
	if all, known := findingsOf(problem); len(all) != 1 || !known {
		t.Errorf("got %v, %v", all, known)
	}
	if all, known := findingsOf(errors.Join(problem, io.ErrUnexpectedEOF)); len(all) != 1 || known {
		t.Errorf("got %v, %v", all, known)
	}
}
