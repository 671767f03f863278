package wasmgen

// ValType is the type of a parameter, result, local or global, as the byte
// that the binary format uses.
type ValType byte

// The value types of Wasm 2.0.
const (
	I32       ValType = 0x7f
	I64       ValType = 0x7e
	F32       ValType = 0x7d
	F64       ValType = 0x7c
	V128      ValType = 0x7b
	FuncRef   ValType = 0x70
	ExternRef ValType = 0x6f
)

// Sig is the type of a function. The zero value takes and returns nothing.
type Sig struct{ Params, Results []ValType }

// I32s is a list of n times I32, the only type that host functions take.
func I32s(n int) []ValType {
	list := make([]ValType, n)
	for i := range list {
		list[i] = I32
	}
	return list
}

// Seq joins pieces of code, or any encoded bytes, into one fresh slice.
func Seq(parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	joined := make([]byte, 0, n)
	for _, p := range parts {
		joined = append(joined, p...)
	}
	return joined
}

// Uint encodes an unsigned number as LEB128, in as few bytes as possible.
func Uint(v uint64) []byte {
	var b []byte
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// Int encodes a signed number as LEB128, in as few bytes as possible.
func Int(v int64) []byte {
	var b []byte
	for v < -64 || v > 63 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v)&0x7f)
}

// Name encodes text as a length and its bytes, whatever they are: a name that
// is not UTF-8 makes a module that engines must refuse.
func Name(s string) []byte { return Seq(Uint(uint64(len(s))), []byte(s)) }

// Section frames a body as the section with that id.
func Section(id byte, body []byte) []byte {
	return Seq([]byte{id}, Uint(uint64(len(body))), body)
}

// vec encodes a list: how many, then each.
func vec(items [][]byte) []byte {
	return Seq(Uint(uint64(len(items))), Seq(items...))
}

func valTypes(list []ValType) []byte {
	b := Uint(uint64(len(list)))
	for _, t := range list {
		b = append(b, byte(t))
	}
	return b
}

func (s Sig) encode() []byte {
	return Seq([]byte{0x60}, valTypes(s.Params), valTypes(s.Results))
}

// sizes encodes a minimum and, where one is given, a maximum.
func sizes(least uint32, most []uint32) []byte {
	if len(most) == 0 {
		return Seq([]byte{0}, Uint(uint64(least)))
	}
	return Seq([]byte{1}, Uint(uint64(least)), Uint(uint64(most[0])))
}
