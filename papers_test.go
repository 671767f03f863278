package sandcheck_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// papers are the texts of the root that make promises.
var papers = []string{"README.md", "SECURITY.md", "RATIONALE.md", "CONTRIBUTING.md", "CHANGELOG.md"}

// The program in README.md is the one that Example runs.
func TestReadmeShowsTheExample(t *testing.T) {
	t.Parallel()
	_, code, found := strings.Cut(read(t, "README.md"), "```go\n")
	code, _, closed := strings.Cut(code, "```")
	if !found || !closed {
		t.Fatal("README.md has no Go code")
	}
	if !strings.Contains(read(t, "example_test.go"), code) {
		t.Errorf("example_test.go does not hold the code of README.md:\n%s", code)
	}
}

var (
	named  = regexp.MustCompile("`(?:([a-z0-9/]+)\\.)?((?:Test|Fuzz|Example)[A-Za-z0-9_]*)`")
	linked = regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)
)

// Every test that a paper names exists, in the package that it names.
func TestPapersNameTestsThatExist(t *testing.T) {
	t.Parallel()
	for _, paper := range papers {
		found := named.FindAllStringSubmatch(read(t, paper), -1)
		for _, m := range found {
			if dir, name := m[1], m[2]; !declares(t, dir, name) {
				t.Errorf("%s names the test %q of %q, which is not there", paper, name, "./"+dir)
			}
		}
		if len(found) == 0 && (paper == "README.md" || paper == "SECURITY.md") {
			t.Errorf("%s proves nothing", paper)
		}
	}
}

func declares(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(dir), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.Contains(read(t, file), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}

// Every file that a paper links to exists.
func TestPapersLinkWhatExists(t *testing.T) {
	t.Parallel()
	for _, paper := range papers {
		for _, m := range linked.FindAllStringSubmatch(read(t, paper), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.FromSlash(m[1])); err != nil {
				t.Errorf("%s links to %q: %v", paper, m[1], err)
			}
		}
	}
}

// Every package that others may import has its row in README.md and its line in
// the map of doc.go.
func TestEveryPackageIsOnTheMap(t *testing.T) {
	t.Parallel()
	readme, doc := read(t, "README.md"), read(t, "doc.go")
	err := filepath.WalkDir(".", func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		name := filepath.ToSlash(path)
		switch e.Name() {
		case "internal", "testdata", "examples", "node_modules", "oracletest": // not for importers
			return filepath.SkipDir
		}
		if path != "." && strings.HasPrefix(e.Name(), ".") {
			return filepath.SkipDir
		}
		files, err := filepath.Glob(filepath.Join(path, "*.go"))
		files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") })
		if err != nil || len(files) == 0 || path == "." {
			return err // what holds tests only is not imported
		}
		if !strings.Contains(readme, "["+name+"]("+name+")") {
			t.Errorf("README.md has no row for %s", name)
		}
		if !strings.Contains(doc, "//\t"+name+" ") {
			t.Errorf("doc.go has no line for %s", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
}
