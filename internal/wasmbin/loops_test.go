package wasmbin_test

import (
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

// TestLoopsInAnySlices leaves loops in all the ways there are, however little
// fuel is granted at a time: each gives what the original gives, and takes the
// same units. Each body counts rounds in local 0 and sums something up in 1.
func TestLoopsInAnySlices(t *testing.T) {
	t.Parallel()
	var (
		step  = cat(get(1), i32c(3), op(0x6c), get(0), op(0x6a), set(1), get(0), i32c(1), op(0x6a), set(0))
		under = func(n int32) []byte { return cat(get(0), i32c(n), op(0x49)) } // local 0 < n
		mod   = func(n int32) []byte { return cat(get(0), i32c(n), op(0x70)) }
	)
	for name, b := range map[string][]byte{
		"falls through":          cat(op(0x03, 0x40), step, under(50), op(0x0d, 0, 0x0b), get(1)),
		"gives a value":          cat(op(0x03, tI32), step, under(50), op(0x0d, 0), get(1), op(0x0b)),
		"breaks out":             cat(op(0x02, 0x40, 0x03, 0x40), step, under(50), op(0x45, 0x0d, 1, 0x0c, 0, 0x0b, 0x0b), get(1)),
		"breaks out of two":      cat(op(0x02, 0x40, 0x03, 0x40, 0x03, 0x40), step, under(50), op(0x45, 0x0d, 2), mod(7), op(0x0d, 0, 0x0c, 1, 0x0b, 0x0b, 0x0b), get(1)),
		"returns":                cat(op(0x03, 0x40), step, under(50), op(0x04, 0x40, 0x05), get(1), op(0x0f, 0x0b, 0x0c, 0, 0x0b, 0x00)),
		"branches to the body":   cat(op(0x03, 0x40), get(1), step, under(50), op(0x45, 0x0d, 1, 0x1a, 0x0c, 0, 0x0b, 0x00)),
		"br_table over all":      cat(op(0x02, 0x40, 0x03, 0x40, 0x02, 0x40, 0x03, 0x40), step, under(90), op(0x45, 0x0d, 3), mod(3), op(0x0e, 2, 0, 1, 2, 0x0b, 0x0b, 0x0c, 0, 0x0b, 0x0b), get(1)),
		"br_table with a value":  cat(op(0x02, tI32, 0x03, tI32), step, get(1), under(40), op(0x45, 0x0e, 1, 2, 1, 0x0b, 0x0b)),
		"calls the host":         cat(op(0x03, 0x40), step, call(0), under(20), op(0x0d, 0, 0x0b), get(1)),
		"framed and returns":     cat(op(0x03, 0x40), step, call(2), under(50), op(0x45, 0x04, 0x40), get(1), op(0x0f, 0x0b, 0x0c, 0, 0x0b, 0x00)),
		"two after each other":   cat(op(0x03, 0x40), step, under(20), op(0x0d, 0, 0x0b, 0x03, 0x40), step, under(60), op(0x0d, 0, 0x0b), get(1)),
		"with a parameter":       cat(i32c(1), op(0x03, 1), get(0), op(0x6a), step, under(30), op(0x0d, 0, 0x0b)),
		"two values":             cat(op(0x03, 2), step, get(1), get(0), under(30), op(0x04, 2), get(1), get(0), op(0x05), get(0), get(1), op(0x0b), op(0x1a, 0x1a), under(30), op(0x0d, 0, 0x0b, 0x6a)),
		"never entered":          cat(op(0x02, 0x40, 0x0c, 0, 0x03, 0x40, 0x0c, 0, 0x0b, 0x0b), i32c(9)),
		"unreachable inside":     cat(op(0x03, 0x40), step, under(30), op(0x0d, 0), get(1), op(0x0f, 0x03, 0x40, 0x0c, 0, 0x0b, 0x0b, 0x00)),
		"values wait below it":   cat(i32c(40), i32c(2), op(0x03, tI32), step, under(30), op(0x0d, 0), get(1), op(0x0b, 0x6a, 0x6b)),
		"long body":              cat(op(0x03, 0x40), step, rep(9_000, 0x01), under(9), op(0x0d, 0, 0x0b), get(1)),
		"inside an if":           cat(i32c(1), op(0x04, tI32, 0x03, tI32), step, under(30), op(0x0d, 0), get(1), op(0x0b, 0x05), i32c(0), op(0x0b)),
		"branches over the loop": cat(op(0x02, 0x40), op(0x03, 0x40), step, op(0x02, 0x40), under(30), op(0x0d, 1), op(0x0c, 2, 0x0b, 0x0b, 0x0b), get(1)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wasm := module(types(fn(nil, nil), fn(ts(tI32), ts(tI32)), fn(nil, ts(tI32, tI32)), fn(nil, ts(tI32))), imports(importFunc("env", "nop", 0)),
				funcs(3, 0), exports(export("f", 0, 1)), code(bodyWith(ts(1, 2, tI32), b), body()))
			want := plainly(t, wasm)
			eachEngine(t, wasm, func(t *testing.T, w *world, m api.Module) {
				units := int64(-1)
				for _, w.slice = range []int64{1 << 40, 0, 1, 2, 7, 20, 100} {
					w.granted = 0
					m.ExportedGlobal(wasmbin.ExportFuel).(api.MutableGlobal).Set(0)
					got, err := m.ExportedFunction("f").Call(w.ctx)
					if err != nil {
						t.Fatalf("%d units at a time: %v", w.slice, err)
					}
					if uint32(got[0]) != want {
						t.Errorf("%d units at a time: got %d, want %d", w.slice, uint32(got[0]), want)
					}
					if used := w.used(m); w.slice == 1<<40 {
						units = used
					} else if used != units {
						t.Errorf("%d units at a time: %d were used, %d in one piece", w.slice, used, units)
					}
				}
			})
		})
	}
}

// plainly answers what "f" gives in the original.
func plainly(t *testing.T, wasm []byte) uint32 {
	t.Helper()
	ctx := t.Context()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	if _, err := r.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func() {}).Export("nop").Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	m, err := r.InstantiateWithConfig(ctx, wasm, moduleConfig())
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.ExportedFunction("f").Call(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(got[0])
}
