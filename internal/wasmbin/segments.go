package wasmbin

import "fmt"

func (d *decoder) elementSection() {
	at := d.pos
	n := d.count("element section", 2)
	d.bound(at, "element segments", n, maxElemSegments)
	for i := 0; i < n && d.err == nil; i++ {
		d.elemSegment()
	}
}

// elemSegment reads one segment in any of the eight forms: bit 0 tells
// passive or declared, bit 1 an explicit table or declared, bit 2 expressions.
func (d *decoder) elemSegment() {
	s := elemSegment{at: d.pos, elem: FuncRef}
	form := d.u32()
	if d.err == nil && form > 7 {
		d.fail(Malformed, s.at, "element segment", fmt.Sprintf("malformed form %d", form))
		return
	}
	if form != 0 {
		d.m.features.add(bulkMemory)
	}
	s.exprs = form&4 != 0
	switch {
	case form&1 == 0:
		if form&2 != 0 {
			s.table = d.u32()
		}
		s.offset = d.constExpr(I32)
	case form&2 != 0:
		s.mode = declared
	default:
		s.mode = passive
	}
	if form&3 != 0 {
		s.elem = d.elemKind(s.exprs)
	}
	if d.err != nil {
		return
	}
	if s.mode == active {
		d.checkElemTable(s)
	}
	d.elemItems(&s)
	d.m.elems = append(d.m.elems, s)
}

func (d *decoder) checkElemTable(s elemSegment) {
	if uint64(s.table) >= uint64(len(d.m.tables)) {
		d.fail(Invalid, s.at, "element segment", fmt.Sprintf("unknown table %d of %d", s.table, len(d.m.tables)))
	} else if t := d.m.tables[s.table].elem; t != s.elem {
		d.fail(Invalid, s.at, "element segment", fmt.Sprintf("type mismatch: %s items for a table of %s", s.elem, t))
	}
}

// elemKind reads the type of the items: a kind byte for functions, a
// reference type for expressions.
func (d *decoder) elemKind(exprs bool) ValType {
	at := d.pos
	b := d.byte()
	if !exprs {
		if b != 0 {
			d.fail(Malformed, at, "element segment", "malformed element kind")
		}
		return FuncRef
	}
	t := ValType(b)
	if d.err == nil && !t.IsRef() {
		if t == 0x63 || t == 0x64 {
			d.refuse(at, "element segment", noFuncRefs)
		}
		d.fail(Malformed, at, "element segment", "malformed reference type")
	}
	return t
}

func (d *decoder) elemItems(s *elemSegment) {
	at := d.pos
	size := 1
	if s.exprs {
		size = 3
	}
	s.count = d.count("element segment", size)
	d.elemSum += uint64(s.count)
	if most := 2 * d.lim.TableElems; d.elemSum > most && !d.lim.Unchecked {
		d.fail(TooComplex, at, "element segments", fmt.Sprintf("%d items in all are more than the limit of %d", d.elemSum, most))
	}
	s.items.from = d.pos
	for i := 0; i < s.count && d.err == nil; i++ {
		if s.exprs {
			d.constExpr(s.elem)
			continue
		}
		at := d.pos
		f := d.u32()
		if d.err == nil && uint64(f) >= uint64(len(d.m.funcs)) {
			d.fail(Invalid, at, "element segment", fmt.Sprintf("unknown function %d of %d", f, len(d.m.funcs)))
		}
		d.declare(f)
	}
	s.items.to = d.pos
}

func (d *decoder) dataSection() {
	d.hasData = true
	at := d.pos
	n := d.count("data section", 2)
	d.bound(at, "data segments", n, maxDataSegments)
	if d.err == nil && d.m.dataCount >= 0 && d.m.dataCount != n {
		d.malformed(at, "data count and data section have inconsistent lengths")
	}
	if d.err == nil {
		d.m.datas = make([]dataSegment, 0, n)
	}
	for i := 0; i < n && d.err == nil; i++ {
		d.dataSegment()
	}
}

func (d *decoder) dataSegment() {
	s := dataSegment{at: d.pos}
	form := d.u32()
	switch {
	case d.err != nil:
		return
	case form == 1:
		s.mode = passive
		d.m.features.add(bulkMemory)
	case form == 0 || form == 2:
		if form == 2 {
			if mem := d.u32(); mem != 0 {
				d.fail(Invalid, s.at, "data segment", fmt.Sprintf("unknown memory %d", mem))
			}
		}
		if len(d.m.mems) == 0 {
			d.fail(Invalid, s.at, "data segment", "unknown memory 0")
		}
		s.offset = d.constExpr(I32)
	default:
		d.fail(Malformed, s.at, "data segment", fmt.Sprintf("malformed form %d", form))
	}
	n := d.u32()
	s.bytes.from = d.pos
	d.bytes(uint64(n))
	s.bytes.to = d.pos
	if s.mode == passive && n > maxPassive && !d.lim.Unchecked && d.err == nil {
		d.problem(&Error{ID: TooComplex, Offset: s.at, Func: -1, What: "passive data segment",
			Reason: fmt.Sprintf("%d bytes are more than the limit of %d", n, maxPassive)})
	}
	d.m.datas = append(d.m.datas, s)
}

// checkSegments refuses active segments that leave the initial size: they
// would trap, or be skipped in silence, whenever the module is instantiated.
func (d *decoder) checkSegments() {
	if d.lim.Unchecked {
		return
	}
	for i, s := range d.m.elems {
		if s.mode != active || int(s.table) < d.m.importTables || s.offset.op != opI32Const {
			continue
		}
		if size := d.m.tables[s.table].min; s.offset.lo+uint64(s.count) > size {
			d.problem(outside(s.at, "element", i, s.offset.lo, s.count, size, "table"))
		}
	}
	for i, s := range d.m.datas {
		if s.mode != active || d.m.importMems > 0 || s.offset.op != opI32Const {
			continue
		}
		n := s.bytes.to - s.bytes.from
		if size := d.m.mems[0].min << 16; s.offset.lo+uint64(n) > size {
			d.problem(outside(s.at, "data", i, s.offset.lo, n, size, "memory"))
		}
	}
}

func outside(at int, kind string, i int, offset uint64, n int, size uint64, where string) *Error {
	return &Error{ID: OutOfRange, Offset: at, Func: -1, What: fmt.Sprintf("%s segment %d", kind, i),
		Reason: fmt.Sprintf("offset %d and length %d leave the %s of %d", offset, n, where, size),
		Cure:   "raise the declared minimum size"}
}
