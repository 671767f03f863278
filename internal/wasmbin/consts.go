package wasmbin

import (
	"encoding/binary"
	"fmt"
)

// constExpr reads a constant expression of the given type and computes it.
// Only an imported global has no value; it stays, alone, as it is.
func (d *decoder) constExpr(want ValType) constant {
	at := d.pos
	var stack [maxConstStack]constant
	n := 0
	push := func(c constant) {
		if n == len(stack) {
			d.fail(TooComplex, at, "constant expression", "it keeps too many values at once")
			return
		}
		stack[n] = c
		n++
	}
	for d.err == nil {
		opAt := d.pos
		op := d.byte()
		if d.err != nil {
			break
		}
		if op == opEnd {
			if n != 1 || stack[0].typ(d.m) != want {
				d.fail(Invalid, at, "constant expression", fmt.Sprintf("type mismatch: it must give one %s", want))
			}
			return stack[0]
		}
		if width := foldWidth(op); width != 0 {
			n = d.fold(opAt, op, width, stack[:], n)
			continue
		}
		push(d.constInstr(opAt, op))
	}
	return constant{}
}

// maxConstStack bounds the values that a constant expression holds at once;
// compilers write base + offset.
const maxConstStack = 64

// constInstr reads an instruction that pushes a constant.
func (d *decoder) constInstr(at int, op byte) constant {
	c := constant{op: op}
	switch op {
	case opI32Const:
		c.lo = uint64(uint32(d.s32()))
	case opI64Const:
		c.lo = uint64(d.s64())
	case opF32Const:
		c.lo = uint64(d.f32bits())
	case opF64Const:
		c.lo = d.f64bits()
	case opGlobalGet:
		return d.constGlobal(at)
	case opRefNull:
		t := ValType(d.byte())
		if d.err == nil && !t.IsRef() {
			d.fail(Malformed, at, "ref.null", "malformed reference type")
		}
		d.m.features.add(referenceTypes)
		c.lo = uint64(t)
	case opRefFunc:
		i := d.u32()
		if d.err == nil && uint64(i) >= uint64(len(d.m.funcs)) {
			d.fail(Invalid, at, "ref.func", fmt.Sprintf("unknown function %d of %d", i, len(d.m.funcs)))
		}
		d.declare(i)
		d.m.features.add(referenceTypes)
		c.lo = uint64(i)
	case opPrefixSIMD:
		if sub := d.u32(); d.err == nil && sub != opV128Const {
			d.fail(Invalid, at, "constant expression", "constant expression required")
		}
		if b := d.bytes(16); b != nil {
			c.lo, c.hi = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
		}
		d.m.features.add(simd)
	default:
		d.fail(Invalid, at, "constant expression", fmt.Sprintf("constant expression required, but found opcode 0x%02x", op))
	}
	return c
}

// constGlobal reads the index of an imported global that never changes.
func (d *decoder) constGlobal(at int) constant {
	i := d.u32()
	if d.err == nil && (uint64(i) >= uint64(d.m.importGlobals) || d.m.globals[i].mutable) {
		d.fail(Invalid, at, "constant expression", fmt.Sprintf("global %d is not an imported constant", i))
	}
	return constant{op: opGlobalGet, lo: uint64(i)}
}

// foldWidth answers 32 or 64 for the arithmetic of extended constant
// expressions, and 0 for all else.
func foldWidth(op byte) int {
	switch op {
	case opI32Add, opI32Sub, opI32Mul:
		return 32
	case opI64Add, opI64Sub, opI64Mul:
		return 64
	}
	return 0
}

// fold replaces the two topmost of n values by their result, and answers the
// new n.
func (d *decoder) fold(at int, op byte, width int, stack []constant, n int) int {
	d.m.features.add(extendedConst)
	want := byte(opI32Const)
	if width == 64 {
		want = opI64Const
	}
	if n < 2 {
		d.fail(Invalid, at, "constant expression", "type mismatch: two operands are needed")
		return n
	}
	a, b := stack[n-2], stack[n-1]
	if a.op == opGlobalGet || b.op == opGlobalGet {
		d.fail(Unsupported, at, "constant expression", "arithmetic on imported globals is not supported")
	} else if a.op != want || b.op != want {
		d.fail(Invalid, at, "constant expression", "type mismatch in arithmetic")
	}
	v := a.lo
	switch op {
	case opI32Add, opI64Add:
		v += b.lo
	case opI32Sub, opI64Sub:
		v -= b.lo
	default:
		v *= b.lo
	}
	if width == 32 {
		v = uint64(uint32(v))
	}
	stack[n-2] = constant{op: want, lo: v}
	return n - 1
}

// typ answers the type of the value.
func (c constant) typ(m *Module) ValType {
	switch c.op {
	case opI32Const:
		return I32
	case opI64Const:
		return I64
	case opF32Const:
		return F32
	case opF64Const:
		return F64
	case opGlobalGet:
		if c.lo < uint64(m.importGlobals) {
			return m.globals[c.lo].val
		}
	case opRefNull:
		return ValType(c.lo)
	case opRefFunc:
		return FuncRef
	case opPrefixSIMD:
		return V128
	}
	return 0
}
