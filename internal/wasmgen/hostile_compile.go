package wasmgen

// Bomb is a shape of code that costs a compiler more than its length tells.
// Shape makes a module with n of it; Most is more than any host should take.
type Bomb struct {
	Name  string
	Shape func(n int) []byte
	Most  int
}

// Bombs lists shapes by which compile time or memory explodes. A test searches
// the largest n that a host accepts: what it then costs is what a guest may
// cost.
func Bombs() []Bomb {
	one := I32Const(1)
	body := func(name string, most int, code func(n int) [][]byte) Bomb {
		return Bomb{name, func(n int) []byte { return guest(1, I32s(1), code(n)...) }, most}
	}
	straight := func(name string, most int, code ...[]byte) Bomb {
		return body(name, most, func(n int) [][]byte { return [][]byte{times(n, code...)} })
	}
	over := func(name string, most, locals int, code ...[]byte) Bomb {
		return Bomb{name, func(n int) []byte { return guest(1, I32s(locals), times(n, code...)) }, most}
	}
	early := If(LocalGet(0), Return())
	return []Bomb{
		straight("ifs", 60_000, If(LocalGet(0))),
		straight("early returns", 60_000, early),
		straight("blocks", 60_000, Block(BrIf(0, LocalGet(0)))),
		straight("loops", 60_000, Loop()),
		straight("fills", 30_000, MemoryFill(operands(0, 0, 0))),
		straight("additions", 120_000, LocalSet(0, I32Add(LocalGet(0), one))),
		straight("divisions", 60_000, LocalSet(0, I32DivS(LocalGet(0), I32Or(LocalGet(0), one)))),
		straight("conversions that may trap", 60_000, LocalSet(0, Op([]byte{0xa8}, F32Const(1)))),
		straight("loads", 60_000, LocalSet(0, I32Load(0, one))),
		straight("stores", 60_000, I32Store(0, one, LocalGet(0))),
		straight("memory.grow", 60_000, Drop(MemoryGrow(I32Const(0)))),
		over("ifs over 1,000 locals", 60_000, 1000, If(LocalGet(0), LocalSet(999, one))),
		over("ifs over 10,000 locals", 60_000, 10_000, If(LocalGet(0), LocalSet(9999, one))),
		body("nested loops", 20_000, func(n int) [][]byte {
			code := times(n%200, Loop())
			deep := Nop()
			for range 200 {
				deep = Loop(deep)
			}
			return [][]byte{code, times(n/200, deep)}
		}),
		{"nested loops over changed locals", func(n int) []byte { return changed(16, n) }, 9_999},
		{"deeply nested loops over changed locals", func(n int) []byte { return changed(250, n) }, 9_999},
		{"loops that each change one of 1,000 locals", func(n int) []byte {
			var code []byte
			for i := range n {
				at := uint32(i % 1000)
				code = Seq(code, Loop(LocalSet(at, I32Add(LocalGet(at), one)), BrIf(0, I32Eqz(LocalGet(at)))))
			}
			return guest(1, I32s(1000), code)
		}, 20_000},
		body("loops with a result", 30_000, func(n int) [][]byte {
			return [][]byte{times(n, LocalSet(0, Seq([]byte{0x03, byte(I32)}, LocalGet(0), BrIf(0, LocalGet(0)), []byte{0x0b})))}
		}),
		{"br_table over 1,000 changed locals", func(n int) []byte { return merged(1000, leaveByTable(n)) }, 60_000},
		{"br_table over 100 changed locals", func(n int) []byte { return merged(100, leaveByTable(n)) }, 60_000},
		{"branches over 10,000 changed locals", func(n int) []byte { return merged(10_000, leaveByBranches(n)) }, 20_000},
		{"branches over 300 changed locals", func(n int) []byte { return merged(300, leaveByBranches(n)) }, 20_000},
		{"a loop that a br_table goes back to, over 2,000 locals", func(n int) []byte {
			return guest(1, I32s(2000), Loop(reads(2000), If(LocalGet(0), LocalGet(0), BrTable(1, targets(n, 1)...))))
		}, 60_000},
		{"a loop that many branches go back to", func(n int) []byte {
			return guest(1, I32s(300), Loop(reads(300), times(n, BrIf(0, LocalGet(0)))))
		}, 60_000},
		{"br_table over 2,000 locals that stay", func(n int) []byte {
			var set, use []byte
			for i := range uint32(2000) {
				set = Seq(set, LocalSet(i, I32Load(0, LocalGet(i))))
				use = Seq(use, I32Store(0, I32Const(0), LocalGet(i)))
			}
			return guest(1, I32s(2000), set, Block(LocalGet(0), BrTable(0, targets(n, 0)...)), use)
		}, 60_000},
		{"deeply nested loops over locals that are read", func(n int) []byte {
			code := reads(n)
			for range 250 {
				code = Loop(code, BrIf(0, I32Eqz(I32Const(1))))
			}
			return guest(1, I32s(n), code)
		}, 9_999},
		{"br_table behind many branches", func(n int) []byte {
			return guest(1, I32s(10), Block(times(1900, BrIf(1, LocalGet(0))), Block(LocalGet(0), BrTable(0, targets(n, 0)...)), reads(10)))
		}, 60_000},
		body("nested ifs", 4_096, func(n int) [][]byte {
			code := Nop()
			for range n {
				code = If(LocalGet(0), code)
			}
			return [][]byte{code}
		}),
		body("branches over live operands", 20_000, func(n int) [][]byte {
			return [][]byte{times(200, I32Load(0, LocalGet(0))), times(n, If(LocalGet(0))), times(200, Drop())}
		}),
		body("br_table targets", 120_000, func(n int) [][]byte {
			return [][]byte{Block(LocalGet(0), BrTable(0, make([]uint32, n)...))}
		}),
		{"two functions of br_table targets", func(n int) []byte {
			var b Builder
			b.Memory(1)
			code := Block(LocalGet(0), BrTable(0, make([]uint32, n)...))
			b.ExportFunc("run_check", b.Func(Sig{}, I32s(1), code))
			b.Func(Sig{}, I32s(1), code)
			return b.Bytes()
		}, 120_000},
		{"two functions of conversions that may trap", func(n int) []byte {
			var b Builder
			b.Memory(1)
			code := times(n, Drop(Op([]byte{0xaa}, F64Const(1))))
			b.ExportFunc("run_check", b.Func(Sig{}, nil, code))
			b.Func(Sig{}, nil, code)
			return b.Bytes()
		}, 60_000},
		{"references to functions", func(n int) []byte {
			var b Builder
			b.Memory(1)
			f := b.Func(Sig{}, nil)
			b.ExportFunc("f", f)
			b.ExportFunc("run_check", b.Func(Sig{}, nil, times(n, Drop([]byte{0xd2, byte(f)}))))
			return b.Bytes()
		}, 100_000},
		{"references to many functions", func(n int) []byte {
			var b Builder
			b.Memory(1)
			b.Table(FuncRef, uint32(n))
			code, list := []byte{}, make([]uint32, n)
			for i := range list {
				list[i] = b.Func(Sig{}, nil)
				code = append(append(append(code, 0xd2), Uint(uint64(list[i]))...), 0x1a)
			}
			b.Elem(0, list...)
			b.ExportFunc("run_check", b.Func(Sig{}, nil, code))
			return b.Bytes()
		}, 50_000},
		{"table.get", func(n int) []byte {
			var b Builder
			b.Memory(1)
			b.Table(FuncRef, 1)
			b.ExportFunc("run_check", b.Func(Sig{}, nil, times(n, Drop(Op([]byte{0x25, 0}, I32Const(0))))))
			return b.Bytes()
		}, 60_000},
		{"table.fill", func(n int) []byte {
			var b Builder
			b.Memory(1)
			b.Table(FuncRef, 1)
			b.ExportFunc("run_check", b.Func(Sig{}, nil, times(n, tableFill(0, I32Const(0), refNull(), operands(0)))))
			return b.Bytes()
		}, 30_000},
		{"memory.init", func(n int) []byte {
			var b Builder
			b.Memory(1)
			s := b.PassiveData([]byte("x"))
			b.ExportFunc("run_check", b.Func(Sig{}, nil, times(n, MemoryInit(s, operands(0, 0, 0)))))
			return b.Bytes()
		}, 30_000},
		{"calls over 256 mutable globals", func(n int) []byte {
			var b Builder
			b.Memory(1)
			for range 256 {
				b.Global(I32, true, one)
			}
			f := b.Func(Sig{}, nil)
			b.ExportFunc("run_check", b.Func(Sig{}, nil, times(n, Call(f))))
			return b.Bytes()
		}, 60_000},
		{"calls of 255 parameters and results", func(n int) []byte {
			var b Builder
			b.Memory(1)
			var args []byte
			for i := range 255 {
				args = Seq(args, LocalGet(uint32(i)))
			}
			wide := Sig{repeated(255, I64), repeated(255, I64)}
			f := b.Func(wide, nil, args)
			g := b.Func(wide, nil, args, times(n, Call(f)))
			b.ExportFunc("run_check", b.Func(Sig{}, nil, times(255, I64Const(1)), Call(g), times(255, Drop())))
			return b.Bytes()
		}, 60_000},
		{"block parameters", func(n int) []byte {
			var b Builder
			b.Memory(1)
			t := b.Type(Sig{repeated(255, I64), repeated(255, I64)})
			b.ExportFunc("run_check", b.Func(Sig{}, I32s(1), times(255, I64Const(1)),
				times(n, LocalGet(0), typed(opcodeIf, t, Nop())), times(255, Drop())))
			return b.Bytes()
		}, 60_000},
		{"a value kept over each call", func(n int) []byte {
			var b Builder
			b.Memory(1)
			f := b.Func(Sig{Results: I32s(1)}, nil, one)
			b.ExportFunc("run_check", b.Func(Sig{}, nil, times(n, I32Store(0, one, I32Add(Call(f), Call(f))))))
			return b.Bytes()
		}, 60_000},
		{"calls through a table", func(n int) []byte {
			var b Builder
			b.Memory(1)
			b.Table(FuncRef, 1, 1)
			b.Elem(0, b.Func(Sig{}, nil))
			b.ExportFunc("run_check", b.Func(Sig{}, nil, times(n, CallIndirect(b.Type(Sig{}), I32Const(0)))))
			return b.Bytes()
		}, 60_000},
		{"vector constants", func(n int) []byte {
			constant := Seq([]byte{0xfd, 12}, make([]byte, 16), Drop())
			return guest(1, nil, times(n, constant))
		}, 20_000},
		{"small functions", func(n int) []byte { return manyFunctions(n, Nop()) }, 80_000},
		{"small functions with a loop and a call", func(n int) []byte {
			return manyFunctions(n, Loop(Call(0), BrIf(0, I32Const(0))))
		}, 80_000},
	}
}

// merged changes n locals on one of two ways, where leave leaves the block on the
// other, and reads them where the ways meet.
func merged(n int, leave []byte) []byte {
	var set []byte
	for i := range uint32(n) {
		set = Seq(set, LocalSet(i, I32Const(int32(i&63))))
	}
	return guest(1, I32s(n), Block(leave, set), reads(n))
}

func leaveByTable(n int) []byte {
	return If(LocalGet(0), LocalGet(0), BrTable(1, targets(n, 1)...))
}

func leaveByBranches(n int) []byte { return times(n, BrIf(0, LocalGet(0))) }

// reads reads each of n locals.
func reads(n int) []byte {
	var code []byte
	for i := range uint32(n) {
		code = Seq(code, Drop(LocalGet(i)))
	}
	return code
}

func targets(n int, label uint32) []uint32 {
	list := make([]uint32, n)
	for i := range list {
		list[i] = label
	}
	return list
}

// changed makes loops around code that changes each of n locals.
func changed(loops, n int) []byte {
	var code []byte
	for i := range uint32(n) {
		code = Seq(code, LocalSet(i, I32Add(LocalGet(i), I32Const(1))))
	}
	for range loops {
		code = Loop(code, BrIf(0, I32Eqz(LocalGet(0))))
	}
	return guest(1, I32s(n), code)
}

func manyFunctions(n int, body []byte) []byte {
	var b Builder
	b.Memory(1)
	b.Func(Sig{}, nil)
	for range n - 2 {
		b.Func(Sig{}, nil, body)
	}
	b.ExportFunc("run_check", b.Func(Sig{}, nil))
	return b.Bytes()
}

// compileBombs must be refused before anything is compiled. An interpreter
// compiles nothing, so most of them are harmless there.
func (c *corpus) compileBombs() {
	tooMuch := refused("WithInterpreter")
	bomb := func(name string, n int, interpreted Verdict) {
		for _, b := range Bombs() {
			if b.Name == name {
				c.add(name+", too many", tooMuch, func() []byte { return b.Shape(n) }).Interpreted = interpreted
				return
			}
		}
		misuse("no bomb %q", name)
	}
	bomb("ifs", 8_000, returns)
	bomb("early returns", 8_000, returns)
	bomb("fills", 3_000, returns)
	bomb("loops", 16_000, returns)
	bomb("ifs over 1,000 locals", 5_900, returns)
	bomb("branches over live operands", 5_900, returns)
	bomb("nested loops", 16_000, returns)
	bomb("nested loops over changed locals", 9_000, returns)
	bomb("deeply nested loops over changed locals", 900, returns)
	bomb("br_table over 1,000 changed locals", 2_000, returns)
	bomb("branches over 300 changed locals", 19_000, returns)
	bomb("br_table over 2,000 locals that stay", 5_000, returns)
	bomb("br_table behind many branches", 20_000, returns)
	bomb("loops that each change one of 1,000 locals", 2_000, returns)
	bomb("br_table targets", 75_000, returns)
	bomb("calls over 256 mutable globals", 9_900, returns)
	bomb("calls of 255 parameters and results", 40_000, refused("for one function of an interpreted module"))
	c.add("a body of 240 KB of fills", tooMuch, func() []byte {
		return guest(1, nil, times(26_000, MemoryFill(operands(0, 0, 0))))
	}).Interpreted = refused("for one function of an interpreted module")
	c.add("a module of 600 expensive functions", tooMuch, func() []byte {
		return manyFunctions(600, times(2000, If(I32Const(0))))
	}).Interpreted = refused("for an interpreted module")
	bomb("calls through a table", 40_000, returns)
	bomb("conversions that may trap", 30_000, returns)
	bomb("two functions of br_table targets", 60_000, returns)
	c.add("16 MiB of instructions", tooMuch, func() []byte {
		return manyFunctions(64, times(125_000, []byte{0x01, 0x01}))
	}).Interpreted = refused("for an interpreted module")
}
