package wasmbin_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

// all reports every *wasmbin.Error in err.
func all(err error) []*wasmbin.Error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var list []*wasmbin.Error
		for _, e := range joined.Unwrap() {
			list = append(list, all(e)...)
		}
		return list
	}
	var e *wasmbin.Error
	if errors.As(err, &e) {
		return []*wasmbin.Error{e}
	}
	return nil
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	noFuncs := types(fn(nil, nil))
	for _, tt := range []struct {
		name string
		wasm []byte
		id   string
		text string // part of the message
	}{
		{"empty file", nil, wasmbin.NotWasm, "the file is empty"},
		{"zip", []byte("PK\x03\x04rest of it"), wasmbin.NotWasm, "zip archive"},
		{"text", []byte(" \n(module)"), wasmbin.NotWasm, "WebAssembly text"},
		{"text with comment", []byte(";; hello"), wasmbin.NotWasm, "WebAssembly text"},
		{"web page", []byte("<!DOCTYPE html>"), wasmbin.NotWasm, "web page"},
		{"gzip", []byte("\x1f\x8b\x08\x00"), wasmbin.NotWasm, "gzip"},
		{"native", []byte("\x7fELF\x02"), wasmbin.NotWasm, "ELF"},
		{"other bytes", []byte("hello"), wasmbin.NotWasm, `starts with "hello"`},
		{"cut magic", []byte("\x00as"), wasmbin.Malformed, "cut after 3 bytes"},
		{"cut version", []byte("\x00asm\x01"), wasmbin.Malformed, "cut after 5 bytes"},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), wasmbin.Unsupported, "component"},
		{"other version", []byte("\x00asm\x02\x00\x00\x00"), wasmbin.Malformed, "unknown binary version"},
		{"section twice", module(types(), types()), wasmbin.Malformed, "twice or out of order"},
		{"section order", module(memory(0, 1), types()), wasmbin.Malformed, "twice or out of order"},
		{"section cut", module([]byte{1, 9, 0}), wasmbin.Malformed, "declares 9 bytes"},
		{"section too long", module(rawSec(1, ts(0, 0))), wasmbin.Malformed, "section size mismatch"},
		{"section id", module([]byte{14, 0}), wasmbin.Malformed, "malformed section id 14"},
		{"function without code", module(noFuncs, funcs(0)), wasmbin.Malformed, "no code section"},
		{"leb too long", module(rawSec(1, ts(0x80, 0x80, 0x80, 0x80, 0x80, 0))), wasmbin.Malformed, "too long"},
		{"leb too large", module(rawSec(1, ts(0x80, 0x80, 0x80, 0x80, 0x10))), wasmbin.Malformed, "too large"},
		{"bad utf-8", module(rawSec(0, ts(1, 0xff))), wasmbin.Malformed, "UTF-8"},
		{"table of too many", module(sec(4, ts(0x70, 0, 0x81, 0x80, 4))), wasmbin.TooComplex, "65537 entries are more than the limit of 65536"},
		{"data outside", module(memory(0, 1), sec(11, cat(ts(0), i32c(65_536), ts(0x0b), str("x")))), wasmbin.OutOfRange, "data segment 0"},
		{"elements outside", module(noFuncs, funcs(0), sec(4, ts(0x70, 0, 1)), sec(9, cat(ts(0), i32c(1), ts(0x0b, 1, 0))), code(body())),
			wasmbin.OutOfRange, "element segment 0"},
		{"hidden import module", module(noFuncs, imports(importFunc("\x00sandcheck", "refill", 0))), wasmbin.Reserved, "belong to the host"},
		{"hidden export", module(noFuncs, funcs(0), exports(export("\x00fuel", 0, 0)), code(body())), wasmbin.Reserved, "belong to the host"},

		{"tail call", void(op(0x12, 0)), wasmbin.Unsupported, "return_call: tail calls are not supported; build with -mno-tail-call"},
		{"indirect tail call", void(op(0x13, 0, 0)), wasmbin.Unsupported, "return_call_indirect: tail calls"},
		{"threads", void(op(0xfe, 0x03, 0)), wasmbin.Unsupported, "threads"},
		{"shared memory", module(memory(3, 1, 2)), wasmbin.Unsupported, "shared memory"},
		{"legacy exceptions", void(op(0x06, 0x40, 0x0b)), wasmbin.Unsupported, "try: exception handling"},
		{"exceptions", void(op(0x1f, 0x40, 0, 0x0b)), wasmbin.Unsupported, "try_table: exception handling"},
		{"tag section", module(noFuncs, rawSec(13, ts(1, 0, 0))), wasmbin.Unsupported, "exception handling"},
		{"64-bit memory", module(memory(4, 1)), wasmbin.Unsupported, "build for wasm32"},
		{"two memories", module(sec(5, ts(0, 1), ts(0, 1))), wasmbin.Unsupported, "more than one memory"},
		{"second memory in load", void(i32c(0), op(0x28, 0x42, 1, 0), op(0x1a)), wasmbin.Unsupported, "more than one memory"},
		{"typed references", module(rawSec(1, ts(1, 0x60, 1, 0x64, 0, 0))), wasmbin.Unsupported, "typed function references"},
		{"call_ref", void(op(0x14, 0)), wasmbin.Unsupported, "typed function references"},
		{"garbage collection", module(rawSec(1, ts(1, 0x5f, 0))), wasmbin.Unsupported, "garbage-collected"},
		{"gc instruction", void(op(0xfb, 0)), wasmbin.Unsupported, "garbage-collected"},
		{"relaxed vectors", void(op(0xfd, 0x80, 0x02)), wasmbin.Unsupported, "relaxed SIMD"},
		{"stack switching", void(op(0xe3, 0)), wasmbin.Unsupported, "stack switching"},

		{"global past the end", void(i64c(1<<40), op(0x24, 0)), wasmbin.Invalid, "global.set: unknown global 0 of 0"},
		{"function past the end", void(op(0x10, 1)), wasmbin.Invalid, "call: unknown function 1 of 1"},
		{"reference past the end", void(op(0xd2, 1, 0x1a)), wasmbin.Invalid, "ref.func: unknown function 1 of 1"},
		{"local past the end", void(op(0x20, 0, 0x1a)), wasmbin.Invalid, "local.get: unknown local 0 of 0"},
		{"label past the end", void(op(0x0c, 1)), wasmbin.Invalid, "br: unknown label 1"},
		{"table past the end", void(i32c(0), op(0x25, 0, 0x1a)), wasmbin.Invalid, "table.get: unknown table 0 of 0"},
		{"element past the end", void(op(0xfc, 13, 0)), wasmbin.Invalid, "elem.drop: unknown element segment 0 of 0"},
		{"type past the end", void(op(0x02, 1, 0x0b)), wasmbin.Invalid, "block: unknown type 1 of 1"},
		{"function type past the end", module(noFuncs, funcs(1), code(body())), wasmbin.Invalid, "unknown type 1 of 1"},
		{"import type past the end", module(noFuncs, imports(importFunc("env", "x", 1))), wasmbin.Invalid, "unknown type 1 of 1"},
		{"indirect type past the end", module(noFuncs, funcs(0), sec(4, ts(tFunc, 0, 0)), code(body(i32c(0), op(0x11, 1, 0)))), wasmbin.Invalid, "unknown type 1 of 1"},
		{"indirect table past the end", module(noFuncs, funcs(0), sec(4, ts(tFunc, 0, 0)), code(body(i32c(0), op(0x11, 0, 1)))), wasmbin.Invalid, "unknown table 1 of 1"},
		{"start past the end", module(noFuncs, funcs(0), rawSec(8, ts(1)), code(body())), wasmbin.Invalid, "unknown function 1 of 1"},
		{"exported function past the end", module(noFuncs, funcs(0), exports(export("x", 0, 1)), code(body())), wasmbin.Invalid, "unknown func 1 of 1"},
		{"exported table past the end", module(sec(4, ts(tFunc, 0, 0)), exports(export("x", 1, 1))), wasmbin.Invalid, "unknown table 1 of 1"},
		{"exported memory past the end", module(memory(0, 1), exports(export("x", 2, 1))), wasmbin.Invalid, "unknown memory 1 of 1"},
		{"exported global past the end", module(exports(export("x", 3, 0))), wasmbin.Invalid, "unknown global 0 of 0"},
		{"function in a global past the end", module(noFuncs, funcs(0), globals(cat(ts(tFunc, 0, 0xd2, 1, 0x0b))), code(body())), wasmbin.Invalid, "unknown function 1 of 1"},
		{"global in a constant past the end", module(globals(cat(ts(tI32, 0, 0x23, 0, 0x0b)))), wasmbin.Invalid, "not an imported constant"},
		{"element function past the end", module(noFuncs, funcs(0), sec(9, ts(1, 0, 1, 1)), code(body())), wasmbin.Invalid, "unknown function 1 of 1"},
		{"element table past the end", module(noFuncs, sec(4, ts(tFunc, 0, 0)), sec(9, cat(ts(2, 1), i32c(0), ts(0x0b, 0, 0)))), wasmbin.Invalid, "unknown table 1 of 1"},
		{"data memory past the end", module(memory(0, 1), sec(11, cat(ts(2, 1), i32c(0), ts(0x0b, 0)))), wasmbin.Invalid, "unknown memory 1"},
		{"data index past the end", module(noFuncs, funcs(0), rawSec(12, ts(1)), code(body(op(0xfc, 9, 1))), sec(11, ts(1, 0))), wasmbin.Invalid, "data.drop: unknown data segment 1 of 1"},
		{"undeclared reference", module(noFuncs, funcs(0), code(body(op(0xd2, 0, 0x1a)))), wasmbin.Invalid, "undeclared reference to function 0"},
		{"data without count", void(op(0xfc, 9, 0)), wasmbin.Malformed, "data count section required"},
		{"operand missing", void(op(0x1a)), wasmbin.Invalid, "drop: type mismatch: expected any, found nothing"},
		{"operand type", void(i32c(1), op(0x50, 0x1a)), wasmbin.Invalid, "i64.eqz: type mismatch: expected i64, found i32"},
		{"unknown opcode", void(op(0x27)), wasmbin.Malformed, "unknown opcode 0x27"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := wasmbin.Decode(tt.wasm, wasmbin.Limits{})
			list := all(err)
			if len(list) == 0 {
				t.Fatalf("Decode(%x) = %v, want an Error", tt.wasm, err)
			}
			if e := list[len(list)-1]; e.ID != tt.id || !strings.Contains(e.Error(), tt.text) {
				t.Errorf("Decode(%x): %s: %v; want %s with %q", tt.wasm, e.ID, e, tt.id, tt.text)
			}
		})
	}
}

func TestErrorNamesFunctionAndPlace(t *testing.T) {
	t.Parallel()
	names := rawSec(0, str("name"), ts(1), u32(11), ts(1, 0), str("foo.bar\n"))
	wasm := cat(void(op(0x12, 0)), names)
	_, err := wasmbin.Decode(wasm, wasmbin.Limits{})
	want := "function 0 (foo.bar?) at 0x23: return_call: tail calls are not supported; build with -mno-tail-call"
	if err == nil || err.Error() != want {
		t.Errorf("Decode(%x) = %v, want %s", wasm, err, want)
	}
	var e *wasmbin.Error
	if errors.As(err, &e) && wasm[e.Offset] != 0x12 {
		t.Errorf("offset %#x is opcode %#x, want 0x12", e.Offset, wasm[e.Offset])
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	wasm := module(types(fn(nil, nil)), imports(importFunc("\x00a", "x", 0)), memory(0, 1), exports(export("\x00m", 2, 0)),
		sec(11, cat(ts(0), i32c(-1), ts(0x0b), str("x"))))
	_, err := wasmbin.Decode(wasm, wasmbin.Limits{})
	if got := len(all(err)); got != 3 {
		t.Errorf("%d problems, want 3: %v", got, err)
	}
}

// TestDeclaredCounts gives tiny files that declare huge counts, and looks at
// what is allocated for them.
func TestDeclaredCounts(t *testing.T) {
	huge := u32(0xffff_fff0)
	many := u32(60_000)
	for name, wasm := range map[string][]byte{
		"types":           module(rawSec(1, huge)),
		"parameters":      module(rawSec(1, ts(1, 0x60), huge)),
		"imports":         module(rawSec(2, huge)),
		"functions":       module(types(fn(nil, nil)), rawSec(3, huge)),
		"tables":          module(rawSec(4, huge)),
		"memories":        module(rawSec(5, huge)),
		"globals":         module(rawSec(6, huge)),
		"exports":         module(rawSec(7, huge)),
		"elements":        module(rawSec(9, huge)),
		"element items":   module(types(fn(nil, nil)), funcs(0), rawSec(9, ts(1, 1, 0), huge), code(body())),
		"data count":      module(rawSec(12, huge)),
		"bodies":          module(types(fn(nil, nil)), funcs(0), rawSec(10, huge)),
		"body size":       module(types(fn(nil, nil)), funcs(0), rawSec(10, ts(1), huge)),
		"locals":          module(types(fn(nil, nil)), funcs(0), code(bodyWith(cat(ts(1), huge, ts(tI32))))),
		"groups":          module(types(fn(nil, nil)), funcs(0), code(bodyWith(huge))),
		"segments":        module(rawSec(11, huge)),
		"segment size":    module(memory(0, 1), rawSec(11, ts(1, 1), huge)),
		"br_table":        void(i32c(0), op(0x0e), huge, ts(0)),
		"name":            module(rawSec(0, huge)),
		"names":           module(rawSec(0, str("name"), ts(1, 5), huge)),
		"many functions":  module(types(fn(nil, nil)), rawSec(3, many)),
		"many data":       module(memory(0, 1), rawSec(11, many)),
		"table minimum":   module(rawSec(4, ts(1, 0x70, 0), huge)),
		"memory minimum":  module(rawSec(5, ts(1, 0), u32(65_536))),
		"locals just fit": module(types(fn(nil, nil)), funcs(0), code(bodyWith(cat(ts(1), u32(10_000), ts(tI32))))),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := wasmbin.Decode(wasm, wasmbin.Limits{})
		if err == nil {
			_, _, _ = m.Instrument(wasmbin.InstrumentOptions{}) // only its memory matters
		}
		runtime.ReadMemStats(&after)
		// Other tests may allocate beside this one, hence the generous bound.
		if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
			t.Errorf("%s: %d bytes were allocated for a module of %d", name, got, len(wasm))
		}
	}
}
