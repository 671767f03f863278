package wasmbin_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

var (
	errOverflow = errors.New("test: stack overflow")
	errBudget   = errors.New("test: fuel budget used up")
)

// engines are the two kinds of wazero runtimes that metered modules run on.
var engines = map[string]func() wazero.RuntimeConfig{
	"compiler":    wazero.NewRuntimeConfigCompiler,
	"interpreter": wazero.NewRuntimeConfigInterpreter,
}

// world is a small engine: it grants fuel in slices up to a budget.
type world struct {
	ctx     context.Context
	r       wazero.Runtime
	modules map[string]api.Module // by import name

	slice, budget, granted int64
	calls                  int
}

func newWorld(t testing.TB, cfg wazero.RuntimeConfig) *world {
	t.Helper()
	w := &world{modules: map[string]api.Module{}, slice: 50_000, budget: math.MaxInt64}
	w.ctx = experimental.WithImportResolver(context.Background(), func(name string) api.Module { return w.modules[name] })
	w.r = wazero.NewRuntimeWithConfig(w.ctx, cfg.WithCoreFeatures(api.CoreFeaturesV2))
	t.Cleanup(w.close)
	c, err := w.r.NewHostModuleBuilder(wasmbin.ImportModule).NewFunctionBuilder().
		WithGoFunction(api.GoFunc(w.refill), []api.ValueType{api.ValueTypeI64}, []api.ValueType{api.ValueTypeI64}).
		Export(wasmbin.ImportRefill).Compile(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	host, err := w.r.InstantiateModule(w.ctx, c, wazero.NewModuleConfig())
	if err != nil {
		t.Fatal(err)
	}
	w.modules[wasmbin.ImportModule] = host
	return w
}

// close frees the runtime. A test that makes many worlds calls it early, as
// all of them are kept to its end otherwise.
func (w *world) close() {
	if w.r != nil {
		w.r.Close(w.ctx)
	}
	w.r, w.ctx, w.modules = nil, nil, nil
}

func moduleConfig() wazero.ModuleConfig {
	return wazero.NewModuleConfig().WithName("").WithStartFunctions()
}

func (w *world) refill(_ context.Context, stack []uint64) {
	w.calls++
	r := int64(stack[0])
	switch {
	case r == wasmbin.RefillOverflow:
		panic(errOverflow)
	case r >= 0:
		panic(fmt.Errorf("test: refill with %d units left", r))
	}
	charged := w.granted - r
	if charged > w.budget {
		panic(errBudget)
	}
	g := min(w.slice, w.budget-charged)
	w.granted = charged + g
	stack[0] = uint64(g)
}

// start prepares a metered module: cold image and start function.
func (w *world) start(wasm []byte, meta *wasmbin.Meta) (api.Module, error) {
	c, err := w.r.CompileModule(w.ctx, wasm)
	if err != nil {
		return nil, fmt.Errorf("wazero refuses the metered module: %w", err)
	}
	m, err := w.r.InstantiateModule(w.ctx, c, moduleConfig())
	if err != nil {
		return nil, err
	}
	if len(meta.Data) > 0 {
		mem, _ := m.Memory().Read(0, m.Memory().Size())
		meta.CopyData(mem)
	}
	if meta.Start {
		if _, err := m.ExportedFunction(wasmbin.ExportStart).Call(w.ctx); err != nil {
			return m, err
		}
	}
	return m, nil
}

// metered decodes and instruments for tests.
func metered(wasm []byte, l wasmbin.Limits, o wasmbin.InstrumentOptions) ([]byte, *wasmbin.Meta, error) {
	m, err := wasmbin.Decode(wasm, l)
	if err != nil {
		return nil, nil, err
	}
	return m.Instrument(o)
}

// used answers all units that were charged so far.
func (w *world) used(m api.Module) int64 {
	return w.granted - int64(m.ExportedGlobal(wasmbin.ExportFuel).Get())
}

// runIgnoringOverflow runs "f" with a refill that never stops.
func runIgnoringOverflow(t *testing.T, wasm []byte) error {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	_, err := r.NewHostModuleBuilder(wasmbin.ImportModule).NewFunctionBuilder().
		WithFunc(func(int64) int64 { return 1_000 }).Export(wasmbin.ImportRefill).Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.InstantiateWithConfig(ctx, wasm, moduleConfig())
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.ExportedFunction("f").Call(ctx)
	return err
}
