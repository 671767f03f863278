package engine

import (
	"context"
	"errors"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
)

func stub(name string, params int, code capability.Code) abi.Binding {
	return abi.Binding{Name: name, Code: code, Type: abi.Type{Params: i32s(params), Results: i32s(1)}}
}

func TestEnvShared(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Options{})
	base := []abi.Binding{stub("tcp_connect", 3, capability.Denied), stub("log", 2, capability.NotFound)}
	first, err := e.env(base)
	if err != nil {
		t.Fatal(err)
	}
	defer e.releaseEnv(first)
	for _, tt := range []struct {
		name     string
		bindings []abi.Binding
		shared   bool
	}{
		{"the same", []abi.Binding{stub("tcp_connect", 3, capability.Denied), stub("log", 2, capability.NotFound)}, true},
		{"another order", []abi.Binding{base[1], base[0]}, false}, // positions are how trampolines count
		{"fewer", base[:1], false},
		{"another name", []abi.Binding{stub("tcp_connect2", 3, capability.Denied), base[1]}, false},
		{"another type", []abi.Binding{stub("tcp_connect", 4, capability.Denied), base[1]}, false},
		{"another answer", []abi.Binding{stub("tcp_connect", 3, capability.NotFound), base[1]}, false},
		{"a name that looks like two", []abi.Binding{stub("tcp_connect\" func(i32, i32, i32) i32 -2\n\"log", 2, capability.NotFound)}, false},
	} {
		v, err := e.env(tt.bindings)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := v == first; got != tt.shared {
			t.Errorf("%s: shared %v, want %v", tt.name, got, tt.shared)
		}
		e.releaseEnv(v)
		if first.module.IsClosed() {
			t.Fatalf("%s: the first was closed while it is in use", tt.name)
		}
		if !tt.shared && !v.module.IsClosed() {
			t.Errorf("%s: not closed with its last user", tt.name)
		}
	}
	if _, envs := e.held(); envs != 1 {
		t.Errorf("%d host modules are held, want 1", envs)
	}
}

func TestEnvEmpty(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Options{})
	v, err := e.env(nil)
	if err != nil || v.module != nil {
		t.Fatalf("got %v, %v; want no host module", v, err)
	}
	e.releaseEnv(v)
}

// TestEnvHidden: no name leads to the modules that guests link to.
func TestEnvHidden(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, e *Engine) {
		var b wasmgen.Builder
		f := b.ImportFunc("env", "f", wasmgen.Sig{})
		b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil, wasmgen.Call(f)))
		called := 0
		p := programOf(t, e, b.Bytes(), "", binding("f", func(context.Context) { called++ }))
		for _, name := range []string{"", abi.ModuleEnv, abi.ModuleWASI, "\x00sandcheck"} {
			if m := e.rt.Module(name); m != nil {
				t.Errorf("module %q is registered", name)
			}
		}
		for range 3 {
			if out := run(t, p); out.Err != nil {
				t.Fatal(out.Err)
			}
		}
		if called != 3 {
			t.Errorf("called %d times, want 3", called)
		}
	})
}

func TestClosedEngine(t *testing.T) {
	t.Parallel()
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	wasm, meta := metered(t, guest())
	p, err := e.NewProgram(compile(t, e, wasm), ProgramOptions{
		Entrypoint: "run_check", Meta: meta, Bindings: []abi.Binding{stub("f", 0, capability.Denied)},
	})
	if err != nil {
		t.Fatal(err)
	}
	kept := e.compiledOf(p)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if !kept.IsClosed() {
		t.Error("a host module outlives its engine")
	}
	if _, err := e.Compile(t.Context(), wasm, plenty); !errors.Is(err, errClosed) {
		t.Errorf("compile: got %v, want %v", err, errClosed)
	}
	if _, err := e.env(nil); !errors.Is(err, errClosed) {
		t.Errorf("env: got %v, want %v", err, errClosed)
	}
	p.Close() // late, as a finalizer or a deferred call would
	if codes, envs := e.held(); codes != 0 || envs != 0 {
		t.Errorf("%d codes and %d host modules are held", codes, envs)
	}
	if err := e.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func (e *Engine) compiledOf(p *Program) api.Module { return p.env.module }
