package abi_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sandcheck/sandcheck/internal/abi"
)

var update = flag.Bool("update", false, "rewrite testdata/abi/v1.txt")

// TestGolden freezes ABI version 1: a line that changes is a change of the ABI,
// and guests that were built yesterday depend on it.
func TestGolden(t *testing.T) {
	t.Parallel()
	var lines []string
	for _, f := range everyFunc() {
		lines = append(lines, abi.Golden(f)+"\n")
	}
	got := strings.Join(lines, "")
	file := filepath.Join("..", "..", "testdata", "abi", "v1.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(got, string(want)); d != "" {
		t.Errorf("the ABI is not what it was (-got +want); -update rewrites the file:\n%s", d)
	}
}
