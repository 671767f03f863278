package wasmbin

import (
	"math"
	"slices"
)

// chunk is how much of memory one fill or copy instruction touches at most, so
// that none runs longer than a slice of fuel.
const chunk = 128 << 10

// Opcodes that only injected code needs by name.
const (
	opI32Ne         = 0x47
	opI32GtU        = 0x4b
	opI32LeU        = 0x4d
	opI64LtS        = 0x53
	opI64GtU        = 0x56
	opI32ShrU       = 0x76
	opI64Shl        = 0x86
	opI64ExtendI32U = 0xad

	emptyBlock = 0x40
)

// injected is a function that is added after the module's own.
type injected struct {
	name string // in the name section, after HiddenPrefix
	typ  uint32
	body []byte // locals and code
}

// usage is what a module does that needs an injected function.
type usage struct {
	fill, copy, grow bool
	tables           []uint32        // grown ones, ascending
	funcs            map[uint32]bool // named by ref.func in a body
}

// refer answers how many functions are referred to.
func (u *usage) refer(f uint32) int {
	if u.funcs == nil {
		u.funcs = map[uint32]bool{}
	}
	u.funcs[f] = true
	return len(u.funcs)
}

func (u *usage) growTable(t uint32) {
	if i, known := slices.BinarySearch(u.tables, t); !known {
		u.tables = slices.Insert(u.tables, i, t)
	}
}

// inject adds the functions that the module needs.
func (p *plan) inject() {
	m := p.m
	i32x3 := FuncType{Params: []ValType{I32, I32, I32}}
	if m.uses.fill {
		p.fill = p.addFunc("fill", i32x3, p.fillBody())
	}
	if m.uses.copy {
		p.copy = p.addFunc("copy", i32x3, p.copyBody())
	}
	if m.uses.grow {
		p.grow = p.addFunc("grow", FuncType{Params: []ValType{I32}, Results: []ValType{I32}}, p.growBody())
	}
	for _, t := range m.uses.tables {
		typ := FuncType{Params: []ValType{m.tables[t].elem, I32}, Results: []ValType{I32}}
		p.tables[t] = p.addFunc("table", typ, p.tableGrowBody(t))
	}
	if m.start >= 0 {
		p.start = p.moved(uint32(m.start))
		if m.start < m.importFuncs { // the host's functions cannot be called from outside
			b := newAsm(0).charge(p, importUnits)
			p.start = p.addFunc("start", FuncType{}, b.index(opCall, uint32(m.start)).op(opEnd).code)
		}
	}
}

func (p *plan) addFunc(name string, t FuncType, body []byte) uint32 {
	p.injected = append(p.injected, injected{name, p.typeOf(t), body})
	return uint32(len(p.m.funcs) + len(p.injected)) // refill counts as well
}

// asm writes instructions one after the other.
type asm struct{ code []byte }

// newAsm begins a body with the given number of i32 locals.
func newAsm(locals byte) *asm {
	if locals == 0 {
		return &asm{[]byte{0}}
	}
	return &asm{[]byte{1, locals, byte(I32)}}
}

func (a *asm) op(codes ...byte) *asm {
	a.code = append(a.code, codes...)
	return a
}

func (a *asm) index(code byte, i uint32) *asm {
	a.code = appendU32(append(a.code, code), i)
	return a
}

func (a *asm) local(i uint32) *asm { return a.index(opLocalGet, i) }
func (a *asm) i32(v int32) *asm {
	a.code = appendSigned(append(a.code, opI32Const), int64(v))
	return a
}
func (a *asm) i64(v int64) *asm     { a.code = appendSigned(append(a.code, opI64Const), v); return a }
func (a *asm) bytes(b []byte) *asm  { return a.op(b...) }
func (a *asm) move(i uint32) *asm   { return a.local(i).i32(chunk).op(opI32Add).index(opLocalSet, i) }
func (a *asm) shrink(i uint32) *asm { return a.local(i).i32(chunk).op(opI32Sub).index(opLocalSet, i) }

// charge subtracts a fixed number of units. It leaves the operand stack as it
// is, and is valid in unreachable code too.
func (a *asm) charge(p *plan, units uint32) *asm { return a.chargeWith(p, units, p.check) }

func (a *asm) chargeWith(p *plan, units uint32, check []byte) *asm {
	return a.subtract(p, units).bytes(check)
}

func (a *asm) subtract(p *plan, units uint32) *asm {
	return a.index(opGlobalGet, p.fuel).i64(int64(units)).op(opI64Sub).index(opGlobalSet, p.fuel)
}

// chargeShare subtracts what local i, divided by 1<<shift, says.
func (a *asm) chargeShare(p *plan, i uint32, shift int32) *asm {
	a.index(opGlobalGet, p.fuel)
	a.local(i).i32(shift).op(opI32ShrU, opI64ExtendI32U, opI64Sub)
	return a.index(opGlobalSet, p.fuel).bytes(p.check)
}

// checkFuel asks for more when fuel is negative. Asking is a function of its
// own, which keeps the thousands of checks short. Only bodies with loops ask
// in place: the compiler then makes tight loops a third faster.
func (p *plan) checkFuel() (negative, short, inPlace []byte) {
	ask := new(asm).index(opGlobalGet, p.fuel).index(opCall, p.refill).index(opGlobalSet, p.fuel)
	f := p.addFunc("refill", FuncType{}, newAsm(0).bytes(ask.code).op(opEnd).code)
	negative = new(asm).index(opGlobalGet, p.fuel).i64(0).op(opI64LtS).code
	short = new(asm).bytes(negative).op(opIf, emptyBlock).index(opCall, f).op(opEnd).code
	inPlace = new(asm).bytes(negative).op(opIf, emptyBlock).bytes(ask.code).op(opEnd).code
	return negative, short, inPlace
}

// checkDepth ends the run when depth is over the limit. Whatever the host
// answers, a guest does not go on with a full stack.
func (p *plan) checkDepth() []byte {
	stop := newAsm(0).i64(math.MinInt64).index(opCall, p.refill).op(opDrop, opUnreachable, opEnd)
	var a asm
	a.index(opGlobalGet, p.depth).i32(int32(p.o.Stack)).op(opI32GtU, opIf, emptyBlock)
	return a.index(opCall, p.addFunc("overflow", FuncType{}, stop.code)).op(opEnd).code
}

// The share of n that bulk instructions cost: n/16 bytes, n/2 entries.
const (
	byteShift  = 4
	entryShift = 1
)

// fillBody is memory.fill(0: to, 1: value, 2: size) in chunks. A fill that
// leaves the memory is executed as it is, and traps with nothing written.
func (p *plan) fillBody() []byte {
	fill := []byte{opPrefixMisc, miscMemoryFill, 0}
	a := newAsm(0)
	a.op(opBlock, emptyBlock)
	a.local(2).i32(chunk).op(opI32LeU, opBrIf, 0)
	a.leaves(0, 2)
	a.op(opLoop, emptyBlock).charge(p, chunk>>byteShift)
	a.local(0).local(1).i32(chunk).bytes(fill)
	a.move(0).shrink(2)
	a.local(2).i32(chunk).op(opI32GtU, opBrIf, 0)
	a.op(opEnd, opEnd)
	a.chargeShare(p, 2, byteShift)
	return a.local(0).local(1).local(2).bytes(fill).op(opEnd).code
}

// copyBody is memory.copy(0: to, 1: from, 2: size) in chunks, from the end
// where the target lies behind the source.
func (p *plan) copyBody() []byte {
	copying := []byte{opPrefixMisc, miscMemoryCopy, 0, 0}
	a := newAsm(0)
	a.op(opBlock, emptyBlock)
	a.local(2).i32(chunk).op(opI32LeU, opBrIf, 0)
	a.leaves(0, 2)
	a.leaves(1, 2)
	a.local(0).local(1).op(opI32GtU, opIf, emptyBlock)
	a.op(opLoop, emptyBlock).charge(p, chunk>>byteShift).shrink(2)
	a.local(0).local(2).op(opI32Add).local(1).local(2).op(opI32Add).i32(chunk).bytes(copying)
	a.local(2).i32(chunk).op(opI32GtU, opBrIf, 0, opEnd)
	a.op(opElse)
	a.op(opLoop, emptyBlock).charge(p, chunk>>byteShift)
	a.local(0).local(1).i32(chunk).bytes(copying)
	a.move(0).move(1).shrink(2)
	a.local(2).i32(chunk).op(opI32GtU, opBrIf, 0, opEnd)
	a.op(opEnd, opEnd)
	a.chargeShare(p, 2, byteShift)
	return a.local(0).local(1).local(2).bytes(copying).op(opEnd).code
}

// leaves branches out of the block when local at plus local size is outside
// the memory, which only 64 bits can tell.
func (a *asm) leaves(at, size uint32) {
	a.local(at).op(opI64ExtendI32U).local(size).op(opI64ExtendI32U, opI64Add)
	a.op(opMemorySize, 0, opI64ExtendI32U).i64(16).op(opI64Shl)
	a.op(opI64GtU, opBrIf, 0)
}

// growBody is memory.grow(0: pages), charged when it has succeeded.
func (p *plan) growBody() []byte {
	a := newAsm(1)
	a.local(0).op(opMemoryGrow, 0).index(opLocalTee, 1)
	a.i32(-1).op(opI32Ne, opIf, emptyBlock)
	a.index(opGlobalGet, p.fuel).local(0).op(opI64ExtendI32U).i64(pageUnits).op(opI64Mul, opI64Sub)
	a.index(opGlobalSet, p.fuel).bytes(p.check)
	return a.op(opEnd).local(1).op(opEnd).code
}

// tableGrowBody is table.grow(0: value, 1: entries) of table t.
func (p *plan) tableGrowBody(t uint32) []byte {
	a := newAsm(1)
	a.local(0).local(1).op(opPrefixMisc).index(miscTableGrow, t).index(opLocalTee, 2)
	a.i32(-1).op(opI32Ne, opIf, emptyBlock)
	a.chargeShare(p, 1, entryShift)
	return a.op(opEnd).local(2).op(opEnd).code
}
