package wasmbin

import (
	"fmt"
	"math"
	"strconv"
)

// Version changes whenever [Module.Instrument] may write other bytes for the
// same module and options. It belongs in the key of every cache.
const Version = 2

// The names by which a metered module and its host know each other. Guests
// cannot use names that start with [HiddenPrefix].
const (
	HiddenPrefix = "\x00"
	ImportModule = "\x00sandcheck" // the module of the one import that is added
	ImportRefill = "refill"        // func(i64) i64, see RefillOverflow
	ExportFuel   = "\x00fuel"      // mutable i64: units left
	ExportDepth  = "\x00depth"     // mutable i32: bytes of guest stack in use
	ExportStart  = "\x00start"     // func(): what was in the start section
)

// RefillOverflow is the argument of refill that tells of a stack overflow.
// Every other argument is a negative number of units: -1 means that one unit
// more was used than granted. Refill returns the units it grants, at least 0;
// after an overflow it must not return.
const RefillOverflow = math.MinInt64

// ExportGlobal is the name under which global i of the original module is exported.
func ExportGlobal(i int) string { return "\x00g" + strconv.Itoa(i) }

// DefaultStack is the guest stack that a run may use, in bytes.
const DefaultStack = 1 << 20

// maxStack bounds InstrumentOptions.Stack, so that the depth cannot wrap.
const maxStack = 256 << 20

// maxMetered bounds the code that is written; it is four times what may be read.
const maxMetered = 4 * maxCode

// InstrumentOptions choose what [Module.Instrument] writes. The zero value is
// what a host wants.
type InstrumentOptions struct {
	// Stack bounds the guest stack in bytes; 0 means DefaultStack, more than
	// 256 MiB is cut to that.
	Stack uint32
	// KeepData leaves active data segments in the module, for instances that
	// do not start from an image.
	KeepData bool
	// AllowImports admits imported memories, tables and globals, which a host
	// of untrusted modules does not offer.
	AllowImports bool
}

// Meta tells the engine what it must know of a metered module. It is plain
// data, so that it can be kept beside the bytes.
type Meta struct {
	Memory    bool   // the module has a memory
	MemoryMin uint64 // its minimum in bytes
	// Data is the cold image: the segments to copy into a new memory, in this
	// order, before anything runs. It is empty with KeepData. All lie inside
	// MemoryMin. The bytes are views of the module given to Decode.
	Data []Data
	// Globals are the mutable globals of the module's own, which together with
	// memory and tables are its state.
	Globals []Global
	Start   bool // ExportStart exists and must run before anything else
	// Hazards is empty if memory and Globals are all the state there is.
	Hazards []string
	Types   int // function types in the metered module
	// ImportedFuncs and Functions count the imported functions and all
	// functions of the original module.
	ImportedFuncs, Functions int
}

// Data is one piece of the cold image.
type Data struct {
	Offset uint64
	Bytes  []byte
}

// Global is a mutable global, exported as ExportGlobal(Index).
type Global struct {
	Index int
	Type  ValType
}

// Original answers the index that function i of the metered module has in the
// original, and false for functions that Instrument has added.
func (m *Meta) Original(i int) (int, bool) {
	switch {
	case i < 0 || i == m.ImportedFuncs || i > m.Functions:
		return 0, false
	case i > m.ImportedFuncs:
		return i - 1, true
	}
	return i, true
}

// CopyData writes the cold image into memory, which has at least MemoryMin
// bytes and is otherwise zero. Without that room it writes what fits.
func (m *Meta) CopyData(memory []byte) {
	for _, d := range m.Data {
		if d.Offset < uint64(len(memory)) {
			copy(memory[d.Offset:], d.Bytes)
		}
	}
}

// Instrument writes a module that behaves like the original, but pays for each
// instruction from the fuel it was granted and asks refill for more, and ends
// before its stack grows over a limit. The same module and options always give
// the same bytes.
func (m *Module) Instrument(o InstrumentOptions) ([]byte, *Meta, error) {
	if o.Stack == 0 {
		o.Stack = DefaultStack
	}
	o.Stack = min(o.Stack, maxStack)
	if !o.AllowImports {
		if err := m.onlyFunctions(); err != nil {
			return nil, nil, err
		}
	}
	p := newPlan(m, o)
	code, err := p.codeSection()
	if err != nil {
		return nil, nil, err
	}
	return p.write(code), p.meta(), nil
}

// onlyFunctions refuses imports other than functions.
func (m *Module) onlyFunctions() error {
	var problems []*Error
	for _, i := range m.imports {
		if i.Kind != KindFunc && len(problems) < maxProblems {
			problems = append(problems, &Error{ID: Unsupported, Func: -1,
				What:   fmt.Sprintf("import %s.%s: %s", printable([]byte(i.Module)), printable([]byte(i.Name)), i.Desc),
				Reason: "only functions may be imported", Cure: "define it in the module"})
		}
	}
	return joinProblems(problems)
}

func (p *plan) meta() *Meta {
	m := p.m
	meta := &Meta{
		Memory:        len(m.mems) > 0,
		Start:         m.start >= 0,
		Hazards:       m.hazards.list(),
		Types:         len(p.types),
		ImportedFuncs: m.importFuncs,
		Functions:     len(m.funcs),
	}
	if meta.Memory {
		meta.MemoryMin = m.mems[0].min << 16
	}
	if p.moveData {
		for _, s := range m.datas {
			if s.mode == active && s.bytes.from < s.bytes.to {
				meta.Data = append(meta.Data, Data{s.offset.lo, m.wasm[s.bytes.from:s.bytes.to:s.bytes.to]})
			}
		}
	}
	for _, i := range p.ownMutable() {
		meta.Globals = append(meta.Globals, Global{i, m.globals[i].val})
	}
	return meta
}

// ownMutable answers the indices of the mutable globals that are not imported.
func (p *plan) ownMutable() []int {
	var list []int
	for i, g := range p.m.globals {
		if i >= p.m.importGlobals && g.mutable {
			list = append(list, i)
		}
	}
	return list
}
