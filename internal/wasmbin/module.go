package wasmbin

// Module is a decoded and validated Wasm binary. It keeps a reference to the
// bytes it was made from, which must not change any more. A Module is
// immutable, so goroutines may share it.
type Module struct {
	wasm []byte
	lim  Limits

	types   []FuncType
	imports []Import
	tags    []uint32 // types of imported tags
	exports []export
	funcs   []uint32 // type of every function, imported ones first
	tables  []tableType
	mems    []limits
	globals []globalType
	inits   []constant // of the globals of the module's own
	start   int        // function, or -1
	elems   []elemSegment
	datas   []dataSegment
	bodies  []body

	importFuncs, importTables, importMems, importGlobals int

	dataCount int // of the data count section, or -1
	names     span
	customs   []string
	features  featureSet
	charges   []charge // of all bodies, in the order of their positions
	uses      usage
	usedDatas int // one more than the highest data segment named by an instruction
	figures   Figures
	hazards   hazardSet
	warnings  []string
}

// span is a range of bytes of the module; from 0 means that there is none.
type span struct{ from, to int }

// Import is one entry of the import section.
type Import struct {
	Module, Name string
	Kind         Kind
	Type         FuncType // of a function
	Desc         string   // the type for people, such as "func(i32) i32" or "memory 1 2"
}

// Export is one entry of the export section.
type Export struct {
	Name string
	Kind Kind
	Type FuncType // of a function
}

type export struct {
	name  string
	kind  Kind
	index uint32
}

// constant is a constant expression with its value: the opcode of the one
// instruction that it folds to, and that instruction's immediates. Only
// global.get of an imported global has no value yet.
type constant struct {
	op     byte // opConstI32 and so on; opSIMD stands for v128.const
	lo, hi uint64
}

type segmentMode byte

const (
	active segmentMode = iota
	passive
	declared
)

type elemSegment struct {
	mode   segmentMode
	table  uint32
	offset constant
	elem   ValType
	exprs  bool // items are expressions, not function indices
	count  int
	items  span
	at     int
}

type dataSegment struct {
	mode   segmentMode
	offset constant
	bytes  span
	at     int
}

// body is the code of one function.
type body struct {
	locals span // the declarations, after the size
	code   span
	// frame is what one call takes of the guest stack, in bytes.
	frame uint32
	// calls tells that the function contains a call of guest code or of the host.
	calls   bool
	loops   int
	width   int // locals and operands that there are at one time, at most
	charges int // how many entries of Module.charges are of this body
}

// charge is a place where units are subtracted.
type charge struct {
	pos   uint32 // of the instruction that follows
	units uint32
}

// funcType answers the type of function i.
func (m *Module) funcType(i uint32) FuncType { return m.types[m.funcs[i]] }

// ownFuncs answers the number of functions that the module defines.
func (m *Module) ownFuncs() int { return len(m.funcs) - m.importFuncs }
