package engine_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/sandcheck/sandcheck/internal/wasmgen"
)

// TestFactsState: what wazero allocates, shares and shows of an instance.
func TestFactsState(t *testing.T) {
	showFacts(t, []fact{
		{"8 tables are outside every limit", tablesUnlimited},
		{"17 memory moves when it grows", memoryMoves},
		{"18 an allocator that refuses the minimum panics", allocatorPanics},
		{"19 the memory of a guest without one is not nil", noMemory},
		{"20 reflection allocates, GoModuleFunction does not", reflection},
		{"23 compiled code is shared until the last of it is closed", codeCache},
		{"25 the name inside a name section is registered", nameSection},
		{"27 an element segment outside its table is skipped", elementsSkipped},
		{"28 only exported mutable globals can be written", globalAccess},
		{"30 each data segment costs an instantiation", segmentCost},
		{"32 looking up an export makes a stack", lookupCost},
		{"34 the compiler keeps a reference for each ref.func that ran", referencesKept},
	})
}

// tablesUnlimited: a million entries, 8 MB, beside a memory of one page at most.
func tablesUnlimited(t *testing.T, cfg wazero.RuntimeConfig) {
	const entries = 1_000_000
	var b wasmgen.Builder
	b.Table(wasmgen.FuncRef, entries)
	// table.grow by as much again
	grow := wasmgen.Seq([]byte{0xd0, byte(wasmgen.FuncRef)}, wasmgen.I32Const(entries), []byte{0xfc, 15, 0})
	b.ExportFunc("f", b.Func(wasmgen.Sig{Results: wasmgen.I32s(1)}, nil, grow))
	m := instantiate(t, runtimeOf(t, cfg.WithMemoryLimitPages(1)), b.Bytes())
	if got := call(t, m)[0]; got != entries {
		t.Errorf("table.grow answers %d, want the old size of %d", int32(got), entries)
	}
}

// referencesKept: 32 bytes and more for each, as long as the instance lives.
func referencesKept(t *testing.T, cfg wazero.RuntimeConfig) {
	const rounds = 200_000
	var b wasmgen.Builder
	f := b.Func(wasmgen.Sig{}, nil)
	b.ExportFunc("g", f)
	b.ExportFunc("f", b.Func(wasmgen.Sig{Results: wasmgen.I32s(1)}, wasmgen.I32s(1), wasmgen.Loop(
		wasmgen.Drop([]byte{0xd2, byte(f)}),
		wasmgen.LocalSet(0, wasmgen.I32Add(wasmgen.LocalGet(0), wasmgen.I32Const(1))),
		wasmgen.BrIf(0, wasmgen.I32LtU(wasmgen.LocalGet(0), wasmgen.I32Const(rounds)))), wasmgen.I32Const(0)))
	m := instantiate(t, runtimeOf(t, cfg), b.Bytes())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	call(t, m)
	runtime.ReadMemStats(&after)
	interpreted := strings.HasSuffix(t.Name(), "interpreter") // which has one for each function
	if each := (after.TotalAlloc - before.TotalAlloc) / rounds; (each < 32) != interpreted {
		t.Errorf("%d bytes for each ref.func; bodies may name functions without a global between", each)
	}
}

func memoryMoves(t *testing.T, cfg wazero.RuntimeConfig) {
	var b wasmgen.Builder
	b.Memory(1)
	m := instantiate(t, runtimeOf(t, cfg), b.Bytes())
	before, _ := m.Memory().Read(0, 1)
	if _, ok := m.Memory().Grow(1); !ok {
		t.Fatal("memory does not grow")
	}
	before[0] = 1
	if now, _ := m.Memory().ReadByte(0); now != 0 {
		t.Error("a view from before still shows the memory; the doubling allocator may be needless")
	}
}

type refuses struct{}

func (refuses) Allocate(uint64, uint64) experimental.LinearMemory { return refuses{} }
func (refuses) Reallocate(uint64) []byte                          { return nil }
func (refuses) Free()                                             {}

func allocatorPanics(t *testing.T, cfg wazero.RuntimeConfig) {
	var b wasmgen.Builder
	b.Memory(1)
	wasm, rt := b.Bytes(), wazero.NewRuntimeWithConfig(t.Context(), cfg)
	defer func() {
		if recover() == nil {
			t.Error("no panic; the minimum need not be compared with the limit at load any more")
		}
	}()
	_, err := rt.InstantiateWithConfig(experimental.WithMemoryAllocator(t.Context(), refuses{}), wasm, anonymous())
	t.Logf("answered %v", err)
}

func noMemory(t *testing.T, cfg wazero.RuntimeConfig) {
	var b wasmgen.Builder
	m := instantiate(t, runtimeOf(t, cfg), b.Bytes())
	if m.Memory() == nil {
		t.Error("it is nil; one could ask instead of keeping Meta.Memory")
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic when it is used")
		}
	}()
	m.Memory().Size()
}

func reflection(t *testing.T, cfg wazero.RuntimeConfig) {
	const calls = 1000
	sig := wasmgen.Env("", 2).Sig
	i32 := types(sig.Params)
	ways := map[string]func(b wazero.HostFunctionBuilder) wazero.HostFunctionBuilder{
		"reflected": func(b wazero.HostFunctionBuilder) wazero.HostFunctionBuilder {
			return b.WithFunc(func(_ context.Context, _ api.Module, x, _ uint32) uint32 { return x })
		},
		"direct": func(b wazero.HostFunctionBuilder) wazero.HostFunctionBuilder {
			return b.WithGoModuleFunction(api.GoModuleFunc(func(context.Context, api.Module, []uint64) {}), i32, types(sig.Results))
		},
	}
	perCall := map[string]float64{}
	for name, way := range ways {
		rt := runtimeOf(t, cfg)
		hb := rt.NewHostModuleBuilder("env")
		way(hb.NewFunctionBuilder()).Export("f")
		if _, err := hb.Instantiate(t.Context()); err != nil {
			t.Fatal(err)
		}
		var b wasmgen.Builder
		host := b.ImportFunc("env", "f", sig)
		b.ExportFunc("f", b.Func(wasmgen.Sig{}, wasmgen.I32s(1), wasmgen.Loop(
			wasmgen.Drop(wasmgen.Call(host, wasmgen.I32Const(7), wasmgen.I32Const(8))),
			wasmgen.BrIf(0, wasmgen.I32LtU(
				wasmgen.LocalTee(0, wasmgen.I32Add(wasmgen.LocalGet(0), wasmgen.I32Const(1))), wasmgen.I32Const(calls))))))
		f := instantiate(t, rt, b.Bytes()).ExportedFunction("f")
		perCall[name] = testing.AllocsPerRun(5, func() { _, _ = f.Call(t.Context()) }) / calls
	}
	own := 0.0 // of the engine itself
	if strings.HasSuffix(t.Name(), "interpreter") {
		own = 1
	}
	if perCall["reflected"] < own+2 || perCall["direct"] >= own+0.1 {
		t.Errorf("allocations per call: %v, want several by reflection and none without", perCall)
	}
}

// codeCache asks with a ctx that is over: only code that is there is returned.
func codeCache(t *testing.T, cfg wazero.RuntimeConfig) {
	if strings.HasSuffix(t.Name(), "interpreter") {
		return // prepares modules whatever ctx says
	}
	rt := runtimeOf(t, cfg)
	wasm := wasmgen.Doubles(8)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	over = experimental.WithCompilationWorkers(over, 2)
	first, err := rt.CompileModule(t.Context(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	second, err := rt.CompileModule(over, wasm)
	if err != nil {
		t.Fatalf("code that is in use was compiled again: %v", err)
	}
	for _, c := range []wazero.CompiledModule{first, second} {
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := rt.CompileModule(over, wasm); !errors.Is(err, context.Canceled) {
		t.Errorf("after the last was closed: got %v, want that it has to be compiled", err)
	}
}

func nameSection(t *testing.T, cfg wazero.RuntimeConfig) {
	rt := runtimeOf(t, cfg)
	hostFunc(t, rt, wasmgen.Sig{}, func(context.Context, api.Module, []uint64) {})
	var b wasmgen.Builder
	b.Custom("name", wasmgen.Section(0, wasmgen.Name("env"))) // subsection 0 is the module's name
	wasm := b.Bytes()
	if _, err := rt.InstantiateWithConfig(t.Context(), wasm, wazero.NewModuleConfig()); err == nil {
		t.Error("a guest may call itself env; WithName may be needless")
	}
	for range 2 {
		instantiate(t, rt, wasm)
	}
}

func elementsSkipped(t *testing.T, cfg wazero.RuntimeConfig) {
	var b wasmgen.Builder
	b.Table(wasmgen.FuncRef, 1)
	b.Elem(5, b.Func(wasmgen.Sig{}, nil))
	_, err := runtimeOf(t, cfg).InstantiateWithConfig(t.Context(), b.Bytes(), anonymous())
	if err != nil {
		t.Errorf("it fails now, as the specification says: %v", err)
	}
}

func globalAccess(t *testing.T, cfg wazero.RuntimeConfig) {
	var b wasmgen.Builder
	b.Global(wasmgen.I32, true, wasmgen.I32Const(7))
	b.ExportGlobal("g", b.Global(wasmgen.I32, true, wasmgen.I32Const(8)))
	m := instantiate(t, runtimeOf(t, cfg), b.Bytes())
	im, ok := m.(experimental.InternalModule)
	if !ok || im.NumGlobal() != 2 || im.Global(0).Get() != 7 || im.Global(1).Get() != 8 {
		t.Fatal("not all globals can be read")
	}
	if _, ok := im.Global(0).(api.MutableGlobal); ok {
		t.Error("a global that is not exported can be written; exports under hidden names may be needless")
	}
	exported, ok := m.ExportedGlobal("g").(api.MutableGlobal)
	if !ok {
		t.Fatal("an exported mutable global cannot be written")
	}
	if exported.Set(9); im.Global(1).Get() != 9 {
		t.Errorf("wrote 9, read %d", im.Global(1).Get())
	}
}

func segmentCost(t *testing.T, cfg wazero.RuntimeConfig) {
	allocs := func(segments int) float64 {
		var b wasmgen.Builder
		b.Memory(1)
		for i := range segments {
			b.Data(uint32(i), []byte{1})
		}
		rt := runtimeOf(t, cfg)
		c, err := rt.CompileModule(t.Context(), b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		return testing.AllocsPerRun(3, func() {
			m, err := rt.InstantiateModule(t.Context(), c, anonymous())
			if err == nil {
				err = m.Close(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
	if few, many := allocs(1), allocs(1001); many-few < 1000 {
		t.Errorf("1 segment: %.0f allocations, 1001: %.0f; keeping them out of modules may be needless", few, many)
	}
}

func lookupCost(t *testing.T, cfg wazero.RuntimeConfig) {
	if strings.HasSuffix(t.Name(), "interpreter") {
		return // has no such stacks
	}
	var b wasmgen.Builder
	b.ExportFunc("f", b.Func(wasmgen.Sig{}, nil))
	m := instantiate(t, runtimeOf(t, cfg), b.Bytes())
	const lookups = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range lookups {
		_ = m.ExportedFunction("f")
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / lookups; each < 10<<10 {
		t.Errorf("%d bytes per look-up, was 11 KiB; no need to look up once", each)
	}
}
