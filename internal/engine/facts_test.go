package engine_test

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/internal/wasmgen"
)

// The facts tests use wazero alone. Each subtest is named after what the design
// of this package rests on; one that fails after an upgrade of wazero re-opens
// the decision that its comment names.

// fact is something that wazero does. Its subtests do not run in parallel, for
// some count what the process allocates.
type fact struct {
	name string
	show func(t *testing.T, cfg wazero.RuntimeConfig)
}

// engineConfigs are the two ways in which wazero runs a module.
var engineConfigs = map[string]func() wazero.RuntimeConfig{
	"compiler":    wazero.NewRuntimeConfigCompiler,
	"interpreter": wazero.NewRuntimeConfigInterpreter,
}

// showFacts runs each fact on both engines.
func showFacts(t *testing.T, facts []fact) {
	for _, f := range facts {
		t.Run(f.name, func(t *testing.T) {
			for name, cfg := range engineConfigs {
				t.Run(name, func(t *testing.T) { f.show(t, cfg().WithCoreFeatures(api.CoreFeaturesV2)) })
			}
		})
	}
}

func runtimeOf(t *testing.T, cfg wazero.RuntimeConfig) wazero.Runtime {
	t.Helper()
	rt := wazero.NewRuntimeWithConfig(t.Context(), cfg)
	t.Cleanup(func() {
		if err := rt.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return rt
}

// instantiate makes an anonymous instance in which nothing has run.
func instantiate(t *testing.T, rt wazero.Runtime, wasm []byte) api.Module {
	t.Helper()
	m, err := rt.InstantiateWithConfig(t.Context(), wasm, anonymous())
	if err != nil {
		t.Fatalf("instantiate: %v", err)
	}
	return m
}

func anonymous() wazero.ModuleConfig {
	return wazero.NewModuleConfig().WithName("").WithStartFunctions()
}

// hostFunc offers f to guests as env.f.
func hostFunc(t *testing.T, rt wazero.Runtime, sig wasmgen.Sig, f api.GoModuleFunc) {
	t.Helper()
	b := rt.NewHostModuleBuilder("env")
	b.NewFunctionBuilder().WithGoModuleFunction(f, types(sig.Params), types(sig.Results)).Export("f")
	if _, err := b.Instantiate(t.Context()); err != nil {
		t.Fatalf("host module: %v", err)
	}
}

func types(list []wasmgen.ValType) []api.ValueType {
	var ts []api.ValueType
	for _, v := range list {
		ts = append(ts, api.ValueType(v))
	}
	return ts
}

// call calls the export "f" and wants it to return.
func call(t *testing.T, m api.Module, args ...uint64) []uint64 {
	t.Helper()
	results, err := m.ExportedFunction("f").Call(t.Context(), args...)
	if err != nil {
		t.Fatalf("call: %v", err)
	}
	return results
}

// counter adds an exported global "n" and returns the code that adds one to it.
func counter(b *wasmgen.Builder) []byte {
	n := b.Global(wasmgen.I64, true, wasmgen.I64Const(0))
	b.ExportGlobal("n", n)
	return wasmgen.GlobalSet(n, wasmgen.I64Add(wasmgen.GlobalGet(n), wasmgen.I64Const(1)))
}

func counted(m api.Module) uint64 { return m.ExportedGlobal("n").Get() }
