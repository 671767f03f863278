// Package abi joins host functions, which know no Wasm, to guests, which know
// nothing else: the types of ABI version 1, the linking of imports, and the
// trampoline through which every call of a guest passes.
//
// This is the call gate. A function that a plugin was not granted is bound to a
// stub here, once, so no handler ever asks whether it may run.
package abi

import (
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/capability"
)

// Module names that guests import from.
const (
	ModuleEnv  = "env"
	ModuleWASI = "wasi_snapshot_preview1"
)

// Type is the Wasm type of a function.
type Type struct{ Params, Results []api.ValueType }

// TypeOf derives the Wasm type of f: an I32 is one i32, In and Out are a
// pointer and a length, and the result is one i32 or none.
func TypeOf(f capability.Func) Type {
	var t Type
	for _, p := range f.Params {
		t.Params = append(t.Params, api.ValueTypeI32)
		if p.Kind != capability.I32 {
			t.Params = append(t.Params, api.ValueTypeI32)
		}
	}
	if !f.Void {
		t.Results = []api.ValueType{api.ValueTypeI32}
	}
	return t
}

// Equal reports whether t and o are one type.
func (t Type) Equal(o Type) bool {
	return string(t.Params) == string(o.Params) && string(t.Results) == string(o.Results)
}

// String writes t as people read it: "func(i32, i32) i32".
func (t Type) String() string {
	s := "func(" + valueTypes(t.Params) + ")"
	switch len(t.Results) {
	case 0:
		return s
	case 1:
		return s + " " + valueTypes(t.Results)
	default:
		return s + " (" + valueTypes(t.Results) + ")"
	}
}

func valueTypes(ts []api.ValueType) string {
	names := make([]string, len(ts))
	for i, t := range ts {
		names[i] = valueType(t)
	}
	return strings.Join(names, ", ")
}

// v128 and funcref are value types that wazero's api does not name.
const (
	v128    api.ValueType = 0x7b
	funcref api.ValueType = 0x70
)

func valueType(t api.ValueType) string {
	switch t {
	case v128:
		return "v128"
	case funcref:
		return "funcref"
	default:
		return api.ValueTypeName(t)
	}
}

// Golden is the line of f in the golden table of the ABI: name, Wasm type, the
// parameters by kind, and what unlocks it.
func Golden(f capability.Func) string {
	params := make([]string, len(f.Params))
	for i, p := range f.Params {
		params[i] = p.Kind.String() + " " + p.Name
	}
	unlock := f.Capability()
	if f.Name == lastError {
		unlock = "-"
	}
	return fmt.Sprintf("%s\t%s\t(%s)\t%s", f.Name, TypeOf(f), strings.Join(params, ", "), unlock)
}
