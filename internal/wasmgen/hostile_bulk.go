package wasmgen

// Table instructions by their second opcode byte.
func tableOp(sub byte, indexes []byte, operands ...[]byte) []byte {
	return Op(Seq([]byte{0xfc, sub}, indexes), operands...)
}

func tableInit(elem, table uint32, operands ...[]byte) []byte {
	return tableOp(12, Seq(Uint(uint64(elem)), Uint(uint64(table))), operands...)
}

func tableCopy(to, from uint32, operands ...[]byte) []byte {
	return tableOp(14, Seq(Uint(uint64(to)), Uint(uint64(from))), operands...)
}

func tableGrow(table uint32, operands ...[]byte) []byte {
	return tableOp(15, Uint(uint64(table)), operands...)
}

func tableFill(table uint32, operands ...[]byte) []byte {
	return tableOp(17, Uint(uint64(table)), operands...)
}

func refNull() []byte { return []byte{0xd0, byte(FuncRef)} }

// operands pushes unsigned 32-bit numbers.
func operands(numbers ...uint32) []byte {
	var code []byte
	for _, n := range numbers {
		code = Seq(code, I32Const(int32(n)))
	}
	return code
}

// bulk moves much with one instruction.
func (c *corpus) bulk() {
	const all, most = mostPages * page, 62 << 20
	whole := func(name string, want Verdict, body ...[]byte) {
		c.add(name, want, func() []byte { return guest(mostPages, nil, body...) })
	}
	fill := MemoryFill(operands(0, 1, most))
	whole("one fill of all memory", returns, MemoryFill(operands(0, 1, all)))
	whole("one copy of all memory", returns, MemoryCopy(operands(0, 0, all)))
	whole("fills in a loop", spins, forever(fill))
	whole("1,800 fills in a row", spins, times(1800, fill))
	whole("copies in a loop, forwards", spins, forever(MemoryCopy(operands(0, 1<<20, most))))
	whole("copies in a loop, backwards", spins, forever(MemoryCopy(operands(1<<20, 0, most))))
	whole("copies in a loop, overlapping by all but one", spins, forever(MemoryCopy(operands(1, 0, most))))
	whole("fills of nothing in a loop", spins, forever(MemoryFill(operands(0, 1, 0))))
	whole("fill out of range by one", traps("out_of_bounds_memory"), MemoryFill(operands(1, 1, all)))
	whole("copy out of range by one", traps("out_of_bounds_memory"), MemoryCopy(operands(1, 0, all)))
	whole("fill of 4 GiB", traps("out_of_bounds_memory"), MemoryFill(operands(0, 1, 0xffffffff)))
	whole("fill that wraps around", traps("out_of_bounds_memory"), MemoryFill(operands(0xfffffff0, 1, 0x20)))
	whole("copy that wraps around", traps("out_of_bounds_memory"), MemoryCopy(operands(0, 0xffffffff, 0xffffffff)))

	initial := func(name string, want Verdict, body func(seg uint32) []byte) {
		c.add(name, want, func() []byte {
			var b Builder
			b.Memory(32)
			seg := b.PassiveData(make([]byte, 1<<20))
			b.ExportFunc("run_check", b.Func(Sig{}, nil, body(seg)))
			return b.Bytes()
		})
	}
	initial("memory.init in a loop", spins, func(s uint32) []byte { return forever(MemoryInit(s, operands(0, 0, 1<<20))) })
	initial("memory.init out of range by one", traps("out_of_bounds_memory"), func(s uint32) []byte { return MemoryInit(s, operands(0, 1, 1<<20)) })
	initial("memory.init of 4 GiB", traps("out_of_bounds_memory"), func(s uint32) []byte { return MemoryInit(s, operands(0, 0, 0xffffffff)) })
	initial("memory.init of a dropped segment", traps("out_of_bounds_memory"), func(s uint32) []byte {
		return Seq(DataDrop(s), MemoryInit(s, operands(0, 0, 1)))
	})
	c.add("memory.init of a placed segment", traps("out_of_bounds_memory"), func() []byte {
		var b Builder
		b.Memory(1)
		b.Data(0, []byte("x"))
		b.PassiveData(nil)
		b.ExportFunc("run_check", b.Func(Sig{}, nil, MemoryInit(0, operands(0, 0, 1))))
		return b.Bytes()
	})
	c.tables()
}

// tables are moved as memory is.
func (c *corpus) tables() {
	const all = 32_768
	table := func(name string, want Verdict, body ...[]byte) {
		c.add(name, want, func() []byte {
			var b Builder
			b.Memory(1)
			b.Table(FuncRef, all, all)
			b.Table(FuncRef, all, all)
			f := b.Func(Sig{}, nil)
			items := make([]uint32, all)
			for i := range items {
				items[i] = f
			}
			b.PassiveElem(items...)
			b.ExportFunc("run_check", b.Func(Sig{}, nil, body...))
			return b.Bytes()
		})
	}
	filling := func(n uint32) []byte { return tableFill(0, I32Const(0), refNull(), operands(n)) }
	table("table.fill in a loop", spins, forever(filling(all)))
	table("table.copy in a loop", spins, forever(tableCopy(0, 1, operands(0, 0, all))))
	table("table.init in a loop", spins, forever(tableInit(0, 0, operands(0, 0, all))))
	table("table.fill out of range by one", traps("out_of_bounds_table"), filling(all+1))
	table("table.copy out of range by one", traps("out_of_bounds_table"), tableCopy(0, 1, operands(1, 0, all)))
	table("table.init out of range by one", traps("out_of_bounds_table"), tableInit(0, 0, operands(0, 1, all)))
	table("table.copy that wraps around", traps("out_of_bounds_table"), tableCopy(0, 1, operands(0xffffffff, 0, 2)))
	table("table.init of a dropped segment", traps("out_of_bounds_table"),
		[]byte{0xfc, 13, 0}, tableInit(0, 0, operands(0, 0, 1)))
}

// growth asks for more memory or longer tables.
func (c *corpus) growth() {
	c.add("page by page beyond the limit", submits("returned", "script"), Grows)
	c.run("memory.grow of nothing in a loop", spins, forever(Drop(MemoryGrow(I32Const(0)))))
	c.run("memory.grow by 65,535 in a loop", spins, forever(Drop(MemoryGrow(I32Const(65_535)))))
	c.run("memory.grow by 4 G in a loop", spins, forever(Drop(MemoryGrow(I32Const(-1)))))
	c.add("grows to the limit and touches all of it", returns, func() []byte {
		return guest(1, nil, If(I32Eq(MemoryGrow(I32Const(mostPages-1)), I32Const(-1)), Unreachable()),
			MemoryFill(operands(0, 7, mostPages*page)))
	})
	c.add("grows in a loop and touches each page", spins, func() []byte {
		return guest(1, I32s(1), forever(LocalSet(0, MemoryGrow(I32Const(1))),
			If(I32GeS(LocalGet(0), I32Const(0)), I32Store(0, I32Mul(LocalGet(0), I32Const(page)), I32Const(1)))))
	})
	growing := func(name string, want Verdict, count int, body func(t uint32) []byte) {
		c.add(name, want, func() []byte {
			var b Builder
			b.Memory(1)
			var all []byte
			for range count {
				all = Seq(all, body(b.Table(FuncRef, 0)))
			}
			b.ExportFunc("run_check", b.Func(Sig{}, nil, all))
			return b.Bytes()
		})
	}
	grow := func(t, n uint32) []byte { return tableGrow(t, refNull(), operands(n)) }
	growing("table.grow by one in a loop", spins, 1, func(t uint32) []byte { return forever(Drop(grow(t, 1))) })
	growing("table.grow of nothing in a loop", spins, 1, func(t uint32) []byte { return forever(Drop(grow(t, 0))) })
	growing("table.grow by 4 G in a loop", spins, 1, func(t uint32) []byte { return forever(Drop(grow(t, 0xffffffff))) })
	growing("table.grow by 100 M", returns, 1, func(t uint32) []byte {
		return If(I32Ne(grow(t, 100_000_000), I32Const(-1)), Unreachable())
	})
	growing("16 tables grown to the limit", returns, 16, func(t uint32) []byte {
		return Seq(Drop(grow(t, 65_536)), If(I32Ne(grow(t, 1), I32Const(-1)), Unreachable()))
	})
	c.add("memory as large as may be", returns, func() []byte { return guest(mostPages, nil) })
	c.add("memory that starts above the limit", refused("its memory starts at"), func() []byte { return guest(mostPages+1, nil) })
	c.add("memory of 4 GiB", refused("its memory starts at"), func() []byte { return guest(65_536, nil) })
	c.add("memory above 4 GiB", refused("memory"), func() []byte { return guest(65_537, nil) })
	c.add("a table of 100 M", refused("table"), func() []byte { return withTables(100_000_000) })
	c.add("16 tables as large as may be", returns, func() []byte { return withTables(same(16, 4096)...) })
	c.add("16 tables, too large together", refused("table"), func() []byte { return withTables(same(16, 4097)...) })
	c.add("17 tables", refused("table"), func() []byte { return withTables(same(17, 1)...) })
}

func withTables(sizes ...uint32) []byte {
	var b Builder
	b.Memory(1)
	for _, n := range sizes {
		b.Table(FuncRef, n)
	}
	b.ExportFunc("run_check", b.Func(Sig{}, nil))
	return b.Bytes()
}

func same(n int, v uint32) []uint32 {
	list := make([]uint32, n)
	for i := range list {
		list[i] = v
	}
	return list
}
