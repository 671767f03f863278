package wasmbin

import (
	"fmt"
	"math"
)

// The section ids of the binary format.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
	secTag
)

var sectionNames = [...]string{"custom", "type", "import", "function", "table", "memory", "global",
	"export", "start", "element", "code", "data", "data count", "tag"}

// rank is the place of a section in the file, by its id; 0 is anywhere.
var rank = [...]int{secCustom: 0, secType: 1, secImport: 2, secFunction: 3, secTable: 4, secMemory: 5,
	secTag: 6, secGlobal: 7, secExport: 8, secStart: 9, secElement: 10, secDataCount: 11, secCode: 12, secData: 13}

// decoder fills a Module while it reads.
type decoder struct {
	reader
	m        *Module
	lim      Limits
	problems []*Error
	typeSets map[string][]ValType // one slice for each list of types, so that equal lists are the same slice
	declared []bool               // functions that a body may name with ref.func
	elemSum  uint64               // items of all element segments
	cost     uint64               // of all bodies so far, in millionths
	rooms    [2]uint64            // memory that compiling the two most expensive functions takes
	ops      uint64               // instructions of all bodies so far, for the interpreter
	hasCode  bool
	hasData  bool
}

// Decode reads and validates a module. It takes time and memory in proportion
// to the length of wasm, whatever the module declares, and never panics. The
// error is an *[Error], or several of them joined. The Module refers to wasm.
func Decode(wasm []byte, o Limits) (*Module, error) {
	o = o.withDefaults()
	if e := sniff(wasm); e != nil {
		return nil, e
	}
	if len(wasm) > o.Module && !o.Unchecked {
		return nil, &Error{ID: TooComplex, Func: -1, Offset: o.Module,
			Reason: fmt.Sprintf("the module has %d bytes, more than %d", len(wasm), o.Module), Cure: "strip debug sections"}
	}
	d := &decoder{
		reader:   reader{buf: wasm, pos: 8, end: len(wasm)},
		m:        &Module{wasm: wasm, lim: o, start: -1, dataCount: -1},
		lim:      o,
		typeSets: map[string][]ValType{},
	}
	d.sections()
	if d.err == nil {
		d.complete()
	}
	if d.err != nil {
		d.problems = append(d.problems, d.err)
	}
	if len(d.problems) > 0 {
		d.nameFunctions()
		return nil, joinProblems(d.problems)
	}
	d.m.checkNames()
	return d.m, nil
}

// problem notes a reason for refusal that does not hinder reading on.
func (d *decoder) problem(e *Error) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, e)
	}
}

// bound fails when a count is over its limit.
func (d *decoder) bound(at int, what string, n, most int) {
	if n > most && !d.lim.Unchecked {
		d.fail(TooComplex, at, what, fmt.Sprintf("%d are more than the limit of %d", n, most))
	}
}

// sections reads all sections, each within its own bounds.
func (d *decoder) sections() {
	whole := d.end
	last := 0
	for d.more() {
		at := d.pos
		id := d.byte()
		size := d.u32()
		if d.err != nil {
			return
		}
		if int(id) >= len(sectionNames) {
			d.malformed(at, fmt.Sprintf("malformed section id %d", id))
			return
		}
		if uint64(size) > uint64(whole-d.pos) {
			d.fail(Malformed, at, sectionNames[id]+" section", fmt.Sprintf("declares %d bytes, but the file ends after %d", size, whole-d.pos))
			return
		}
		if r := rank[id]; r != 0 {
			if r <= last {
				d.fail(Malformed, at, sectionNames[id]+" section", "unexpected: it comes twice or out of order")
				return
			}
			last = r
		}
		d.end = d.pos + int(size)
		d.section(id, at)
		if d.err == nil && d.pos != d.end {
			d.fail(Malformed, d.pos, sectionNames[id]+" section", "section size mismatch")
		}
		if d.err != nil {
			return
		}
		d.end = whole
	}
}

func (d *decoder) section(id byte, at int) {
	switch id {
	case secCustom:
		d.customSection()
	case secType:
		d.typeSection()
	case secImport:
		d.importSection()
	case secFunction:
		d.functionSection()
	case secTable:
		d.tableSection()
	case secMemory:
		d.memorySection()
	case secGlobal:
		d.globalSection()
	case secExport:
		d.exportSection()
	case secStart:
		d.startSection()
	case secElement:
		d.elementSection()
	case secCode:
		d.codeSection()
	case secData:
		d.dataSection()
	case secDataCount:
		d.m.features.add(bulkMemory)
		d.m.dataCount = int(min(d.u32(), math.MaxInt32))
	case secTag:
		d.refuse(at, "tag section", noExceptions)
	}
}

// customSection keeps the name only. The section called "name" is read later,
// so that a broken one costs a warning and not the module.
func (d *decoder) customSection() {
	name := d.name()
	if d.err != nil {
		return
	}
	if string(name) == "name" && d.m.names.from == 0 {
		d.m.names = span{d.pos, d.end}
	}
	if len(d.m.customs) < maxCustoms {
		d.m.customs = append(d.m.customs, printable(name))
	}
	d.pos = d.end
}

// complete judges what only the whole file shows.
func (d *decoder) complete() {
	if own := d.m.ownFuncs(); !d.hasCode && own != 0 {
		d.malformed(d.end, fmt.Sprintf("%d functions are declared, but there is no code section", own))
	}
	if !d.hasData && d.m.dataCount > 0 {
		d.malformed(d.end, "data count and data section have inconsistent lengths")
	}
	d.checkSegments()
}

// nameFunctions gives the functions in the problems their names, which stand
// in a section that may come after the error.
func (d *decoder) nameFunctions() {
	for _, p := range d.problems {
		if p.Func >= 0 {
			p.Name = d.m.lateName(uint32(p.Func))
		}
	}
}
