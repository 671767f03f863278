package wasmbin

import (
	"fmt"
	"strings"
)

// valType reads a value type and notes the feature it belongs to.
func (r *reader) valType(what string, used *featureSet) ValType {
	at := r.pos
	t := ValType(r.byte())
	if r.err != nil {
		return 0
	}
	switch {
	case t == V128:
		used.add(simd)
	case t.IsRef():
		used.add(referenceTypes)
	case t == 0x63 || t == 0x64:
		r.refuse(at, what, noFuncRefs)
	case t >= 0x67 && t <= 0x74:
		r.refuse(at, what, otherHeapType(t))
	case !t.known():
		r.fail(Malformed, at, what, fmt.Sprintf("malformed value type 0x%02x", byte(t)))
	}
	return t
}

func otherHeapType(t ValType) refused {
	switch t {
	case 0x69, 0x74:
		return noExceptions
	case 0x68:
		return noStackSwitch
	}
	return noGC
}

func (d *decoder) typeSection() {
	at := d.pos
	n := d.count("type section", 2)
	d.bound(at, "types", n, maxTypes)
	for i := 0; i < n && d.err == nil; i++ {
		at := d.pos
		switch form := d.byte(); {
		case d.err != nil:
		case form == 0x60:
			t := FuncType{Params: d.typeList("parameters"), Results: d.typeList("results")}
			if len(t.Results) > 1 {
				d.m.features.add(multiValue)
			}
			d.m.types = append(d.m.types, t)
		case form >= 0x4d && form <= 0x5f:
			d.refuse(at, "type section", noGC)
		default:
			d.fail(Malformed, at, "type section", fmt.Sprintf("malformed type 0x%02x", form))
		}
	}
}

// typeList reads a list of types. Equal lists share one slice: types are
// compared a lot, and a hostile module has thousands of long equal ones.
func (d *decoder) typeList(what string) []ValType {
	at := d.pos
	n := d.count(what, 1)
	d.bound(at, what, n, maxArity)
	if d.err != nil || n == 0 {
		return nil
	}
	from := d.pos
	for range n {
		d.valType(what, &d.m.features)
	}
	if d.err != nil {
		return nil
	}
	key := string(d.buf[from:d.pos])
	if known, ok := d.typeSets[key]; ok {
		return known
	}
	list := make([]ValType, n)
	for i := range list {
		list[i] = ValType(key[i])
	}
	d.typeSets[key] = list
	return list
}

func (d *decoder) typeIndex(what string) uint32 {
	at := d.pos
	i := d.u32()
	if d.err == nil && uint64(i) >= uint64(len(d.m.types)) {
		d.fail(Invalid, at, what, fmt.Sprintf("unknown type %d of %d", i, len(d.m.types)))
		return 0
	}
	return i
}

func (d *decoder) importSection() {
	at := d.pos
	n := d.count("import section", 4)
	d.bound(at, "imports", n, maxImports)
	for i := 0; i < n && d.err == nil; i++ {
		at := d.pos
		imp := Import{Module: d.shortName(), Name: d.shortName(), Kind: Kind(d.byte())}
		if d.err != nil {
			return
		}
		d.importDesc(&imp)
		if strings.HasPrefix(imp.Module, "\x00") && !d.lim.Unchecked {
			d.problem(&Error{ID: Reserved, Offset: at, Func: -1, What: fmt.Sprintf("import %q.%q", printable([]byte(imp.Module)), printable([]byte(imp.Name))),
				Reason: "module names that start with a zero byte belong to the host"})
		}
		d.m.imports = append(d.m.imports, imp)
	}
	d.m.importFuncs, d.m.importTables = len(d.m.funcs), len(d.m.tables)
	d.m.importMems, d.m.importGlobals = len(d.m.mems), len(d.m.globals)
}

func (d *decoder) importDesc(imp *Import) {
	switch imp.Kind {
	case KindFunc:
		if i := d.typeIndex("import"); d.err == nil {
			d.m.funcs = append(d.m.funcs, i)
			imp.Type = d.m.types[i]
			imp.Desc = imp.Type.String()
		}
	case KindTable:
		t := d.tableType()
		d.m.tables = append(d.m.tables, t)
		imp.Desc = t.String()
	case KindMemory:
		l := d.memoryType()
		d.m.mems = append(d.m.mems, l)
		imp.Desc = "memory " + l.String()
	case KindGlobal:
		g := d.globalType()
		if g.mutable {
			d.m.features.add(mutableGlobals)
		}
		d.m.globals = append(d.m.globals, g)
		imp.Desc = g.String()
	case KindTag:
		if at := d.pos; d.byte() != 0 {
			d.fail(Malformed, at, "import", "malformed tag attribute")
		}
		if i := d.typeIndex("import"); d.err == nil {
			d.m.tags = append(d.m.tags, i)
			imp.Desc = "tag " + d.m.types[i].String()
		}
	default:
		d.fail(Malformed, d.pos-1, "import", fmt.Sprintf("malformed import kind %d", imp.Kind))
	}
}

// shortName reads a name that is kept and shown.
func (d *decoder) shortName() string {
	at := d.pos
	b := d.name()
	if len(b) > maxNameBytes && !d.lim.Unchecked {
		d.fail(TooComplex, at, "name", fmt.Sprintf("%d bytes are more than the limit of %d", len(b), maxNameBytes))
		return ""
	}
	return string(b)
}

func (d *decoder) functionSection() {
	at := d.pos
	n := d.count("function section", 1)
	d.bound(at, "functions", n, maxFunctions)
	if d.err != nil {
		return
	}
	all := make([]uint32, len(d.m.funcs), len(d.m.funcs)+n)
	copy(all, d.m.funcs)
	for i := 0; i < n && d.err == nil; i++ {
		all = append(all, d.typeIndex("function section"))
	}
	d.m.funcs = all
}

func (d *decoder) limits(what string, most uint64) limits {
	at := d.pos
	flags := d.byte()
	if d.err == nil {
		switch {
		case flags&4 != 0 && flags < 8:
			d.refuse(at, what, noMemory64)
		case flags&2 != 0 && flags < 8:
			d.refuse(at, what, noThreads)
		case flags > 1:
			d.fail(Malformed, at, what, "malformed limits flags")
		}
	}
	l := limits{min: uint64(d.u32()), hasMax: flags == 1}
	if l.hasMax {
		l.max = uint64(d.u32())
	}
	if d.err != nil {
		return limits{}
	}
	if l.min > most || l.max > most {
		d.fail(Invalid, at, what, fmt.Sprintf("size must be at most %d", most))
	} else if l.hasMax && l.min > l.max {
		d.fail(Invalid, at, what, "size minimum must not be greater than maximum")
	}
	return l
}

func (d *decoder) tableType() tableType {
	at := d.pos
	t := ValType(d.byte())
	switch {
	case d.err != nil:
	case t == 0x40:
		d.refuse(at, "table with an initial value", noFuncRefs)
	case t == 0x63 || t == 0x64:
		d.refuse(at, "table", noFuncRefs)
	case t >= 0x67 && t <= 0x74 && !t.IsRef():
		d.refuse(at, "table", otherHeapType(t))
	case !t.IsRef():
		d.fail(Malformed, at, "table", "malformed reference type")
	case t == ExternRef:
		d.m.features.add(referenceTypes)
	}
	return tableType{t, d.limits("table", 1<<32-1)}
}

func (d *decoder) tableSection() {
	at := d.pos
	n := d.count("table section", 3)
	d.bound(at, "tables", n+len(d.m.tables), maxTables)
	for i := 0; i < n && d.err == nil; i++ {
		d.m.tables = append(d.m.tables, d.tableType())
	}
	if len(d.m.tables) > 1 {
		d.m.features.add(referenceTypes)
	}
	var sum uint64
	for _, t := range d.m.tables {
		sum += t.min
	}
	if sum > d.lim.TableElems && !d.lim.Unchecked && d.err == nil {
		d.problem(&Error{ID: TooComplex, Offset: at, Func: -1, What: "tables",
			Reason: fmt.Sprintf("%d entries are more than the limit of %d", sum, d.lim.TableElems)})
	}
}

func (d *decoder) memoryType() limits { return d.limits("memory", 65_536) }

func (d *decoder) memorySection() {
	at := d.pos
	n := d.count("memory section", 2)
	if d.err == nil && n+len(d.m.mems) > 1 {
		d.refuse(at, "memory section", noMultiMemory)
	}
	for i := 0; i < n && d.err == nil; i++ {
		d.m.mems = append(d.m.mems, d.memoryType())
	}
}

func (d *decoder) globalType() globalType {
	t := d.valType("global", &d.m.features)
	at := d.pos
	mut := d.byte()
	if mut > 1 {
		d.fail(Malformed, at, "global", "malformed mutability")
	}
	return globalType{t, mut == 1}
}

func (d *decoder) globalSection() {
	at := d.pos
	n := d.count("global section", 4)
	d.bound(at, "globals", n+len(d.m.globals), maxGlobals)
	mutable := 0
	for i := 0; i < n && d.err == nil; i++ {
		g := d.globalType()
		init := d.constExpr(g.val)
		if g.mutable {
			mutable++
			if g.val == V128 || g.val.IsRef() {
				d.m.hazards.add(hazardGlobal)
			}
		}
		d.m.globals = append(d.m.globals, g)
		d.m.inits = append(d.m.inits, init)
	}
	d.bound(at, "mutable globals", mutable, maxMutable)
}

func (d *decoder) startSection() {
	at := d.pos
	i := d.u32()
	switch {
	case d.err != nil:
	case uint64(i) >= uint64(len(d.m.funcs)):
		d.fail(Invalid, at, "start section", fmt.Sprintf("unknown function %d of %d", i, len(d.m.funcs)))
	case len(d.m.funcType(i).Params)+len(d.m.funcType(i).Results) > 0:
		d.fail(Invalid, at, "start section", "the start function must have type func()")
	default:
		d.m.start = int(i)
	}
}
