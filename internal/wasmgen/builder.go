package wasmgen

import "fmt"

// The ids of the sections of a module.
const (
	SectionCustom byte = iota
	SectionType
	SectionImport
	SectionFunction
	SectionTable
	SectionMemory
	SectionGlobal
	SectionExport
	SectionStart
	SectionElement
	SectionCode
	SectionData
	SectionDataCount
)

// The kinds of imports and exports.
const (
	KindFunc byte = iota
	KindTable
	KindMemory
	KindGlobal
	KindTag
)

// sectionOrder is the order in which engines expect sections.
const sectionOrder = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0c\x0a\x0b"

// Builder collects the parts of one module. Its zero value is the empty
// module. What is declared gets indexes in order, as in the text format, so
// imports of a kind come before definitions of it; the other order panics,
// as every misuse of this package does: it is a mistake in a test. The
// content is not checked further, so that broken modules can be built too.
//
// A Builder belongs to one goroutine.
type Builder struct {
	types    []Sig
	imports  [][]byte
	imported [KindTag + 1]uint32
	funcs    []function
	tables   [][]byte
	memories [][]byte
	globals  [][]byte
	exports  [][]byte
	start    []byte
	elems    [][]byte
	data     [][]byte
	passive  bool
	customs  [][]byte
	raw      map[byte][]byte
}

type function struct {
	typ  uint32
	code []byte
}

// Type returns the index of a function type, adding it when it is new.
func (b *Builder) Type(s Sig) uint32 {
	want := string(s.encode())
	for i, have := range b.types {
		if string(have.encode()) == want {
			return uint32(i)
		}
	}
	b.types = append(b.types, s)
	return uint32(len(b.types) - 1)
}

// Import adds an import of any kind; desc is its encoded description. The
// methods named after the kinds are more convenient.
func (b *Builder) Import(module, name string, kind byte, desc []byte) uint32 {
	defined := map[byte]int{KindFunc: len(b.funcs), KindTable: len(b.tables), KindMemory: len(b.memories), KindGlobal: len(b.globals)}
	if defined[kind] > 0 {
		panic(fmt.Sprintf("wasmgen: import %s.%s after a definition of the same kind: its index is taken", module, name))
	}
	b.imports = append(b.imports, Seq(Name(module), Name(name), []byte{kind}, desc))
	b.imported[kind]++
	return b.imported[kind] - 1
}

// ImportFunc imports a function and returns its index.
func (b *Builder) ImportFunc(module, name string, s Sig) uint32 {
	return b.Import(module, name, KindFunc, Uint(uint64(b.Type(s))))
}

// ImportMemory imports a memory of at least, and at most if given, so many
// pages.
func (b *Builder) ImportMemory(module, name string, least uint32, most ...uint32) {
	b.Import(module, name, KindMemory, sizes(least, most))
}

// ImportTable imports a table of elements of type t and returns its index.
func (b *Builder) ImportTable(module, name string, t ValType, least uint32, most ...uint32) uint32 {
	return b.Import(module, name, KindTable, Seq([]byte{byte(t)}, sizes(least, most)))
}

// ImportGlobal imports a global and returns its index.
func (b *Builder) ImportGlobal(module, name string, t ValType, mutable bool) uint32 {
	return b.Import(module, name, KindGlobal, globalType(t, mutable))
}

// Declare reserves a function, so that others can call it before Define gives
// it a body.
func (b *Builder) Declare(s Sig) uint32 {
	b.funcs = append(b.funcs, function{typ: b.Type(s)})
	return b.imported[KindFunc] + uint32(len(b.funcs)) - 1
}

// Define gives a declared function its locals and its body. The final end is
// added. A function that is never defined has an empty body.
func (b *Builder) Define(index uint32, locals []ValType, body ...[]byte) {
	groups := make([][]byte, len(locals))
	for i, t := range locals {
		groups[i] = []byte{1, byte(t)}
	}
	b.funcs[index-b.imported[KindFunc]].code = Seq(vec(groups), Seq(body...), []byte{0x0b})
}

// Func declares and defines a function and returns its index. Parameters are
// the first locals.
func (b *Builder) Func(s Sig, locals []ValType, body ...[]byte) uint32 {
	index := b.Declare(s)
	b.Define(index, locals, body...)
	return index
}

// Memory declares a memory of at least, and at most if given, so many pages
// of 64 KiB, and exports it as "memory".
func (b *Builder) Memory(least uint32, most ...uint32) {
	b.HiddenMemory(least, most...)
	b.Export("memory", KindMemory, b.imported[KindMemory]+uint32(len(b.memories))-1)
}

// HiddenMemory declares a memory and does not export it.
func (b *Builder) HiddenMemory(least uint32, most ...uint32) {
	b.memories = append(b.memories, sizes(least, most))
}

// Table declares a table of elements of type t and returns its index.
func (b *Builder) Table(t ValType, least uint32, most ...uint32) uint32 {
	b.tables = append(b.tables, Seq([]byte{byte(t)}, sizes(least, most)))
	return b.imported[KindTable] + uint32(len(b.tables)) - 1
}

// Global declares a global; init is a constant expression such as
// I32Const(7). Its index is returned.
func (b *Builder) Global(t ValType, mutable bool, init []byte) uint32 {
	b.globals = append(b.globals, Seq(globalType(t, mutable), init, []byte{0x0b}))
	return b.imported[KindGlobal] + uint32(len(b.globals)) - 1
}

// Export exports what has that kind and index.
func (b *Builder) Export(name string, kind byte, index uint32) {
	b.exports = append(b.exports, Seq(Name(name), []byte{kind}, Uint(uint64(index))))
}

// ExportFunc exports a function.
func (b *Builder) ExportFunc(name string, index uint32) { b.Export(name, KindFunc, index) }

// ExportGlobal exports a global.
func (b *Builder) ExportGlobal(name string, index uint32) { b.Export(name, KindGlobal, index) }

// Start names the function that runs inside instantiation.
func (b *Builder) Start(index uint32) { b.start = Uint(uint64(index)) }

// Elem fills table 0 from offset on with functions.
func (b *Builder) Elem(offset int32, funcs ...uint32) {
	b.elems = append(b.elems, Seq([]byte{0}, I32Const(offset), []byte{0x0b}, indexes(funcs)))
}

// PassiveElem adds functions for table.init and returns the segment's index.
func (b *Builder) PassiveElem(funcs ...uint32) uint32 {
	b.elems = append(b.elems, Seq([]byte{1, 0}, indexes(funcs)))
	return uint32(len(b.elems) - 1)
}

// Data places bytes in memory 0 before any code runs.
func (b *Builder) Data(offset uint32, data []byte) {
	b.data = append(b.data, Seq([]byte{0}, I32Const(int32(offset)), []byte{0x0b}, Name(string(data))))
}

// PassiveData adds bytes for MemoryInit and returns the segment's index. The
// module gets a data count section.
func (b *Builder) PassiveData(data []byte) uint32 {
	b.data, b.passive = append(b.data, Seq([]byte{1}, Name(string(data)))), true
	return uint32(len(b.data) - 1)
}

// Custom adds a custom section; all of them stand at the end.
func (b *Builder) Custom(name string, payload []byte) {
	b.customs = append(b.customs, Section(SectionCustom, Seq(Name(name), payload)))
}

// Names adds the name section with names of functions, by index order. They
// appear in stack traces.
func (b *Builder) Names(funcs ...string) {
	items := make([][]byte, len(funcs))
	for i, f := range funcs {
		items[i] = Seq(Uint(uint64(i)), Name(f))
	}
	b.Custom("name", Section(1, vec(items)))
}

// Producers adds the producers section that names a language and a tool.
func (b *Builder) Producers(language, tool, version string) {
	field := func(name, value, version string) []byte {
		return Seq(Name(name), Uint(1), Name(value), Name(version))
	}
	b.Custom("producers", vec([][]byte{field("language", language, ""), field("processed-by", tool, version)}))
}

// Raw inserts bytes as they are before the place of the section with the id
// before, or at the end when before is SectionCustom. Section makes a
// well-framed one.
func (b *Builder) Raw(before byte, bytes []byte) {
	if b.raw == nil {
		b.raw = map[byte][]byte{}
	}
	b.raw[before] = append(b.raw[before], bytes...)
}

// Bytes encodes the module. It may be called more than once.
func (b *Builder) Bytes() []byte {
	module := []byte("\x00asm\x01\x00\x00\x00")
	for _, id := range []byte(sectionOrder) {
		module = append(module, b.raw[id]...)
		if body := b.section(id); body != nil {
			module = append(module, Section(id, body)...)
		}
	}
	return Seq(module, Seq(b.customs...), b.raw[SectionCustom])
}

// section encodes the body of one section, nil when the module needs none.
func (b *Builder) section(id byte) []byte {
	var types, funcs, code [][]byte
	for _, t := range b.types {
		types = append(types, t.encode())
	}
	for _, f := range b.funcs {
		if f.code == nil {
			f.code = []byte{0, 0x0b}
		}
		funcs = append(funcs, Uint(uint64(f.typ)))
		code = append(code, Name(string(f.code)))
	}
	lists := map[byte][][]byte{
		SectionType: types, SectionImport: b.imports, SectionFunction: funcs, SectionTable: b.tables,
		SectionMemory: b.memories, SectionGlobal: b.globals, SectionExport: b.exports,
		SectionElement: b.elems, SectionCode: code, SectionData: b.data,
	}
	switch {
	case id == SectionStart:
		return b.start
	case id == SectionDataCount && b.passive:
		return Uint(uint64(len(b.data)))
	case len(lists[id]) > 0:
		return vec(lists[id])
	}
	return nil
}

func globalType(t ValType, mutable bool) []byte {
	if mutable {
		return []byte{byte(t), 1}
	}
	return []byte{byte(t), 0}
}

func indexes(list []uint32) []byte {
	b := Uint(uint64(len(list)))
	for _, i := range list {
		b = append(b, Uint(uint64(i))...)
	}
	return b
}
