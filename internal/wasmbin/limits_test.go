package wasmbin_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

// TestBounds gives each limit a module one below, at, and one above it.
func TestBounds(t *testing.T) {
	t.Parallel()
	plain := fn(nil, nil)
	for _, tt := range []struct {
		name  string
		most  int
		build func(n int) []byte
	}{
		{"types", 4_096, func(n int) []byte { return module(types(slices.Repeat([][]byte{plain}, n)...)) }},
		{"parameters", 255, func(n int) []byte { return module(types(fn(rep(n, tI32), nil))) }},
		{"results", 255, func(n int) []byte { return module(types(fn(nil, rep(n, tI32)))) }},
		{"imports", 1_024, func(n int) []byte {
			return module(types(plain), imports(slices.Repeat([][]byte{importFunc("env", "x", 0)}, n)...))
		}},
		{"functions", 65_536, func(n int) []byte {
			return module(types(plain), funcs(make([]byte, n)...), code(slices.Repeat([][]byte{body()}, n)...))
		}},
		{"exports", 4_096, func(n int) []byte {
			list := make([][]byte, n)
			for i := range list {
				list[i] = export(fmt.Sprint(i), 2, 0)
			}
			return module(memory(0, 1), exports(list...))
		}},
		{"globals", 1_024, func(n int) []byte {
			return module(globals(slices.Repeat([][]byte{cat(ts(tI32, 0), i32c(1), ts(0x0b))}, n)...))
		}},
		{"mutable globals", 256, func(n int) []byte {
			return module(globals(slices.Repeat([][]byte{cat(ts(tI32, 1), i32c(1), ts(0x0b))}, n)...))
		}},
		{"tables", 16, func(n int) []byte { return module(sec(4, slices.Repeat([][]byte{ts(tFunc, 0, 1)}, n)...)) }},
		{"table entries", 65_536, func(n int) []byte {
			return module(sec(4, cat(ts(tFunc, 0), u32(uint32(n-6))), ts(tFunc, 0, 6)))
		}},
		{"element items", 131_072, func(n int) []byte {
			return module(types(plain), funcs(0), sec(9, cat(ts(1, 0), u32(uint32(n)), make([]byte, n))), code(body()))
		}},
		{"element segments", 4_096, func(n int) []byte { return module(sec(9, slices.Repeat([][]byte{ts(1, 0, 0)}, n)...)) }},
		{"data segments", 131_072, func(n int) []byte { return module(sec(11, slices.Repeat([][]byte{ts(1, 0)}, n)...)) }},
		{"passive bytes", 1 << 20, func(n int) []byte { return module(sec(11, cat(ts(1), str(string(make([]byte, n)))))) }},
		{"locals", 10_000, func(n int) []byte {
			return module(types(plain), funcs(0), code(bodyWith(cat(ts(1), u32(uint32(n)), ts(tI32)))))
		}},
		{"body", 256 << 10, func(n int) []byte {
			return module(types(plain), funcs(0), code(body(rep(n-2, 0x01))))
		}},
		{"operands", 16_384, func(n int) []byte {
			return module(types(plain), funcs(0), code(body(rep(n, 0x41, 0), rep(n, 0x1a))))
		}},
		{"functions named by ref.func", 1_024, func(n int) []byte {
			var refs, list []byte
			bodies := [][]byte{}
			for i := range uint32(n) {
				refs = append(append(append(refs, 0xd2), u32(i)...), 0x1a)
				list = append(list, u32(i)...)
				bodies = append(bodies, body())
			}
			bodies[0] = body(refs, refs)
			return module(types(plain), funcs(make([]byte, n)...), sec(9, cat(ts(3, 0), u32(uint32(n)), list)), code(bodies...))
		}},
		{"nesting", 4_096, func(n int) []byte {
			return module(types(plain), funcs(0), code(body(rep(n, 0x02, 0x40), rep(n, 0x0b))))
		}},
		{"loop nesting", 256, func(n int) []byte {
			return module(types(plain), funcs(0), code(body(rep(n, 0x03, 0x40), rep(n, 0x0b))))
		}},
		{"name", 4_096, func(n int) []byte {
			return module(memory(0, 1), exports(export(strings.Repeat("n", n), 2, 0)))
		}},
		// 25 b*b, and a little for the rest.
		{"cost of a function", 7_581, func(n int) []byte {
			return module(types(plain), funcs(0), code(body(rep(n, 0x41, 0, 0x04, 0x40, 0x0b))))
		}},
		// 160 MiB at 2,300 bytes for each target and 260 for its one value, and a little for the rest.
		{"memory of one function", 65_532, func(n int) []byte {
			return module(types(plain), funcs(0), code(body(i32c(0), ts(0x0e), u32(uint32(n-1)), make([]byte, n))))
		}},
		// 8,000 bytes for each conversion, 400 for each of its instructions.
		{"memory of two functions", 9_108, func(n int) []byte {
			f := body(rep(n, 0x43, 0, 0, 0, 0, 0xa8, 0x1a))
			return module(types(plain), funcs(0, 0, 0), code(f, body(), f))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, n := range []int{tt.most - 1, tt.most, tt.most + 1} {
				wasm := tt.build(n)
				m, err := wasmbin.Decode(wasm, wasmbin.Limits{})
				list := all(err)
				if n > tt.most {
					if len(list) != 1 || list[0].ID != wasmbin.TooComplex {
						t.Errorf("%d %s: %v, want one error of kind %s", n, tt.name, err, wasmbin.TooComplex)
					}
					continue
				}
				if err != nil {
					t.Errorf("%d %s: %v, want none", n, tt.name, err)
					continue
				}
				if _, _, err := m.Instrument(wasmbin.InstrumentOptions{}); err != nil {
					t.Errorf("%d %s: Instrument: %v", n, tt.name, err)
				}
			}
		})
	}
}

func TestModuleBytes(t *testing.T) {
	t.Parallel()
	wasm := module(rawSec(0, str("x"), make([]byte, 100)))
	for _, tt := range []struct {
		most int
		ok   bool
	}{{len(wasm) + 1, true}, {len(wasm), true}, {len(wasm) - 1, false}} {
		_, err := wasmbin.Decode(wasm, wasmbin.Limits{Module: tt.most})
		if (err == nil) != tt.ok {
			t.Errorf("%d bytes with a limit of %d: %v", len(wasm), tt.most, err)
		}
	}
}

func TestCostSuggestsInterpreter(t *testing.T) {
	t.Parallel()
	ifs := body(rep(8_000, 0x41, 0, 0x04, 0x40, 0x0b))
	one := module(types(fn(nil, nil)), funcs(0), code(ifs))
	_, err := wasmbin.Decode(one, wasmbin.Limits{})
	if err == nil || !strings.Contains(err.Error(), "WithInterpreter") {
		t.Errorf("a function over the cost: %v, want a hint at the interpreter", err)
	}
	m, err := wasmbin.Decode(one, wasmbin.Limits{Interpreted: true})
	if err != nil {
		t.Fatalf("interpreted: %v", err)
	}
	if got := m.Info().FuncCost; got < 1_600 || got > 1_700 {
		t.Errorf("8,000 ifs cost %d, want 25 b*b = 1,600 and a little", got)
	}
	small := body(rep(2_000, 0x41, 0, 0x04, 0x40, 0x0b)) // 100 and a little each
	many := module(types(fn(nil, nil)), funcs(make([]byte, 290)...), code(slices.Repeat([][]byte{small}, 290)...))
	if _, err = wasmbin.Decode(many, wasmbin.Limits{}); err == nil || !strings.Contains(err.Error(), "for a module; run it with the interpreter") {
		t.Errorf("a module over the cost: %v, want a hint at the interpreter", err)
	}
}

func TestCompileCost(t *testing.T) {
	t.Parallel()
	mutable := cat(ts(tI32, 1), i32c(1), ts(0x0b))
	for _, tt := range []struct {
		name    string
		globals int
		body    []byte
		want    int // in milliseconds, rounded up
	}{
		{"2,001 instructions", 0, body(rep(2_000, 0x01)), 5},
		// 25 b*b with three branches for each loop, because of its charge.
		{"1,000 loops", 0, body(rep(1_000, 0x03, 0x40, 0x0b)), 225 + 5},
		{"100 ifs over 1,000 locals", 0, bodyWith(cat(ts(1), u32(1_000), ts(tI32)), rep(100, 0x41, 0, 0x04, 0x40, 0x0b)), 564},
		{"100 ifs over 1,000 operands", 0, body(rep(1_000, 0x41, 0), rep(100, 0x41, 0, 0x04, 0x40, 0x0b), rep(1_000, 0x1a)), 566},
		{"1,000 calls", 0, body(rep(1_000, 0x10, 0)), 9},
		{"1,000 calls with 10 mutable globals", 10, body(rep(1_000, 0x10, 0)), 29},
		{"100 fills", 0, body(rep(100, 0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0)), 4 + 2 + 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wasm := module(types(fn(nil, nil)), funcs(0), memory(0, 1), globals(slices.Repeat([][]byte{mutable}, tt.globals)...), code(tt.body))
			m, err := wasmbin.Decode(wasm, wasmbin.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Info().FuncCost; got != tt.want {
				t.Errorf("cost %d, want %d", got, tt.want)
			}
		})
	}
}

// TestWideCallsEndEarly: a body whose calls move too many values is refused
// where that is known, and not read to its end, which is wrong here.
func TestWideCallsEndEarly(t *testing.T) {
	t.Parallel()
	wide := fn(nil, rep(255, tI64))
	drops := rep(255, 0x1a)
	for _, tt := range []struct {
		calls       int
		interpreted bool
		want        string
	}{
		{500, false, wasmbin.Malformed}, {500, true, wasmbin.Malformed},
		{3_500, false, wasmbin.TooComplex}, {3_500, true, wasmbin.TooComplex},
	} {
		wasm := module(types(wide), funcs(0), code(body(slices.Repeat(cat(call(0), drops), tt.calls), op(0xff))))
		_, err := wasmbin.Decode(wasm, wasmbin.Limits{Interpreted: tt.interpreted, FuncCost: 1_400})
		var e *wasmbin.Error
		if !errors.As(err, &e) || e.ID != tt.want {
			t.Errorf("%d calls, interpreted %v: %v, want %s", tt.calls, tt.interpreted, err, tt.want)
		}
	}
}
