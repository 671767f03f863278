package wasmbin

import (
	"maps"
	"slices"
)

// plan holds the indices and byte sequences of one rewriting.
type plan struct {
	m        *Module
	o        InstrumentOptions
	moveData bool // active data segments become the cold image

	types     []FuncType // the original ones, then those that are added
	typeIndex map[string]uint32

	refill               uint32 // function; own functions move up by one because of it
	fuel, depth, scratch uint32 // globals
	// refs are the functions that bodies name with ref.func. Each has a global
	// that holds the reference, in this order behind scratch: wazero makes a new
	// one for each ref.func that runs, and keeps them all.
	refs  []uint32
	refAt map[uint32]uint32 // global, by function

	injected []injected
	fill     uint32 // functions, where the module needs them
	copy     uint32
	grow     uint32
	tables   map[uint32]uint32 // function that grows a table, by table
	start    uint32

	negative     []byte // is fuel negative?
	check        []byte // if it is, ask for more
	checkInPlace []byte // the same without a function between
	overflow     []byte // if depth is over the limit, end the run
}

func newPlan(m *Module, o InstrumentOptions) *plan {
	p := &plan{
		m: m, o: o,
		moveData:  !o.KeepData && m.importMems == 0 && m.staticData(),
		types:     m.types[:len(m.types):len(m.types)],
		typeIndex: map[string]uint32{},
		refill:    uint32(m.importFuncs),
		fuel:      uint32(len(m.globals)),
		tables:    map[uint32]uint32{},
	}
	p.depth, p.scratch = p.fuel+1, p.fuel+2
	p.refs, p.refAt = slices.Sorted(maps.Keys(m.uses.funcs)), map[uint32]uint32{}
	for i, f := range p.refs {
		p.refAt[f] = p.scratch + 1 + uint32(i)
	}
	for i, t := range m.types {
		if _, known := p.typeIndex[typeKey(t)]; !known {
			p.typeIndex[typeKey(t)] = uint32(i)
		}
	}
	p.typeOf(FuncType{Params: []ValType{I64}, Results: []ValType{I64}})
	p.negative, p.check, p.checkInPlace = p.checkFuel()
	p.overflow = p.checkDepth()
	p.inject()
	for i, b := range m.bodies {
		if t := m.funcType(uint32(m.importFuncs + i)); p.framed(b) && len(t.Results) > 1 {
			p.typeOf(FuncType{Results: t.Results})
		}
	}
	return p
}

// staticData reports whether the place of every active segment is known.
func (m *Module) staticData() bool {
	for _, s := range m.datas {
		if s.mode == active && (s.offset.op != opI32Const || s.offset.lo+uint64(s.bytes.to-s.bytes.from) > m.mems[0].min<<16) {
			return false
		}
	}
	return true
}

// moved answers the index of function f in the metered module.
func (p *plan) moved(f uint32) uint32 {
	if f >= p.refill {
		return f + 1
	}
	return f
}

// framed reports whether calls of b count toward the depth. One leaf at most
// is on the stack, so small ones need not.
func (p *plan) framed(b body) bool { return b.calls || b.frame >= leafSkip }

func typeKey(t FuncType) string {
	b := make([]byte, 0, len(t.Params)+len(t.Results)+1)
	for _, v := range t.Params {
		b = append(b, byte(v))
	}
	b = append(b, 0)
	for _, v := range t.Results {
		b = append(b, byte(v))
	}
	return string(b)
}

// typeOf answers the index of a type, which it adds when it is new.
func (p *plan) typeOf(t FuncType) uint32 {
	key := typeKey(t)
	if i, ok := p.typeIndex[key]; ok {
		return i
	}
	i := uint32(len(p.types))
	p.types = append(p.types, t)
	p.typeIndex[key] = i
	return i
}
