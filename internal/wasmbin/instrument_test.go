package wasmbin_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

// sample uses one of everything.
func sample() []byte {
	return module(
		types(fn(nil, nil), fn(ts(tI32), ts(tI32)), fn(nil, ts(tI32, tI64))),
		imports(importFunc("env", "nop", 0)),
		funcs(0, 1, 2, 0),
		sec(4, ts(tFunc, 1, 4, 200, 1)),
		memory(1, 1, 3),
		globals(cat(ts(tI32, 0), i32c(7), ts(0x0b)), cat(ts(tI64, 1), i64c(-5), i64c(2), op(0x7e, 0x0b)), cat(ts(tFunc, 0), op(0xd2, 4, 0x0b))),
		exports(export("run", 0, 1), export("memory", 2, 0), export("pair", 0, 3), export("_initialize", 0, 1), export("g", 3, 1), export("imported", 0, 0)),
		rawSec(8, ts(4)),
		sec(9, cat(ts(0), i32c(1), ts(0x0b, 2, 4, 0)), cat(ts(5, tFunc, 2), op(0xd2, 2, 0x0b, 0xd0, tFunc, 0x0b)), ts(3, 0, 1, 3)),
		rawSec(12, ts(4)),
		code(body(call(0), i32c(0), i32c(0), i32c(3), op(0xfc, 8, 1, 0)),
			body(get(0), i32c(1), op(0x6a)),
			body(i32c(1), i64c(2), op(0x0f)),
			body(op(0x23, 1), i64c(1), op(0x7c, 0x24, 1))),
		sec(11, cat(ts(0), i32c(8), i32c(8), op(0x6a, 0x0b), str("first")), cat(ts(1), str("passive")),
			cat(ts(2, 0), i32c(20), ts(0x0b), str("second")), cat(ts(0), i32c(65_536), ts(0x0b), str(""))),
		rawSec(0, str("name"), ts(0, 2), str("m"), ts(1, 12, 2, 1), str("run"), ts(2), str("inc\x1b"), ts(2, 1, 0)),
		rawSec(0, str("producers"), ts(0)),
	)
}

func TestInspectSample(t *testing.T) {
	t.Parallel()
	m, err := wasmbin.Decode(sample(), wasmbin.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	void := wasmbin.FuncType{}
	want := &wasmbin.Info{
		Imports: []wasmbin.Import{{Module: "env", Name: "nop", Kind: wasmbin.KindFunc, Desc: "func()"}},
		Exports: []wasmbin.Export{{Name: "run", Type: void}, {Name: "memory", Kind: wasmbin.KindMemory},
			{Name: "pair", Type: wasmbin.FuncType{Results: []wasmbin.ValType{wasmbin.I32, wasmbin.I64}}},
			{Name: "_initialize", Type: void}, {Name: "g", Kind: wasmbin.KindGlobal}, {Name: "imported", Type: void}},
		HasMemory: true, MemoryMin: 65_536, MemoryMax: 3 * 65_536, Tables: []uint64{4},
		Globals: 3, MutableGlobals: 1, Functions: 4, HasStart: true, Initialize: &void,
		DataSegments: 4, ElemSegments: 3, Sections: []string{"name", "producers"},
		Features: []string{"bulk-memory", "extended-const", "multi-value", "mutable-globals", "reference-types"},
		Figures: wasmbin.Figures{ModuleBytes: len(sample()), CodeBytes: 42, LargestBody: 14, Types: 3, MostOperands: 3,
			LargestFrame: 96, FuncCost: 1, ModuleCost: 1},
	}
	if diff := cmp.Diff(want, m.Info()); diff != "" {
		t.Errorf("Info (-want +got):\n%s", diff)
	}
}

func TestInspectImports(t *testing.T) {
	t.Parallel()
	wasm := module(types(fn(ts(tI32), ts(tI32))), imports(
		cat(str("env"), str("memory"), ts(2, 1, 1, 2)), cat(str("env"), str("table"), ts(1, tFunc, 0, 5)),
		cat(str("env"), str("base"), ts(3, tI32, 0)), cat(str("env"), str("sp"), ts(3, tI64, 1)), cat(str("env"), str("tag"), ts(4, 0, 0))))
	m, err := wasmbin.Decode(wasm, wasmbin.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range m.Info().Imports {
		got = append(got, i.Kind.String()+" "+i.Module+"."+i.Name+": "+i.Desc)
	}
	want := []string{"memory env.memory: memory 1 2", "table env.table: table 5 funcref", "global env.base: global i32",
		"global env.sp: global mut i64", "tag env.tag: tag func(i32) i32"}
	if !slices.Equal(got, want) {
		t.Errorf("imports %q, want %q", got, want)
	}
	_, _, err = m.Instrument(wasmbin.InstrumentOptions{})
	if n := len(all(err)); n != 5 || !strings.Contains(err.Error(), "import env.memory: memory 1 2: only functions may be imported") {
		t.Errorf("Instrument: %d errors, want 5: %v", n, err)
	}
}

func TestMetaOfSample(t *testing.T) {
	t.Parallel()
	out, meta, err := metered(sample(), wasmbin.Limits{}, wasmbin.InstrumentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []wasmbin.Data{{Offset: 16, Bytes: []byte("first")}, {Offset: 20, Bytes: []byte("second")}}
	if diff := cmp.Diff(want, meta.Data); diff != "" {
		t.Errorf("Data (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]wasmbin.Global{{Index: 1, Type: wasmbin.I64}}, meta.Globals); diff != "" {
		t.Errorf("Globals (-want +got):\n%s", diff)
	}
	if !meta.Memory || meta.MemoryMin != 65_536 || !meta.Start || meta.Types != 4 || len(meta.Hazards) != 0 {
		t.Errorf("meta %+v", meta)
	}
	for i, want := range map[int]int{-1: -1, 0: 0, 1: -1, 2: 1, 5: 4, 6: -1, 7: -1} {
		got, ok := meta.Original(i)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("Original(%d) = %d, %v, want %d", i, got, ok, want)
		}
	}
	mem := make([]byte, 18)
	meta.CopyData(mem)
	if !bytes.Equal(mem, []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00fi")) {
		t.Errorf("image in too small a memory: %q", mem)
	}
	for _, gone := range []string{"first", "second", "producers"} {
		if bytes.Contains(out, []byte(gone)) {
			t.Errorf("%q is still in the metered module", gone)
		}
	}
	kept, meta, err := metered(sample(), wasmbin.Limits{}, wasmbin.InstrumentOptions{KeepData: true})
	if err != nil || !bytes.Contains(kept, []byte("first")) || len(meta.Data) != 0 {
		t.Errorf("with KeepData: %d pieces in the image, error %v", len(meta.Data), err)
	}
}

// TestSampleRuns runs the sample with moved and with kept data, and looks at
// all that indices could have confused.
func TestSampleRuns(t *testing.T) {
	t.Parallel()
	for _, o := range []wasmbin.InstrumentOptions{{}, {KeepData: true}} {
		out, meta, err := metered(sample(), wasmbin.Limits{}, o)
		if err != nil {
			t.Fatal(err)
		}
		for engine, cfg := range engines {
			w := newWorld(t, cfg())
			c, err := w.r.CompileModule(w.ctx, module(types(fn(nil, nil)), funcs(0), exports(export("nop", 0, 0)), code(body())))
			if err != nil {
				t.Fatal(err)
			}
			if w.modules["env"], err = w.r.InstantiateModule(w.ctx, c, moduleConfig()); err != nil {
				t.Fatal(err)
			}
			m, err := w.start(out, meta)
			if err != nil {
				t.Fatal(err)
			}
			if got := int64(m.ExportedGlobal("g").Get()); got != -9 { // -5*2, and one from the start function
				t.Errorf("%s: g is %d after start, want -9", engine, got)
			}
			if got := int64(m.ExportedGlobal(wasmbin.ExportGlobal(1)).Get()); got != -9 {
				t.Errorf("%s: hidden export of g is %d, want -9", engine, got)
			}
			if _, err := m.ExportedFunction("run").Call(w.ctx); err != nil {
				t.Fatal(err)
			}
			mem, _ := m.Memory().Read(0, 26)
			if want := "pas\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00firssecond"; string(mem) != want {
				t.Errorf("%s: memory %q, want %q", engine, mem, want)
			}
			pair, err := m.ExportedFunction("pair").Call(w.ctx)
			if err != nil || !slices.Equal(pair, []uint64{1, 2}) {
				t.Errorf("%s: pair is %v, %v", engine, pair, err)
			}
			if d := m.ExportedFunction("run").Definition(); d.Name() != "run" {
				t.Errorf("%s: function is called %q in traces", engine, d.Name())
			}
		}
	}
}

// TestSegmentIndicesHold names active segments in instructions, also trailing
// ones, which must go on to exist, empty.
func TestSegmentIndicesHold(t *testing.T) {
	t.Parallel()
	segment := func(at int32) []byte { return cat(ts(0), i32c(at), ts(0x0b), str("abc")) }
	wasm := module(types(fn(ts(tI32), nil)), funcs(0, 0), memory(0, 1), exports(export("init", 0, 0), export("drop", 0, 1)), rawSec(12, ts(3)),
		code(body(i32c(0), i32c(0), get(0), op(0xfc, 8, 1, 0)), body(op(0xfc, 9, 1))),
		sec(11, segment(0), segment(8), segment(16)))
	out, meta, err := metered(wasm, wasmbin.Limits{}, wasmbin.InstrumentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for engine, cfg := range engines {
		w := newWorld(t, cfg())
		m, err := w.start(out, meta)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.ExportedFunction("drop").Call(w.ctx, 0); err != nil {
			t.Error(engine, err)
		}
		if _, err := m.ExportedFunction("init").Call(w.ctx, 0); err != nil {
			t.Errorf("%s: init of nothing from a used segment: %v", engine, err)
		}
		if _, err := m.ExportedFunction("init").Call(w.ctx, 1); err == nil {
			t.Errorf("%s: init of one byte from a used segment worked", engine)
		}
	}
	if diff := cmp.Diff([]string{"data.drop"}, meta.Hazards); diff != "" {
		t.Errorf("Hazards (-want +got):\n%s", diff)
	}
}

// TestStartThatIsImported wants the host's function called through metered code.
func TestStartThatIsImported(t *testing.T) {
	t.Parallel()
	wasm := module(types(fn(nil, nil)), imports(importFunc("env", "nop", 0)), rawSec(8, ts(0)))
	eachEngine(t, wasm, func(t *testing.T, w *world, m api.Module) {
		if got := w.used(m); got != 100 {
			t.Errorf("start used %d units, want 100", got)
		}
	})
}

// TestTableMaximum lowers what a table may grow to.
func TestTableMaximum(t *testing.T) {
	t.Parallel()
	grow := func(table, elem byte) []byte { return body(op(0xd0, elem), get(0), op(0xfc, 15, table)) }
	wasm := module(types(fn(ts(tI32), ts(tI32))), funcs(0, 0, 0), sec(4, ts(tFunc, 0, 10), ts(tExtern, 1, 5, 6), cat(ts(tFunc, 1, 0), u32(1_000))),
		exports(export("a", 0, 0), export("b", 0, 1), export("c", 0, 2)), code(grow(0, tFunc), grow(1, tExtern), grow(2, tFunc)))
	out, meta, err := metered(wasm, wasmbin.Limits{TableElems: 100}, wasmbin.InstrumentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for engine, cfg := range engines {
		w := newWorld(t, cfg())
		m, err := w.start(out, meta)
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			table string
			by    uint64
			want  int32
		}{{"a", 86, -1}, {"a", 85, 10}, {"a", 1, -1}, {"b", 2, -1}, {"b", 1, 5}, {"c", 86, -1}, {"c", 85, 0}} {
			got, err := m.ExportedFunction(tt.table).Call(w.ctx, tt.by)
			if err != nil || int32(got[0]) != tt.want {
				t.Errorf("%s: grow %s by %d: %v, %v, want %d", engine, tt.table, tt.by, got, err, tt.want)
			}
		}
	}
}

// TestNamesSurvive keeps function names for traces, without what a guest could
// fake with them.
func TestNamesSurvive(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 200)
	names := cat(ts(3, 0), str("a\x00refill"), ts(1), str(long), ts(9), str("no such function"))
	wasm := module(types(fn(nil, nil)), imports(importFunc("env", "nop", 0)), funcs(0), exports(export("f", 0, 1)), code(body(op(0x00))),
		rawSec(0, str("name"), ts(1), u32(uint32(len(names))), names))
	eachEngine(t, wasm, func(t *testing.T, w *world, m api.Module) {
		_, err := m.ExportedFunction("f").Call(w.ctx)
		if err == nil || !strings.Contains(err.Error(), "."+strings.Repeat("é", 128)+"()") {
			t.Errorf("trace %v, want the name cut to 256 bytes", err)
		}
	})
	broken := cat(void(), rawSec(0, str("name"), ts(1, 50)))
	m, err := wasmbin.Decode(broken, wasmbin.Limits{})
	if err != nil || len(m.Info().Warnings) != 1 {
		t.Errorf("broken name section: %v, want one warning", err)
	}
}
