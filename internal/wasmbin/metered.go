package wasmbin

import "fmt"

// codeSection writes the bodies: those of the module, metered, and the
// injected ones.
func (p *plan) codeSection() ([]byte, error) {
	n := len(p.m.bodies) + len(p.injected)
	if n == 0 {
		return nil, nil
	}
	out := make([]byte, 0, p.m.figures.CodeBytes+p.m.figures.CodeBytes/3+1024)
	out = appendU32(out, uint32(n))
	w := &bodyWriter{plan: p, rest: p.m.charges}
	for i, b := range p.m.bodies {
		if !w.body(uint32(p.m.importFuncs+i), b) {
			return nil, &Error{ID: Invalid, Offset: b.code.from, Func: p.m.importFuncs + i, What: "metering",
				Reason: "a charge found no place; this is a fault of the host"}
		}
		out = append(appendU32(out, uint32(len(w.code))), w.code...)
		if len(out) > maxMetered && !p.m.lim.Unchecked {
			return nil, &Error{ID: TooComplex, Offset: b.code.from, Func: p.m.importFuncs + i, What: "code section",
				Reason: fmt.Sprintf("metered it would be larger than %d bytes", maxMetered)}
		}
	}
	for _, f := range p.injected {
		out = append(appendU32(out, uint32(len(f.body))), f.body...)
	}
	return out, nil
}

// bodyWriter rewrites one body after the other. It copies what lies between
// the places that change.
type bodyWriter struct {
	asm
	*plan
	rest []charge // of the bodies to come
	r    reader
	from int // where the uncopied original begins

	blocks []opened // of the body, around the reader
}

// body writes function f into w.code. It answers false when a charge stands
// where no instruction begins, so that none can be lost unseen.
func (w *bodyWriter) body(f uint32, b body) bool {
	wasm := w.m.wasm
	charges := w.rest[:b.charges]
	w.rest = w.rest[b.charges:]
	framed, check := w.framed(b), w.check
	if b.loops > 0 {
		check = w.checkInPlace
	}

	w.code = append(w.code[:0], wasm[b.locals.from:b.locals.to]...)
	if framed {
		w.index(opGlobalGet, w.depth).i32(int32(b.frame)).op(opI32Add).index(opGlobalSet, w.depth)
		w.bytes(w.overflow)
		w.op(opBlock)
		w.blockType(w.m.funcType(f).Results)
	}
	// The last byte is the end of the function: whatever leaves the body goes
	// through there, where the frame is given back.
	last := b.code.to - 1
	w.r = reader{buf: wasm, pos: b.code.from, end: last}
	w.from = b.code.from
	outside := asksOutside(b.loops, b.width)
	w.blocks = w.blocks[:0]
	for {
		for len(charges) > 0 && int(charges[0].pos) == w.r.pos {
			w.flush(w.r.pos)
			w.chargeWith(w.plan, charges[0].units, check)
			charges = charges[1:]
		}
		if w.r.pos >= last {
			break
		}
		switch code := wasm[w.r.pos]; code {
		case opBlock, opIf:
			w.blocks = append(w.blocks, opened{added: w.added()})
			w.r.skip()
		case opLoop:
			charges = w.openLoop(outside, charges)
		case opEnd:
			w.closeBlock()
		case opBr, opBrIf, opBrTable:
			w.branch(code)
		case opReturn:
			if framed {
				w.replace(1).index(opBr, w.label(uint32(len(w.blocks))))
			} else {
				w.r.pos++
			}
		case opCall, opRefFunc, opMemoryGrow, opPrefixMisc:
			w.edit(code)
		default:
			w.r.skip()
		}
	}
	w.flush(last)
	if framed {
		w.op(opEnd)
		w.index(opGlobalGet, w.depth).i32(int32(b.frame)).op(opI32Sub).index(opGlobalSet, w.depth)
	}
	w.op(opEnd)
	return len(charges) == 0 && w.r.err == nil && len(w.blocks) == 0
}

// flush copies the original up to pos.
func (w *bodyWriter) flush(pos int) {
	w.code = append(w.code, w.m.wasm[w.from:pos]...)
	w.from = pos
}

// replace skips size bytes of the original, for which the caller writes others.
func (w *bodyWriter) replace(size int) *asm {
	w.flush(w.r.pos)
	w.r.pos += size
	w.from = w.r.pos
	return &w.asm
}

// edit rewrites the instructions that name functions or need injected ones.
func (w *bodyWriter) edit(code byte) {
	at := w.r.pos
	w.r.pos++
	switch code {
	case opCall:
		f := w.r.u32()
		if g := w.moved(f); g != f {
			w.replaceFrom(at).index(code, g)
		}
	case opRefFunc:
		f := w.r.u32()
		w.replaceFrom(at).index(opGlobalGet, w.refAt[f])
	case opMemoryGrow:
		w.r.pos++
		w.replaceFrom(at).index(opCall, w.grow)
	case opPrefixMisc:
		w.editMisc(at)
	}
}

// replaceFrom drops the original between at and the reader.
func (w *bodyWriter) replaceFrom(at int) *asm {
	size := w.r.pos - at
	w.r.pos = at
	return w.replace(size)
}

func (w *bodyWriter) editMisc(at int) {
	sub := w.r.u32()
	w.r.pos = at
	w.r.skip()
	switch sub {
	case miscMemoryFill:
		w.replaceFrom(at).index(opCall, w.fill)
	case miscMemoryCopy:
		w.replaceFrom(at).index(opCall, w.copy)
	case miscTableGrow:
		table := reader{buf: w.m.wasm, pos: at + 1, end: w.r.pos}
		table.u32()
		w.replaceFrom(at).index(opCall, w.tables[table.u32()])
	case miscMemoryInit:
		w.chargeTop(at, byteShift)
	case miscTableInit, miscTableCopy, miscTableFill:
		w.chargeTop(at, entryShift)
	}
}

// chargeTop charges for the length on top of the operand stack, before the
// instruction at the given position. The length waits in a global meanwhile,
// as it is there for no longer than this sequence.
func (w *bodyWriter) chargeTop(at int, shift int32) {
	w.flush(at)
	w.index(opGlobalSet, w.scratch)
	w.index(opGlobalGet, w.fuel)
	w.index(opGlobalGet, w.scratch).i32(shift).op(opI32ShrU, opI64ExtendI32U, opI64Sub)
	w.index(opGlobalSet, w.fuel).bytes(w.check)
	w.index(opGlobalGet, w.scratch)
}

// blockType writes the type of a block that gives the results of a function.
func (w *bodyWriter) blockType(results []ValType) {
	switch len(results) {
	case 0:
		w.op(emptyBlock)
	case 1:
		w.op(byte(results[0]))
	default:
		w.code = appendSigned(w.code, int64(w.typeOf(FuncType{Results: results})))
	}
}
