package wasmgen

// Pages of a memory as large as a plugin may have where nothing is said.
const mostPages = 1024

// loops never end by themselves.
func (c *corpus) loops() {
	count := LocalSet(0, I32Add(LocalGet(0), I32Const(1)))
	c.run("empty loop", spins, Loop(Br(0)))
	c.add("counting loop", spins, func() []byte { return guest(1, I32s(1), forever(count)) })
	c.add("counting loop over its CPU budget", Verdict{Ended: "limited", Summary: "cpu limit"},
		func() []byte { return guest(1, I32s(1), forever(count)) }).CPU = 50e6
	c.add("nested loops", spins, func() []byte {
		return guest(1, I32s(1), forever(LocalSet(0, I32Const(0)),
			Loop(count, BrIf(0, I32LtU(LocalGet(0), I32Const(1000))))))
	})
	c.run("br_table loop", spins, Loop(I32Const(7), BrTable(0, 0, 0, 0)))
	c.run("br_if loop", spins, Loop(BrIf(0, I32Const(1))))
	c.add("random loads", spins, func() []byte {
		at := LocalSet(0, I32Add(I32Mul(LocalGet(0), I32Const(1664525)), I32Const(1013904223)))
		mask := I32And(LocalGet(0), I32Const(mostPages*page-8))
		return guest(mostPages, I32s(1), forever(at, Drop(I32Load(0, mask))))
	})
	c.add("one store in each page", spins, func() []byte {
		step := LocalSet(0, I32And(I32Add(LocalGet(0), I32Const(4096)), I32Const(mostPages*page-4096)))
		return guest(mostPages, I32s(1), forever(I32Store(0, LocalGet(0), I32Const(1)), step))
	})
	c.add("ref.func in a loop", spins, func() []byte {
		var b Builder
		b.Memory(1)
		f := b.Func(Sig{}, nil)
		b.ExportFunc("f", f)
		b.ExportFunc("run_check", b.Func(Sig{}, nil, forever(times(100, Drop([]byte{0xd2, byte(f)})))))
		return b.Bytes()
	})
	c.add("integer division", spins, func() []byte {
		return guest(1, []ValType{I64}, LocalSet(0, I64Const(-1)),
			forever(LocalSet(0, I64Sub(I64DivU(LocalGet(0), I64Const(3)), I64Const(1)))))
	})
	c.add("square roots", spins, func() []byte {
		sqrt := Op([]byte{0x9f}, LocalGet(0))
		return guest(1, []ValType{F64}, LocalSet(0, F64Const(2)), forever(LocalSet(0, sqrt)))
	})
	c.add("vectors", spins, func() []byte {
		square := Op([]byte{0xfd, 0xd5, 0x01}, LocalGet(0), LocalGet(0)) // i64x2.mul
		return guest(1, []ValType{V128}, forever(LocalSet(0, square)))
	})
	c.add("memory.size loop", spins, func() []byte { return guest(1, nil, forever(Drop(MemorySize()))) })
	c.add("submits OK, then loops", submits("timed_out", "script"), func() []byte {
		return Proxy(Script{Report: ReportNone, Entry: []Step{FlushReport(), Spin()}})
	})
}

// callBombs call more often than anybody can wait for, without a loop.
func (c *corpus) callBombs() {
	c.add("45 functions, each calls the next twice", spins, func() []byte { return Doubles(45) })
	c.add("the same through a table", spins, func() []byte {
		var b Builder
		b.Memory(1)
		b.Table(FuncRef, 64, 64)
		all := []uint32{b.Func(Sig{}, nil)}
		for i := range 45 {
			next := CallIndirect(b.Type(Sig{}), I32Const(int32(i)))
			all = append(all, b.Func(Sig{}, nil, next, next))
		}
		b.Elem(0, all...)
		b.ExportFunc("run_check", all[45])
		return b.Bytes()
	})
	c.add("the same with an import at the end", spins, func() []byte {
		var b Builder
		next := b.ImportFunc("env", "unknown", Sig{})
		b.Memory(1)
		for range 45 {
			next = b.Func(Sig{}, nil, Call(next), Call(next))
		}
		b.ExportFunc("run_check", next)
		return b.Bytes()
	})
	c.add("255 parameters and results", spins, func() []byte {
		var b Builder
		b.Memory(1)
		wide := Sig{repeated(255, I64), repeated(255, I64)}
		var args []byte
		for i := range 255 {
			args = Seq(args, LocalGet(uint32(i)))
		}
		next := b.Func(wide, nil, args)
		for range 40 {
			next = b.Func(wide, nil, args, Call(next), Call(next))
		}
		b.ExportFunc("run_check", b.Func(Sig{}, nil, times(255, I64Const(1)), Call(next), times(255, Drop())))
		return b.Bytes()
	})
	c.add("thousands of tiny leaves", spins, func() []byte {
		var b Builder
		b.Memory(1)
		leaf := b.Func(Sig{}, nil)
		next := b.Func(Sig{}, nil, times(4000, Call(leaf)))
		for range 4 {
			next = b.Func(Sig{}, nil, times(4000, Call(next)))
		}
		b.ExportFunc("run_check", next)
		return b.Bytes()
	})
	c.add("fib(90)", spins, func() []byte {
		var b Builder
		b.Memory(1)
		fib := b.Declare(Sig{I32s(1), I32s(1)})
		b.Define(fib, nil, ifElseI32(I32LtU(LocalGet(0), I32Const(2)), LocalGet(0),
			I32Add(Call(fib, I32Sub(LocalGet(0), I32Const(1))), Call(fib, I32Sub(LocalGet(0), I32Const(2))))))
		b.ExportFunc("run_check", b.Func(Sig{}, nil, Drop(Call(fib, I32Const(90)))))
		return b.Bytes()
	})
	c.add("call through a table with another type", traps("indirect_call"), func() []byte {
		var b Builder
		b.Memory(1)
		b.Table(FuncRef, 1, 1)
		b.Elem(0, b.Func(Sig{Results: I32s(1)}, nil, I32Const(1)))
		b.ExportFunc("run_check", b.Func(Sig{}, nil, CallIndirect(b.Type(Sig{}), I32Const(0))))
		return b.Bytes()
	})
	c.add("call past the end of a table", traps("out_of_bounds_table"), func() []byte {
		var b Builder
		b.Memory(1)
		b.Table(FuncRef, 1, 1)
		b.ExportFunc("run_check", b.Func(Sig{}, nil, CallIndirect(b.Type(Sig{}), I32Const(1))))
		return b.Bytes()
	})
}

// ifElseI32 is IfElse whose arms leave an I32.
func ifElseI32(condition, then, otherwise []byte) []byte {
	return Seq(condition, []byte{opcodeIf, byte(I32)}, then, []byte{0x05}, otherwise, []byte{0x0b})
}

// recursion uses up the guest's stack.
func (c *corpus) recursion() {
	deep := traps("stack_overflow")
	c.add("direct", deep, Recurses)
	c.add("mutual", deep, func() []byte {
		var b Builder
		b.Memory(1)
		f, g := b.Declare(Sig{}), b.Declare(Sig{})
		b.Define(f, nil, Call(g))
		b.Define(g, nil, Nop(), Call(f))
		b.ExportFunc("run_check", f)
		return b.Bytes()
	})
	c.add("through a table", deep, func() []byte {
		var b Builder
		b.Memory(1)
		b.Table(FuncRef, 1, 1)
		f := b.Func(Sig{}, nil, CallIndirect(b.Type(Sig{}), I32Const(0)))
		b.Elem(0, f)
		b.ExportFunc("run_check", f)
		return b.Bytes()
	})
	c.add("9,000 locals", deep, func() []byte { return recursive(repeated(9000, I64)) })
	c.add("255 parameters and results", deep, func() []byte {
		var b Builder
		b.Memory(1)
		wide := Sig{repeated(255, I64), repeated(255, I64)}
		f := b.Declare(wide)
		var args []byte
		for i := range 255 {
			args = Seq(args, LocalGet(uint32(i)))
		}
		b.Define(f, nil, args, Call(f))
		b.ExportFunc("run_check", b.Func(Sig{}, nil, times(255, I64Const(1)), Call(f), times(255, Drop())))
		return b.Bytes()
	})
	for _, n := range []int{2000, 8000} {
		name := map[int]string{2000: "2,000 operands kept over the call", 8000: "8,000 operands kept over the call"}[n]
		c.add(name, deep, func() []byte { return recursiveOver(n, I64Load(0, I32Const(0)), Drop()) })
	}
	c.add("vectors kept over the call", deep, func() []byte {
		load := Op([]byte{0xfd, 0, 4, 0}, I32Const(0)) // v128.load
		return recursiveOver(1000, load, Drop())
	})
	c.add("a value kept over each of thousands of calls", deep, spillBomb)
	c.add("255 values kept over each of many calls", deep, func() []byte {
		var b Builder
		b.Memory(1)
		wide := repeated(255, I64)
		make := b.Func(Sig{Results: wide}, nil, times(255, I64Const(1)))
		leaf := b.Func(Sig{}, nil)
		use := b.Func(Sig{Params: wide}, nil)
		f := b.Declare(Sig{})
		b.Define(f, nil, Call(f), times(300, Call(make), Call(leaf), Call(use)))
		b.ExportFunc("run_check", f)
		return b.Bytes()
	})
	c.add("return in the middle", deep, func() []byte {
		var b Builder
		b.Memory(1)
		f := b.Declare(Sig{})
		b.Define(f, nil, If(I32Load(0, I32Const(0)), Return()), Call(f), Return(), Call(f))
		b.ExportFunc("run_check", f)
		return b.Bytes()
	})
	c.add("left by br_table", deep, func() []byte {
		var b Builder
		b.Memory(1)
		f := b.Declare(Sig{})
		b.Define(f, nil, Block(Block(Call(f), I32Const(5), BrTable(2, 0, 1))))
		b.ExportFunc("run_check", f)
		return b.Bytes()
	})
	c.add("again and again up to the limit", spins, func() []byte { return deepAgain(1500, true) })
	c.add("as deep as may be", returns, func() []byte { return deepAgain(1900, false) })
}

// recursive calls itself with these locals.
func recursive(locals []ValType) []byte {
	var b Builder
	b.Memory(1)
	f := b.Declare(Sig{})
	b.Define(f, locals, Call(f))
	b.ExportFunc("run_check", f)
	return b.Bytes()
}

// recursiveOver keeps n values on the operand stack while it calls itself.
func recursiveOver(n int, make, drop []byte) []byte {
	var b Builder
	b.Memory(1)
	f := b.Declare(Sig{})
	b.Define(f, nil, times(n, make), Call(f), times(n, drop))
	b.ExportFunc("run_check", f)
	return b.Bytes()
}

// spillBomb is a function of few locals and operands, as a model of frames sees
// it. A compiler that gives every value of its own a place in the frame needs
// one for each of thousands of values that live over a call.
func spillBomb() []byte {
	var b Builder
	b.Memory(1)
	leaf := b.Func(Sig{Results: I32s(1)}, nil, I32Const(1))
	f := b.Declare(Sig{})
	b.Define(f, nil, Call(f), times(4_000, I32Store(0, I32Const(0), I32Add(Call(leaf), Call(leaf)))))
	b.ExportFunc("run_check", f)
	return b.Bytes()
}

// deepAgain goes n frames deep and comes back, once or for ever.
func deepAgain(n int32, again bool) []byte {
	var b Builder
	b.Memory(1)
	f := b.Declare(Sig{Params: I32s(1)})
	b.Define(f, nil, If(LocalGet(0), Call(f, I32Sub(LocalGet(0), I32Const(1)))))
	body := Call(f, I32Const(n))
	if again {
		body = forever(body)
	}
	b.ExportFunc("run_check", b.Func(Sig{}, nil, body))
	return b.Bytes()
}
