package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"

	"github.com/sandcheck/sandcheck/internal/wasmgen"
)

// TestFactsStopping: why guests are metered, and every wait looks at ctx.
func TestFactsStopping(t *testing.T) {
	showFacts(t, []fact{
		{"1 the switch stops loops but no calls", switchAndCalls},
		{"6 a host function is never interrupted", hostFunctionDeaf},
		{"9 the guest stack of the compiler grows without a limit of ours", deepRecursion},
		{"11 compiling looks at ctx only with two workers", compileAndContext},
		{"29 _start is called by default, _initialize is not, the start section always", whatStarts},
		{"31 a Go runtime error quotes a Go stack, other panics do not", panicTexts},
		{"33 the end of ctx is not a result", lateReturn},
	})
}

// cancels is a host function after which the guest's ctx is over, and wazero has
// had time to see it.
func cancels(cancel context.CancelFunc) api.GoModuleFunc {
	return func(ctx context.Context, m api.Module, _ []uint64) {
		cancel()
		<-ctx.Done()
		for range 200 { // wazero closes the module on a goroutine of its own
			if m.IsClosed() {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// switchAndCalls: ctx is over before the first of 4,096 calls, yet all are made,
// where a loop of as many rounds ends at once.
func switchAndCalls(t *testing.T, cfg wazero.RuntimeConfig) {
	const depth, leaves = 12, 1 << 12
	shapes := map[string]func(b *wasmgen.Builder, first, count []byte){
		"calls": func(b *wasmgen.Builder, first, count []byte) {
			next := b.Func(wasmgen.Sig{}, nil, count)
			for range depth {
				next = b.Func(wasmgen.Sig{}, nil, wasmgen.Call(next), wasmgen.Call(next))
			}
			b.ExportFunc("f", b.Func(wasmgen.Sig{}, nil, first, wasmgen.Call(next)))
		},
		"loop": func(b *wasmgen.Builder, first, count []byte) {
			b.ExportFunc("f", b.Func(wasmgen.Sig{}, wasmgen.I32s(1), first,
				wasmgen.Loop(count, wasmgen.BrIf(0, wasmgen.I32LtU(
					wasmgen.LocalTee(0, wasmgen.I32Add(wasmgen.LocalGet(0), wasmgen.I32Const(1))), wasmgen.I32Const(leaves))))))
		},
	}
	for name, shape := range shapes {
		rt := runtimeOf(t, cfg.WithCloseOnContextDone(true))
		ctx, cancel := context.WithCancel(t.Context())
		hostFunc(t, rt, wasmgen.Sig{}, cancels(cancel))
		var b wasmgen.Builder
		host := b.ImportFunc("env", "f", wasmgen.Sig{})
		shape(&b, wasmgen.Call(host), counter(&b))
		m := instantiate(t, rt, b.Bytes())
		n := m.ExportedGlobal("n")
		_, err := m.ExportedFunction("f").Call(ctx)
		var exit *sys.ExitError
		switch {
		case name == "calls" && n.Get() != leaves:
			t.Errorf("calls: made %d of %d before it was stopped: %v", n.Get(), leaves, err)
		case name == "loop" && (n.Get() > 1 || !errors.As(err, &exit)):
			t.Errorf("loop: %d rounds of %d and %v, want none and an exit error", n.Get(), leaves, err)
		}
	}
}

func hostFunctionDeaf(t *testing.T, cfg wazero.RuntimeConfig) {
	rt := runtimeOf(t, cfg.WithCloseOnContextDone(true))
	ctx, cancel := context.WithCancel(t.Context())
	returned := false
	wait := cancels(cancel)
	hostFunc(t, rt, wasmgen.Sig{}, func(ctx context.Context, m api.Module, stack []uint64) {
		wait(ctx, m, stack)
		returned = true
	})
	var b wasmgen.Builder
	host := b.ImportFunc("env", "f", wasmgen.Sig{})
	count := counter(&b)
	b.ExportFunc("f", b.Func(wasmgen.Sig{}, nil, wasmgen.Call(host), count))
	m := instantiate(t, rt, b.Bytes())
	n := m.ExportedGlobal("n")
	_, err := m.ExportedFunction("f").Call(ctx)
	if !returned || n.Get() != 1 {
		t.Errorf("returned %v, count %d, %v; want the guest to go on as if nothing was", returned, n.Get(), err)
	}
}

// deepRecursion: the interpreter counts frames; the compiler goes on until the
// stack has tens of megabytes.
func deepRecursion(t *testing.T, cfg wazero.RuntimeConfig) {
	if testing.Short() {
		t.Skip("takes 170 MB")
	}
	var b wasmgen.Builder
	count := counter(&b)
	f := b.Declare(wasmgen.Sig{})
	b.Define(f, nil, count, wasmgen.Call(f))
	b.ExportFunc("f", f)
	m := instantiate(t, runtimeOf(t, cfg), b.Bytes())
	_, err := m.ExportedFunction("f").Call(t.Context())
	if err == nil || !strings.Contains(err.Error(), "stack overflow") {
		t.Fatalf("got %v, want a stack overflow", err)
	}
	switch n := counted(m); {
	case strings.HasSuffix(t.Name(), "interpreter") && n != 2000:
		t.Errorf("got %d frames, want 2000", n)
	case strings.HasSuffix(t.Name(), "compiler") && n < 500_000:
		t.Errorf("got %d frames, want more than any limit of ours", n)
	}
}

func compileAndContext(t *testing.T, cfg wazero.RuntimeConfig) {
	if strings.HasSuffix(t.Name(), "interpreter") {
		return // compiles nothing
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for workers, want := range map[int]bool{1: true, 2: false} {
		rt := runtimeOf(t, cfg)
		_, err := rt.CompileModule(experimental.WithCompilationWorkers(over, workers), wasmgen.Doubles(8))
		if ok := err == nil; ok != want {
			t.Errorf("%d workers: got %v, want success %v", workers, err, want)
		}
	}
}

func whatStarts(t *testing.T, cfg wazero.RuntimeConfig) {
	tests := []struct {
		name   string
		export string // "" is the start section
		config wazero.ModuleConfig
		want   uint64
	}{
		{"_start by default", "_start", wazero.NewModuleConfig(), 1},
		{"_start with no start functions", "_start", anonymous(), 0},
		{"_initialize by default", "_initialize", wazero.NewModuleConfig(), 0},
		{"start section with no start functions", "", anonymous(), 1},
	}
	for _, tt := range tests {
		var b wasmgen.Builder
		f := b.Func(wasmgen.Sig{}, nil, counter(&b))
		if b.ExportFunc("f", f); tt.export == "" {
			b.Start(f)
		} else {
			b.ExportFunc(tt.export, f)
		}
		m, err := runtimeOf(t, cfg).InstantiateWithConfig(t.Context(), b.Bytes(), tt.config)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := counted(m); got != tt.want {
			t.Errorf("%s: it ran %d times, want %d", tt.name, got, tt.want)
		}
	}
}

func panicTexts(t *testing.T, cfg wazero.RuntimeConfig) {
	empty := []int{}
	tests := map[string]struct {
		panics func()
		quotes bool
	}{
		"runtime error": {func() { _ = empty[len(t.Name())] }, true},
		"other error":   {func() { panic(errors.New("typed")) }, false},
		"a string":      {func() { panic("text") }, false},
	}
	for name, tt := range tests {
		rt := runtimeOf(t, cfg)
		hostFunc(t, rt, wasmgen.Sig{}, func(context.Context, api.Module, []uint64) { tt.panics() })
		var b wasmgen.Builder
		host := b.ImportFunc("env", "f", wasmgen.Sig{})
		b.ExportFunc("f", b.Func(wasmgen.Sig{}, nil, wasmgen.Call(host)))
		_, err := instantiate(t, rt, b.Bytes()).ExportedFunction("f").Call(t.Context())
		if err == nil || strings.Contains(err.Error(), ".go:") != tt.quotes {
			t.Errorf("%s: got %v, want a Go stack: %v", name, err, tt.quotes)
		}
	}
}

func lateReturn(t *testing.T, cfg wazero.RuntimeConfig) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	var b wasmgen.Builder
	b.ExportFunc("f", b.Func(wasmgen.Sig{}, nil, counter(&b)))
	m := instantiate(t, runtimeOf(t, cfg), b.Bytes())
	if _, err := m.ExportedFunction("f").Call(over); err != nil || counted(m) != 1 {
		t.Errorf("got %v and count %d, want a run that knows nothing of its ctx", err, counted(m))
	}
}
