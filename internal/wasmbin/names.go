package wasmbin

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxFuncName is how much of a function's name is kept, in bytes.
const maxFuncName = 256

// nameScan walks over the function names of a name section and calls each for
// every pair. It answers false when the section is malformed.
func nameScan(wasm []byte, section span, each func(index uint32, name []byte)) bool {
	r := reader{buf: wasm, pos: section.from, end: section.to}
	last := -1
	for r.more() {
		id := int(r.byte())
		size := r.u32()
		if r.err != nil || uint64(size) > uint64(r.end-r.pos) || id <= last {
			return false
		}
		last = id
		next := r.pos + int(size)
		if id == 1 {
			sub := reader{buf: wasm, pos: r.pos, end: next}
			if !funcNames(&sub, each) {
				return false
			}
		}
		r.pos = next
	}
	return r.err == nil
}

func funcNames(r *reader, each func(uint32, []byte)) bool {
	n := r.count("names", 2)
	last := int64(-1)
	for i := 0; i < n && r.err == nil; i++ {
		f := r.u32()
		name := r.name()
		if r.err != nil || int64(f) <= last {
			return false
		}
		last = int64(f)
		each(f, name)
	}
	return r.err == nil && !r.more()
}

// checkNames drops a malformed name section with a warning.
func (m *Module) checkNames() {
	if m.names.from == 0 {
		return
	}
	if !nameScan(m.wasm, m.names, func(uint32, []byte) {}) {
		m.names = span{}
		m.warnings = append(m.warnings, "the name section is malformed and was ignored")
	}
}

// lateName answers the name of a function for an error text. Reading may have
// stopped before the name section, so it is looked for in the rest of the file.
func (m *Module) lateName(f uint32) string {
	section := m.names
	if section.from == 0 {
		section = findNames(m.wasm)
	}
	found := ""
	nameScan(m.wasm, section, func(i uint32, name []byte) {
		if i == f {
			found = printable(name)
		}
	})
	for _, e := range m.exports {
		if found == "" && e.kind == KindFunc && e.index == f {
			found = printable([]byte(e.name))
		}
	}
	return found
}

// findNames looks for the name section by the section headers alone.
func findNames(wasm []byte) span {
	r := reader{buf: wasm, pos: min(8, len(wasm)), end: len(wasm)}
	for r.more() {
		id := r.byte()
		size := r.u32()
		if r.err != nil || uint64(size) > uint64(r.end-r.pos) {
			break
		}
		next := r.pos + int(size)
		if id == secCustom && string(r.name()) == "name" && r.pos <= next {
			return span{r.pos, next}
		}
		r.pos = next
	}
	return span{}
}

// printable cuts a name to maxFuncName bytes on a rune boundary, and replaces
// what could confuse a terminal, a log or the host's own names.
func printable(name []byte) string {
	if len(name) > maxFuncName {
		name = name[:maxFuncName]
		for len(name) > 0 {
			if r, n := utf8.DecodeLastRune(name); r != utf8.RuneError || n != 1 {
				break
			}
			name = name[:len(name)-1]
		}
	}
	for _, b := range name {
		if b < 0x20 || b >= 0x7f {
			return strings.Map(func(r rune) rune {
				if unicode.IsPrint(r) {
					return r
				}
				return '?'
			}, string(name))
		}
	}
	return string(name)
}
