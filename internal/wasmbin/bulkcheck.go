package wasmbin

import "fmt"

// reference validates the instructions on references and single table entries.
func (v *validator) reference(code byte) {
	v.m.features.add(referenceTypes)
	switch code {
	case opTableGet, opTableSet:
		v.branches += bulkBranches
		t := v.table(v.name())
		if code == opTableGet {
			v.pop(I32)
			v.push(t)
			return
		}
		v.m.hazards.add(hazardTableSet)
		v.pop(t)
		v.pop(I32)
	case opRefNull:
		at := v.pos
		t := ValType(v.byte())
		if v.err == nil && !t.IsRef() {
			if t >= 0x67 && t <= 0x74 {
				v.refuse(at, "ref.null", otherHeapType(t))
			}
			v.fail(Malformed, at, "ref.null", "malformed reference type")
		}
		v.push(t)
	case opRefIsNull:
		if t := v.pop(0); t != 0 && !t.IsRef() {
			v.mismatch(FuncRef, t.String())
		}
		v.push(I32)
	case opRefFunc:
		at := v.pos
		f := v.u32()
		switch {
		case v.err != nil:
		case uint64(f) >= uint64(len(v.m.funcs)):
			v.invalid(at, "ref.func", fmt.Sprintf("unknown function %d of %d", f, len(v.m.funcs)))
		case uint64(f) >= uint64(len(v.d.declared)) || !v.d.declared[f]:
			v.invalid(at, "ref.func", fmt.Sprintf("undeclared reference to function %d", f))
		case v.m.uses.refer(f) > maxRefs && !v.d.lim.Unchecked:
			v.fail(TooComplex, at, "ref.func", fmt.Sprintf("more than the limit of %d functions are named by it", maxRefs))
		}
		v.push(FuncRef)
	}
}

// bulkBranches is what a bulk or table instruction counts in the compile cost.
const bulkBranches = 4

// misc validates what stands behind the prefix 0xfc.
func (v *validator) misc() {
	code := v.u32()
	switch {
	case v.err != nil:
	case code < uint32(len(miscOps)):
		v.tick(v.m, 1)
		v.m.features.add(nonTrapping)
		v.plain(&miscOps[code], opPrefixMisc)
	case code > miscTableFill:
		v.malformed(v.at, fmt.Sprintf("unknown opcode 0xfc 0x%02x", code))
	default:
		v.branches += bulkBranches
		v.m.features.add(bulkMemory)
		if code <= miscMemoryFill {
			v.bulkMemory(code)
		} else {
			v.bulkTable(code)
		}
	}
}

func (v *validator) bulkMemory(code uint32) {
	name := miscNames[code]
	if code == miscDataDrop {
		v.tick(v.m, 1)
		v.m.hazards.add(hazardDataDrop)
		v.data(name)
		return
	}
	v.tick(v.m, bulkUnits)
	switch code {
	case miscMemoryInit:
		v.data(name)
	case miscMemoryFill:
		v.m.uses.fill = true
	case miscMemoryCopy:
		v.m.uses.copy = true
	}
	v.memoryIndex()
	if code == miscMemoryCopy {
		v.memoryIndex()
	}
	v.pop(I32)
	v.pop(I32)
	v.pop(I32)
}

func (v *validator) bulkTable(code uint32) {
	name := miscNames[code]
	switch code {
	case miscTableInit:
		v.tick(v.m, bulkUnits)
		v.m.hazards.add(hazardTableInit)
		elem := v.elem(name)
		v.sameType(v.table(name), elem)
		v.popThree(I32)
	case miscElemDrop:
		v.tick(v.m, 1)
		v.m.hazards.add(hazardElemDrop)
		v.elem(name)
	case miscTableCopy:
		v.tick(v.m, bulkUnits)
		v.m.hazards.add(hazardTableCopy)
		to := v.table(name)
		v.sameType(to, v.table(name))
		v.popThree(I32)
	case miscTableGrow:
		v.tick(v.m, growUnits)
		v.m.hazards.add(hazardTableGrow)
		at := v.pos
		t := v.table(name)
		if v.err == nil {
			v.m.uses.growTable((&reader{buf: v.buf, pos: at, end: v.end}).u32())
		}
		v.pop(I32)
		v.pop(t)
		v.push(I32)
	case miscTableSize:
		v.tick(v.m, 1)
		v.table(name)
		v.push(I32)
	case miscTableFill:
		v.tick(v.m, bulkUnits)
		v.m.hazards.add(hazardTableFill)
		v.popThree(v.table(name))
	}
	if code == miscTableGrow || code == miscTableSize || code == miscTableFill {
		v.m.features.add(referenceTypes)
	}
}

// popThree takes the operands of a bulk table instruction, of which the middle
// one has the given type.
func (v *validator) popThree(middle ValType) {
	v.pop(I32)
	v.pop(middle)
	v.pop(I32)
}

func (v *validator) sameType(a, b ValType) {
	if v.err == nil && a != b {
		v.mismatch(a, b.String())
	}
}

// memoryIndex reads the index of the one memory.
func (v *validator) memoryIndex() {
	at := v.pos
	i := v.byte()
	switch {
	case v.err != nil:
	case i != 0:
		v.refuse(at, v.name(), noMultiMemory)
	case len(v.m.mems) == 0:
		v.invalid(v.at, v.name(), "unknown memory 0")
	}
}

// table reads a table index and answers the type of the entries.
func (v *validator) table(what string) ValType {
	at := v.pos
	i := v.u32()
	if v.err == nil && uint64(i) >= uint64(len(v.m.tables)) {
		v.invalid(at, what, fmt.Sprintf("unknown table %d of %d", i, len(v.m.tables)))
	}
	if v.err != nil {
		return 0
	}
	return v.m.tables[i].elem
}

func (v *validator) elem(what string) ValType {
	at := v.pos
	i := v.u32()
	if v.err == nil && uint64(i) >= uint64(len(v.m.elems)) {
		v.invalid(at, what, fmt.Sprintf("unknown element segment %d of %d", i, len(v.m.elems)))
	}
	if v.err != nil {
		return 0
	}
	return v.m.elems[i].elem
}

// data reads the index of a data segment. Their number is known from the data
// count section, which must come before the code.
func (v *validator) data(what string) {
	at := v.pos
	i := v.u32()
	switch {
	case v.err != nil:
	case v.m.dataCount < 0:
		v.fail(Malformed, at, what, "data count section required")
	case uint64(i) >= uint64(v.m.dataCount):
		v.invalid(at, what, fmt.Sprintf("unknown data segment %d of %d", i, v.m.dataCount))
	default:
		v.m.usedDatas = max(v.m.usedDatas, int(i)+1)
	}
}
