package wasmbin

// The opcodes that need more than the tables of types say.
const (
	opUnreachable  = 0x00
	opNop          = 0x01
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opDrop         = 0x1a
	opSelect       = 0x1b
	opSelectTyped  = 0x1c
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableGet     = 0x25
	opTableSet     = 0x26
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI32Add       = 0x6a
	opI32Sub       = 0x6b
	opI32Mul       = 0x6c
	opI64Add       = 0x7c
	opI64Sub       = 0x7d
	opI64Mul       = 0x7e
	opRefNull      = 0xd0
	opRefIsNull    = 0xd1
	opRefFunc      = 0xd2
	opPrefixMisc   = 0xfc
	opPrefixSIMD   = 0xfd

	opV128Const = 0x0c // behind opPrefixSIMD
)

// The instructions behind opPrefixMisc; those below are the conversions.
const (
	miscMemoryInit = 8 + iota
	miscDataDrop
	miscMemoryCopy
	miscMemoryFill
	miscTableInit
	miscElemDrop
	miscTableCopy
	miscTableGrow
	miscTableSize
	miscTableFill
)

// immediate says what follows an opcode of the tables.
type immediate byte

const (
	immNone    immediate = iota
	immMem               // alignment and offset
	immLane              // a lane below op.align
	immMemLane           // alignment, offset and a lane
	immV128              // 16 bytes
	immShuffle           // 16 lanes below 32
)

// op describes an instruction whose operand types never vary.
type op struct {
	name    string // empty: no such instruction
	in      [3]ValType
	out     ValType
	imm     immediate
	align   byte // largest legal alignment exponent, or number of lanes
	feature feature
}

// miscOps are the saturating conversions behind opPrefixMisc.
var miscOps = [8]op{
	{name: "i32.trunc_sat_f32_s", in: [3]ValType{F32}, out: I32},
	{name: "i32.trunc_sat_f32_u", in: [3]ValType{F32}, out: I32},
	{name: "i32.trunc_sat_f64_s", in: [3]ValType{F64}, out: I32},
	{name: "i32.trunc_sat_f64_u", in: [3]ValType{F64}, out: I32},
	{name: "i64.trunc_sat_f32_s", in: [3]ValType{F32}, out: I64},
	{name: "i64.trunc_sat_f32_u", in: [3]ValType{F32}, out: I64},
	{name: "i64.trunc_sat_f64_s", in: [3]ValType{F64}, out: I64},
	{name: "i64.trunc_sat_f64_u", in: [3]ValType{F64}, out: I64},
}

// opNames are the names of the other instructions, for error texts.
var opNames = [256]string{
	opUnreachable: "unreachable", opNop: "nop", opBlock: "block", opLoop: "loop", opIf: "if", opElse: "else",
	opEnd: "end", opBr: "br", opBrIf: "br_if", opBrTable: "br_table", opReturn: "return", opCall: "call",
	opCallIndirect: "call_indirect", opDrop: "drop", opSelect: "select", opSelectTyped: "select",
	opLocalGet: "local.get", opLocalSet: "local.set", opLocalTee: "local.tee", opGlobalGet: "global.get",
	opGlobalSet: "global.set", opTableGet: "table.get", opTableSet: "table.set", opMemorySize: "memory.size",
	opMemoryGrow: "memory.grow", opI32Const: "i32.const", opI64Const: "i64.const", opF32Const: "f32.const",
	opF64Const: "f64.const", opRefNull: "ref.null", opRefIsNull: "ref.is_null", opRefFunc: "ref.func",
	0x06: "try", 0x07: "catch", 0x08: "throw", 0x09: "rethrow", 0x0a: "throw_ref", 0x18: "delegate",
	0x19: "catch_all", 0x1f: "try_table", 0x12: "return_call", 0x13: "return_call_indirect",
	0x14: "call_ref", 0x15: "return_call_ref", 0xd3: "ref.eq", 0xd4: "ref.as_non_null",
	0xd5: "br_on_null", 0xd6: "br_on_non_null", 0xfb: "gc instruction", 0xfe: "atomic instruction",
	0xe0: "cont.new", 0xe1: "cont.bind", 0xe2: "suspend", 0xe3: "resume", 0xe4: "resume_throw", 0xe5: "switch",
}

var miscNames = [...]string{
	miscMemoryInit: "memory.init", miscDataDrop: "data.drop", miscMemoryCopy: "memory.copy", miscMemoryFill: "memory.fill",
	miscTableInit: "table.init", miscElemDrop: "elem.drop", miscTableCopy: "table.copy", miscTableGrow: "table.grow",
	miscTableSize: "table.size", miscTableFill: "table.fill",
}

// refusedOp answers why an opcode is refused, when it is one that we know.
func refusedOp(code byte) (refused, bool) {
	switch code {
	case 0x12, 0x13:
		return noTailCalls, true
	case 0x06, 0x07, 0x08, 0x09, 0x0a, 0x18, 0x19, 0x1f:
		return noExceptions, true
	case 0x14, 0x15, 0xd4, 0xd5, 0xd6:
		return noFuncRefs, true
	case 0xd3, 0xfb:
		return noGC, true
	case 0xfe:
		return noThreads, true
	case 0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5:
		return noStackSwitch, true
	}
	return refused{}, false
}

// opName answers the name of an instruction for error texts.
func opName(code byte) string {
	if name := plainOps[code].name; name != "" {
		return name
	}
	return opNames[code]
}
