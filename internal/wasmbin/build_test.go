package wasmbin_test

import (
	"slices"

	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

// The tests write their modules byte by byte, with these helpers. They share
// nothing with the code under test, which has an encoder of its own.

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

func u32(v uint32) []byte {
	var b []byte
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

func s64(v int64) []byte {
	var b []byte
	for {
		low := byte(v) & 0x7f
		if v >>= 7; v == 0 && low&0x40 == 0 || v == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}

func str(s string) []byte { return cat(u32(uint32(len(s))), []byte(s)) }

func vec(items ...[]byte) []byte { return cat(u32(uint32(len(items))), cat(items...)) }

func sec(id byte, items ...[]byte) []byte { return rawSec(id, vec(items...)) }

func rawSec(id byte, content ...[]byte) []byte {
	c := cat(content...)
	return cat([]byte{id}, u32(uint32(len(c))), c)
}

func module(sections ...[]byte) []byte {
	return cat([]byte("\x00asm\x01\x00\x00\x00"), cat(sections...))
}

// Sections by name.
func types(t ...[]byte) []byte   { return sec(1, t...) }
func imports(t ...[]byte) []byte { return sec(2, t...) }
func funcs(t ...byte) []byte {
	return rawSec(3, u32(uint32(len(t))), t)
}
func memory(limits ...byte) []byte { return sec(5, limits) }
func exports(e ...[]byte) []byte   { return sec(7, e...) }
func code(bodies ...[]byte) []byte { return sec(10, bodies...) }
func globals(g ...[]byte) []byte   { return sec(6, g...) }
func export(name string, kind, index byte) []byte {
	return cat(str(name), []byte{kind, index})
}
func importFunc(mod, name string, typ byte) []byte {
	return cat(str(mod), str(name), []byte{0, typ})
}

const (
	tI32, tI64, tF32, tF64, tV128, tFunc, tExtern = 0x7f, 0x7e, 0x7d, 0x7c, 0x7b, 0x70, 0x6f
)

// fn is a function type: parameters, results.
func fn(params, results []byte) []byte {
	return cat([]byte{0x60}, u32(uint32(len(params))), params, u32(uint32(len(results))), results)
}

func ts(t ...byte) []byte { return t }

// body is a function without locals; its last end is added.
func body(instrs ...[]byte) []byte { return bodyWith(ts(0), instrs...) }

// bodyWith takes the encoded declarations of locals.
func bodyWith(locals []byte, instrs ...[]byte) []byte {
	b := cat(locals, cat(instrs...), ts(0x0b))
	return cat(u32(uint32(len(b))), b)
}

// Instructions.
func i32c(v int32) []byte         { return cat(ts(0x41), s64(int64(v))) }
func i64c(v int64) []byte         { return cat(ts(0x42), s64(v)) }
func get(i byte) []byte           { return ts(0x20, i) }
func set(i byte) []byte           { return ts(0x21, i) }
func call(f uint32) []byte        { return cat(ts(0x10), u32(f)) }
func op(codes ...byte) []byte     { return codes }
func rep(n int, b ...byte) []byte { return slices.Repeat(b, n) }

// void is a module whose one function has type func() and the given body,
// exported as "f", with one page of memory.
func void(instrs ...[]byte) []byte {
	return module(types(fn(nil, nil)), funcs(0), memory(0, 1), exports(export("f", 0, 0)), code(body(instrs...)))
}

var unchecked = wasmbin.Limits{Unchecked: true}
