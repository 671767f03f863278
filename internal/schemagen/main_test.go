package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestCommittedSchemasAreCurrent(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{"manifest": "../../manifest/plugin.schema.json"} {
		want, err := generate(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what schemagen writes (%v): run go generate ./...", file, err)
		}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "s.json")
	if err := run([]string{"manifest", file}); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(file); err != nil || !strings.Contains(string(got), `"$schema": "http://json-schema.org/draft-07/schema#"`) {
		t.Errorf("wrote %.80s, %v", got, err)
	}
	for _, args := range [][]string{nil, {"manifest"}, {"other", file}} {
		if err := run(args); err == nil {
			t.Errorf("run(%q): no error", args)
		}
	}
}

type endless struct{ Next *endless }

func TestRecursiveTypesAreRefused(t *testing.T) {
	t.Parallel()
	for _, typ := range []reflect.Type{reflect.TypeFor[endless](), reflect.TypeFor[map[string][]endless]()} {
		if err := finite(typ, nil); err == nil {
			t.Errorf("%v: no error", typ)
		}
	}
}
