package wasmgen

// meter tries to run without paying: through branches that jump over a charge,
// into code that looks dead, or along paths longer than between two charges.
// Each module runs for ever unless all its loops and calls are charged.
func (c *corpus) meter() {
	one, counter := I32Const(1), LocalSet(0, I32Add(LocalGet(0), I32Const(1)))
	run := func(name string, body ...[]byte) {
		c.add(name, spins, func() []byte { return guest(1, I32s(2), body...) })
	}
	multi := func(name string, body func(b *Builder) []byte) {
		c.add(name, spins, func() []byte {
			var b Builder
			b.Memory(1)
			code := body(&b)
			b.ExportFunc("run_check", b.Func(Sig{}, I32s(2), code))
			return b.Bytes()
		})
	}

	run("branch to a loop from three blocks in", Loop(Block(Block(Block(Br(3))))))
	run("loops that begin at one place", Loop(Loop(Loop(Br(0)))))
	run("loop in a loop that goes on with the outer one", Loop(Loop(Loop(Br(2)))))
	run("if without else in a loop", Loop(If(LocalGet(0), Nop()), Br(0)))
	run("loop in an if without else", If(one, Loop(Br(0))))
	run("loop in an else", IfElse(I32Const(0), Nop(), Loop(Br(0))))
	run("loop as the last thing behind dead code", Block(Br(0), Loop(Br(0))), Loop(Br(0)))
	run("dead code in a loop", Loop(Block(Br(0), Block(Block(Unreachable(), Drop(), Drop()), Unreachable(), I32Add(), Drop())), Br(0)))
	run("dead loops in a loop", Loop(Block(Br(0), Loop(Loop(Br(1)), Br(0))), Br(0)))
	run("a loop that is entered from dead code", Block(BrIf(0, one), Unreachable(), Loop(Br(0))), Loop(BrIf(0, one)))
	run("br_table with 10,000 entries", Loop(counter, LocalGet(0), BrTable(0, same(10_000, 0)...)))
	run("br_table between two loops", Loop(Loop(counter, I32And(LocalGet(0), one), BrTable(0, 0, 1))))
	run("br_table out of blocks into the loop", Loop(Block(Block(counter, I32And(LocalGet(0), I32Const(3)), BrTable(2, 0, 1, 2)), Br(1)), Br(0)))
	run("a value carried by br_if", Loop(Drop(Seq([]byte{opcodeBlock, byte(I32)}, one, BrIf(0, one), Drop(), one, []byte{0x0b})), Br(0)))
	run("a loop of 4,000 instructions", Loop(times(2000, Drop(one)), Br(0)))
	run("a loop of 80,000 instructions", Loop(times(40_000, Nop(), Nop()), Br(0)))
	run("a loop that skips nearly all of itself", Loop(Block(BrIf(0, one), times(10_000, Nop())), Br(0)))
	run("many arms in a loop", Loop(times(300, IfElse(I32And(counterTee(), one), times(20, Nop()), times(30, Nop()))), Br(0)))
	run("250 loops in each other, two rounds each", func() []byte {
		code := Nop()
		for range 250 {
			code = Loop(code, BrIf(0, I32And(LocalTee(0, I32Add(LocalGet(0), one)), one)))
		}
		return forever(code)
	}())
	run("1,000 blocks around a loop that leaves them", func() []byte {
		code := Seq(BrIf(500, one))
		for range 1000 {
			code = Block(code)
		}
		return forever(code)
	}())

	multi("a loop with a parameter", func(b *Builder) []byte {
		return Seq(one, typed(opcodeLoop, b.Type(Sig{I32s(1), I32s(1)}), Br(0)), Drop())
	})
	multi("a loop with 255 parameters", func(b *Builder) []byte {
		t := b.Type(Sig{repeated(255, I64), nil})
		return Seq(times(255, I64Const(1)), typed(opcodeLoop, t, Br(0)))
	})
	multi("a loop with results that is left in dead code", func(b *Builder) []byte {
		return Seq(Seq([]byte{opcodeLoop, byte(I32)}, Br(0), []byte{0x0b}), Drop())
	})
	multi("blocks of two values in a loop", func(b *Builder) []byte {
		t := b.Type(Sig{I32s(1), I32s(2)})
		return forever(one, typed(opcodeBlock, t, one, BrIf(0, one)), Drop(), Drop())
	})
	multi("an if of parameters and no else in a loop", func(b *Builder) []byte {
		t := b.Type(Sig{I32s(2), I32s(2)})
		return forever(one, one, LocalGet(0), typed(opcodeIf, t, Nop()), Drop(), Drop())
	})
	multi("a loop in a block whose results no code makes", func(b *Builder) []byte {
		t := b.Type(Sig{nil, []ValType{I32, I64, F32}})
		return Seq(typed(opcodeBlock, t, Loop(Br(0)), Unreachable()), Drop(), Drop(), Drop())
	})
	multi("return in the middle of a callee", func(b *Builder) []byte {
		f := b.Func(Sig{Params: I32s(1)}, nil, Block(Loop(If(LocalGet(0), Return()), Br(0))), Nop())
		return forever(Call(f, one))
	})
	multi("a callee of 12,000 instructions that returns at once", func(b *Builder) []byte {
		f := b.Func(Sig{Params: I32s(1)}, nil, If(LocalGet(0), Return()), times(12_000, Nop()))
		return forever(Call(f, one))
	})
	multi("a callee that is left by br", func(b *Builder) []byte {
		f := b.Func(Sig{Results: I32s(1)}, nil, Loop(Block(Br(0)), Seq(one, Br(1))), Unreachable())
		return forever(Drop(Call(f)))
	})
	multi("an empty callee", func(b *Builder) []byte { return forever(Call(b.Func(Sig{}, nil))) })
	multi("an empty callee of 10,000 locals", func(b *Builder) []byte {
		return forever(Call(b.Func(Sig{}, repeated(10_000, I64))))
	})
	multi("frames that work while they return", func(b *Builder) []byte {
		f := b.Declare(Sig{Params: I32s(1)})
		b.Define(f, nil, If(LocalGet(0), Call(f, I32Sub(LocalGet(0), one))), times(4000, Nop()))
		return forever(Call(f, I32Const(1500)))
	})
	multi("call_indirect of itself, one level deep", func(b *Builder) []byte {
		b.Table(FuncRef, 1, 1)
		f := b.Func(Sig{}, nil)
		b.Elem(0, f)
		return forever(CallIndirect(b.Type(Sig{}), I32Const(0)))
	})
	multi("globals that look like fuel", func(b *Builder) []byte {
		g := b.Global(I64, true, I64Const(1<<62))
		b.ExportGlobal("fuel", g)
		b.ExportGlobal("depth", b.Global(I32, true, I32Const(-1<<31)))
		return forever(GlobalSet(g, I64Const(1<<62)))
	})
	multi("exports that look like refill", func(b *Builder) []byte {
		f := b.Func(Sig{[]ValType{I64}, []ValType{I64}}, nil, I64Const(1<<62))
		b.ExportFunc("refill", f)
		return forever(Drop(Call(f, I64Const(-1))))
	})
	multi("unaligned vector loads in a loop", func(b *Builder) []byte {
		return forever(Drop(Op([]byte{0xfd, 0, 0, 1}, I32Const(0))))
	})
}

// counterTee adds one to local 0 and leaves it.
func counterTee() []byte { return LocalTee(0, I32Add(LocalGet(0), I32Const(1))) }
