package wasmbin_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

// eachEngine runs a test on metered bytes with both engines.
func eachEngine(t *testing.T, wasm []byte, test func(t *testing.T, w *world, m api.Module)) {
	t.Helper()
	out, meta, err := metered(wasm, wasmbin.Limits{}, wasmbin.InstrumentOptions{})
	if err != nil {
		t.Fatalf("module %x: %v", wasm, err)
	}
	for engine, cfg := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, cfg())
			env, err := w.r.CompileModule(w.ctx, module(types(fn(nil, nil)), funcs(0), exports(export("nop", 0, 0)), code(body())))
			if err == nil {
				w.modules["env"], err = w.r.InstantiateModule(w.ctx, env, moduleConfig())
			}
			if err != nil {
				t.Fatal(err)
			}
			m, err := w.start(out, meta)
			if err != nil {
				t.Fatalf("module %x: %v", out, err)
			}
			test(t, w, m)
		})
	}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	loop := func(n int32, inside ...[]byte) []byte { // rounds of inside, counted down in local 0
		return bodyWith(ts(1, 1, tI32), i32c(n), set(0), op(0x03, 0x40), cat(inside...),
			get(0), i32c(1), op(0x6b, 0x22, 0, 0x0d, 0, 0x0b))
	}
	grow := func(n int32) []byte { return body(i32c(n), op(0x40, 0, 0x1a)) }
	for _, tt := range []struct {
		name string
		body []byte
		want int64
	}{
		{"nothing: the end", body(), 1},
		{"two and the end", body(op(0x01, 0x01)), 3},
		{"both arms count", body(i32c(0), op(0x04, 0x40, 0x01, 0x01, 0x05, 0x01, 0x0b)), 8},
		{"behind a return counts", body(op(0x0f, 0x01, 0x01)), 4},
		{"ten rounds of seven and the rest", loop(10), 4 - 1 + 10*7},
		{"host call", body(call(0)), 101},
		{"own call", body(call(2)), 2 + 1},
		{"fill of 160", body(i32c(0), i32c(0), i32c(160), op(0xfc, 11, 0)), 3 + 8 + 10 + 1},
		{"fill of nothing", body(i32c(0), i32c(0), i32c(0), op(0xfc, 11, 0)), 3 + 8 + 1},
		{"fill of 15", body(i32c(0), i32c(0), i32c(15), op(0xfc, 11, 0)), 3 + 8 + 1},
		{"fill of 200,000 in chunks", body(i32c(0), i32c(0), i32c(200_000), op(0xfc, 11, 0)), 3 + 8 + 12_500 + 1},
		{"copy of 300,000 down", body(i32c(0), i32c(7), i32c(300_000), op(0xfc, 10, 0, 0)), 3 + 8 + 18_750 + 1},
		{"copy of 300,000 up", body(i32c(7), i32c(0), i32c(300_000), op(0xfc, 10, 0, 0)), 3 + 8 + 18_750 + 1},
		{"init of 32", body(i32c(0), i32c(0), i32c(32), op(0xfc, 8, 0, 0)), 3 + 8 + 2 + 1},
		{"grow by 2", grow(2), 2 + 64 + 2*1024 + 1},
		{"grow by 0", grow(0), 2 + 64 + 1},
		{"grow refused", grow(65_535), 2 + 64 + 1},
		{"table grow by 8", body(op(0xd0, tFunc), i32c(8), op(0xfc, 15, 0, 0x1a)), 3 + 64 + 4 + 1},
		{"table grow refused", body(op(0xd0, tFunc), i32c(70_000), op(0xfc, 15, 0, 0x1a)), 3 + 64 + 1},
		{"table fill of 4", body(i32c(0), op(0xd0, tFunc), i32c(4), op(0xfc, 17, 0)), 3 + 8 + 2 + 1},
		{"table copy of 4", body(i32c(0), i32c(1), i32c(4), op(0xfc, 14, 0, 0)), 3 + 8 + 2 + 1},
		{"table init of 2", body(i32c(0), i32c(0), i32c(2), op(0xfc, 12, 0, 0)), 3 + 8 + 1 + 1},
		{"4,096 in one piece", body(rep(4_095, 0x01)), 4_096},
		{"10,000 in pieces of 4,096", body(rep(9_999, 0x01)), 3 * 4_096},
		{"arms are alternatives", body(i32c(0), op(0x04, 0x40), rep(3_000, 0x01), op(0x05), rep(3_000, 0x01), op(0x0b)), 4_096},
		{"loops do not pay for what is around them", body(rep(4_000, 0x01), op(0x03, 0x40, 0x0b), rep(4_000, 0x01)), 2 + 2*4_096},
		{"locals are cleared", bodyWith(cat(ts(1), u32(255+80), ts(tI32))), 1 + 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wasm := module(types(fn(nil, nil)), imports(importFunc("env", "nop", 0)), funcs(0, 0), sec(4, ts(tFunc, 0, 16)),
				memory(1, 8, 16), exports(export("f", 0, 1)), sec(9, ts(1, 0, 2, 1, 1)), rawSec(12, ts(1)),
				code(tt.body, body()), sec(11, cat(ts(1), str(strings.Repeat("x", 100)))))
			eachEngine(t, wasm, func(t *testing.T, w *world, m api.Module) {
				if _, err := m.ExportedFunction("f").Call(w.ctx); err != nil {
					t.Fatal(err)
				}
				if got := w.used(m); got != tt.want {
					t.Errorf("%x used %d units, want %d", tt.body, got, tt.want)
				}
			})
		})
	}
}

// TestBudgetStops runs what never ends by itself, and wants it to stop at the
// same unit whatever the slices are.
func TestBudgetStops(t *testing.T) {
	t.Parallel()
	bomb := [][]byte{} // each calls the next twice
	for i := range 45 {
		bomb = append(bomb, body(call(uint32(i+1)), call(uint32(i+1))))
	}
	bomb = append(bomb, body())
	for name, wasm := range map[string][]byte{
		"loop":        void(op(0x03, 0x40, 0x0c, 0, 0x0b)),
		"nested loop": void(op(0x03, 0x40, 0x03, 0x40, 0x0c, 1, 0x0b, 0x0b)),
		"br_table":    void(op(0x03, 0x40), i32c(3), op(0x0e, 1, 0, 0, 0x0b)),
		"host calls":  module(types(fn(nil, nil)), imports(importFunc("env", "nop", 0)), funcs(0), exports(export("f", 0, 1)), code(body(op(0x03, 0x40, 0x10, 0, 0x0c, 0, 0x0b)))),
		"bomb":        module(types(fn(nil, nil)), funcs(make([]byte, 46)...), exports(export("f", 0, 0)), code(bomb...)),
		"fills": module(types(fn(nil, nil)), funcs(0), memory(0, 16), exports(export("f", 0, 0)),
			code(body(op(0x03, 0x40), i32c(0), i32c(1), i32c(1<<20), op(0xfc, 11, 0, 0x0c, 0, 0x0b)))),
		"grow nothing": void(op(0x03, 0x40), i32c(0), op(0x40, 0, 0x1a, 0x0c, 0, 0x0b)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachEngine(t, wasm, func(t *testing.T, w *world, m api.Module) {
				w.budget = 2_000_000
				for _, w.slice = range []int64{1, 777, 50_000, 3_000_000} {
					w.granted = 0
					m.ExportedGlobal(wasmbin.ExportFuel).(api.MutableGlobal).Set(0)
					m.ExportedGlobal(wasmbin.ExportDepth).(api.MutableGlobal).Set(0)
					if w.slice == 1 {
						w.budget = 20_000
					}
					_, err := m.ExportedFunction("f").Call(w.ctx)
					if !errors.Is(err, errBudget) {
						t.Fatalf("slice %d: %v, want %v", w.slice, err, errBudget)
					}
					w.budget = 2_000_000
				}
			})
		})
	}
}

func TestDeterministic(t *testing.T) {
	t.Parallel()
	wasm := void(call(0), op(0x03, 0x40), i32c(0), op(0x40, 0, 0x1a, 0x0c, 0, 0x0b))
	var first []byte
	for range 20 {
		out, _, err := metered(wasm, wasmbin.Limits{}, wasmbin.InstrumentOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = out
		}
		if !bytes.Equal(out, first) {
			t.Fatalf("different bytes:\n%x\n%x", out, first)
		}
	}
	other, _, _ := metered(wasm, wasmbin.Limits{}, wasmbin.InstrumentOptions{Stack: 1 << 16})
	if bytes.Equal(other, first) {
		t.Error("another stack limit gave the same bytes")
	}
}

// TestBulkChunks compares fill and copy around the sizes where they are cut
// with what the plain instructions do.
func TestBulkChunks(t *testing.T) {
	t.Parallel()
	three := fn(ts(tI32, tI32, tI32), nil)
	wasm := module(types(three), funcs(0, 0), memory(0, 8),
		exports(export("fill", 0, 0), export("copy", 0, 1), export("memory", 2, 0)),
		code(body(get(0), get(1), get(2), op(0xfc, 11, 0)), body(get(0), get(1), get(2), op(0xfc, 10, 0, 0))))
	const chunk, size = 128 << 10, 8 << 16
	eachEngine(t, wasm, func(t *testing.T, w *world, m api.Module) {
		c, err := w.r.CompileModule(w.ctx, wasm)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := w.r.InstantiateModule(w.ctx, c, moduleConfig())
		if err != nil {
			t.Fatal(err)
		}
		for _, mod := range []api.Module{m, plain} {
			mem, _ := mod.Memory().Read(0, size)
			for i := range mem {
				mem[i] = byte(i*7 + i>>8)
			}
		}
		for _, n := range []uint64{0, 1, chunk - 1, chunk, chunk + 1, 2*chunk - 1, 2 * chunk, 2*chunk + 1, 3*chunk + 5, size - 9, size, size + 1, 1<<32 - 1} {
			for _, at := range [][2]uint64{{0, 9}, {9, 0}, {0, chunk}, {chunk, 0}, {3, 3}, {size - chunk, 1}, {size, 0}, {0, size}, {1<<32 - 1, 0}, {0, 1<<32 - 1}} {
				for _, name := range []string{"fill", "copy"} {
					_, got := m.ExportedFunction(name).Call(w.ctx, at[0], at[1], n)
					_, want := plain.ExportedFunction(name).Call(w.ctx, at[0], at[1], n)
					a, _ := m.Memory().Read(0, size)
					b, _ := plain.Memory().Read(0, size)
					if (got == nil) != (want == nil) || !bytes.Equal(a, b) {
						t.Fatalf("%s(%#x, %#x, %#x): error %v, want %v; same memory: %v", name, at[0], at[1], n, got, want, bytes.Equal(a, b))
					}
				}
			}
		}
	})
}

// TestBulkIsInterruptible wants a refill between the chunks of one instruction.
func TestBulkIsInterruptible(t *testing.T) {
	t.Parallel()
	for i, instr := range [][]byte{op(0xfc, 11, 0), op(0xfc, 10, 0, 0)} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			wasm := module(types(fn(nil, nil)), funcs(0), memory(0, 64), exports(export("f", 0, 0)),
				code(body(i32c(1), i32c(0), i32c(4<<20-1), instr)))
			eachEngine(t, wasm, func(t *testing.T, w *world, m api.Module) {
				w.slice = 5_000
				if _, err := m.ExportedFunction("f").Call(w.ctx); err != nil {
					t.Fatal(err)
				}
				if w.calls < 31 {
					t.Errorf("%d refills during 4 MiB, want one for each 128 KiB", w.calls)
				}
			})
		})
	}
}
