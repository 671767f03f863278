package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
)

// command makes a command module: global 0 begins at 65,536, start is its
// _start, which may call the functions that the callback is handed, and
// run_check traps unless global 0 is want.
func command(want int32, start func(exit, f uint32) []byte) []byte {
	var b wasmgen.Builder
	exit := b.ImportFunc(abi.ModuleWASI, "proc_exit", wasmgen.Sig{Params: wasmgen.I32s(1)})
	f := b.ImportFunc("env", "f", wasmgen.Sig{})
	sp := b.Global(wasmgen.I32, true, wasmgen.I32Const(65536))
	b.Memory(2)
	b.ExportFunc("_start", b.Func(wasmgen.Sig{}, wasmgen.I32s(1), start(exit, f)))
	b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil,
		wasmgen.If(wasmgen.I32Ne(wasmgen.GlobalGet(sp), wasmgen.I32Const(want)), wasmgen.Unreachable())))
	return b.Bytes()
}

// startProgram links such a module; f must never be called.
func startProgram(t *testing.T, e *Engine, wasm []byte) *Program {
	t.Helper()
	return programOf(t, e, wasm, "_start", binding("f", func(context.Context) { t.Error("an env function was called") }))
}

func TestStackLeftBehind(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, e *Engine) {
		for _, tt := range []struct {
			taken int32
			keeps bool
		}{
			{0, true}, {mostStackLost - 1, true}, {mostStackLost, true}, {mostStackLost + 1, false}, {65536, false},
			{-16, true}, // upwards: no stack pointer that anything was lost of
		} {
			want := int32(65536)
			if tt.keeps {
				want -= tt.taken
			}
			for _, exits := range []bool{true, false} {
				p := startProgram(t, e, command(want, func(exit, _ uint32) []byte {
					code := wasmgen.GlobalSet(0, wasmgen.I32Sub(wasmgen.GlobalGet(0), wasmgen.I32Const(tt.taken)))
					if exits {
						return wasmgen.Seq(code, wasmgen.Call(exit, wasmgen.I32Const(0)))
					}
					return code
				}))
				out := run(t, p)
				if out.Err != nil || (out.StartDropped == nil) != tt.keeps {
					t.Errorf("%d bytes, exits %v: ended with %v, dropped because %v; want kept %v",
						tt.taken, exits, out.Err, out.StartDropped, tt.keeps)
				}
				if d := out.StartDropped; d != nil && !strings.Contains(d.Error(), fmt.Sprintf("left %d bytes", tt.taken)) {
					t.Errorf("%d bytes: the reason is %q", tt.taken, d)
				}
			}
		}
	})
}

// TestNoStackPointer: a global 0 of another meaning may change as it likes.
func TestNoStackPointer(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Options{})
	for name, shape := range map[string]func(b *wasmgen.Builder) []byte{
		"no globals": func(*wasmgen.Builder) []byte { return nil },
		"64 bits": func(b *wasmgen.Builder) []byte {
			return wasmgen.GlobalSet(b.Global(wasmgen.I64, true, wasmgen.I64Const(1<<20)), wasmgen.I64Const(0))
		},
		"begins at 0": func(b *wasmgen.Builder) []byte {
			return wasmgen.GlobalSet(b.Global(wasmgen.I32, true, wasmgen.I32Const(0)), wasmgen.I32Const(-1))
		},
		"a constant": func(b *wasmgen.Builder) []byte {
			b.Global(wasmgen.I32, false, wasmgen.I32Const(65536))
			return nil
		},
	} {
		var b wasmgen.Builder
		b.ExportFunc("_start", b.Func(wasmgen.Sig{}, nil, shape(&b)))
		b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil))
		if out := run(t, programOf(t, e, b.Bytes(), "_start")); out.Err != nil || out.StartDropped != nil {
			t.Errorf("%s: ended with %v, dropped because %v", name, out.Err, out.StartDropped)
		}
	}
}

// TestStartDropped: whatever a _start fails by, nothing of it remains, the run
// goes on, and later runs do not try again.
func TestStartDropped(t *testing.T) {
	t.Parallel()
	loop := func(uint32, uint32) []byte { return wasmgen.Loop(wasmgen.Br(0)) }
	engines(t, func(t *testing.T, e *Engine) {
		for _, tt := range []struct {
			name      string
			start     func(exit, f uint32) []byte
			cpu, wall time.Duration
			want      string
		}{
			{"trap", func(uint32, uint32) []byte { return wasmgen.Unreachable() }, plenty, plenty, "trap: unreachable"},
			{"exit", func(exit, _ uint32) []byte { return wasmgen.Call(exit, wasmgen.I32Const(3)) }, plenty, plenty, "exit code 3"},
			{"host call", func(_, f uint32) []byte { return wasmgen.Call(f) }, plenty, plenty, "_start called f"},
			{"CPU", loop, 60 * time.Millisecond, plenty, "cpu"},
			{"deadline", loop, plenty, 1200 * time.Millisecond, "half of the run's time"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				p := startProgram(t, e, command(65536, func(exit, f uint32) []byte {
					return wasmgen.Seq(
						wasmgen.GlobalSet(0, wasmgen.I32Const(1)),
						wasmgen.Drop(wasmgen.MemoryGrow(wasmgen.I32Const(3))),
						wasmgen.Drop(wasmgen.MemoryGrow(wasmgen.I32Const(60000))),
						tt.start(exit, f))
				}))
				r := newRun()
				r.Limits.CPU = tt.cpu
				ctx, cancel := context.WithTimeout(t.Context(), tt.wall)
				defer cancel()
				out := p.Run(ctx, r)
				if out.Err != nil || out.StartDropped == nil || !strings.Contains(out.StartDropped.Error(), tt.want) {
					t.Fatalf("ended with %v, dropped because %v; want it to go on after %q", out.Err, out.StartDropped, tt.want)
				}
				if out.PeakMemory != 5*page || out.RefusedGrows != 1 || out.FirstRefused != 60005*page {
					t.Errorf("peak %v, refused %d, first %v; what it took is reported", out.PeakMemory, out.RefusedGrows, out.FirstRefused)
				}
				if over := exceeded(out.StartDropped); over != nil && over.Limit != int64(tt.cpu/2) {
					t.Errorf("it had %v of CPU time, want half of %v", time.Duration(over.Limit), tt.cpu)
				}
				if tt.name != "deadline" && out.InitFuel < 64 {
					t.Errorf("the attempt cost %d units, want it paid for", out.InitFuel)
				}
				again := run(t, p)
				if again.Err != nil || again.StartDropped != nil || again.InitFuel != 0 || again.PeakMemory != 2*page {
					t.Errorf("again: ended with %v, dropped because %v, %d units, peak %v; want no second attempt",
						again.Err, again.StartDropped, again.InitFuel, again.PeakMemory)
				}
			})
		}
	})
}

// TestStartOutputDropped: what a discarded _start wrote is not reported.
func TestStartOutputDropped(t *testing.T) {
	t.Parallel()
	for _, fails := range []bool{true, false} {
		steps := []wasmgen.Step{wasmgen.Print(1, "out"), wasmgen.Print(2, "err")}
		if fails {
			steps = append(steps, wasmgen.Trap())
		}
		wasm := wasmgen.Proxy(wasmgen.Script{Command: steps, Report: wasmgen.ReportNone})
		p := programOf(t, newEngine(t, Options{}), wasm, "_start")
		r := newRun()
		out := p.Run(t.Context(), r)
		want := "out err"
		if fails {
			want = " "
		}
		if got := r.Stdout.String() + " " + r.Stderr.String(); out.Err != nil || got != want {
			t.Errorf("fails %v: ended with %v, wrote %q, want %q", fails, out.Err, got, want)
		}
	}
}

// TestStartInterrupted: a run that ends during its _start is over, and tells
// nothing about the _start.
func TestStartInterrupted(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, e *Engine) {
		p := startProgram(t, e, command(65536, func(uint32, uint32) []byte { return wasmgen.Loop(wasmgen.Br(0)) }))
		cause := errors.New("the host closes")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(20*time.Millisecond, func() { cancel(cause) })
		out := p.Run(ctx, newRun())
		if stop := (*abi.Stop)(nil); !errors.As(out.Err, &stop) || !errors.Is(out.Err, cause) || out.StartDropped != nil || p.noStart.Load() {
			t.Errorf("ended with %v, dropped because %v, given up %v", out.Err, out.StartDropped, p.noStart.Load())
		}
		if out.InitFuel == 0 || out.Fuel != 0 {
			t.Errorf("%d units before the entrypoint and %d in it, want some and none", out.InitFuel, out.Fuel)
		}
	})
}

// TestInitFuel: what comes before the entrypoint is told apart from it, also if
// the run ends there or the instance is discarded, and alike on both engines.
func TestInitFuel(t *testing.T) {
	t.Parallel()
	const rounds = 3_000
	for _, tt := range []struct {
		name, initializer string
		last              []byte // what the initialiser does after its loop
		entered           bool   // whether the entrypoint is reached
	}{
		{"initialised", "_initialize", nil, true},
		{"trap in _initialize", "_initialize", wasmgen.Unreachable(), false},
		{"started", "_start", nil, true},
		{"trap in _start", "_start", wasmgen.Unreachable(), true},
	} {
		var seen []Outcome
		for _, o := range []Options{{}, {Interpreter: true}} {
			var b wasmgen.Builder
			b.Memory(1)
			b.ExportFunc(tt.initializer, b.Func(wasmgen.Sig{}, wasmgen.I32s(1), burn(rounds), tt.last))
			b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, wasmgen.I32s(1), burn(2*rounds)))
			wasm := b.Bytes()
			for range 3 { // each with slices of other lengths
				out := run(t, programOf(t, newEngine(t, o), wasm, tt.initializer))
				seen = append(seen, out)
				if got := out.InitFuel; got < 3*rounds || got > 10*rounds {
					t.Errorf("%s: %d units before the entrypoint", tt.name, got)
				}
				if entered := out.Fuel > out.InitFuel; entered != tt.entered || !entered && out.Fuel != 0 {
					t.Errorf("%s: %d units in the entrypoint after %d, entered %v", tt.name, out.Fuel, out.InitFuel, tt.entered)
				}
				if out.Fuel != seen[0].Fuel || out.InitFuel != seen[0].InitFuel {
					t.Errorf("%s: %d and %d units, before %d and %d", tt.name, out.InitFuel, out.Fuel, seen[0].InitFuel, seen[0].Fuel)
				}
			}
		}
	}
}

// TestDepthAfterExit: the frames of a _start that exits from deep down are given
// back, so that the entrypoint has the whole guest stack.
func TestDepthAfterExit(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, e *Engine) {
		const calls, locals = 1000, 80 // more than half of the stack
		var b wasmgen.Builder
		exit := b.ImportFunc(abi.ModuleWASI, "proc_exit", wasmgen.Sig{Params: wasmgen.I32s(1)})
		b.Memory(1)
		dive := func(bottom []byte) []byte {
			f := b.Declare(wasmgen.Sig{Params: wasmgen.I32s(1)})
			b.Define(f, wasmgen.I32s(locals), wasmgen.IfElse(wasmgen.LocalGet(0),
				wasmgen.Call(f, wasmgen.I32Sub(wasmgen.LocalGet(0), wasmgen.I32Const(1))), bottom))
			return wasmgen.Call(f, wasmgen.I32Const(calls))
		}
		b.ExportFunc("_start", b.Func(wasmgen.Sig{}, nil, dive(wasmgen.Call(exit, wasmgen.I32Const(0)))))
		b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil, dive(nil)))
		if out := run(t, programOf(t, e, b.Bytes(), "_start")); out.Err != nil || out.StartDropped != nil {
			t.Errorf("ended with %v, dropped because %v", out.Err, out.StartDropped)
		}
	})
}
