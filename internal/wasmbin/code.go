package wasmbin

import "fmt"

func (d *decoder) codeSection() {
	d.hasCode = true
	at := d.pos
	d.bound(at, "bytes of code", d.end-d.pos, maxCode)
	n := d.count("code section", 2)
	if own := d.m.ownFuncs(); d.err == nil && n != own {
		d.malformed(at, fmt.Sprintf("function and code section have inconsistent lengths: %d and %d", own, n))
	}
	if d.err != nil {
		return
	}
	d.m.figures.CodeBytes = d.end - at
	d.m.bodies = make([]body, 0, n)
	section := d.end
	for i := 0; i < n && d.err == nil; i++ {
		at := d.pos
		size := d.u32()
		if d.err == nil && uint64(size) > uint64(section-d.pos) {
			d.malformed(at, "unexpected end of section or function")
		}
		d.bound(at, "bytes of one function", int(min(size, 1<<30)), maxBody)
		if d.err != nil {
			break
		}
		d.end = d.pos + int(size)
		d.m.bodies = append(d.m.bodies, body{code: span{d.pos, d.end}})
		d.pos = d.end
		d.end = section
	}
}
