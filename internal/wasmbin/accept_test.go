package wasmbin_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

// TestAcceptSuites compares with wazero on every binary module of the suites:
// with budgets off, we accept what wazero accepts with the features of the
// second edition, less what we refuse on purpose, plus folded constants.
func TestAcceptSuites(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2))
	defer r.Close(ctx)
	for _, suite := range []string{"v1", "v2", "tail-call", "extended-const", "exception-handling", "threads", "typed-function-references"} {
		n, accepted := 0, 0
		for _, file := range suiteFiles(t, suite, ".wasm") {
			wasm, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			n++
			_, ours := wasmbin.Decode(wasm, wasmbin.Limits{Unchecked: true})
			c, theirs := r.CompileModule(ctx, wasm)
			if c != nil {
				c.Close(ctx)
			}
			if ours == nil {
				accepted++
			}
			if (ours == nil) == (theirs == nil) {
				continue
			}
			var e *wasmbin.Error
			name := filepath.Join(suite, filepath.Base(file))
			switch {
			case ours == nil && strings.Contains(name, "extended-const"):
			case ours == nil && strings.Contains(theirs.Error(), "empty module name"): // legal; linking refuses it
			case ours == nil && strings.Contains(theirs.Error(), "tag imports"): // reported; linking refuses it
			case errors.As(ours, &e) && e.ID == wasmbin.Unsupported:
			case theirs == nil && strings.Contains(ours.Error(), "is not an imported constant"): // wazero takes mutable ones
			default:
				t.Errorf("%s: ours: %v; wazero: %v", name, ours, theirs)
			}
		}
		t.Logf("%s: %d modules, %d accepted", suite, n, accepted)
	}
}

// TestOtherModules takes what else wazero ships: samples made with TinyGo,
// Rust, C, Zig and Emscripten, and inputs that broke engines once. Each is
// accepted, or refused for something that is refused on purpose.
func TestOtherModules(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2))
	defer r.Close(ctx)
	accepted, refused := 0, map[string]int{}
	for _, file := range suiteFiles(t, filepath.Join("..", "..", ".."), ".wasm") {
		if strings.Contains(file, "spectest") {
			continue
		}
		wasm, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := wasmbin.Decode(wasm, wasmbin.Limits{})
		if list := all(err); err != nil {
			switch id := list[0].ID; id {
			case wasmbin.Unsupported, wasmbin.Reserved, wasmbin.OutOfRange:
				refused[id]++
			default:
				t.Errorf("%s: %s: %v", file, id, err)
			}
			continue
		}
		out, _, err := m.Instrument(wasmbin.InstrumentOptions{AllowImports: true})
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		accepted++
		c, err := r.CompileModule(ctx, out)
		if err != nil {
			t.Errorf("%s: wazero refuses the metered module: %v", file, err)
			continue
		}
		c.Close(ctx)
	}
	t.Logf("%d accepted, refused %v", accepted, refused)
	if accepted < 100 {
		t.Errorf("only %d modules were accepted", accepted)
	}
}
