package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/internal/wasmbin"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
)

// plenty is more time than any of these tests takes.
const plenty = time.Minute

// engines runs a test once with each kind of engine.
func engines(t *testing.T, test func(t *testing.T, e *Engine)) {
	t.Helper()
	for name, o := range map[string]Options{"compiler": {}, "interpreter": {Interpreter: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newEngine(t, o))
		})
	}
}

// newEngine makes an engine that must close without an error and with nothing
// left in its tables.
func newEngine(t *testing.T, o Options) *Engine {
	t.Helper()
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if codes, envs := e.held(); codes != 0 || envs != 0 {
			t.Errorf("%d codes and %d host modules are still held", codes, envs)
		}
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e
}

func (e *Engine) held() (codes, envs int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.codes), len(e.envs)
}

// metered is what Load would make of a module.
func metered(t *testing.T, wasm []byte) ([]byte, *wasmbin.Meta) {
	t.Helper()
	m, err := wasmbin.Decode(wasm, wasmbin.Limits{})
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	out, meta, err := m.Instrument(wasmbin.InstrumentOptions{})
	if err != nil {
		t.Fatalf("instrument: %v", err)
	}
	return out, meta
}

// compile compiles an already metered module.
func compile(t *testing.T, e *Engine, wasm []byte) *Code {
	t.Helper()
	c, err := e.Compile(t.Context(), wasm, plenty)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// programOf links a module to Funcs, for an entrypoint "run_check".
func programOf(t *testing.T, e *Engine, wasm []byte, initializer string, bindings ...abi.Binding) *Program {
	t.Helper()
	bytes, meta := metered(t, wasm)
	p, err := e.NewProgram(compile(t, e, bytes), ProgramOptions{
		Entrypoint: "run_check", Initializer: initializer, Bindings: bindings, Meta: meta,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// binding binds env.name, without parameters and result, to f.
func binding(name string, f func(ctx context.Context)) abi.Binding {
	return abi.Binding{Name: name, Code: capability.OK, Func: capability.Func{
		Name: name, Void: true,
		Handle: func(ctx context.Context, _ *capability.Call) capability.Code { f(ctx); return capability.OK },
	}}
}

// newRun is the state of a run with ordinary limits, and time enough.
func newRun() *abi.Run {
	l := limits.Default()
	l.CPU, l.Wall = plenty, plenty
	return &abi.Run{
		Session: &capability.Session{Limits: l}, Limits: l, Now: time.Now, Epoch: time.Now(), Rand: rand.Reader,
		Stdout: abi.NewTail(int(l.Stderr)), Stderr: abi.NewTail(int(l.Stderr)),
	}
}

// run runs p once under ordinary limits.
func run(t *testing.T, p *Program) Outcome {
	t.Helper()
	return p.Run(t.Context(), newRun())
}

// unwound is the value that f panics with, nil if it returns.
func unwound(f func()) (v any) {
	defer func() { v = recover() }()
	f()
	return nil
}

// exceeded is the limit behind an unwinding or an ending, nil if there is none.
func exceeded(v any) *limits.ExceededError {
	err, _ := v.(error)
	var over *limits.ExceededError
	if !errors.As(err, &over) {
		return nil
	}
	return over
}

// eventually waits for what another goroutine is about to do.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("not %s after 10 s", what)
		}
		runtime.Gosched()
	}
}

// guest exports body as the entrypoint, with a memory of one page.
func guest(body ...[]byte) []byte {
	var b wasmgen.Builder
	b.Memory(1)
	b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil, body...))
	return b.Bytes()
}

// burn is a loop of so many rounds over local 0.
func burn(rounds int32) []byte {
	return wasmgen.Seq(
		wasmgen.LocalSet(0, wasmgen.I32Const(rounds)),
		wasmgen.Loop(wasmgen.BrIf(0, wasmgen.LocalTee(0, wasmgen.I32Sub(wasmgen.LocalGet(0), wasmgen.I32Const(1))))))
}

// i32s are n parameters of type i32.
func i32s(n int) []api.ValueType {
	ts := make([]api.ValueType, n)
	for i := range ts {
		ts[i] = api.ValueTypeI32
	}
	return ts
}
