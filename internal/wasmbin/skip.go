package wasmbin

// skip moves over one instruction of a validated body.
func (r *reader) skip() {
	code := r.byte()
	switch code {
	case opBlock, opLoop, opIf:
		r.s33()
	case opBr, opBrIf, opCall, opLocalGet, opLocalSet, opLocalTee, opGlobalGet, opGlobalSet,
		opTableGet, opTableSet, opRefFunc:
		r.u32()
	case opCallIndirect:
		r.u32()
		r.u32()
	case opBrTable:
		for n := r.u32(); r.err == nil; n-- {
			r.u32()
			if n == 0 {
				break
			}
		}
	case opSelectTyped:
		r.bytes(uint64(r.u32()))
	case opI32Const:
		r.s32()
	case opI64Const:
		r.s64()
	case opF32Const:
		r.bytes(4)
	case opF64Const:
		r.bytes(8)
	case opMemorySize, opMemoryGrow, opRefNull:
		r.byte()
	case opPrefixMisc:
		r.skipMisc()
	case opPrefixSIMD:
		if sub := r.u32(); sub < uint32(len(simdOps)) {
			r.skipImmediate(simdOps[sub].imm)
		}
	default:
		r.skipImmediate(plainOps[code].imm)
	}
}

func (r *reader) skipMisc() {
	switch r.u32() {
	case miscMemoryInit:
		r.u32()
		r.byte()
	case miscMemoryCopy:
		r.bytes(2)
	case miscMemoryFill:
		r.byte()
	case miscDataDrop, miscElemDrop, miscTableGrow, miscTableSize, miscTableFill:
		r.u32()
	case miscTableInit, miscTableCopy:
		r.u32()
		r.u32()
	}
}

func (r *reader) skipImmediate(imm immediate) {
	switch imm {
	case immMem, immMemLane:
		r.u32()
		r.u32()
		if imm == immMemLane {
			r.byte()
		}
	case immLane:
		r.byte()
	case immV128, immShuffle:
		r.bytes(16)
	}
}
