package wasmgen

import "encoding/binary"

// helpers holds the indexes of the helper functions inside a proxy guest. The
// report grows at a cursor, a global that is 0 until the first use.
type helpers struct {
	begin        uint32 // () address of the report
	put          uint32 // (ptr, len) appends bytes
	comma        uint32 // () appends a comma between entries
	putInt       uint32 // (i64) appends a decimal number
	putHex       uint32 // (ptr, len) appends hexadecimal digits
	putOut       uint32 // (ptr, cap, n) appends what an Out buffer holds
	logReport    uint32 // () logs the entries since the last time
	submitReport uint32 // () submits the entries
}

// addReport defines the helpers, each in terms of those before it.
func (g *proxy) addReport() {
	cursor := g.b.Global(I32, true, I32Const(0))
	at := GlobalGet(cursor)
	advance := func(n []byte) []byte { return GlobalSet(cursor, I32Add(at, n)) }
	putc := func(c []byte) []byte { return Seq(I32Store8(0, at, c), advance(I32Const(1))) }
	ints := func(n int) Sig { return Sig{Params: I32s(n)} }

	g.rt.begin = g.b.Declare(Sig{Results: I32s(1)})
	first := I32Add(Call(g.rt.begin), I32Const(int32(len(reportHead))))

	// open makes sure that the cursor stands behind the head.
	open := If(I32Eqz(at), GlobalSet(cursor, first))
	g.rt.comma = g.b.Func(Sig{}, nil, open,
		If(I32Ne(at, first), putc(I32Const(','))))
	g.rt.put = g.b.Func(ints(2), nil,
		MemoryCopy(at, LocalGet(0), LocalGet(1)), advance(LocalGet(1)))

	g.rt.putInt = g.addPutInt(putc)
	g.rt.putHex = g.addPutHex(putc)
	g.rt.putOut = g.addPutOut()

	// send closes the document behind the cursor without moving it.
	send := func(call func(ptr, n []byte) []byte) []byte {
		tail := g.intern(reportTail)
		return Seq(open,
			MemoryCopy(at, I32Const(int32(tail)), I32Const(int32(len(reportTail)))),
			call(Call(g.rt.begin), I32Add(I32Sub(at, Call(g.rt.begin)), I32Const(int32(len(reportTail))))))
	}
	if f, ok := g.imports["submit_result"]; ok {
		g.rt.submitReport = g.b.Func(Sig{}, nil, send(func(ptr, n []byte) []byte {
			return Seq(Call(f.index, ptr, n), dropAll(f.sig))
		}))
	}
	if f, ok := g.imports["log"]; ok {
		g.rt.logReport = g.b.Func(Sig{}, nil, send(func(ptr, n []byte) []byte {
			return Seq(Call(f.index, I32Const(1), ptr, n), dropAll(f.sig))
		}), GlobalSet(cursor, first))
	}
}

// addPutInt writes the sign, then calls a recursive function for the digits.
func (g *proxy) addPutInt(putc func([]byte) []byte) uint32 {
	sig, n := Sig{Params: []ValType{I64}}, LocalGet(0)
	digits := g.b.Declare(sig)
	g.b.Define(digits, nil,
		If(I32Eqz(I64LtU(n, I64Const(10))), Call(digits, I64DivU(n, I64Const(10)))),
		putc(I32Add(I32Const('0'), I32WrapI64(I64RemU(n, I64Const(10))))))
	return g.b.Func(sig, nil,
		If(I64LtS(n, I64Const(0)), putc(I32Const('-')), LocalSet(0, I64Sub(I64Const(0), n))),
		Call(digits, n))
}

func (g *proxy) addPutHex(putc func([]byte) []byte) uint32 {
	table := g.intern("0123456789abcdef")
	digit := func(v []byte) []byte { return putc(I32Load8U(table, v)) }
	ptr, left := LocalGet(0), LocalGet(1)
	value := I32Load8U(0, ptr)
	return g.b.Func(Sig{Params: I32s(2)}, nil, Block(Loop(
		BrIf(1, I32Eqz(left)),
		digit(I32ShrU(value, I32Const(4))),
		digit(I32And(value, I32Const(15))),
		LocalSet(0, I32Add(ptr, I32Const(1))),
		LocalSet(1, I32Sub(left, I32Const(1))),
		Br(0),
	)))
}

// addPutOut notes the first bytes of an answer in hexadecimal digits, a hash
// of all of them when they are more, and whether bytes behind the answer were
// touched.
func (g *proxy) addPutOut() uint32 {
	hash := g.addHash()
	dirty := g.addDirty()
	ptr, size, n := LocalGet(0), LocalGet(1), LocalGet(2)
	least := func(a, b []byte) []byte { return Select(a, b, I32LtU(a, b)) }
	return g.b.Func(Sig{Params: I32s(3)}, nil,
		If(I32LtS(n, I32Const(0)), LocalSet(2, I32Const(0))),
		LocalSet(2, least(n, size)),
		If(n,
			g.put(`,"out":"`), Call(g.rt.putHex, ptr, least(n, I32Const(noted))), g.put(`"`),
			If(I32GtU(n, I32Const(noted)),
				g.put(`,"fnv":`), Call(g.rt.putInt, I64ExtendI32U(Call(hash, ptr, n))))),
		If(Call(dirty, I32Add(ptr, n), least(I32Sub(size, n), I32Const(checked))),
			g.put(`,"dirty":1`)))
}

// addHash is FNV-1a of 32 bits.
func (g *proxy) addHash() uint32 {
	ptr, left, sum := LocalGet(0), LocalGet(1), LocalGet(2)
	offset, prime := uint32(2166136261), uint32(16777619)
	return g.b.Func(Sig{Params: I32s(2), Results: I32s(1)}, I32s(1),
		LocalSet(2, I32Const(int32(offset))),
		Block(Loop(
			BrIf(1, I32Eqz(left)),
			LocalSet(2, I32Mul(I32Xor(sum, I32Load8U(0, ptr)), I32Const(int32(prime)))),
			LocalSet(0, I32Add(ptr, I32Const(1))),
			LocalSet(1, I32Sub(left, I32Const(1))),
			Br(0),
		)), sum)
}

// addDirty answers 1 when one of so many bytes is not as Out buffers were.
func (g *proxy) addDirty() uint32 {
	ptr, left := LocalGet(0), LocalGet(1)
	return g.b.Func(Sig{Params: I32s(2), Results: I32s(1)}, nil,
		Block(Loop(
			BrIf(1, I32Eqz(left)),
			If(I32Ne(I32Load8U(0, ptr), I32Const(untouched)), Return(I32Const(1))),
			LocalSet(0, I32Add(ptr, I32Const(1))),
			LocalSet(1, I32Sub(left, I32Const(1))),
			Br(0),
		)), I32Const(0))
}

func dropAll(s Sig) []byte {
	var code []byte
	for range s.Results {
		code = Seq(code, Drop())
	}
	return code
}

// clockSubscription is the argument of poll_oneoff for a wait on the
// monotonic clock.
func clockSubscription(ms int64) []byte {
	b := make([]byte, 48)
	b[16] = 1 // the monotonic clock; the tag before it is 0, a clock
	binary.LittleEndian.PutUint64(b[24:], uint64(ms)*1e6)
	return b
}

func little32(numbers ...uint32) []byte {
	var b []byte
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}
