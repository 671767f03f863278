package wasmbin_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// suiteDir answers the folder in which wazero ships the public specification
// suites. They are data of a dependency, so a machine that can build the test
// has them; one that has not fails.
var suiteDir = sync.OnceValues(func() (string, error) {
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero")
	out, err := cmd.Output()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest")
	_, err = os.Stat(dir)
	return dir, err
})

// suiteFiles answers all files of a suite with the given ending.
func suiteFiles(t testing.TB, suite, ending string) []string {
	t.Helper()
	dir, err := suiteDir()
	if err != nil {
		t.Fatalf("the specification suites of wazero are not there: %v", err)
	}
	var files []string
	err = filepath.WalkDir(filepath.Join(dir, suite), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.HasSuffix(path, ending) {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("suite %q: %d files ending in %q, error %v", suite, len(files), ending, err)
	}
	return files
}
