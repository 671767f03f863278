package wasmbin

import "fmt"

// code validates the instructions of the body, up to the end of the function.
func (v *validator) code() {
	for v.err == nil {
		if v.pos >= v.end {
			v.malformed(v.pos, "unexpected end: the function is not closed")
			return
		}
		v.at = v.pos
		code := v.buf[v.pos]
		v.pos++
		v.instrs++
		switch code {
		case opLoop, opCall, opPrefixMisc: // accounted for where their cost is known
		case opMemoryGrow:
			v.tick(v.m, growUnits)
		default:
			v.tick(v.m, 1)
		}
		if code == opEnd {
			if v.closeBlock(); len(v.blocks) == 0 {
				break
			}
			continue
		}
		v.instruction(code)
	}
	if v.err == nil && v.pos != v.end {
		v.malformed(v.pos, "the function goes on after its end")
	}
}

func (v *validator) instruction(code byte) {
	switch code {
	case opLocalGet:
		if i, ok := v.local(); ok {
			v.push(v.locals[i])
		}
	case opLocalSet:
		if i, ok := v.local(); ok {
			v.pop(v.locals[i])
		}
	case opLocalTee:
		if i, ok := v.local(); ok {
			v.pop(v.locals[i])
			v.push(v.locals[i])
		}
	case opI32Const:
		v.s32()
		v.push(I32)
	case opI64Const:
		v.s64()
		v.push(I64)
	case opF32Const:
		v.f32bits()
		v.push(F32)
	case opF64Const:
		v.f64bits()
		v.push(F64)
	case opGlobalGet, opGlobalSet:
		v.global(code)
	case opNop:
	case opUnreachable:
		v.unreachable()
	case opDrop:
		v.pop(0)
	case opSelect:
		v.selectAny()
	case opSelectTyped:
		v.selectTyped()
	case opCall:
		v.call()
	case opCallIndirect:
		v.callIndirect()
	case opBlock, opLoop, opIf, opElse, opBr, opBrIf, opBrTable, opReturn:
		v.control(code)
	case opMemorySize, opMemoryGrow:
		v.memoryIndex()
		if code == opMemoryGrow {
			v.room += roomGrow
			v.grows++
			v.m.uses.grow = true
			v.pop(I32)
		}
		v.push(I32)
	case opTableGet, opTableSet, opRefNull, opRefIsNull, opRefFunc:
		v.reference(code)
	case opPrefixMisc:
		v.misc()
	case opPrefixSIMD:
		v.vector()
	default:
		v.plain(&plainOps[code], code)
	}
}

// plain validates an instruction of fixed type.
func (v *validator) plain(o *op, code byte) {
	if o.name == "" {
		v.unknown(code)
		return
	}
	if o.feature != mvp {
		v.m.features.add(o.feature)
	}
	if o.imm != immNone {
		v.immediate(o)
	}
	v.room += uint64(plainRoom[code])
	switch {
	case o.in[0] == 0:
	case o.in[1] == 0:
		v.pop(o.in[0])
	default:
		if o.in[2] != 0 {
			v.pop(o.in[2])
		}
		v.pop(o.in[1])
		v.pop(o.in[0])
	}
	if o.out != 0 {
		v.push(o.out)
	}
}

func (v *validator) unknown(code byte) {
	if f, ok := refusedOp(code); ok {
		v.refuse(v.at, opNames[code], f)
		return
	}
	v.malformed(v.at, fmt.Sprintf("unknown opcode 0x%02x", code))
}

func (v *validator) immediate(o *op) {
	switch o.imm {
	case immMem, immMemLane:
		v.memArg(o)
		if o.imm == immMemLane {
			v.lane(16 >> o.align)
		}
	case immLane:
		v.lane(o.align)
	case immV128:
		v.bytes(16)
	case immShuffle:
		for range 16 {
			v.lane(32)
		}
	}
}

func (v *validator) memArg(o *op) {
	if len(v.m.mems) == 0 {
		v.invalid(v.at, o.name, "unknown memory 0")
		return
	}
	v.room += roomAccess
	at := v.pos
	align := v.u32()
	switch {
	case v.err != nil:
	case align >= 64 && align < 128:
		v.refuse(at, o.name, noMultiMemory)
	case align >= 32:
		v.fail(Malformed, at, o.name, "malformed memop flags")
	case align > uint32(o.align):
		v.invalid(at, o.name, fmt.Sprintf("alignment 2^%d must not be larger than natural", align))
	}
	v.u32()
}

func (v *validator) lane(most byte) {
	at := v.pos
	if l := v.byte(); v.err == nil && l >= most {
		v.invalid(at, "lane", fmt.Sprintf("invalid lane index %d of %d", l, most))
	}
}

func (v *validator) vector() {
	code := v.u32()
	if v.err != nil {
		return
	}
	v.m.features.add(simd)
	v.vectors = true
	if code >= uint32(len(simdOps)) {
		if code <= 0x12f {
			v.refuse(v.at, "vector instruction", noRelaxedSIMD)
		}
		v.malformed(v.at, fmt.Sprintf("unknown opcode 0xfd 0x%02x", code))
		return
	}
	if o := &simdOps[code]; o.name != "" {
		v.plain(o, opPrefixSIMD)
	} else {
		v.malformed(v.at, fmt.Sprintf("unknown opcode 0xfd 0x%02x", code))
	}
}

func (v *validator) local() (uint32, bool) {
	at := v.pos
	i := v.u32()
	if v.err == nil && uint64(i) >= uint64(len(v.locals)) {
		v.invalid(at, v.name(), fmt.Sprintf("unknown local %d of %d", i, len(v.locals)))
	}
	return i, v.err == nil
}

func (v *validator) global(code byte) {
	at := v.pos
	i := v.u32()
	if v.err == nil && uint64(i) >= uint64(len(v.m.globals)) {
		v.invalid(at, v.name(), fmt.Sprintf("unknown global %d of %d", i, len(v.m.globals)))
	}
	if v.err != nil {
		return
	}
	g := v.m.globals[i]
	if code == opGlobalGet {
		v.push(g.val)
		return
	}
	if !g.mutable {
		v.invalid(at, v.name(), fmt.Sprintf("global %d is immutable", i))
	}
	v.pop(g.val)
}

func (v *validator) selectAny() {
	v.pop(I32)
	a := v.pop(0)
	b := v.pop(0)
	switch {
	case a.IsRef() || b.IsRef():
		v.invalid(v.at, "select", "type mismatch: references need a typed select")
	case a != b && a != 0 && b != 0:
		v.mismatch(b, a.String())
	case a == 0:
		v.push(b)
	default:
		v.push(a)
	}
}

func (v *validator) selectTyped() {
	at := v.pos
	v.m.features.add(referenceTypes)
	if n := v.count("select", 1); v.err == nil && n != 1 {
		v.invalid(at, "select", "invalid result arity: it must give one type")
		return
	}
	t := v.valType("select", &v.m.features)
	if v.err != nil {
		return
	}
	v.pop(I32)
	v.pop(t)
	v.pop(t)
	v.push(t)
}

// call accounts before it validates: a charge stands before the instruction.
func (v *validator) call() {
	at := v.pos
	f := v.u32()
	if v.err == nil && uint64(f) >= uint64(len(v.m.funcs)) {
		v.invalid(at, "call", fmt.Sprintf("unknown function %d of %d", f, len(v.m.funcs)))
	}
	if v.err != nil {
		return
	}
	if int(f) < v.m.importFuncs {
		v.tick(v.m, importUnits)
	} else {
		v.tick(v.m, 1)
		v.called()
	}
	v.invoke(v.m.funcType(f))
}

func (v *validator) callIndirect() {
	t := v.typeIndex("call_indirect")
	at := v.pos
	table := v.u32()
	switch {
	case v.err != nil:
		return
	case uint64(table) >= uint64(len(v.m.tables)):
		v.invalid(at, "call_indirect", fmt.Sprintf("unknown table %d of %d", table, len(v.m.tables)))
		return
	case v.m.tables[table].elem != FuncRef:
		v.invalid(at, "call_indirect", "type mismatch: the table does not hold functions")
	case table > 0:
		v.m.features.add(referenceTypes)
	}
	v.pop(I32)
	v.called()
	v.room += roomIndirect
	v.invoke(v.m.types[t])
}

// manyValues is how many values a call moves for the price of the call itself
// in the compile cost; no compiler's output moves more.
const manyValues = 16

// move counts n values that one instruction moves. Two bytes of code can move
// hundreds, so a body that moves too many is not read to its end.
func (v *validator) move(n int) {
	if n <= manyValues {
		return
	}
	v.instrs += uint64(n - manyValues)
	switch lim := v.d.lim; {
	case lim.Unchecked:
	case lim.Interpreted:
		if v.instrs > maxInterpretedBody {
			v.fail(TooComplex, v.at, "instructions", fmt.Sprintf("more than the limit of %d for one function of an interpreted module", maxInterpretedBody))
		}
	case v.instrs*instrCost > uint64(lim.FuncCost)*1e6:
		v.failCure(TooComplex, v.at, "compile cost", fmt.Sprintf("up to here it is more than the limit of %d for one function", lim.FuncCost), compileCure)
	}
}

func (v *validator) invoke(t FuncType) {
	v.calls++
	v.callsAny = true
	v.move(len(t.Params) + len(t.Results))
	v.popAll(t.Params)
	v.pushAll(t.Results)
}

func (v *validator) typeIndex(what string) uint32 {
	at := v.pos
	i := v.u32()
	if v.err == nil && uint64(i) >= uint64(len(v.m.types)) {
		v.invalid(at, what, fmt.Sprintf("unknown type %d of %d", i, len(v.m.types)))
	}
	return i
}
