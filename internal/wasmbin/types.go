package wasmbin

import (
	"slices"
	"strconv"
	"strings"
)

// ValType is the type of one Wasm value, by the byte that encodes it. The zero
// ValType is no type.
type ValType byte

// The value types that modules may use.
const (
	I32       ValType = 0x7f
	I64       ValType = 0x7e
	F32       ValType = 0x7d
	F64       ValType = 0x7c
	V128      ValType = 0x7b
	FuncRef   ValType = 0x70
	ExternRef ValType = 0x6f
)

// String answers the name that the text format uses, such as "i32".
func (t ValType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	case 0:
		return "any"
	}
	return "type 0x" + strconv.FormatUint(uint64(t), 16)
}

// IsRef reports whether values of t are references.
func (t ValType) IsRef() bool { return t == FuncRef || t == ExternRef }

// known reports whether t is one of the value types above.
func (t ValType) known() bool { return t >= V128 && t <= I32 || t.IsRef() }

// FuncType is the type of a function. The zero value takes and gives nothing.
type FuncType struct{ Params, Results []ValType }

// String answers the type in Go's notation: "func(i32, i32) i32".
func (t FuncType) String() string {
	s := "func(" + joinTypes(t.Params) + ")"
	switch len(t.Results) {
	case 0:
		return s
	case 1:
		return s + " " + t.Results[0].String()
	}
	return s + " (" + joinTypes(t.Results) + ")"
}

// Equal reports whether both types have the same parameters and results.
func (t FuncType) Equal(u FuncType) bool {
	return slices.Equal(t.Params, u.Params) && slices.Equal(t.Results, u.Results)
}

func joinTypes(types []ValType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.String()
	}
	return strings.Join(names, ", ")
}

// Kind says what an import or export is.
type Kind byte

// The kinds of imports and exports, by the byte that encodes them.
const (
	KindFunc Kind = iota
	KindTable
	KindMemory
	KindGlobal
	KindTag
)

// String answers "func", "table", "memory", "global" or "tag".
func (k Kind) String() string {
	switch k {
	case KindFunc:
		return "func"
	case KindTable:
		return "table"
	case KindMemory:
		return "memory"
	case KindGlobal:
		return "global"
	case KindTag:
		return "tag"
	}
	return "kind " + strconv.Itoa(int(k))
}

// limits are the bounds of a table or memory, in entries or pages.
type limits struct {
	min, max uint64
	hasMax   bool
}

func (l limits) String() string {
	s := strconv.FormatUint(l.min, 10)
	if l.hasMax {
		s += " " + strconv.FormatUint(l.max, 10)
	}
	return s
}

type tableType struct {
	elem ValType
	limits
}

func (t tableType) String() string { return "table " + t.limits.String() + " " + t.elem.String() }

type globalType struct {
	val     ValType
	mutable bool
}

func (g globalType) String() string {
	if g.mutable {
		return "global mut " + g.val.String()
	}
	return "global " + g.val.String()
}
