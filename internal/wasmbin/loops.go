package wasmbin

// A call inside a loop keeps the compiler from holding values in registers:
// what lives over the call is stored and loaded in every round, also when the
// call is never made. So where that is worth its price a loop asks for fuel
// outside of itself:
//
//	block $done              ;; gives what the loop gives
//	  loop $again
//	    block $ask
//	      loop               ;; the loop as it was
//	        fuel -= units
//	        br_if $ask       ;; fuel < 0
//	        ...
//	      end
//	      br $done
//	    end
//	    fuel = refill(fuel) + units    ;; which is taken at once
//	    br $again
//	  end
//	  unreachable
//	end

// addedLabels is how many labels stand between such a loop and what is around it.
const addedLabels = 3

// opened is a block that is being rewritten.
type opened struct {
	added uint32 // labels around this block and those that it is in
	units uint32 // of each round, where this is a loop that asks outside
}

// asksOutside tells whether a body of so many loops, locals and operands is to
// have loops that ask outside. Each loop makes the compiler join all values once
// more, so in functions that have much to join it takes twice the time, and half
// as much memory again.
func asksOutside(loops, width int) bool { return loops > 0 && loops*width <= 4_096 }

// added answers how many labels were added around the innermost block.
func (w *bodyWriter) added() uint32 {
	if len(w.blocks) == 0 {
		return 0
	}
	return w.blocks[len(w.blocks)-1].added
}

// label answers what label l of the original has become. The outermost one is
// that of the function.
func (w *bodyWriter) label(l uint32) uint32 {
	if i := len(w.blocks) - 1 - int(l); i >= 0 {
		return l + w.added() - w.blocks[i].added
	}
	return l + w.added()
}

// openLoop rewrites a loop instruction. It takes the charge of the loop, the
// next one, from charges if the loop is to ask outside.
func (w *bodyWriter) openLoop(outside bool, charges []charge) []charge {
	at := w.r.pos
	w.r.pos++
	t := w.r.s33()
	// Parameters would have to be carried to and fro.
	if !outside || t >= 0 && len(w.m.types[t].Params) > 0 || len(charges) == 0 || int(charges[0].pos) != w.r.pos {
		w.blocks = append(w.blocks, opened{added: w.added()})
		return charges
	}
	units := charges[0].units
	typ := w.m.wasm[at+1 : w.r.pos]
	w.replaceFrom(at).op(opBlock).bytes(typ).op(opLoop, emptyBlock, opBlock, emptyBlock, opLoop).bytes(typ)
	w.subtract(w.plan, units).bytes(w.negative).op(opBrIf, 1)
	w.blocks = append(w.blocks, opened{added: w.added() + addedLabels, units: units})
	return charges[1:]
}

// closeBlock rewrites the end of a block.
func (w *bodyWriter) closeBlock() {
	w.r.pos++
	b := w.blocks[len(w.blocks)-1]
	w.blocks = w.blocks[:len(w.blocks)-1]
	if b.units == 0 {
		return
	}
	w.flush(w.r.pos)
	w.op(opBr, addedLabels-1, opEnd)
	w.index(opGlobalGet, w.fuel).index(opCall, w.refill).i64(int64(b.units)).op(opI64Add).index(opGlobalSet, w.fuel)
	w.op(opBr, 0, opEnd, opUnreachable, opEnd)
}

// branch rewrites the labels of br, br_if and br_table.
func (w *bodyWriter) branch(code byte) {
	if w.added() == 0 {
		w.r.skip()
		return
	}
	at := w.r.pos
	w.r.pos++
	more := uint32(0)
	if code == opBrTable {
		more = w.r.u32()
	}
	from := w.r.pos
	w.r.pos = at
	w.flush(from)
	w.r.pos = from
	for ; w.r.err == nil; more-- {
		w.code = appendU32(w.code, w.label(w.r.u32()))
		if more == 0 {
			break
		}
	}
	w.from = w.r.pos
}
