package wasmbin

import (
	"fmt"
	"slices"
)

// validator judges one body after the other, by the algorithm in the appendix
// of the core specification: a stack of operand types and a stack of blocks.
type validator struct {
	reader
	m  *Module
	d  *decoder
	fn uint32 // index of the function

	params int
	locals []ValType // parameters first
	vals   []ValType // operand types; 0 is unknown, from unreachable code
	blocks []block
	most   int // operands allowed at once

	instrs, branches, calls, targets, mutables uint64 // for compileCost
	room, grows                                uint64 // for compileRoom, what these do not tell; memory.grow
	mostVals, mostBlocks, mostLoops, loops     int
	allLoops, charged                          int
	edges, chain, chains                       uint64 // see edge
	vectors                                    bool
	callsAny                                   bool

	meter
}

// block is one entry of the control stack; the first is the function itself.
type block struct {
	op      byte
	poly    bool // the rest of the block is unreachable, so any operand can be had
	in, out []ValType
	height  int // of the operand stack below the block
	join
}

func newValidator(d *decoder) *validator {
	v := &validator{m: d.m, d: d, most: maxOperands, mutables: 3}
	if d.lim.Unchecked {
		v.most = 1 << 20
	}
	for _, g := range d.m.globals {
		if g.mutable {
			v.mutables++
		}
	}
	return v
}

// body validates one function.
func (v *validator) body() body {
	t := v.m.funcType(v.fn)
	v.params = len(t.Params)
	v.locals = append(v.locals[:0], t.Params...)
	v.vals, v.blocks = v.vals[:0], v.blocks[:0]
	v.instrs, v.branches, v.calls, v.targets, v.room, v.grows = 0, 0, 0, 0, 0, 0
	v.mostVals, v.mostBlocks, v.mostLoops, v.loops, v.allLoops = 0, 0, 0, 0, 0
	v.edges, v.chain, v.chains, v.charged = 0, 0, 0, 0
	v.vectors, v.callsAny = false, false

	b := body{locals: span{from: v.pos}}
	v.declaredLocals()
	b.locals.to = v.pos
	b.code = span{v.pos, v.end}
	// A compiler and a caller touch each of them, also in an empty function.
	v.instrs += uint64(len(v.locals) + len(t.Results))

	base := frameBase + slotBytes*(slots(t.Results)+slots(v.locals))
	v.begin(v.m, v.pos, len(v.locals), base)
	v.open(block{op: opBlock, out: t.Results})
	v.code()
	if v.err != nil {
		return b
	}
	b.charges = v.finish(v.m)
	// Each charge becomes a condition in the metered body, which is what gets
	// compiled. Without them a body of nothing but loops cost seven times more.
	v.branches += chargeBranches * uint64(b.charges-1)
	b.calls, b.loops, b.width = v.callsAny, v.allLoops, v.width()
	operands := v.mostVals
	if v.vectors {
		operands *= 2
	}
	b.frame = uint32(base + slotBytes*operands + v.spilled(b.charges))
	v.m.figures.LargestFrame = max(v.m.figures.LargestFrame, int(b.frame))
	return b
}

func (v *validator) declaredLocals() {
	groups := v.count("locals", 2)
	sum := uint64(v.params)
	most := uint64(maxLocals + v.params)
	if v.d.lim.Unchecked {
		most = 50_000
	}
	for i := 0; i < groups && v.err == nil; i++ {
		at := v.pos
		n := v.u32()
		sum += uint64(n)
		if sum > most {
			v.fail(TooComplex, at, "locals", fmt.Sprintf("%d are more than the limit of %d", sum, most))
			return
		}
		t := v.valType("locals", &v.m.features)
		if v.err != nil {
			return
		}
		have := len(v.locals)
		v.locals = slices.Grow(v.locals, int(n))[:have+int(n)]
		for j := have; j < len(v.locals); j++ {
			v.locals[j] = t
		}
	}
}

// name answers the name of the current instruction.
func (v *validator) name() string {
	code := v.buf[v.at]
	r := reader{buf: v.buf, pos: v.at + 1, end: v.end}
	switch code {
	case opPrefixMisc:
		if sub := r.u32(); sub < uint32(len(miscOps)) {
			return miscOps[sub].name
		} else if sub < uint32(len(miscNames)) {
			return miscNames[sub]
		}
	case opPrefixSIMD:
		if sub := r.u32(); sub < uint32(len(simdOps)) {
			return simdOps[sub].name
		}
	}
	return opName(code)
}

func (v *validator) invalid(at int, what, reason string) { v.fail(Invalid, at, what, reason) }

func (v *validator) push(t ValType) {
	v.vals = append(v.vals, t)
	if n := len(v.vals); n > v.mostVals {
		v.mostVals = n
		v.checkHeight()
	}
	if t == V128 {
		v.vectors = true
	}
}

func (v *validator) pushAll(types []ValType) {
	if len(types) == 1 {
		v.push(types[0])
		return
	}
	v.vals = append(v.vals, types...)
	v.mostVals = max(v.mostVals, len(v.vals))
	v.checkHeight()
	v.vectors = v.vectors || slices.Contains(types, V128)
}

func (v *validator) checkHeight() {
	if v.mostVals > v.most {
		v.fail(TooComplex, v.pos, "operand stack", fmt.Sprintf("more than %d values at once", v.most))
	}
}

// pop takes one operand of type want; 0 takes any. It answers the type found,
// which is 0 where unreachable code leaves it open.
func (v *validator) pop(want ValType) ValType {
	top := &v.blocks[len(v.blocks)-1]
	n := len(v.vals)
	if n == top.height {
		if !top.poly {
			v.mismatch(want, "nothing")
		}
		return 0
	}
	got := v.vals[n-1]
	v.vals = v.vals[:n-1]
	if got != want && got != 0 && want != 0 {
		v.mismatch(want, got.String())
	}
	return got
}

func (v *validator) mismatch(want ValType, got string) {
	v.invalid(v.at, v.name(), fmt.Sprintf("type mismatch: expected %s, found %s", want, got))
}

// popAll takes operands of the given types, the last one first. A hostile body
// moves 255 values with each two-byte call, so equal lists are compared at once.
func (v *validator) popAll(types []ValType) {
	k := len(types)
	if k == 1 {
		v.pop(types[0])
		return
	}
	top := &v.blocks[len(v.blocks)-1]
	if from := len(v.vals) - k; from >= top.height && slices.Equal(v.vals[from:], types) {
		v.vals = v.vals[:from]
		return
	}
	if top.poly && len(v.vals) == top.height {
		return // dead code has any operands
	}
	for i := k - 1; i >= 0 && v.err == nil; i-- {
		v.pop(types[i])
	}
}

// peekAll checks operands of the given types and leaves them.
func (v *validator) peekAll(types []ValType) {
	top := &v.blocks[len(v.blocks)-1]
	n := len(v.vals)
	for i := len(types) - 1; i >= 0; i-- {
		if n == top.height {
			if !top.poly {
				v.mismatch(types[i], "nothing")
			}
			return
		}
		n--
		if got := v.vals[n]; got != types[i] && got != 0 {
			v.mismatch(types[i], got.String())
			return
		}
	}
}

// open opens a block, whose parameters the caller has taken from the stack.
func (v *validator) open(b block) {
	b.height = len(v.vals)
	v.blocks = append(v.blocks, b)
	v.pushAll(b.in)
	if n := len(v.blocks) - 1; n > v.mostBlocks {
		v.mostBlocks = n
		if n > maxNesting && !v.d.lim.Unchecked {
			v.fail(TooComplex, v.at, "blocks", fmt.Sprintf("nested deeper than %d", maxNesting))
		}
	}
}

// unreachable makes the rest of the block accept any operands.
func (v *validator) unreachable() {
	top := &v.blocks[len(v.blocks)-1]
	v.vals = v.vals[:top.height]
	top.poly = true
	v.live = false
}

// label answers the types that a branch to b carries.
func (b *block) label() []ValType {
	if b.op == opLoop {
		return b.in
	}
	return b.out
}

// target reads a label index and answers the block it names, or nil.
func (v *validator) target() *block {
	at := v.pos
	depth := v.u32()
	if v.err != nil {
		return nil
	}
	if uint64(depth) >= uint64(len(v.blocks)) {
		v.invalid(at, v.name(), fmt.Sprintf("unknown label %d", depth))
		return nil
	}
	return &v.blocks[len(v.blocks)-1-int(depth)]
}
