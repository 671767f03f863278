package wasmbin_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

const gostdSource = `package main

import (
	"encoding/json"
	"fmt"
)

//go:wasmexport run_check
func runCheck(n int32) int32 {
	var v map[string]any
	if err := json.Unmarshal([]byte(` + "`" + `{"status":"OK","list":[1,2,3],"deep":{"a":{"b":null}}}` + "`" + `), &v); err != nil {
		return -1
	}
	v["n"] = n
	b, err := json.Marshal(v)
	if err != nil {
		return -2
	}
	sum := int32(0)
	for _, c := range fmt.Sprintf("%s %v", b, v["list"]) {
		sum = sum*31 + int32(c)
	}
	return sum
}

func main() {}
`

// buildGo makes a reactor of standard Go, the largest kind of guest.
func buildGo(t *testing.T, source string) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module guest\n\ngo 1.25\n", "main.go": source} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", "guest.wasm", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	wasm, err := os.ReadFile(filepath.Join(dir, "guest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// TestStandardGo measures and runs a module of megabytes.
func TestStandardGo(t *testing.T) {
	wasm := buildGo(t, gostdSource)
	best := time.Hour
	var out []byte
	var meta *wasmbin.Meta
	for range 3 {
		start := time.Now()
		m, err := wasmbin.Decode(wasm, wasmbin.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if out, meta, err = m.Instrument(wasmbin.InstrumentOptions{}); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(start))
	}
	t.Logf("%d bytes to %d, %d pieces of image, in %v", len(wasm), len(out), len(meta.Data), best)
	if best > 5*time.Second { // 40 ms on an idle machine
		t.Errorf("decoding and instrumenting %d bytes took %v", len(wasm), best)
	}
	if _, err := wasmbin.Decode(wasm, wasmbin.Limits{Interpreted: true}); err != nil {
		t.Errorf("for the interpreter: %v", err)
	}

	var results []int32
	var units []int64
	for _, engine := range []string{"compiler", "interpreter"} {
		w := newWorld(t, engines[engine]())
		c, err := wasi_snapshot_preview1.NewBuilder(w.r).Compile(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if w.modules["wasi_snapshot_preview1"], err = w.r.InstantiateModule(w.ctx, c, moduleConfig()); err != nil {
			t.Fatal(err)
		}
		m, err := w.start(out, meta)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, runGo(t, w, m)...)
		units = append(units, w.used(m))
		if engine == "interpreter" { // preparing it is quick
			plain, err := w.start(wasm, &wasmbin.Meta{})
			if err != nil {
				t.Fatal(err)
			}
			results = append(results, runGo(t, w, plain)...)
		}
	}
	for i, r := range results {
		if r != results[i%2] || r < 0 && r > -3 {
			t.Fatalf("results %v of metered compiled, metered interpreted and plain runs differ", results)
		}
	}
	t.Logf("units %v", units)
}

func runGo(t *testing.T, w *world, m api.Module) (results []int32) {
	t.Helper()
	if _, err := m.ExportedFunction("_initialize").Call(w.ctx); err != nil {
		t.Fatal(err)
	}
	for n := range uint64(2) {
		got, err := m.ExportedFunction("run_check").Call(w.ctx, n)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, int32(got[0]))
	}
	return results
}
