package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/internal/wasmbin"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
)

// trapping makes a module of one memory page and a table of two entries, of
// which the first is run_check itself.
func trapping(body func(b *wasmgen.Builder) []byte) []byte {
	var b wasmgen.Builder
	b.Memory(1)
	b.Table(wasmgen.FuncRef, 2)
	f := b.Declare(wasmgen.Sig{})
	b.Elem(0, f)
	code := body(&b)
	b.Define(f, wasmgen.I32s(1), code)
	b.ExportFunc("run_check", f)
	return b.Bytes()
}

func TestTrapKinds(t *testing.T) {
	t.Parallel()
	code := func(parts ...[]byte) func(*wasmgen.Builder) []byte {
		return func(*wasmgen.Builder) []byte { return wasmgen.Seq(parts...) }
	}
	drop := func(parts ...[]byte) func(*wasmgen.Builder) []byte {
		return code(wasmgen.Drop(wasmgen.Seq(parts...)))
	}
	c, c64 := wasmgen.I32Const, wasmgen.I64Const
	op := func(opcode ...byte) []byte { return opcode }
	nan := wasmgen.Op(op(0x95), wasmgen.F32Const(0), wasmgen.F32Const(0))
	null := op(0xd0, byte(wasmgen.FuncRef))
	const least32, least64 = -1 << 31, -1 << 63
	for _, tt := range []struct {
		kind, name string
		body       func(b *wasmgen.Builder) []byte
	}{
		{"unreachable", "unreachable", code(wasmgen.Unreachable())},

		{"out_of_bounds_memory", "load of the last byte but one", drop(wasmgen.I32Load(0, c(page-3)))},
		{"out_of_bounds_memory", "load behind all", drop(wasmgen.I64Load(1<<31, c(-1)))},
		{"out_of_bounds_memory", "store", code(wasmgen.I32Store8(0, c(page), c(1)))},
		{"out_of_bounds_memory", "fill", code(wasmgen.MemoryFill(c(1), c(0), c(page)))},
		{"out_of_bounds_memory", "fill of more than there can be", code(wasmgen.MemoryFill(c(0), c(0), c(-1)))},
		{"out_of_bounds_memory", "copy to", code(wasmgen.MemoryCopy(c(1), c(0), c(page)))},
		{"out_of_bounds_memory", "copy from", code(wasmgen.MemoryCopy(c(0), c(1), c(page)))},
		{"out_of_bounds_memory", "init to", func(b *wasmgen.Builder) []byte {
			return wasmgen.MemoryInit(b.PassiveData([]byte("data")), c(page-3), c(0), c(4))
		}},
		{"out_of_bounds_memory", "init from", func(b *wasmgen.Builder) []byte {
			return wasmgen.MemoryInit(b.PassiveData([]byte("data")), c(0), c(1), c(4))
		}},
		{"out_of_bounds_memory", "init from a dropped segment", func(b *wasmgen.Builder) []byte {
			data := b.PassiveData([]byte("data"))
			return wasmgen.Seq(wasmgen.DataDrop(data), wasmgen.MemoryInit(data, c(0), c(0), c(1)))
		}},

		{"out_of_bounds_table", "get", drop(c(2), op(0x25, 0))},
		{"out_of_bounds_table", "set", code(c(-1), null, op(0x26, 0))},
		{"out_of_bounds_table", "fill", code(c(1), null, c(2), op(0xfc, 17, 0))},
		{"out_of_bounds_table", "copy", code(c(1), c(0), c(2), op(0xfc, 14, 0, 0))},
		{"out_of_bounds_table", "init", func(b *wasmgen.Builder) []byte {
			elem := b.PassiveElem(0)
			return wasmgen.Seq(c(0), c(1), c(1), op(0xfc, 12, byte(elem), 0))
		}},
		{"out_of_bounds_table", "indirect call behind the end", func(b *wasmgen.Builder) []byte {
			return wasmgen.CallIndirect(b.Type(wasmgen.Sig{}), c(2))
		}},

		{"indirect_call", "another type", func(b *wasmgen.Builder) []byte {
			return wasmgen.CallIndirect(b.Type(wasmgen.Sig{Params: wasmgen.I32s(1)}), c(0), c(0))
		}},
		// wazero does not tell an empty entry from one that is not there.
		{"out_of_bounds_table", "indirect call of an empty entry", func(b *wasmgen.Builder) []byte {
			return wasmgen.CallIndirect(b.Type(wasmgen.Sig{}), c(1))
		}},

		{"integer_divide_by_zero", "i32.div_s", drop(wasmgen.I32DivS(c(1), c(0)))},
		{"integer_divide_by_zero", "i32.div_u", drop(wasmgen.I32DivU(c(1), c(0)))},
		{"integer_divide_by_zero", "i32.rem_u", drop(wasmgen.I32RemU(c(1), c(0)))},
		{"integer_divide_by_zero", "i64.div_u", drop(wasmgen.I64DivU(c64(1), c64(0)))},
		{"integer_divide_by_zero", "i64.rem_u", drop(wasmgen.I64RemU(c64(1), c64(0)))},
		{"integer_overflow", "i32.div_s", drop(wasmgen.I32DivS(c(least32), c(-1)))},
		{"integer_overflow", "i64.div_s", drop(wasmgen.Op(op(0x7f), c64(least64), c64(-1)))},
		{"integer_overflow", "i32.trunc_f32_s", drop(wasmgen.Op(op(0xa8), wasmgen.F32Const(3e9)))},
		{"integer_overflow", "i64.trunc_f64_u", drop(wasmgen.Op(op(0xb1), wasmgen.F64Const(-1)))},
		{"invalid_conversion", "i32.trunc_f32_s", drop(wasmgen.Op(op(0xa8), nan))},

		{"stack_overflow", "direct", code(wasmgen.Call(0))},
		{"stack_overflow", "indirect", func(b *wasmgen.Builder) []byte {
			return wasmgen.CallIndirect(b.Type(wasmgen.Sig{}), c(0))
		}},
	} {
		wasm := trapping(tt.body)
		t.Run(tt.kind+"/"+tt.name, func(t *testing.T) {
			engines(t, func(t *testing.T, e *Engine) {
				out := run(t, programOf(t, e, wasm, ""))
				trap, ok := out.Err.(*Trap)
				if !ok || trap.Kind != tt.kind {
					t.Fatalf("ended with %v, want a trap of kind %s", out.Err, tt.kind)
				}
				if len(trap.Frames) == 0 || !strings.HasPrefix(trap.Frames[len(trap.Frames)-1], "run_check(") &&
					!strings.HasPrefix(trap.Frames[0], "$0(") {
					t.Errorf("frames %q do not show the entrypoint", trap.Frames)
				}
				if trap.Error() != "trap: "+tt.kind || trap.Unwrap() != nil {
					t.Errorf("got %q, caused by %v", trap, trap.Unwrap())
				}
			})
		})
	}
}

// TestStackRoom: the depth limit leaves an ordinary recursion alone, and the
// process after an overflow.
func TestStackRoom(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, e *Engine) {
		var b wasmgen.Builder
		b.Memory(1)
		f := b.Declare(wasmgen.Sig{Params: wasmgen.I32s(1)})
		b.Define(f, nil, wasmgen.If(wasmgen.LocalGet(0), wasmgen.Call(f, wasmgen.I32Sub(wasmgen.LocalGet(0), wasmgen.I32Const(1)))))
		b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil, wasmgen.Call(f, wasmgen.I32Const(1900))))
		p := programOf(t, e, b.Bytes(), "")
		bomb := programOf(t, e, wasmgen.Recurses(), "")
		for range 3 {
			if out := run(t, p); out.Err != nil {
				t.Fatalf("1,900 frames: %v", out.Err)
			}
			if out := run(t, bomb); out.Err == nil || out.Err.Error() != "trap: stack_overflow" {
				t.Fatalf("without end: %v", out.Err)
			}
		}
	})
}

func TestHostPanic(t *testing.T) {
	t.Parallel()
	cause := errors.New("a bug")
	empty := []int{}
	engines(t, func(t *testing.T, e *Engine) {
		for name, panics := range map[string]func(){
			"error":         func() { panic(cause) },
			"text":          func() { panic("a bug") },
			"runtime error": func() { _ = empty[len(t.Name())] },
		} {
			var b wasmgen.Builder
			f := b.ImportFunc("env", "f", wasmgen.Sig{})
			b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil, wasmgen.Call(f)))
			out := run(t, programOf(t, e, b.Bytes(), "", binding("f", func(context.Context) { panics() })))
			trap, ok := out.Err.(*Trap)
			var crashed *abi.HostPanic
			if !ok || trap.Kind != "host_panic" || !errors.As(trap, &crashed) || crashed.Func != "f" {
				t.Fatalf("%s: ended with %v", name, out.Err)
			}
			for _, frame := range trap.Frames {
				if strings.Contains(frame, ".go") || strings.Contains(frame, "goroutine") {
					t.Errorf("%s: frames %q quote Go", name, trap.Frames)
				}
			}
		}
	})
}

// TestFrames: innermost first, by name or by the index of the original module,
// without what metering added, cleaned and cut.
func TestFrames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 400)
	fill := wasmgen.MemoryFill(wasmgen.I32Const(1), wasmgen.I32Const(0), wasmgen.I32Const(page))
	for _, tt := range []struct {
		name  string
		names []string // of the import, the inner and the outer function
		inner []byte
		want  []string
	}{
		{"names", []string{"f", "check.inner", "check.outer"}, wasmgen.Unreachable(), []string{"check.inner()", "check.outer()"}},
		{"no names", nil, wasmgen.Unreachable(), []string{"$1()", "$2()"}},
		{"bulk instruction", nil, fill, []string{"$1()", "$2()"}},
		{"control characters", []string{"f", "a\x1b[31m\nb", "c\td"}, wasmgen.Unreachable(), nil},
		{"long", []string{"f", long, "x"}, wasmgen.Unreachable(), nil},
		{"a name like a frame that metering adds", []string{"f", "\x00fuel", "\x00"}, wasmgen.Unreachable(), nil},
	} {
		var b wasmgen.Builder
		b.ImportFunc("env", "f", wasmgen.Sig{})
		b.Memory(1)
		inner := b.Func(wasmgen.Sig{}, nil, tt.inner)
		b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil, wasmgen.Call(inner)))
		if tt.names != nil {
			b.Names(tt.names...)
		}
		wasm := b.Bytes()
		t.Run(tt.name, func(t *testing.T) {
			engines(t, func(t *testing.T, e *Engine) {
				out := run(t, programOf(t, e, wasm, "", binding("f", func(context.Context) {})))
				trap, ok := out.Err.(*Trap)
				if !ok || len(trap.Frames) != 2 {
					t.Fatalf("ended with %#v, want a trap with two frames", out.Err)
				}
				if tt.want != nil && !slices.Equal(trap.Frames, tt.want) {
					t.Errorf("got %q, want %q", trap.Frames, tt.want)
				}
				for _, frame := range trap.Frames {
					if len(frame) > frameBytes || strings.ContainsFunc(frame, func(r rune) bool { return r < ' ' }) {
						t.Errorf("frame %q is not clean, or has %d bytes", frame, len(frame))
					}
				}
			})
		})
	}
}

func TestFramesMost(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, e *Engine) {
		for _, deep := range []int{keptFrames - 1, keptFrames, keptFrames + 1, 500} {
			var b wasmgen.Builder
			f := b.Func(wasmgen.Sig{}, nil, wasmgen.Unreachable())
			for range deep - 1 {
				f = b.Func(wasmgen.Sig{}, nil, wasmgen.Call(f))
			}
			b.ExportFunc("run_check", f)
			trap, ok := run(t, programOf(t, e, b.Bytes(), "")).Err.(*Trap)
			if !ok || len(trap.Frames) != min(deep, keptFrames) || trap.Frames[0] != "$0()" || trap.Frames[1] != "$1()" {
				t.Errorf("%d deep: got %v", deep, trap.Frames)
			}
		}
	})
}

func TestRenumber(t *testing.T) {
	t.Parallel()
	p := &Program{o: ProgramOptions{Meta: &wasmbin.Meta{ImportedFuncs: 2, Functions: 5}}}
	for frame, want := range map[string]string{
		"$1(i32) i32":       "$1(i32) i32", // an import keeps its place
		"$2()":              "$2()",        // the import that was added
		"$3()":              "$2()",        // the first of the module's own
		"$5(i32,i64)":       "$4(i32,i64)",
		"$99999()":          "$99999()",
		"$x()":              "$x()",
		"$":                 "$",
		"main.check(i32)":   "main.check(i32)",
		"$3 of somebody(a)": "$3 of somebody(a)",
	} {
		if got := p.renumber(frame); got != want {
			t.Errorf("%q: got %q, want %q", frame, got, want)
		}
	}
}

func TestEnding(t *testing.T) {
	t.Parallel()
	cause := errors.New("why")
	over, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	p := &Program{o: ProgramOptions{Meta: &wasmbin.Meta{}}}
	stop, exit := &abi.Stop{Cause: cause}, &abi.Exit{Code: 3}
	started, crashed := &abi.StartCalled{Func: "f"}, &abi.HostPanic{Func: "f", Value: "bug"}
	strange := errors.New("wazero is confused")
	for _, tt := range []struct {
		name  string
		ctx   context.Context
		err   error
		want  string
		typed bool
	}{
		{"returned", t.Context(), nil, "<nil>", false},
		{"returned late", over, nil, "*abi.Stop run stopped: why", false},
		{"stopped", t.Context(), stop, "*abi.Stop run stopped: why", true},
		{"exit", t.Context(), exit, "*abi.Exit exit code 3", true},
		{"exit, late", over, exit, "*abi.Exit exit code 3", true},
		{"_start", t.Context(), started, "*abi.StartCalled _start called f", true},
		{"host panic", t.Context(), crashed, "*engine.Trap trap: host_panic", true},
		{"stack", t.Context(), stackOverflow{}, "*engine.Trap trap: stack_overflow", true},
		{"trap", t.Context(), errors.New("wasm error: unreachable\nwasm stack trace:\n\t.f()"), "*engine.Trap trap: unreachable", false},
		{"trap, late", over, errors.New("wasm error: unreachable"), "*engine.Trap trap: unreachable", false},
		{"segment", t.Context(), errors.New("data[0]: out of bounds memory access"), "*engine.Trap trap: out_of_bounds_memory", false},
		{"unknown trap", t.Context(), errors.New("wasm error: too many waiters"), "*errors.errorString wasm error: too many waiters", false},
		{"half a word", t.Context(), errors.New("wasm error: unreachable code"), "*errors.errorString wasm error: unreachable code", false},
		{"engine failure", t.Context(), strange, "*errors.errorString wazero is confused", false},
	} {
		errs := []error{tt.err}
		if tt.typed { // this is how wazero hands on what a host function panicked with
			errs = append(errs, fmt.Errorf("%w (recovered by wazero)\nwasm stack trace:\n\t.f()", tt.err))
		}
		for _, err := range errs {
			got := p.ending(tt.ctx, err)
			text := "<nil>"
			if got != nil {
				text = fmt.Sprintf("%T %v", got, got)
			}
			if text != tt.want {
				t.Errorf("%s: %v: got %s, want %s", tt.name, err, text, tt.want)
			}
		}
	}
}
