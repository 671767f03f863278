package wasmgen

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// Guest is the plugin.wasm of a folder of testdata/packages, found from any
// package of this repository. Names that end in -go are built from
// testdata/guests/go by the Go that runs the test, which takes seconds the
// first time and about half a second from then on.
func Guest(tb testing.TB, name string) []byte {
	tb.Helper()
	data := testdata(tb)
	file := filepath.Join(data, "packages", name, "plugin.wasm")
	if folder, isGo := strings.CutSuffix(name, "-go"); isGo {
		file = filepath.Join(tb.TempDir(), "plugin.wasm")
		cmd := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", file, "./"+folder)
		cmd.Dir = filepath.Join(data, "guests", "go")
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "GOFLAGS=", "GOTOOLCHAIN=local")
		if out, err := cmd.CombinedOutput(); err != nil {
			tb.Fatalf("%v in %s: %v\n%s", cmd.Args, cmd.Dir, err, out)
		}
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

// Package is a folder of testdata/packages with its plugin.wasm, built where
// it has to be. It may be changed.
func Package(tb testing.TB, name string) fstest.MapFS {
	tb.Helper()
	files := fstest.MapFS{"plugin.wasm": {Data: Guest(tb, name)}}
	folder := os.DirFS(filepath.Join(testdata(tb), "packages", name))
	for _, file := range []string{"plugin.yaml", "config.schema.json"} {
		content, err := fs.ReadFile(folder, file)
		if err == nil {
			files[file] = &fstest.MapFile{Data: content}
		} else if file == "plugin.yaml" {
			tb.Fatal(err)
		}
	}
	return files
}

// testdata finds the folder of the repository that the test stands in.
func testdata(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		data := filepath.Join(dir, "testdata")
		if _, err := os.Stat(filepath.Join(data, "guests", "build.sh")); err == nil {
			return data
		}
		if dir == filepath.Dir(dir) {
			tb.Fatal("no testdata/guests in this folder or above it")
		}
		dir = filepath.Dir(dir)
	}
}
