package wasmbin_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

// TestDifferential runs generated programs as they are and metered, on both
// engines, and compares what they answer, how they trap, and what they leave
// in memory and in their global.
func TestDifferential(t *testing.T) {
	t.Parallel()
	traps, calls := 0, 0
	programs := fewer(t, 200)
	for seed := range uint64(programs) {
		wasm := program(seed)
		out, meta, err := metered(wasm, wasmbin.Limits{}, wasmbin.InstrumentOptions{})
		if err != nil {
			t.Fatalf("seed %d: %v\n%x", seed, err, wasm)
		}
		var units []int64
		for engine, cfg := range engines {
			w := newWorld(t, cfg())
			c, err := w.r.CompileModule(w.ctx, wasm)
			if err != nil {
				t.Fatalf("seed %d: %v\n%x", seed, err, wasm)
			}
			plain, err := w.r.InstantiateModule(w.ctx, c, moduleConfig())
			if err != nil {
				t.Fatal(err)
			}
			m, err := w.start(out, meta)
			if err != nil {
				t.Fatal(err)
			}
			for arg := range uint64(4) {
				got, want := outcome(w, m, arg), outcome(w, plain, arg)
				if got != want {
					t.Fatalf("seed %d, %s, f(%d): %s, want %s\n%x", seed, engine, arg, got, want, wasm)
				}
				if calls++; strings.Contains(want, "trap") {
					traps++
					break // the depth is not given back; an engine discards the instance
				}
			}
			units = append(units, w.used(m))
			w.close()
		}
		if units[0] != units[1] {
			t.Errorf("seed %d: the engines used %d and %d units", seed, units[0], units[1])
		}
	}
	if traps < 10 || traps > calls/2 {
		t.Errorf("%d of %d calls trapped: the programs are not what they should be", traps, calls)
	}
}

func outcome(w *world, m api.Module, arg uint64) string {
	var b strings.Builder
	got, err := m.ExportedFunction("f").Call(w.ctx, arg, 3)
	if err != nil {
		text, _, _ := strings.Cut(err.Error(), "\n")
		fmt.Fprintf(&b, "trap %s", text)
	} else {
		fmt.Fprintf(&b, "%x", uint32(got[0]))
	}
	mem, _ := m.Memory().Read(0, m.Memory().Size())
	sum := fnv.New64a()
	sum.Write(mem)
	fmt.Fprintf(&b, ", memory of %d: %x, global %x", len(mem), sum.Sum64(), m.ExportedGlobal("g").Get())
	return b.String()
}

// program is a module of four functions, of which each calls only later ones.
func program(seed uint64) []byte {
	g := &progGen{rnd: rand.New(rand.NewPCG(seed, 7))}
	bodies := make([][]byte, 4)
	for i := range bodies {
		g.fn, g.left = i, 60
		bodies[i] = bodyWith(ts(1, 12, tI32), g.stmts(0), g.expr(0))
	}
	return module(types(fn(ts(tI32, tI32), ts(tI32)), fn(nil, ts(tI32, tI32))), funcs(0, 0, 0, 0), sec(4, ts(tFunc, 0, 4)), memory(1, 2, 6),
		globals(cat(ts(tI32, 1), i32c(99), ts(0x0b))), exports(export("f", 0, 0), export("memory", 2, 0), export("g", 3, 0)),
		sec(9, cat(ts(0), i32c(0), ts(0x0b, 4, 0, 1, 2, 3))), rawSec(12, ts(2)), code(bodies...),
		sec(11, cat(ts(0), i32c(100), ts(0x0b), str("a piece of the image")), cat(ts(1), str("what memory.init copies"))))
}

// progGen writes well typed code; all values are i32. Locals 2 to 7 are
// variables, 8 and above count the rounds of loops.
type progGen struct {
	rnd      *rand.Rand
	fn, left int
}

func (g *progGen) pick(list ...byte) byte { return list[g.rnd.IntN(len(list))] }

func (g *progGen) variable() byte { return byte(g.rnd.IntN(8)) }

func (g *progGen) stmts(depth int) (b []byte) {
	for n := 1 + g.rnd.IntN(6); n > 0 && g.left > 0; n-- {
		g.left--
		b = append(b, g.stmt(depth)...)
	}
	return b
}

func (g *progGen) stmt(depth int) []byte {
	switch k := g.rnd.IntN(14); {
	case k < 4:
		return cat(g.expr(0), set(g.variable()))
	case k == 4:
		return cat(g.expr(0), op(0x24, 0))
	case k == 5:
		return cat(g.address(), g.expr(0), op(g.pick(0x36, 0x3a, 0x3b), 0, 4))
	case k == 6:
		return cat(g.address(), g.expr(0), i32c(int32(g.rnd.IntN(300))), op(0xfc, 11, 0))
	case k == 7:
		return cat(g.address(), g.address(), i32c(int32(g.rnd.IntN(300))), op(0xfc, 10, 0, 0))
	case k == 8:
		return cat(g.address(), i32c(2), i32c(int32(g.rnd.IntN(22))), op(0xfc, 8, 1, 0))
	case k == 9 && depth < 3: // a few rounds
		counter := byte(8 + depth)
		return cat(i32c(int32(1+g.rnd.IntN(4))), set(counter), op(0x03, 0x40), g.stmts(depth+1),
			get(counter), i32c(1), op(0x6b, 0x22, counter, 0x0d, 0, 0x0b))
	case k == 10 && depth < 3: // jumps out of two blocks
		return cat(op(0x02, 0x40, 0x02, 0x40), g.stmts(depth+1), g.expr(0), op(0x0e, 1, 0, 1), op(0x0b), g.stmts(depth+1), op(0x0b))
	case k == 11 && depth < 3:
		return cat(g.expr(0), op(0x04, 0x40), g.stmts(depth+1), op(0x05), g.stmts(depth+1), op(0x0b))
	case k == 12 && g.rnd.IntN(4) == 0:
		return cat(g.expr(0), op(0x04, 0x40), g.expr(0), op(0x0f, 0x0b))
	}
	return rep(g.rnd.IntN(4), 0x01)
}

func (g *progGen) address() []byte { return cat(g.expr(1), i32c(0x1ffff), op(0x71)) }

func (g *progGen) expr(depth int) []byte {
	if depth > 3 {
		return get(g.variable())
	}
	switch k := g.rnd.IntN(16); {
	case k < 3:
		return i32c(int32(g.rnd.Uint32()) >> g.rnd.IntN(32))
	case k < 6:
		return cat(g.expr(depth+1), g.expr(depth+1), op(g.pick(0x6a, 0x6b, 0x6c, 0x71, 0x72, 0x73, 0x74, 0x48, 0x4d)))
	case k == 6 && g.rnd.IntN(8) == 0:
		return cat(g.expr(depth+1), g.expr(depth+1), op(g.pick(0x6d, 0x6e, 0x6f, 0x70)))
	case k == 7:
		return cat(g.address(), op(g.pick(0x28, 0x2c, 0x2f), 0, 0))
	case k == 8:
		return op(0x23, 0)
	case k == 9:
		return cat(i32c(int32(g.rnd.IntN(2))), op(0x40, 0))
	case k == 10 && g.fn < 3:
		return cat(g.expr(depth+1), g.expr(depth+1), call(uint32(g.fn+1+g.rnd.IntN(3-g.fn))))
	case k == 11 && g.fn < 3: // table entries above our own, now and then one too far
		return cat(g.expr(depth+1), g.expr(depth+1), i32c(int32(g.fn+1+g.rnd.IntN(3-g.fn)+g.rnd.IntN(60)/59)), op(0x11, 0, 0))
	case k == 12:
		return cat(g.expr(depth+1), g.expr(depth+1), g.expr(depth+1), op(0x1b))
	case k == 13:
		return cat(op(0x02, tI32), g.expr(depth+1), g.expr(depth+1), op(0x0d, 0), op(0x0b))
	case k == 14:
		return cat(g.expr(depth+1), op(0x04, tI32), g.expr(depth+1), op(0x05), g.expr(depth+1), op(0x0b))
	case k == 15: // a block of two results
		return cat(op(0x02, 1), g.expr(depth+1), g.expr(depth+1), op(0x0b, 0x6a))
	}
	return get(g.variable())
}
