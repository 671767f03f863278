package wasmbin

import (
	"fmt"
	"strings"
)

func (d *decoder) exportSection() {
	at := d.pos
	n := d.count("export section", 3)
	d.bound(at, "exports", n, maxExports)
	seen := map[string]bool{}
	for i := 0; i < n && d.err == nil; i++ {
		at := d.pos
		e := export{name: d.shortName(), kind: Kind(d.byte()), index: d.u32()}
		if d.err != nil {
			return
		}
		d.checkExport(at, e)
		if seen[e.name] {
			d.fail(Invalid, at, "export", fmt.Sprintf("duplicate name %q", printable([]byte(e.name))))
		}
		seen[e.name] = true
		if strings.HasPrefix(e.name, "\x00") && !d.lim.Unchecked {
			d.problem(&Error{ID: Reserved, Offset: at, Func: -1, What: fmt.Sprintf("export %q", printable([]byte(e.name))),
				Reason: "export names that start with a zero byte belong to the host"})
		}
		d.m.exports = append(d.m.exports, e)
	}
}

func (d *decoder) checkExport(at int, e export) {
	var n int
	switch e.kind {
	case KindFunc:
		n = len(d.m.funcs)
		d.declare(e.index)
	case KindTable:
		n = len(d.m.tables)
	case KindMemory:
		n = len(d.m.mems)
	case KindGlobal:
		n = len(d.m.globals)
		if uint64(e.index) < uint64(n) && d.m.globals[e.index].mutable {
			d.m.features.add(mutableGlobals)
		}
	case KindTag:
		d.refuse(at, "export of a tag", noExceptions)
		return
	default:
		d.fail(Malformed, at, "export", fmt.Sprintf("malformed export kind %d", e.kind))
		return
	}
	if uint64(e.index) >= uint64(n) {
		d.fail(Invalid, at, "export", fmt.Sprintf("%q names unknown %s %d of %d", printable([]byte(e.name)), e.kind, e.index, n))
	}
}

// declare allows bodies to name function i with ref.func.
func (d *decoder) declare(i uint32) {
	if d.declared == nil {
		d.declared = make([]bool, len(d.m.funcs))
	}
	if uint64(i) < uint64(len(d.declared)) {
		d.declared[i] = true
	}
}
