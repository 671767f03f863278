package wasmbin_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

// TestNoPathRunsUnpaid walks over the original bodies along random paths, as
// the control instructions allow, with the charges that Decode has placed.
// Whatever the path: what was run is paid before, and no stretch between two
// charges is longer than the bound.
func TestNoPathRunsUnpaid(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	split := 0
	bodies := fewer(t, 240)
	for n := range bodies {
		size := []int{20, 300, 1_000, 8_000}[n%4]
		g := &bodyGen{rnd: rnd, left: size, plain: n%3 == 0}
		g.block()
		wasm := module(types(fn(nil, nil), fn(nil, ts(tI32))), imports(importFunc("env", "i", 0)), funcs(0, 1, 0), memory(0, 1),
			code(body(g.code), body(i32c(1)), body()))
		m, err := wasmbin.Decode(wasm, unchecked)
		if err != nil {
			t.Fatalf("generated body %d: %v", n, err)
		}
		code, from, charges := m.BodyCharges(0)
		if len(charges) > 1 {
			split++
		}
		w := newWalker(code, from, charges, m.Frame(0))
		for range 5 {
			if reason := w.walk(rnd); reason != "" {
				t.Fatalf("body %d of %d bytes with charges %v: %s", n, len(code), charges, reason)
			}
		}
	}
	if split < bodies/4 {
		t.Errorf("only %d of %d bodies had more than one charge", split, bodies)
	}
}

// TestHardShapes walks over bodies made to lose track of what a path has used.
func TestHardShapes(t *testing.T) {
	t.Parallel()
	nops := func(n int) []byte { return rep(n, 0x01) }
	brIf := func(label byte) []byte { return cat(call(2), op(0x0d, label)) }
	block, loop, end := op(0x02, 0x40), op(0x03, 0x40), op(0x0b)
	for name, b := range map[string][]byte{
		"a branch before and one after a charge": cat(block, nops(4_000), brIf(0), nops(200), brIf(0), end, nops(3_000)),
		"the end after a charge":                 cat(block, nops(4_000), brIf(0), nops(200), end, nops(3_000)),
		"a dead end after a charge":              cat(block, nops(4_000), brIf(0), nops(200), op(0x0f), end, nops(3_000)),
		"out of a loop":                          cat(nops(4_000), block, loop, nops(3_000), brIf(1), brIf(0), end, end, nops(3_000)),
		"out of two loops":                       cat(nops(3_000), block, loop, nops(3_000), loop, nops(3_000), brIf(2), brIf(0), end, nops(500), brIf(0), end, end, nops(3_000)),
		"a long and an empty arm":                cat(call(2), op(0x04, 0x40), nops(4_050), end, nops(3_000)),
		"an empty and a long arm":                cat(call(2), op(0x04, 0x40), op(0x05), nops(4_050), end, nops(3_000)),
		"loops as resets":                        cat(nops(3_000), loop, end, nops(3_000), loop, end, nops(3_000), loop, end, nops(3_000)),
		"calls between":                          cat(nops(50), call(3), nops(200), call(3), nops(200), loop, call(3), nops(200), brIf(0), end, nops(4_000)),
	} {
		wasm := module(types(fn(nil, nil), fn(nil, ts(tI32))), imports(importFunc("env", "i", 0)), funcs(0, 1, 0), memory(0, 1),
			code(body(b), body(i32c(1)), body()))
		m, err := wasmbin.Decode(wasm, unchecked)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		code, from, charges := m.BodyCharges(0)
		rnd := rand.New(rand.NewPCG(3, 4))
		w := newWalker(code, from, charges, m.Frame(0))
		for range 200 {
			if reason := w.walk(rnd); reason != "" {
				t.Errorf("%s, with charges %v: %s", name, charges, reason)
				break
			}
		}
	}
}

// bodyGen writes random structured code with an empty stack between statements.
type bodyGen struct {
	rnd   *rand.Rand
	code  []byte
	left  int  // statements to come
	plain bool // long stretches and no calls
	depth int
}

func (g *bodyGen) block() {
	for g.left > 0 {
		g.left--
		k := g.rnd.IntN(40)
		if g.plain && (k >= 4 && k < 9) {
			k = 39
		}
		switch {
		case k < 3 && g.depth < 40:
			g.nest(op(0x02, 0x40))
		case k == 3 && g.depth < 40:
			g.nest(op(0x03, 0x40))
		case k == 4 && g.depth < 40:
			g.code = append(g.code, cat(call(2), op(0x04, 0x40))...)
			g.depth++
			g.block()
			if g.rnd.IntN(2) == 0 {
				g.code = append(g.code, 0x05)
				g.block()
			}
			g.code = append(g.code, 0x0b)
			g.depth--
		case k == 5:
			g.code = append(g.code, cat(call(2), op(0x0d), u32(uint32(g.rnd.IntN(g.depth+1))))...)
		case k == 6 && g.depth > 0:
			list := cat(u32(2), u32(uint32(g.rnd.IntN(g.depth+1))), u32(uint32(g.rnd.IntN(g.depth+1))), u32(uint32(g.rnd.IntN(g.depth+1))))
			g.code = append(g.code, cat(op(0x02, 0x40), call(2), op(0x0e), list, op(0x0b))...)
		case k == 7 && g.rnd.IntN(6) == 0:
			g.code = append(g.code, call(0)...)
		case k == 8 && g.rnd.IntN(6) == 0:
			g.code = append(g.code, call(3)...)
		case k == 9 && g.depth > 0 && g.rnd.IntN(3) == 0:
			return
		case k == 10 && g.rnd.IntN(100) == 0:
			g.code = append(g.code, cat(call(2), op(0x04, 0x40, 0x0f, 0x0b))...)
		default:
			n := 1 + g.rnd.IntN(60)
			if g.plain {
				n *= 20
			}
			g.code = append(g.code, rep(n, 0x01)...)
		}
	}
}

func (g *bodyGen) nest(head []byte) {
	g.code = append(g.code, head...)
	g.depth++
	g.block()
	if g.rnd.IntN(3) == 0 {
		g.code = append(g.code, cat(op(0x0c), u32(uint32(g.rnd.IntN(g.depth))))...)
	}
	g.code = append(g.code, 0x0b)
	g.depth--
}

// walker executes the control instructions of a generated body.
type walker struct {
	code      []byte
	units     []int  // charged on arrival, by position
	loopBody  []bool // the first position inside a loop
	end       []int  // of the block that begins here
	otherwise []int  // else of the if that begins here
	afterCall int

	pos  int
	open []int
	done bool
}

func newWalker(code []byte, from int, charges []wasmbin.Charge, frame int) *walker {
	n := len(code)
	w := &walker{code: code, units: make([]int, n), loopBody: make([]bool, n), end: make([]int, n), otherwise: make([]int, n)}
	w.afterCall = max(wasmbin.MinAfterCall, frame)
	for _, c := range charges {
		w.units[c.Pos-from] += c.Units
	}
	var open []int
	for pos := 0; pos < n; pos += w.size(pos) {
		switch code[pos] {
		case 0x02, 0x03, 0x04:
			w.loopBody[pos+2] = code[pos] == 0x03
			open = append(open, pos)
		case 0x05:
			w.otherwise[open[len(open)-1]] = pos
		case 0x0b:
			if len(open) > 0 {
				w.end[open[len(open)-1]] = pos
				open = open[:len(open)-1]
			}
		}
	}
	return w
}

func (w *walker) size(pos int) int {
	switch w.code[pos] {
	case 0x02, 0x03, 0x04, 0x10, 0x0c, 0x0d:
		return 2
	case 0x0e:
		return 5
	}
	return 1
}

// walk follows one path, for a bounded number of steps, and answers what is
// wrong with the charges met.
func (w *walker) walk(rnd *rand.Rand) string {
	w.pos, w.open, w.done = 0, w.open[:0], false
	credit, since, limit := 0, 0, wasmbin.CheckEvery
	for step := 0; step < 20_000 && !w.done; step++ {
		if units := w.units[w.pos]; units > 0 {
			credit, since, limit = credit+units, 0, wasmbin.CheckEvery
		}
		cost := 1
		switch op := w.code[w.pos]; {
		case w.loopBody[w.pos] && since > 0:
			return fmt.Sprintf("no charge at the loop header before %#x", w.pos)
		case op == 0x03:
			cost = 0 // paid inside, in each round
		case op == 0x10 && w.code[w.pos+1] == 0:
			cost = 100
		}
		if w.loopBody[w.pos] {
			cost++
		}
		credit -= cost
		since += cost
		if credit < 0 {
			return fmt.Sprintf("unpaid instruction at %#x after %d steps", w.pos, step)
		}
		if since > limit {
			return fmt.Sprintf("%d units without a charge at %#x, %d allowed", since, w.pos, limit)
		}
		if w.code[w.pos] == 0x10 && w.code[w.pos+1] != 0 {
			limit = min(limit, since+w.afterCall)
		}
		w.step(rnd)
	}
	return ""
}

// step moves on, along a random arm or target.
func (w *walker) step(rnd *rand.Rand) {
	at := w.pos
	w.pos += w.size(at)
	switch w.code[at] {
	case 0x02, 0x03:
		w.open = append(w.open, at)
	case 0x04:
		w.open = append(w.open, at)
		if rnd.IntN(2) == 0 {
			break
		}
		if w.pos = w.otherwise[at] + 1; w.pos == 1 {
			w.branch(0)
		}
	case 0x05:
		w.branch(0)
	case 0x0b:
		if w.done = len(w.open) == 0; !w.done {
			w.open = w.open[:len(w.open)-1]
		}
	case 0x0d:
		if rnd.IntN(2) == 0 {
			w.branch(int(w.code[at+1]))
		}
	case 0x0c:
		w.branch(int(w.code[at+1]))
	case 0x0e:
		w.branch(int(w.code[at+2+rnd.IntN(3)]))
	case 0x0f:
		w.done = true
	}
}

func (w *walker) branch(label int) {
	if label >= len(w.open) {
		w.done = true
		return
	}
	i := len(w.open) - 1 - label
	target := w.open[i]
	if w.code[target] == 0x03 {
		w.open, w.pos = w.open[:i+1], target+2
		return
	}
	w.open, w.pos = w.open[:i], w.end[target]+1
}

// fewer is n, or a tenth of it with -short, which the race detector runs: what
// is generated here knows no goroutines.
func fewer(t *testing.T, n int) int {
	if testing.Short() {
		t.Logf("%d instead of %d with -short", n/10, n)
		return n / 10
	}
	return n
}
