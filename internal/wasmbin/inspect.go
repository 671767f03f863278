package wasmbin

import "slices"

// Info is what is known of a module without running it. It shares nothing
// with the Module, so a caller may change it.
type Info struct {
	Imports []Import
	Exports []Export

	HasMemory bool   // own or imported
	MemoryMin uint64 // in bytes, as declared
	MemoryMax uint64 // in bytes, as declared; 0 when not declared
	Tables    []uint64
	// Globals counts all globals, MutableGlobals those of them that change.
	Globals, MutableGlobals int
	Functions               int // without imported ones

	HasStart bool // there is a start section
	// Initialize is the type of the export "_initialize", nil without one.
	Initialize *FuncType
	// Command reports that the module exports "_start" and no "_initialize".
	Command bool

	DataSegments, ElemSegments int
	Sections                   []string // custom section names in order, at most 256
	Features                   []string // extensions used, sorted
	// Hazards names what keeps an instance from being restored from its
	// memory and globals: instructions, and kinds of mutable globals.
	Hazards  []string
	Warnings []string
	Figures
}

// Figures are the numbers that the complexity budget bounds.
type Figures struct {
	ModuleBytes, CodeBytes, LargestBody int
	Types                               int
	MostLocals                          int // declared by one function, parameters left out
	MostOperands                        int // values on the operand stack at once
	DeepestBlocks, DeepestLoops         int
	LargestFrame                        int // bytes of guest stack that one call takes
	FuncCost, ModuleCost                int // compile cost in reference milliseconds, rounded up
}

// Info describes the module.
func (m *Module) Info() *Info {
	in := &Info{
		Imports:      slices.Clone(m.imports),
		HasStart:     m.start >= 0,
		HasMemory:    len(m.mems) > 0,
		Globals:      len(m.globals),
		Functions:    m.ownFuncs(),
		DataSegments: len(m.datas),
		ElemSegments: len(m.elems),
		Sections:     slices.Clone(m.customs),
		Features:     m.features.list(),
		Hazards:      m.hazards.list(),
		Warnings:     slices.Clone(m.warnings),
		Figures:      m.figures,
	}
	if in.HasMemory {
		in.MemoryMin, in.MemoryMax = m.mems[0].min<<16, m.mems[0].max<<16
	}
	for _, t := range m.tables {
		in.Tables = append(in.Tables, t.min)
	}
	for _, g := range m.globals {
		if g.mutable {
			in.MutableGlobals++
		}
	}
	m.describeExports(in)
	in.ModuleBytes, in.Types = len(m.wasm), len(m.types)
	return in
}

func (m *Module) describeExports(in *Info) {
	for _, e := range m.exports {
		x := Export{Name: e.name, Kind: e.kind}
		if e.kind == KindFunc {
			x.Type = m.funcType(e.index)
			switch e.name {
			case "_initialize":
				t := x.Type
				in.Initialize = &t
			case "_start":
				in.Command = true
			}
		}
		in.Exports = append(in.Exports, x)
	}
	if t := in.Initialize; t != nil {
		in.Command = false
		if len(t.Params)+len(t.Results) > 0 {
			in.Warnings = append(in.Warnings, "_initialize has type "+t.String()+" and will not be called; it must be func()")
		}
	}
}
