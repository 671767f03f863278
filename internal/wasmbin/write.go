package wasmbin

// write puts the metered module together.
func (p *plan) write(code []byte) []byte {
	m := p.m
	names := p.nameSection()
	out := make([]byte, 0, len(code)+len(names)+len(m.wasm)/2)
	out = append(out, magic+wasmVersion...)
	out = appendSection(out, secType, p.typeSection())
	out = appendSection(out, secImport, p.importSection())
	out = appendSection(out, secFunction, p.functionSection())
	out = appendSection(out, secTable, p.tableSection())
	out = appendSection(out, secMemory, p.memorySection())
	out = appendSection(out, secGlobal, p.globalSection())
	out = appendSection(out, secExport, p.exportSection())
	out = appendSection(out, secElement, p.elementSection())
	count, data := p.dataSection()
	out = appendSection(out, secDataCount, count)
	out = appendSection(out, secCode, code)
	out = appendSection(out, secData, data)
	return appendSection(out, secCustom, names)
}

func (p *plan) typeSection() []byte {
	b := appendU32(nil, uint32(len(p.types)))
	for _, t := range p.types {
		b = appendTypes(appendTypes(append(b, 0x60), t.Params), t.Results)
	}
	return b
}

func (p *plan) importSection() []byte {
	m := p.m
	b := appendU32(nil, uint32(len(m.imports)+1))
	function, table, global, tag := 0, 0, 0, 0
	for _, i := range m.imports {
		b = append(appendName(appendName(b, i.Module), i.Name), byte(i.Kind))
		switch i.Kind {
		case KindFunc:
			b = appendU32(b, m.funcs[function])
			function++
		case KindTable:
			b = appendLimits(append(b, byte(m.tables[table].elem)), m.tables[table].limits)
			table++
		case KindMemory:
			b = appendLimits(b, m.mems[0])
		case KindGlobal:
			b = appendGlobalType(b, m.globals[global])
			global++
		case KindTag:
			b = appendU32(append(b, 0), m.tags[tag])
			tag++
		}
	}
	b = append(appendName(appendName(b, ImportModule), ImportRefill), byte(KindFunc))
	return appendU32(b, p.typeOf(FuncType{Params: []ValType{I64}, Results: []ValType{I64}}))
}

func (p *plan) functionSection() []byte {
	own := p.m.funcs[p.m.importFuncs:]
	if len(own)+len(p.injected) == 0 {
		return nil
	}
	b := appendU32(make([]byte, 0, len(own)+16), uint32(len(own)+len(p.injected)))
	for _, t := range own {
		b = appendU32(b, t)
	}
	for _, f := range p.injected {
		b = appendU32(b, f.typ)
	}
	return b
}

// tableSection lowers the maximum of each table to what the others leave of
// the limit, so that table.grow cannot pass it.
func (p *plan) tableSection() []byte {
	m := p.m
	own := m.tables[m.importTables:]
	if len(own) == 0 {
		return nil
	}
	var sum uint64
	for _, t := range m.tables {
		sum += t.min
	}
	b := appendU32(nil, uint32(len(own)))
	for _, t := range own {
		most := t.min
		if others := sum - t.min; m.lim.TableElems > others {
			most = max(most, m.lim.TableElems-others)
		}
		if !t.hasMax || t.max > most {
			t.hasMax, t.max = true, min(most, 1<<32-1)
		}
		b = appendLimits(append(b, byte(t.elem)), t.limits)
	}
	return b
}

func (p *plan) memorySection() []byte {
	own := p.m.mems[p.m.importMems:]
	if len(own) == 0 {
		return nil
	}
	return appendLimits([]byte{1}, own[0])
}

func (p *plan) globalSection() []byte {
	own := p.m.globals[p.m.importGlobals:]
	b := appendU32(nil, uint32(len(own)+3+len(p.refs)))
	for i, g := range own {
		b = p.appendConst(appendGlobalType(b, g), p.m.inits[i])
	}
	for _, t := range []ValType{I64, I32, I32} { // fuel, depth, scratch
		op := byte(opI32Const)
		if t == I64 {
			op = opI64Const
		}
		b = p.appendConst(appendGlobalType(b, globalType{t, true}), constant{op: op})
	}
	for _, f := range p.refs {
		b = p.appendConst(appendGlobalType(b, globalType{FuncRef, false}), constant{op: opRefFunc, lo: uint64(f)})
	}
	return b
}

func (p *plan) exportSection() []byte {
	m := p.m
	own := p.ownMutable()
	n := len(m.exports) + len(own) + 2
	if m.start >= 0 {
		n++
	}
	b := appendU32(nil, uint32(n))
	add := func(name string, kind Kind, index uint32) {
		b = appendU32(append(appendName(b, name), byte(kind)), index)
	}
	for _, e := range m.exports {
		if e.kind == KindFunc {
			e.index = p.moved(e.index)
		}
		add(e.name, e.kind, e.index)
	}
	add(ExportFuel, KindGlobal, p.fuel)
	add(ExportDepth, KindGlobal, p.depth)
	if m.start >= 0 {
		add(ExportStart, KindFunc, p.start)
	}
	for _, i := range own {
		add(ExportGlobal(i), KindGlobal, uint32(i))
	}
	return b
}

func (p *plan) elementSection() []byte {
	m := p.m
	if len(m.elems) == 0 {
		return nil
	}
	b := appendU32(nil, uint32(len(m.elems)))
	for _, s := range m.elems {
		b = p.appendElem(b, s)
	}
	return b
}

// appendElem writes a segment in the shortest of the forms that can hold it.
func (p *plan) appendElem(b []byte, s elemSegment) []byte {
	form := uint32(0)
	if s.exprs {
		form = 4
	}
	short := s.mode == active && s.table == 0 && s.elem == FuncRef
	switch {
	case s.mode == passive:
		form |= 1
	case s.mode == declared:
		form |= 3
	case !short:
		form |= 2
	}
	b = appendU32(b, form)
	if s.mode == active {
		if !short {
			b = appendU32(b, s.table)
		}
		b = p.appendConst(b, s.offset)
	}
	switch {
	case short:
	case s.exprs:
		b = append(b, byte(s.elem))
	default:
		b = append(b, 0)
	}
	return p.appendItems(b, s)
}

// appendItems copies the items with their functions renumbered. The decoder
// has seen that each expression is one instruction.
func (p *plan) appendItems(b []byte, s elemSegment) []byte {
	b = appendU32(b, uint32(s.count))
	r := reader{buf: p.m.wasm, pos: s.items.from, end: s.items.to}
	for range s.count {
		if !s.exprs {
			b = appendU32(b, p.moved(r.u32()))
			continue
		}
		c := constant{op: r.byte()}
		c.lo = uint64(r.u32())
		r.byte()
		b = p.appendConst(b, c)
	}
	return b
}

// dataSection answers the contents of the data count and the data section.
// Segments that became part of the image are left out at the end of the list,
// and empty elsewhere, so that indices hold; a segment has no bytes left once
// it was copied, so programs see no difference.
func (p *plan) dataSection() (count, data []byte) {
	m := p.m
	keep := len(m.datas)
	if p.moveData {
		for keep > m.usedDatas && m.datas[keep-1].mode == active {
			keep--
		}
	}
	if keep == 0 {
		return nil, nil
	}
	if m.dataCount >= 0 {
		count = appendU32(nil, uint32(keep))
	}
	data = appendU32(nil, uint32(keep))
	for _, s := range m.datas[:keep] {
		switch {
		case s.mode == active && p.moveData:
			data = append(data, 1, 0)
			continue
		case s.mode == active:
			data = p.appendConst(append(data, 0), s.offset)
		default:
			data = append(data, 1)
		}
		content := m.wasm[s.bytes.from:s.bytes.to]
		data = append(appendU32(data, uint32(len(content))), content...)
	}
	return count, data
}

// nameSection keeps the function names, so that traps are readable.
func (p *plan) nameSection() []byte {
	var names []byte
	n := uint32(0)
	if p.m.names.from != 0 {
		nameScan(p.m.wasm, p.m.names, func(i uint32, name []byte) {
			if uint64(i) < uint64(len(p.m.funcs)) {
				n++
				names = appendName(appendU32(names, p.moved(i)), printable(name))
			}
		})
	}
	for i, f := range p.injected {
		n++
		names = appendName(appendU32(names, uint32(len(p.m.funcs)+1+i)), HiddenPrefix+f.name)
	}
	if n == 0 {
		return nil
	}
	b := append(appendName(nil, "name"), 1)
	content := append(appendU32(nil, n), names...)
	return append(appendU32(b, uint32(len(content))), content...)
}
