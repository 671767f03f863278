package wasmbin_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

// seeds are small modules that use much.
func seeds(t testing.TB) [][]byte {
	list := [][]byte{sample(), void(), void(op(0x03, 0x40, 0x0c, 0, 0x0b)), void(i32c(0), i32c(0), i32c(1<<20), op(0xfc, 11, 0))}
	for i, file := range suiteFiles(t, "v2", ".wasm") {
		if wasm, err := os.ReadFile(file); err == nil && i%40 == 0 && len(wasm) < 4_000 {
			list = append(list, wasm)
		}
	}
	return list
}

// judge wants that Decode and Instrument neither panic nor write what wazero
// refuses, and that we accept nothing that wazero finds invalid.
func judge(t *testing.T, r wazero.Runtime, wasm []byte) {
	t.Helper()
	ctx := t.Context()
	m, err := wasmbin.Decode(wasm, wasmbin.Limits{})
	if err != nil {
		if len(all(err)) == 0 {
			t.Fatalf("error of another type: %v", err)
		}
		return
	}
	m.Info()
	for _, o := range []wasmbin.InstrumentOptions{{AllowImports: true}, {AllowImports: true, KeepData: true}} {
		out, _, err := m.Instrument(o)
		if err != nil {
			t.Fatalf("Instrument(%x): %v", wasm, err)
		}
		c, err := r.CompileModule(ctx, out)
		if err == nil {
			c.Close(ctx)
			continue
		}
		_, original := r.CompileModule(ctx, wasm)
		if original == nil {
			t.Fatalf("wazero accepts the original but not the metered module: %v\n%x\n%x", err, wasm, out)
		}
		if text := original.Error(); !strings.Contains(text, "empty module name") && !strings.Contains(text, "tag imports") {
			t.Fatalf("we accept what wazero refuses: %v\n%x", original, wasm)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, wasm := range seeds(f) {
		f.Add(wasm)
	}
	r := wazero.NewRuntimeWithConfig(f.Context(), wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2))
	f.Fuzz(func(t *testing.T, wasm []byte) { judge(t, r, wasm) })
}

// FuzzRun wants that every run ends within its budget, and the same way and
// with the same units each time.
func FuzzRun(f *testing.F) {
	for _, wasm := range seeds(f) {
		f.Add(wasm)
	}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		m, err := wasmbin.Decode(wasm, wasmbin.Limits{TableElems: 1_000})
		if err != nil || m.Info().MemoryMin > 1<<20 || len(m.Info().Imports) > 0 {
			return
		}
		out, meta, err := m.Instrument(wasmbin.InstrumentOptions{Stack: 16 << 10})
		if err != nil {
			t.Fatal(err)
		}
		a, b := runAll(t, m.Info(), out, meta, 977), runAll(t, m.Info(), out, meta, 50_000)
		if a != b {
			t.Fatalf("different with other slices:\n%s\n%s\nof %x", a, b, wasm)
		}
	})
}

// runAll calls every export with zeros and tells what came of it.
func runAll(t *testing.T, in *wasmbin.Info, out []byte, meta *wasmbin.Meta, slice int64) string {
	w := newWorld(t, wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(32))
	defer w.close()
	w.slice, w.budget = slice, 200_000
	m, err := w.start(out, meta)
	if m == nil {
		return "not started"
	}
	var b strings.Builder
	end := func(err error) {
		var text string
		switch {
		case err == nil:
			text = "ok"
		case errors.Is(err, errBudget):
			text = "budget"
		default:
			text, _, _ = strings.Cut(err.Error(), "\n")
		}
		b.WriteString(text + ";")
	}
	end(err)
	for _, e := range in.Exports {
		if err != nil || e.Kind != wasmbin.KindFunc {
			continue
		}
		n := 0
		for _, p := range e.Type.Params {
			if n++; p == wasmbin.V128 {
				n++
			}
		}
		_, err = m.ExportedFunction(e.Name).Call(w.ctx, make([]uint64, n)...)
		end(err)
	}
	if err == nil {
		b.WriteString(string(rune('0' + w.used(m)%10)))
	}
	return b.String()
}

// TestFlips changes every byte of the sample to a few others, and cuts it at
// every length.
func TestFlips(t *testing.T) {
	t.Parallel()
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2))
	wasm := sample()
	for i := range wasm {
		judge(t, r, wasm[:i:i])
		for _, with := range []byte{0, 1, 2, 0x0b, 0x10, 0x7f, 0x80, 0xff, wasm[i] + 1, wasm[i] - 1, wasm[i] ^ 0x40} {
			flipped := append([]byte(nil), wasm...)
			flipped[i] = with
			judge(t, r, flipped)
		}
	}
}
