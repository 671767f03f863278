package wasmbin

import "encoding/binary"

func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// appendSigned writes the shortest signed LEB128 form.
func appendSigned(b []byte, v int64) []byte {
	for {
		low := byte(v & 0x7f)
		v >>= 7
		if v == 0 && low < 0x40 || v == -1 && low >= 0x40 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}

func appendName(b []byte, name string) []byte {
	return append(appendU32(b, uint32(len(name))), name...)
}

func appendTypes(b []byte, types []ValType) []byte {
	b = appendU32(b, uint32(len(types)))
	for _, t := range types {
		b = append(b, byte(t))
	}
	return b
}

func appendLimits(b []byte, l limits) []byte {
	if !l.hasMax {
		return appendU32(append(b, 0), uint32(l.min))
	}
	return appendU32(appendU32(append(b, 1), uint32(l.min)), uint32(l.max))
}

func appendGlobalType(b []byte, g globalType) []byte {
	b = append(b, byte(g.val))
	if g.mutable {
		return append(b, 1)
	}
	return append(b, 0)
}

// appendSection writes a section, unless it is empty.
func appendSection(b []byte, id byte, content []byte) []byte {
	if len(content) == 0 {
		return b
	}
	b = appendU32(append(b, id), uint32(len(content)))
	return append(b, content...)
}

// appendConst writes a constant expression, its function renumbered.
func (p *plan) appendConst(b []byte, c constant) []byte {
	b = append(b, c.op)
	switch c.op {
	case opI32Const:
		b = appendSigned(b, int64(int32(uint32(c.lo))))
	case opI64Const:
		b = appendSigned(b, int64(c.lo))
	case opF32Const:
		b = binary.LittleEndian.AppendUint32(b, uint32(c.lo))
	case opF64Const:
		b = binary.LittleEndian.AppendUint64(b, c.lo)
	case opGlobalGet:
		b = appendU32(b, uint32(c.lo))
	case opRefNull:
		b = append(b, byte(c.lo))
	case opRefFunc:
		b = appendU32(b, p.moved(uint32(c.lo)))
	case opPrefixSIMD:
		b = append(b, opV128Const)
		b = binary.LittleEndian.AppendUint64(b, c.lo)
		b = binary.LittleEndian.AppendUint64(b, c.hi)
	}
	return append(b, opEnd)
}
