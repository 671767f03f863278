package wasmbin_test

import (
	"context"
	"runtime"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

// TestLargeModules bounds the time and the memory for modules as large as
// they may be. The bounds leave room for a busy machine.
func TestLargeModules(t *testing.T) {
	wide := fn(rep(255, tI64), rep(255, tI64))
	narrow := fn(nil, nil)
	fill := func(each []byte, before, after []byte) [][]byte { // 63 bodies of about 256 KiB
		n := (256<<10 - len(before) - len(after) - 16) / len(each)
		return slices.Repeat([][]byte{body(before, slices.Repeat(each, n), after)}, 63)
	}
	many := func(typ []byte, bodies [][]byte) []byte {
		return module(types(typ), funcs(make([]byte, len(bodies))...), sec(4, ts(tFunc, 0, 1)), memory(0, 1), code(bodies...))
	}
	load255 := slices.Concat(slices.Repeat([][]byte{get(0)}, 255)...)
	labels := cat(i32c(0), ts(0x0e), u32(4_095), slices.Concat(func() (l [][]byte) {
		for i := range 4_096 {
			l = append(l, u32(uint32(i)))
		}
		return l
	}()...))
	for name, wasm := range map[string][]byte{
		"65,536 functions":           many(narrow, slices.Repeat([][]byte{body()}, 65_536)),
		"65,536 times 10,000 locals": many(narrow, slices.Repeat([][]byte{bodyWith(cat(ts(1), u32(10_000), ts(tI32)))}, 65_536)),
		"16 MiB of nothing":          many(narrow, fill(op(0x01), nil, nil)),
		"16 MiB of wide calls":       many(wide, fill(call(0), load255, nil)),
		"16 MiB of loops":            many(narrow, fill(op(0x03, 0x40, 0x0b), nil, nil)),
		"16 MiB of small loops":      many(narrow, slices.Repeat([][]byte{body(rep(82, 0x03, 0x40, 0x0b))}, 65_000)),
		"16 MiB of fills":            many(narrow, fill(op(0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0), nil, nil)),
		"labels of many types":       many(narrow, slices.Repeat([][]byte{body(rep(4_095, 0x02, 0x40), labels, rep(4_095, 0x0b))}, 600)),
		"a million empty segments":   module(sec(11, slices.Repeat([][]byte{ts(1, 0)}, 1_000_000)...)),
	} {
		for _, interpreted := range []bool{false, true} {
			handle(t, name, wasm, wasmbin.Limits{Interpreted: interpreted})
		}
	}
}

func handle(t *testing.T, name string, wasm []byte, l wasmbin.Limits) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	m, err := wasmbin.Decode(wasm, l)
	size := 0
	if err == nil {
		var out []byte
		out, _, err = m.Instrument(wasmbin.InstrumentOptions{})
		size = len(out)
	}
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	got := after.TotalAlloc - before.TotalAlloc
	t.Logf("%s: %d bytes, %v, %d MiB allocated, %d bytes out, error %.80v", name, len(wasm), took, got>>20, size, err)
	if took > time.Minute || got > 1<<30 {
		t.Errorf("%s: %v and %d bytes", name, took, got)
	}
}

// TestBombsCompileInBound makes functions as expensive as the budget lets
// pass, and has the compiler work on what they become.
func TestBombsCompileInBound(t *testing.T) {
	ctx := context.Background()
	for name, shape := range map[string]func(n int) []byte{
		"loops":        func(n int) []byte { return void(rep(n, 0x03, 0x40, 0x0b)) },
		"nested loops": func(n int) []byte { return void(slices.Repeat(cat(rep(200, 0x03, 0x40), rep(200, 0x0b)), n)) },
		"ifs":          func(n int) []byte { return void(rep(n, 0x41, 0, 0x04, 0x40, 0x0b)) },
		"calls":        func(n int) []byte { return void(rep(n, 0x10, 0)) },
		"fills":        func(n int) []byte { return void(rep(n, 0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0)) },
	} {
		n := sort.Search(200_000, func(n int) bool {
			_, err := wasmbin.Decode(shape(n), wasmbin.Limits{})
			return err != nil
		}) - 1
		m, err := wasmbin.Decode(shape(n), wasmbin.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := m.Instrument(wasmbin.InstrumentOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCoreFeatures(api.CoreFeaturesV2))
		start := time.Now()
		if _, err = r.CompileModule(ctx, out); err != nil {
			t.Error(err)
		}
		took := time.Since(start)
		r.Close(ctx)
		t.Logf("%d %s at cost %d: %v", n, name, m.Info().FuncCost, took)
		if took > time.Minute { // less than one second on an idle machine
			t.Errorf("%d %s took %v to compile", n, name, took)
		}
	}
}

// TestReturningIsPaidLate recurses, and wants the work that frames do while
// they return to be charged then, not on the way in: a host that is asked for
// nothing meanwhile could not stop it.
func TestReturningIsPaidLate(t *testing.T) {
	t.Parallel()
	const depth, work = 500, 3_000
	f := body(get(0), op(0x04, 0x40), get(0), i32c(1), op(0x6b), call(1), op(0x05), call(0), op(0x0b), rep(work, 0x01))
	wasm := module(types(fn(nil, nil), fn(ts(tI32), nil)), imports(importFunc("env", "mark", 0)), funcs(1),
		exports(export("f", 0, 1)), code(f))
	out, meta, err := metered(wasm, wasmbin.Limits{}, wasmbin.InstrumentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for engine, cfg := range engines {
		w := newWorld(t, cfg())
		var m api.Module
		var deepest int64
		c, err := w.r.NewHostModuleBuilder("env").NewFunctionBuilder().
			WithFunc(func() { deepest = w.used(m) }).Export("mark").Compile(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if w.modules["env"], err = w.r.InstantiateModule(w.ctx, c, wazero.NewModuleConfig()); err != nil {
			t.Fatal(err)
		}
		if m, err = w.start(out, meta); err != nil {
			t.Fatal(err)
		}
		if _, err := m.ExportedFunction("f").Call(w.ctx, depth); err != nil {
			t.Fatal(err)
		}
		late, least := w.used(m)-deepest, int64(depth*(work-200))
		if late < least {
			t.Errorf("%s: %d units were charged while %d frames returned, want at least %d", engine, late, depth, least)
		}
	}
}
