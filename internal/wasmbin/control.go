package wasmbin

import (
	"fmt"
	"slices"
)

// singles are the block types that give one value.
var singles = [128][]ValType{I32: {I32}, I64: {I64}, F32: {F32}, F64: {F64},
	V128: {V128}, FuncRef: {FuncRef}, ExternRef: {ExternRef}}

func (v *validator) control(code byte) {
	switch code {
	case opBlock, opLoop, opIf:
		v.openBlock(code)
	case opElse:
		v.otherArm()
	case opBr:
		v.branches++
		if b := v.target(); b != nil {
			v.popAll(b.label())
			v.jump(b)
			v.unreachable()
		}
	case opBrIf:
		v.branches++
		if b := v.target(); b != nil {
			v.pop(I32)
			v.popAll(b.label())
			v.jump(b)
			v.pushAll(b.label())
			v.chain++
		}
	case opBrTable:
		v.brTable()
	case opReturn:
		v.branches++
		v.move(len(v.blocks[0].out))
		v.popAll(v.blocks[0].out)
		v.unreachable()
	}
}

// jump tells the meter of a branch to b. One back to a loop meets its charge.
func (v *validator) jump(b *block) {
	v.move(len(b.label()))
	v.edge()
	if b.op != opLoop {
		v.branch(&b.join)
	}
}

// edge counts a way to a place where ways meet. A compiler looks there for the
// value of each local, back along all conditional branches since ways last met,
// which a charge makes them do as well.
func (v *validator) edge() {
	if n := len(v.m.charges); n != v.charged {
		v.charged, v.chain = n, 0
	}
	v.edges++
	v.chains += v.chain
}

func (v *validator) openBlock(code byte) {
	v.branches++
	in, out := v.blockType()
	if v.err != nil {
		return
	}
	if code == opIf {
		v.pop(I32)
		v.edge() // each arm leads to the end
		v.edge()
		v.chain++
	}
	v.move(len(in) + len(out))
	v.popAll(in)
	b := block{op: code, in: in, out: out}
	if code == opLoop {
		v.chain = 0
		v.enterLoop(v.m, v.pos)
		v.allLoops++
		v.loops++
		v.mostLoops = max(v.mostLoops, v.loops)
		if v.loops > maxLoopNesting && !v.d.lim.Unchecked {
			v.fail(TooComplex, v.at, "loops", fmt.Sprintf("nested deeper than %d", maxLoopNesting))
		}
	} else {
		v.enter(&b.join)
	}
	v.open(b)
}

func (v *validator) blockType() (in, out []ValType) {
	at := v.pos
	if !v.more() {
		v.malformed(at, "unexpected end")
		return nil, nil
	}
	b := v.buf[v.pos]
	if b == 0x40 {
		v.pos++
		return nil, nil
	}
	if b&0xc0 == 0x40 { // one byte, negative: a value type
		t := v.valType("block", &v.m.features)
		return nil, singles[t&0x7f]
	}
	i := v.s33()
	if v.err == nil && (i < 0 || i >= int64(len(v.m.types))) {
		v.invalid(at, "block", fmt.Sprintf("unknown type %d of %d", i, len(v.m.types)))
	}
	if v.err != nil {
		return nil, nil
	}
	t := v.m.types[i]
	if len(t.Params) > 0 || len(t.Results) > 1 {
		v.m.features.add(multiValue)
	}
	return t.Params, t.Results
}

func (v *validator) otherArm() {
	v.branches++
	b := &v.blocks[len(v.blocks)-1]
	if b.op != opIf {
		v.malformed(v.at, "else without if")
		return
	}
	v.move(len(b.in) + len(b.out))
	v.popAll(b.out)
	if v.err == nil && len(v.vals) != b.height {
		v.invalid(v.at, "else", "type mismatch: values remain on the stack at the end of the block")
	}
	v.otherwise(&b.join)
	b.op, b.poly = opElse, false
	v.vals = v.vals[:b.height]
	v.pushAll(b.in)
}

func (v *validator) closeBlock() {
	b := &v.blocks[len(v.blocks)-1] // stays in place until another block is opened
	v.move(len(b.out))
	v.popAll(b.out)
	if v.err == nil && len(v.vals) != b.height {
		v.invalid(v.at, "end", "type mismatch: values remain on the stack at the end of the block")
	}
	if b.op == opIf && !slices.Equal(b.in, b.out) {
		v.invalid(v.at, "if", "type mismatch: without else, results must be what the parameters are")
	}
	if v.err != nil {
		return
	}
	v.blocks = v.blocks[:len(v.blocks)-1]
	if len(v.blocks) == 0 {
		return
	}
	v.leave(&b.join, b.op)
	if b.reached || b.op == opIf || b.op == opElse {
		v.chain = 0
	}
	if b.op == opLoop {
		v.loops--
	}
	v.pushAll(b.out)
}

// brTable checks each target against the operands. Targets of one type often
// follow each other, and one check of them is enough.
func (v *validator) brTable() {
	n := v.count("br_table", 1)
	v.branches++
	v.targets += uint64(n) + 1
	v.pop(I32)
	var last []ValType
	for i := 0; i <= n && v.err == nil; i++ {
		b := v.target()
		if b == nil {
			return
		}
		types := b.label()
		switch {
		case i > 0 && len(types) != len(last):
			v.invalid(v.at, "br_table", "type mismatch: the targets take different numbers of values")
		case i == 0 || len(types) > 0 && &types[0] != &last[0]:
			v.peekAll(types)
			last = types
		}
		v.jump(b)
	}
	v.unreachable()
}
