package wasmgen

import (
	"fmt"
	"strings"
)

const header = "\x00asm\x01\x00\x00\x00"

// raw joins a header and sections that are given as they are.
func raw(sections ...[]byte) []byte { return Seq([]byte(header), Seq(sections...)) }

// emptyType is a type section of one func().
func emptyType() []byte { return Section(SectionType, []byte{1, 0x60, 0, 0}) }

// oneFunc is the rest of a module of one function with this body.
func oneFunc(body ...[]byte) [][]byte {
	code := Seq([]byte{0}, Seq(body...), []byte{0x0b})
	return [][]byte{Section(SectionFunction, []byte{1, 0}), Section(SectionCode, Seq([]byte{1}, Name(string(code))))}
}

// counts are as many of everything as may be, one more, and counts that the
// file does not hold.
func (c *corpus) counts() {
	over := func(n int) string { return fmt.Sprintf("more than the limit of %d", n) }
	exported := func(b *Builder) []byte {
		b.ExportFunc("run_check", b.Func(Sig{}, nil))
		return b.Bytes()
	}
	c.bounded("locals", 10_000, over(10_000), func(n int) []byte { return guest(1, repeated(n, I64)) })
	c.bounded("types", 4096, over(4096), func(n int) []byte {
		var b Builder
		for i := range n - 1 { // each another list of parameters
			b.types = append(b.types, Sig{Params: numbered(i)})
		}
		return exported(&b)
	})
	c.bounded("parameters", 255, over(255), func(n int) []byte {
		var b Builder
		b.Type(Sig{Params: repeated(n, I64)})
		return exported(&b)
	})
	c.bounded("results", 255, over(255), func(n int) []byte {
		var b Builder
		b.Type(Sig{Results: repeated(n, I64)})
		return exported(&b)
	})
	c.bounded("imports", 1024, over(1024), func(n int) []byte {
		var b Builder
		for i := range n {
			b.ImportFunc("env", fmt.Sprintf("unknown_%d", i), Sig{})
		}
		return exported(&b)
	})
	c.bounded("exports", 4096, over(4096), func(n int) []byte {
		var b Builder
		b.HiddenMemory(1)
		for i := range n - 1 {
			b.Export(fmt.Sprintf("%04096d", i), KindMemory, 0)
		}
		return exported(&b)
	})
	c.bounded("globals", 1024, over(1024), func(n int) []byte {
		var b Builder
		for range n {
			b.Global(I32, false, I32Const(0))
		}
		return exported(&b)
	})
	c.bounded("mutable globals", 256, over(256), func(n int) []byte {
		var b Builder
		for range n {
			b.Global(I64, true, I64Const(1))
		}
		return exported(&b)
	})
	c.bounded("functions", 65_536, over(65_536), func(n int) []byte { return manyFunctions(n, nil) })
	c.bounded("data segments", 131_072, over(131_072), func(n int) []byte { return segments(n, "x") })
	c.bounded("empty data segments", 131_072, over(131_072), func(n int) []byte { return segments(n, "") })
	c.add("a million empty segments", refused(over(131_072)), func() []byte { return segments(1_000_000, "") })
	c.bounded("element segments", 4096, over(4096), func(n int) []byte {
		var b Builder
		for range n {
			b.PassiveElem()
		}
		return exported(&b)
	})
	c.bounded("one body", 256<<10, over(256<<10), func(n int) []byte {
		return guest(1, nil, times(n-2, Nop()))
	})
	c.bounded("operands", 16_384, "more than 16384 values", func(n int) []byte {
		return guest(1, nil, times(n, I32Const(0)), times(n, Drop()))
	})
	c.bounded("nesting of blocks", 4096, "nested deeper than 4096", func(n int) []byte {
		return guest(1, nil, times(n, []byte{0x02, 0x40}), times(n, []byte{0x0b}))
	})
	c.bounded("nesting of loops", 256, "nested deeper than 256", func(n int) []byte {
		return guest(1, nil, times(n, []byte{0x03, 0x40}), times(n, []byte{0x0b}))
	})
	c.bounded("passive bytes", 1<<20, over(1<<20), func(n int) []byte {
		var b Builder
		b.Memory(1)
		b.PassiveData(make([]byte, n))
		return exported(&b)
	})
	c.bounded("bytes of an export name", 4096, over(4096), func(n int) []byte {
		var b Builder
		b.HiddenMemory(1)
		b.Export(strings.Repeat("n", n), KindMemory, 0)
		return exported(&b)
	})
	c.bounded("module", 64<<20, "bytes, more than 67108864", func(n int) []byte {
		small := Silent()
		room := n - len(small)
		return Seq(small, []byte{0}, Uint(uint64(room-5)), Name("x"), make([]byte, room-5-2))
	})
	c.add("all numbers padded to five bytes", returns, func() []byte {
		pad := func(v byte) []byte { return []byte{v | 0x80, 0x80, 0x80, 0x80, 0} }
		section := func(id byte, body ...[]byte) []byte {
			b := Seq(body...)
			return Seq([]byte{id}, pad(byte(len(b))), b)
		}
		code := Seq(pad(1), pad(1), []byte{byte(I32), 0x41}, pad(1), []byte{0x21}, pad(0), []byte{0x0b})
		return raw(section(SectionType, pad(1), []byte{0x60}, pad(0), pad(0)),
			section(SectionFunction, pad(1), pad(0)),
			section(SectionExport, pad(1), pad(9), []byte("run_check\x00"), pad(0)),
			section(SectionCode, pad(1), pad(byte(len(code))), code))
	})
	for _, id := range []byte(sectionOrder) {
		if id == SectionStart {
			continue
		}
		c.add(fmt.Sprintf("section %d declares 4 G entries", id), refused(""), func() []byte {
			return raw(Section(id, Seq(Uint(0xffffffff), make([]byte, 16))))
		}).Want.Refused = "0x"
	}
	c.add("4 G locals in groups", refused(over(10_000)), func() []byte {
		groups := Seq(Uint(4), times(4, Uint(0x3fffffff), []byte{byte(I64)}))
		return raw(emptyType(), Section(SectionFunction, []byte{1, 0}), Section(SectionCode, Seq([]byte{1}, Name(string(Seq(groups, []byte{0x0b}))))))
	})
	c.add("br_table of 4 G", refused("0x"), func() []byte {
		return raw(append([][]byte{emptyType()}, oneFunc(Seq(I32Const(0), []byte{0x0e}, Uint(0xfffffffe), []byte{0}))...)...)
	})
	c.add("a data segment of 4 GiB", refused("0x"), func() []byte {
		return raw(Section(SectionData, Seq([]byte{1, 1}, Uint(0xffffffff))))
	})
	c.add("a custom section of 4 GiB", refused("0x"), func() []byte { return raw(Seq([]byte{0}, Uint(0xffffffff))) })
	c.add("a million custom sections", returns, func() []byte {
		return Seq(Silent(), times(1_000_000, Section(0, Name("x"))))
	})
}

// numbered is a list of types that differs for each i up to 4,095.
func numbered(i int) []ValType {
	list := repeated(243, I64)
	for bit := range 12 {
		list = append(list, []ValType{I32, I64}[i>>bit&1])
	}
	return list
}

// segments makes n active data segments at distinct places.
func segments(n int, content string) []byte {
	var b Builder
	b.Memory(4)
	for i := range n {
		b.data = append(b.data, Seq([]byte{0}, I32Const(int32(i)), []byte{0x0b}, Name(content)))
	}
	b.ExportFunc("run_check", b.Func(Sig{}, nil))
	return b.Bytes()
}

// malformed is not a module, though it looks like one.
func (c *corpus) malformed() {
	bad := func(name, text string, wasm func() []byte) { c.add(name, refused(text), wasm) }
	lit := func(name, text string, sections ...[]byte) {
		bad(name, text, func() []byte { return raw(sections...) })
	}
	body := func(name, text string, code ...[]byte) {
		lit(name, text, append([][]byte{emptyType()}, oneFunc(code...)...)...)
	}
	bad("cut in the middle", "at 0x", func() []byte { w := Loops(); return w[:len(w)/2] })
	bad("bytes behind the last section", "at 0x", func() []byte { return append(Silent(), 0x00) })
	lit("a section twice", "twice or out of order", emptyType(), emptyType())
	lit("sections out of order", "twice or out of order", Section(SectionMemory, []byte{1, 0, 1}), emptyType())
	lit("a section longer than the file", "at 0x", []byte{1, 100, 0})
	lit("a section longer than its content", "section size mismatch", Section(SectionType, []byte{0, 0}))
	lit("a number of six bytes", "too long", Section(SectionType, []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0}))
	lit("a number with stray bits", "too large", Section(SectionType, []byte{0x80, 0x80, 0x80, 0x80, 0x10}))
	lit("a function without code", "no code section", emptyType(), Section(SectionFunction, []byte{1, 0}))
	lit("code without a function", "inconsistent", emptyType(), Section(SectionCode, []byte{1, 2, 0, 0x0b}))
	lit("a name that is not UTF-8", "UTF-8", Section(SectionCustom, Name("\xff\xfe")))
	lit("an overlong encoding in a name", "UTF-8", Section(SectionCustom, Name("\xc0\x80")))
	lit("half a surrogate pair in a name", "UTF-8", Section(SectionCustom, Name("\xed\xa0\x80")))
	lit("an unknown section", "malformed section id 99", Section(99, nil))
	body("no end", "at 0x", []byte{0x02, 0x40})
	body("an unknown opcode", "unknown opcode 0x27", []byte{0x27})
	body("an operand that is not there", "found nothing", Drop())
	body("an operand of another type", "expected", I64Const(1), []byte{0x45, 0x1a})
	body("a block type that is no type", "at 0x", []byte{0x02, 0x3f, 0x0b})
	body("else without if", "else without if", []byte{0x02, 0x40, 0x05, 0x0b})
	lit("data without memory", "memory", Section(SectionData, Seq([]byte{1, 0}, I32Const(0), []byte{0x0b}, Name("x"))))
	lit("data behind the end of memory", "data segment 0", Section(SectionMemory, []byte{1, 0, 1}),
		Section(SectionData, Seq([]byte{1, 0}, I32Const(65_536), []byte{0x0b}, Name("x"))))
	lit("data whose place wraps around", "data segment 0", Section(SectionMemory, []byte{1, 0, 1}),
		Section(SectionData, Seq([]byte{1, 0}, I32Const(-1), []byte{0x0b}, Name("xx"))))
	lit("elements behind the end of their table", "element segment 0", emptyType(), Section(SectionFunction, []byte{1, 0}),
		Section(SectionTable, []byte{1, byte(FuncRef), 0, 1}), Section(SectionElement, Seq([]byte{1, 0}, I32Const(1), []byte{0x0b, 1, 0})),
		Section(SectionCode, []byte{1, 2, 0, 0x0b}))
	lit("a constant that is no constant", "at 0x", Section(SectionGlobal, Seq([]byte{1, byte(I32), 0}, []byte{0x41, 1, 0x41, 1, 0x6d, 0x0b})))
	bad("an empty file", "the file is empty", func() []byte { return nil })
	bad("JSON", "not a Wasm module", func() []byte { return []byte(`{"status":"OK"}`) })
}

// indexes name what is one past the end of each index space, where after
// metering something of the host would stand.
func (c *corpus) indexes() {
	type add = func(b *Builder) []byte
	bad := func(name, text string, code add) {
		c.add(name, refused(text), func() []byte {
			var b Builder
			b.ImportFunc("env", "unknown", Sig{})
			b.Memory(1)
			b.Table(FuncRef, 1, 1)
			b.Global(I64, true, I64Const(0))
			f := b.Declare(Sig{}) // function 1, the last one
			b.Define(f, I32s(1), code(&b))
			b.ExportFunc("run_check", f)
			return b.Bytes()
		})
	}
	is := func(code ...[]byte) add { return func(*Builder) []byte { return Seq(code...) } }
	for i := range uint32(3) { // fuel, depth and scratch
		bad(fmt.Sprintf("global.get of global %d", i+1), fmt.Sprintf("unknown global %d of 1", i+1), is(Drop(GlobalGet(1+i))))
		bad(fmt.Sprintf("global.set of global %d", i+1), fmt.Sprintf("unknown global %d of 1", i+1), is(GlobalSet(1+i, I64Const(1<<62))))
	}
	bad("call of function 2", "unknown function 2 of 2", is(Call(2)))
	bad("call of the last index there is", "unknown function 4294967295", is(Call(0xffffffff)))
	bad("a reference to function 2", "unknown function 2 of 2", is(Drop([]byte{0xd2, 2})))
	bad("a local", "unknown local 1 of 1", is(Drop(LocalGet(1))))
	bad("a label", "unknown label 1", is(Br(1)))
	bad("a label of br_table", "unknown label 2", is(I32Const(0), BrTable(0, 0, 2)))
	bad("a block type", "unknown type", is(typed(opcodeBlock, 7)))
	bad("a negative block type", "at 0x", is([]byte{0x02, 0x80, 0x80, 0x80, 0x80, 0x70, 0x0b}))
	bad("a type of call_indirect", "unknown type", is(CallIndirect(7, I32Const(0))))
	bad("a table", "unknown table 1 of 1", is(Drop(Op([]byte{0x25, 1}, I32Const(0)))))
	bad("an element segment", "unknown element segment 0 of 0", is([]byte{0xfc, 13, 0}))
	bad("a data segment", "at 0x", is(DataDrop(0)))
	bad("a start function", "unknown function 2 of 2", func(b *Builder) []byte { b.Start(2); return nil })
	bad("an exported function", "unknown func 2 of 2", func(b *Builder) []byte { b.ExportFunc("x", 2); return nil })
	bad("an exported global", "unknown global 1 of 1", func(b *Builder) []byte { b.ExportGlobal("x", 1); return nil })
	bad("an exported memory", "unknown memory 1 of 1", func(b *Builder) []byte { b.Export("x", KindMemory, 1); return nil })
	bad("an exported table", "unknown table 1 of 1", func(b *Builder) []byte { b.Export("x", KindTable, 1); return nil })
	bad("an element", "unknown function 2 of 2", func(b *Builder) []byte { b.Elem(0, 2); return nil })
	bad("a padded index of six bytes", "too long", is([]byte{0x10, 0x81, 0x80, 0x80, 0x80, 0x80, 0}))
	bad("a padded index with stray bits", "too large", is([]byte{0x10, 0x81, 0x80, 0x80, 0x80, 0x10}))
}

// features are Wasm that no plugin may use, and files of other kinds.
func (c *corpus) features() {
	code := func(name, text string, code ...byte) {
		c.add(name, refused(text), func() []byte { return raw(append([][]byte{emptyType()}, oneFunc(code)...)...) })
	}
	file := func(name, text string, wasm []byte) { c.add(name, refused(text), func() []byte { return wasm }) }
	code("tail call", "tail calls", 0x12, 0)
	code("indirect tail call", "tail calls", 0x13, 0, 0)
	code("atomic instruction", "threads", 0xfe, 0x03, 0)
	code("try", "exception handling", 0x06, 0x40, 0x0b)
	code("throw", "exception handling", 0x08, 0)
	code("try_table", "exception handling", 0x1f, 0x40, 0, 0x0b)
	code("call_ref", "typed function references", 0x14, 0)
	code("struct.new", "garbage-collected", 0xfb, 0, 0)
	code("relaxed vector instruction", "relaxed SIMD", 0xfd, 0x80, 0x02)
	code("stack switching", "stack switching", 0xe3, 0)
	file("a load from memory 1", "more than one memory", raw(emptyType(), Section(SectionFunction, []byte{1, 0}),
		Section(SectionMemory, []byte{1, 0, 1}), Section(SectionCode, Seq([]byte{1}, Name("\x00\x41\x00\x28\x42\x01\x00\x1a\x0b")))))
	file("shared memory", "shared memory", raw(Section(SectionMemory, []byte{1, 3, 1, 2})))
	file("64-bit memory", "wasm32", raw(Section(SectionMemory, []byte{1, 4, 1})))
	file("two memories", "more than one memory", raw(Section(SectionMemory, []byte{2, 0, 1, 0, 1})))
	file("tags", "exception handling", raw(emptyType(), Section(13, []byte{1, 0, 0})))
	file("struct types", "garbage-collected", raw(Section(SectionType, []byte{1, 0x5f, 0})))
	file("component", "component", []byte("\x00asm\x0d\x00\x01\x00"))
	file("text", "WebAssembly text", []byte("(module (func (loop br 0)))"))
	file("zip", "zip archive", []byte("PK\x03\x04 plugin.wasm"))
	file("native program", "ELF", []byte("\x7fELF\x02\x01\x01"))
	file("web page", "web page", []byte("<!doctype html>"))
}

// importTricks import what is not offered, or not so.
func (c *corpus) importTricks() {
	imports := func(name string, want Verdict, add func(b *Builder)) {
		c.add(name, want, func() []byte {
			var b Builder
			add(&b)
			b.ExportFunc("run_check", b.Func(Sig{}, nil))
			return b.Bytes()
		})
	}
	imports("a host function with another type", refused("env.submit_result"), func(b *Builder) { b.ImportFunc("env", "submit_result", Sig{I32s(1), I32s(1)}) })
	imports("a memory", refused("env.memory"), func(b *Builder) { b.ImportMemory("env", "memory", 1) })
	imports("a table", refused("env.table"), func(b *Builder) { b.ImportTable("env", "table", FuncRef, 1) })
	imports("a global", refused("env.global"), func(b *Builder) { b.ImportGlobal("env", "global", I64, true) })
	imports("another module", refused("host.readfile"), func(b *Builder) { b.ImportFunc("host", "readfile", Sig{}) })
	imports("a module without a name", refused("is not offered"), func(b *Builder) { b.ImportFunc("", "f", Sig{}) })
	imports("one name with two types", refused("as well"), func(b *Builder) {
		b.ImportFunc("env", "unknown", Sig{})
		b.ImportFunc("env", "unknown", Sig{Params: I32s(1)})
	})
	imports("a WASI function that does not exist", refused("no such function"), func(b *Builder) { b.ImportFunc("wasi_snapshot_preview1", "fd_steal", Sig{}) })
	imports("a WASI function with another type", refused("fd_write"), func(b *Builder) { b.ImportFunc("wasi_snapshot_preview1", "fd_write", Sig{}) })
	imports("a stub with vectors", refused("v128"), func(b *Builder) { b.ImportFunc("env", "unknown", Sig{Params: []ValType{V128}}) })
	imports("a stub with references", refused("reference"), func(b *Builder) { b.ImportFunc("env", "unknown", Sig{Results: []ValType{ExternRef}}) })
	imports("a name with line breaks", returns, func(b *Builder) { b.ImportFunc("env", "a\nwasm stack trace:\n\tb\x1b[31m", Sig{}) })
	c.add("1,024 unknown functions, each called", returns, func() []byte {
		var b Builder
		var calls []byte
		for i := range 1024 {
			f := b.ImportFunc("env", fmt.Sprintf("%d%s", i, strings.Repeat("x", 4000)), Sig{[]ValType{I32, I64, F32, F64}, []ValType{I32, I64, F32, F64}})
			calls = Seq(calls, I32Const(0), I64Const(0), F32Const(0), F64Const(0), Call(f), times(4, Drop()))
		}
		b.ExportFunc("run_check", b.Func(Sig{}, nil, calls))
		return b.Bytes()
	})
	c.add("a stub of 255 parameters and results", returns, func() []byte {
		var b Builder
		f := b.ImportFunc("env", "unknown", Sig{repeated(255, F64), repeated(255, F64)})
		b.ExportFunc("run_check", b.Func(Sig{}, nil, times(255, F64Const(1)), Call(f), times(255, Drop())))
		return b.Bytes()
	})
}

// forgery reaches for the meter by the names and places that it has after
// metering.
func (c *corpus) forgery() {
	hidden := func(name string, export string) {
		c.add(name, refused("belong to the host"), func() []byte {
			var b Builder
			b.Memory(1)
			b.ExportGlobal(export, b.Global(I64, true, I64Const(1<<62)))
			b.ExportFunc("run_check", b.Func(Sig{}, nil, Loop(Br(0))))
			return b.Bytes()
		})
	}
	hidden("an export named as fuel is", "\x00fuel")
	hidden("an export named as depth is", "\x00depth")
	hidden("an export named as a global is", "\x00g0")
	hidden("an export named by a zero byte", "\x00")
	importing := func(name, module, function string, want Verdict) {
		c.add(name, want, func() []byte {
			var b Builder
			f := b.ImportFunc(module, function, Sig{[]ValType{I64}, []ValType{I64}})
			b.ExportFunc("run_check", b.Func(Sig{}, nil, forever(Drop(Call(f, I64Const(-1))))))
			return b.Bytes()
		})
	}
	importing("import of refill", "\x00sandcheck", "refill", refused("belong to the host"))
	importing("import from a module of a zero byte", "\x00", "refill", refused("belong to the host"))
	importing("import of refill without the zero byte", "sandcheck", "refill", refused("is not offered"))
	importing("import of refill from env", "env", "refill", spins)
	importing("import of a hidden name from env", "env", "\x00fuel", spins)

	// After metering, refill has the index that the first own function had.
	c.add("call of the index that refill gets", spins, func() []byte {
		var b Builder
		b.ImportFunc("env", "unknown", Sig{})
		own := b.Func(Sig{[]ValType{I64}, []ValType{I64}}, nil, LocalGet(0))
		b.ExportFunc("run_check", b.Func(Sig{}, nil, forever(Drop(Call(own, I64Const(-1<<62))))))
		return b.Bytes()
	})
	c.add("the same through a table, a reference and an export", spins, func() []byte {
		var b Builder
		refill := Sig{[]ValType{I64}, []ValType{I64}}
		own := b.Func(refill, nil, LocalGet(0))
		b.Table(FuncRef, 2, 2)
		b.Elem(0, own)
		b.ExportFunc("own", own)
		set := Op([]byte{0x26, 0}, I32Const(1), []byte{0xd2, 0}) // table.set 1
		b.ExportFunc("run_check", b.Func(Sig{}, nil, set, forever(
			Drop(CallIndirect(b.Type(refill), I64Const(-1<<62), I32Const(0))),
			Drop(CallIndirect(b.Type(refill), I64Const(-1<<62), I32Const(1))))))
		return b.Bytes()
	})
	c.add("globals that start as references to functions", returns, func() []byte {
		var b Builder
		f := b.Func(Sig{}, nil)
		b.Global(FuncRef, true, []byte{0xd2, byte(f)})
		b.Global(FuncRef, false, refNull())
		b.ExportFunc("run_check", b.Func(Sig{}, nil))
		return b.Bytes()
	})
	c.add("all globals set as far as they go", spins, func() []byte {
		var b Builder
		var set []byte
		for range 256 {
			set = Seq(set, GlobalSet(b.Global(I64, true, I64Const(0)), I64Const(1<<62)))
		}
		b.ExportFunc("run_check", b.Func(Sig{}, nil, forever(set)))
		return b.Bytes()
	})
	c.add("negative bulk lengths", traps("out_of_bounds_memory"), func() []byte {
		return guest(1, nil, MemoryFill(operands(0, 0, 1<<31)))
	})
}
