package wasmbin_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

// TestStackOverflow recurses in many ways, for ever. The interpreter has a
// limit of its own, 2,000 frames, which may be met first.
func TestStackOverflow(t *testing.T) {
	void, one := fn(nil, nil), fn(ts(tI32), ts(tI32))
	table := sec(4, ts(tFunc, 0, 1))
	elems := sec(9, cat(ts(0), i32c(0), ts(0x0b, 1, 0)))
	wide := func(n int) []byte { // n operands stay alive across the call
		return body(rep(n, 0x41, 1), call(0), rep(n, 0x1a))
	}
	for name, wasm := range map[string][]byte{
		"direct":          module(types(void), funcs(0), exports(export("f", 0, 0)), code(body(call(0)))),
		"mutual":          module(types(void), funcs(0, 0), exports(export("f", 0, 0)), code(body(call(1)), body(call(0)))),
		"indirect":        module(types(void), funcs(0), table, exports(export("f", 0, 0)), elems, code(body(i32c(0), op(0x11, 0, 0)))),
		"in a loop":       module(types(void), funcs(0), exports(export("f", 0, 0)), code(body(op(0x03, 0x40), call(0), op(0x0c, 0, 0x0b)))),
		"large locals":    module(types(void), funcs(0), exports(export("f", 0, 0)), code(bodyWith(cat(ts(1), u32(5_000), ts(tI64)), call(0)))),
		"2,000 operands":  module(types(void), funcs(0), exports(export("f", 0, 0)), code(wide(2_000))),
		"8,000 operands":  module(types(void), funcs(0), exports(export("f", 0, 0)), code(wide(8_000))),
		"vectors":         module(types(void), funcs(0), exports(export("f", 0, 0)), code(bodyWith(cat(ts(1), u32(200), ts(tV128)), call(0)))),
		"before a return": module(types(void), funcs(0), exports(export("f", 0, 0)), code(body(call(0), op(0x0f)))),
		"one parameter":   module(types(void, one), funcs(0, 1), exports(export("f", 0, 0)), code(body(i32c(1), call(1), op(0x1a)), body(get(0), call(1)))),
		"255 results":     module(types(void, fn(nil, rep(255, tI64))), funcs(0, 1), exports(export("f", 0, 0)), code(body(call(1), rep(255, 0x1a)), body(call(1)))),
		"through table leaf": module(types(void), funcs(0, 0), table, exports(export("f", 0, 1)), sec(9, cat(ts(0), i32c(0), ts(0x0b, 1, 1))),
			code(body(), body(call(0), i32c(0), op(0x11, 0, 0), call(0)))),
	} {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, wasm, func(t *testing.T, w *world, m api.Module) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				_, err := m.ExportedFunction("f").Call(w.ctx)
				runtime.ReadMemStats(&after)
				own := strings.HasSuffix(t.Name(), "interpreter") && err != nil && strings.Contains(err.Error(), "wasm error: stack overflow")
				if !errors.Is(err, errOverflow) && !own {
					t.Fatalf("%v, want %v", err, errOverflow)
				}
				// Without depth the compiler's stack alone takes 170 MB here.
				if got := after.TotalAlloc - before.TotalAlloc; got > 64<<20 {
					t.Errorf("%d bytes were allocated on the way to the overflow", got)
				}
			})
		})
	}
}

// TestDepthIsExact recurses to a given depth, just below, at, and above the limit.
func TestDepthIsExact(t *testing.T) {
	t.Parallel()
	// f(n) = n == 0 ? return : f(n-1), leaving by return, by branch, and by the end.
	for name, leave := range map[string][]byte{
		"end":       cat(get(0), op(0x04, 0x40), get(0), i32c(1), op(0x6b), call(0), op(0x0b)),
		"return":    cat(get(0), op(0x45, 0x04, 0x40, 0x0f, 0x0b), get(0), i32c(1), op(0x6b), call(0), op(0x02, 0x40, 0x0f, 0x0b)),
		"branch":    cat(get(0), op(0x45, 0x0d, 0), get(0), i32c(1), op(0x6b), call(0), op(0x03, 0x40, 0x0c, 1, 0x0b)),
		"br_table":  cat(op(0x02, 0x40), get(0), op(0x0e, 1, 1, 0, 0x0b), get(0), i32c(1), op(0x6b), call(0), i32c(7), op(0x0e, 1, 0, 0)),
		"dead code": cat(get(0), op(0x04, 0x40), get(0), i32c(1), op(0x6b), call(0), op(0x0f, 0x0f), op(0x0b)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wasm := module(types(fn(ts(tI32), nil)), funcs(0), exports(export("f", 0, 0)), code(body(leave)))
			dec, err := wasmbin.Decode(wasm, wasmbin.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			frame := dec.Frame(0)
			limit := 1_000 * frame // 1,000 frames fit; the interpreter allows 2,000
			out, meta, err := dec.Instrument(wasmbin.InstrumentOptions{Stack: uint32(limit)})
			if err != nil {
				t.Fatal(err)
			}
			for engine, cfg := range engines {
				w := newWorld(t, cfg())
				m, err := w.start(out, meta)
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range []int{998, 999, 1_000} { // f(n) takes n+1 frames
					_, err := m.ExportedFunction("f").Call(w.ctx, uint64(n))
					if over := n+1 > 1_000; over != errors.Is(err, errOverflow) {
						t.Errorf("%s: %d frames of %d bytes in %d: %v", engine, n+1, frame, limit, err)
					}
					if d := m.ExportedGlobal(wasmbin.ExportDepth).Get(); err == nil && d != 0 {
						t.Errorf("%s: depth is %d after %d frames", engine, d, n+1)
					}
				}
			}
		})
	}
}

func TestFrame(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		typ  []byte
		body []byte
		want int
	}{
		{"nothing", fn(nil, nil), body(), 64},
		{"parameter and result", fn(ts(tI32), ts(tI32)), body(get(0)), 64 + 8*3},
		{"locals", fn(nil, nil), bodyWith(ts(1, 5, tI64)), 64 + 8*5},
		{"vector local", fn(nil, nil), bodyWith(ts(1, 5, tV128)), 64 + 8*10},
		{"operands", fn(nil, nil), body(rep(9, 0x41, 0), rep(9, 0x1a)), 64 + 8*9},
		{"operands with vectors", fn(nil, nil), bodyWith(ts(1, 1, tV128), rep(9, 0x20, 0), rep(9, 0x1a)), 64 + 8*2 + 16*9},
		{"results of a call", fn(nil, rep(20, tI32)), body(call(0)), 64 + 8*(20+20)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := wasmbin.Decode(module(types(tt.typ), funcs(0), code(tt.body)), wasmbin.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Frame(0); got != tt.want {
				t.Errorf("frame of %x is %d, want %d", tt.body, got, tt.want)
			}
		})
	}
}

// TestHostThatGoesOn wants that a guest with a full stack traps even if refill
// should return.
func TestHostThatGoesOn(t *testing.T) {
	t.Parallel()
	out, _, err := metered(module(types(fn(nil, nil)), funcs(0), exports(export("f", 0, 0)), code(body(call(0)))),
		wasmbin.Limits{}, wasmbin.InstrumentOptions{Stack: 4_096})
	if err != nil {
		t.Fatal(err)
	}
	if err := runIgnoringOverflow(t, out); err == nil || !strings.Contains(err.Error(), "unreachable") {
		t.Errorf("the guest ended with %.60v, want a trap of its own", err)
	}
}
