package wasmgen

import (
	"encoding/binary"
	"math"
)

// Instructions that take operands from the stack accept the code that makes
// them as arguments, so that both forms read well:
//
//	Seq(LocalGet(0), I32Const(1), I32Add())
//	I32Add(LocalGet(0), I32Const(1))

// Op is any instruction by its opcode bytes, after the operands.
func Op(opcode []byte, operands ...[]byte) []byte { return Seq(Seq(operands...), opcode) }

func op(opcode byte, operands [][]byte) []byte { return Op([]byte{opcode}, operands...) }

// Constants.

// I32Const pushes v; give pointers and lengths as int32(v).
func I32Const(v int32) []byte { return Seq([]byte{0x41}, Int(int64(v))) }

// I64Const pushes v.
func I64Const(v int64) []byte { return Seq([]byte{0x42}, Int(v)) }

// F32Const pushes v.
func F32Const(v float32) []byte {
	return binary.LittleEndian.AppendUint32([]byte{0x43}, math.Float32bits(v))
}

// F64Const pushes v.
func F64Const(v float64) []byte {
	return binary.LittleEndian.AppendUint64([]byte{0x44}, math.Float64bits(v))
}

// Control. Blocks take and leave nothing; body must be balanced.

// Unreachable traps.
func Unreachable() []byte { return []byte{0x00} }

// Nop does nothing.
func Nop() []byte { return []byte{0x01} }

// Block is left by Br.
func Block(body ...[]byte) []byte { return Seq([]byte{0x02, 0x40}, Seq(body...), []byte{0x0b}) }

// Loop is begun again by Br.
func Loop(body ...[]byte) []byte { return Seq([]byte{0x03, 0x40}, Seq(body...), []byte{0x0b}) }

// If runs body when condition is not zero.
func If(condition []byte, body ...[]byte) []byte {
	return Seq(condition, []byte{0x04, 0x40}, Seq(body...), []byte{0x0b})
}

// IfElse runs one of two pieces of code.
func IfElse(condition, then, otherwise []byte) []byte {
	return Seq(condition, []byte{0x04, 0x40}, then, []byte{0x05}, otherwise, []byte{0x0b})
}

// Br leaves the block, or repeats the loop, that is depth levels out.
func Br(depth uint32) []byte { return Seq([]byte{0x0c}, Uint(uint64(depth))) }

// BrIf is Br when the operand is not zero.
func BrIf(depth uint32, operand ...[]byte) []byte {
	return Op(Seq([]byte{0x0d}, Uint(uint64(depth))), operand...)
}

// BrTable branches to the operand's entry of depths, or to otherwise.
func BrTable(otherwise uint32, depths ...uint32) []byte {
	return Seq([]byte{0x0e}, indexes(depths), Uint(uint64(otherwise)))
}

// Return leaves the function.
func Return(operands ...[]byte) []byte { return op(0x0f, operands) }

// Call calls a function by its index.
func Call(index uint32, operands ...[]byte) []byte {
	return Op(Seq([]byte{0x10}, Uint(uint64(index))), operands...)
}

// CallIndirect calls the function of table 0 that the last operand numbers.
func CallIndirect(typ uint32, operands ...[]byte) []byte {
	return Op(Seq([]byte{0x11}, Uint(uint64(typ)), []byte{0}), operands...)
}

// Drop forgets the operand.
func Drop(operand ...[]byte) []byte { return op(0x1a, operand) }

// Select keeps the first of two operands when the third is not zero, else the
// second.
func Select(operands ...[]byte) []byte { return op(0x1b, operands) }

// Variables.

// LocalGet pushes a local; parameters come first.
func LocalGet(i uint32) []byte { return Seq([]byte{0x20}, Uint(uint64(i))) }

// LocalSet pops into a local.
func LocalSet(i uint32, operand ...[]byte) []byte {
	return Op(Seq([]byte{0x21}, Uint(uint64(i))), operand...)
}

// LocalTee stores into a local and keeps the value.
func LocalTee(i uint32, operand ...[]byte) []byte {
	return Op(Seq([]byte{0x22}, Uint(uint64(i))), operand...)
}

// GlobalGet pushes a global.
func GlobalGet(i uint32) []byte { return Seq([]byte{0x23}, Uint(uint64(i))) }

// GlobalSet pops into a global.
func GlobalSet(i uint32, operand ...[]byte) []byte {
	return Op(Seq([]byte{0x24}, Uint(uint64(i))), operand...)
}

// Memory. Addresses are an operand plus a constant offset.

func access(opcode byte, offset uint32, operands [][]byte) []byte {
	return Op(Seq([]byte{opcode, 0}, Uint(uint64(offset))), operands...)
}

// I32Load reads four bytes.
func I32Load(offset uint32, address ...[]byte) []byte { return access(0x28, offset, address) }

// I64Load reads eight bytes.
func I64Load(offset uint32, address ...[]byte) []byte { return access(0x29, offset, address) }

// I32Load8U reads one byte.
func I32Load8U(offset uint32, address ...[]byte) []byte { return access(0x2d, offset, address) }

// I32Store writes four bytes; operands are address and value.
func I32Store(offset uint32, operands ...[]byte) []byte { return access(0x36, offset, operands) }

// I64Store writes eight bytes; operands are address and value.
func I64Store(offset uint32, operands ...[]byte) []byte { return access(0x37, offset, operands) }

// I32Store8 writes one byte; operands are address and value.
func I32Store8(offset uint32, operands ...[]byte) []byte { return access(0x3a, offset, operands) }

// MemorySize pushes the size in pages.
func MemorySize() []byte { return []byte{0x3f, 0} }

// MemoryGrow adds so many pages; it leaves the old size or -1.
func MemoryGrow(pages ...[]byte) []byte { return Op([]byte{0x40, 0}, pages...) }

// MemoryInit copies from a passive segment; operands are target, source
// offset and length.
func MemoryInit(segment uint32, operands ...[]byte) []byte {
	return Op(Seq([]byte{0xfc, 8}, Uint(uint64(segment)), []byte{0}), operands...)
}

// DataDrop forgets a passive segment.
func DataDrop(segment uint32) []byte { return Seq([]byte{0xfc, 9}, Uint(uint64(segment))) }

// MemoryCopy copies; operands are target, source and length.
func MemoryCopy(operands ...[]byte) []byte { return Op([]byte{0xfc, 10, 0, 0}, operands...) }

// MemoryFill fills; operands are target, byte and length.
func MemoryFill(operands ...[]byte) []byte { return Op([]byte{0xfc, 11, 0}, operands...) }

// Comparison and arithmetic.

// I32Eqz is 1 for zero.
func I32Eqz(operand ...[]byte) []byte { return op(0x45, operand) }

// I32Eq compares.
func I32Eq(operands ...[]byte) []byte { return op(0x46, operands) }

// I32Ne compares.
func I32Ne(operands ...[]byte) []byte { return op(0x47, operands) }

// I32LtS is signed less than.
func I32LtS(operands ...[]byte) []byte { return op(0x48, operands) }

// I32LtU is unsigned less than.
func I32LtU(operands ...[]byte) []byte { return op(0x49, operands) }

// I32GtS is signed greater than.
func I32GtS(operands ...[]byte) []byte { return op(0x4a, operands) }

// I32GtU is unsigned greater than.
func I32GtU(operands ...[]byte) []byte { return op(0x4b, operands) }

// I32GeS is signed greater or equal.
func I32GeS(operands ...[]byte) []byte { return op(0x4e, operands) }

// I32GeU is unsigned greater or equal.
func I32GeU(operands ...[]byte) []byte { return op(0x4f, operands) }

// I32Add adds.
func I32Add(operands ...[]byte) []byte { return op(0x6a, operands) }

// I32Sub subtracts.
func I32Sub(operands ...[]byte) []byte { return op(0x6b, operands) }

// I32Mul multiplies.
func I32Mul(operands ...[]byte) []byte { return op(0x6c, operands) }

// I32DivS divides, and traps on zero and on overflow.
func I32DivS(operands ...[]byte) []byte { return op(0x6d, operands) }

// I32DivU divides, and traps on zero.
func I32DivU(operands ...[]byte) []byte { return op(0x6e, operands) }

// I32RemU is the unsigned remainder.
func I32RemU(operands ...[]byte) []byte { return op(0x70, operands) }

// I32And is bitwise and.
func I32And(operands ...[]byte) []byte { return op(0x71, operands) }

// I32Or is bitwise or.
func I32Or(operands ...[]byte) []byte { return op(0x72, operands) }

// I32Xor is bitwise exclusive or.
func I32Xor(operands ...[]byte) []byte { return op(0x73, operands) }

// I32Shl shifts left.
func I32Shl(operands ...[]byte) []byte { return op(0x74, operands) }

// I32ShrU shifts right, unsigned.
func I32ShrU(operands ...[]byte) []byte { return op(0x76, operands) }

// I64Eqz is 1 for zero.
func I64Eqz(operand ...[]byte) []byte { return op(0x50, operand) }

// I64LtS is signed less than.
func I64LtS(operands ...[]byte) []byte { return op(0x53, operands) }

// I64LtU is unsigned less than.
func I64LtU(operands ...[]byte) []byte { return op(0x54, operands) }

// I64Add adds.
func I64Add(operands ...[]byte) []byte { return op(0x7c, operands) }

// I64Sub subtracts.
func I64Sub(operands ...[]byte) []byte { return op(0x7d, operands) }

// I64DivU divides, and traps on zero.
func I64DivU(operands ...[]byte) []byte { return op(0x80, operands) }

// I64RemU is the unsigned remainder.
func I64RemU(operands ...[]byte) []byte { return op(0x82, operands) }

// Conversion.

// I32WrapI64 cuts off the upper half.
func I32WrapI64(operand ...[]byte) []byte { return op(0xa7, operand) }

// I64ExtendI32S widens with sign.
func I64ExtendI32S(operand ...[]byte) []byte { return op(0xac, operand) }

// I64ExtendI32U widens without sign.
func I64ExtendI32U(operand ...[]byte) []byte { return op(0xad, operand) }

// I64TruncSatF32S rounds towards zero and never traps.
func I64TruncSatF32S(operand ...[]byte) []byte { return Op([]byte{0xfc, 4}, operand...) }

// I64TruncSatF64S rounds towards zero and never traps.
func I64TruncSatF64S(operand ...[]byte) []byte { return Op([]byte{0xfc, 6}, operand...) }
