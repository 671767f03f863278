// Package engine is the only user of wazero: it compiles modules, keeps the
// code, makes a fresh instance per run, drives it through its life and says how
// it ended.
package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/internal/wasi"
	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

// An Engine holds one wazero runtime, the compiled code of all plugins and the
// host modules that they link to. It is safe for concurrent use.
type Engine struct {
	rt    wazero.Runtime
	wasi  api.Module
	meter api.Module // of the import that metering adds

	compiling    chan struct{} // a place for each compilation under way
	compilations sync.WaitGroup
	slots        slots // for the memories of instances

	mu     sync.Mutex
	codes  map[[sha256.Size]byte]*Code
	envs   map[string]*env
	closed bool
	stats  Stats
}

// Stats counts since New.
type Stats struct{ Compiles, CacheHits uint64 }

// Options choose an engine.
type Options struct {
	// Interpreter runs guests without generating machine code. It is used by
	// itself where wazero has no compiler.
	Interpreter bool
}

// starting is held while wazero makes a runtime: it caches its own version in a
// variable of the process that nothing guards.
var starting sync.Mutex

// New starts an engine. It compiles nothing and opens nothing outside the
// process.
func New(o Options) (*Engine, error) {
	cfg := wazero.NewRuntimeConfig() // the compiler, where the platform has one
	if o.Interpreter {
		cfg = wazero.NewRuntimeConfigInterpreter()
	}
	cfg = cfg.
		WithCoreFeatures(api.CoreFeaturesV2).
		WithDebugInfoEnabled(false) // line tables cost half a second per trap and tell host paths
	ctx := context.Background()
	starting.Lock()
	rt := wazero.NewRuntimeWithConfig(ctx, cfg)
	starting.Unlock()
	e := &Engine{
		rt:    rt,
		codes: map[[sha256.Size]byte]*Code{},
		envs:  map[string]*env{},
		// A compilation uses two workers, so more at one time gain nothing.
		compiling: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/workers)),
	}
	var errs [2]error
	e.wasi, errs[0] = e.wasiModule(ctx)
	b := e.rt.NewHostModuleBuilder(wasmbin.ImportModule)
	i64 := []api.ValueType{api.ValueTypeI64}
	b.NewFunctionBuilder().WithGoModuleFunction(refill, i64, i64).Export(wasmbin.ImportRefill)
	e.meter, _, errs[1] = e.anonymous(ctx, b)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, errors.Join(err, e.rt.Close(ctx))
	}
	return e, nil
}

func (e *Engine) wasiModule(ctx context.Context) (api.Module, error) {
	b := e.rt.NewHostModuleBuilder(abi.ModuleWASI)
	for _, f := range wasi.Functions() {
		b.NewFunctionBuilder().WithGoModuleFunction(f.Go, f.Type.Params, f.Type.Results).Export(f.Name)
	}
	m, _, err := e.anonymous(ctx, b) // its code lives as long as the Engine
	return m, err
}

// anonymous instantiates a host module that no name leads to: only the import
// resolver hands it out, so plugins cannot see each other's. Closing the instance
// does not give its code back: that is a second thing to close.
func (e *Engine) anonymous(ctx context.Context, b wazero.HostModuleBuilder) (api.Module, wazero.CompiledModule, error) {
	compiled, err := b.Compile(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("engine: host module: %w", err)
	}
	m, err := e.rt.InstantiateModule(ctx, compiled, nameless)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("engine: host module: %w", err), compiled.Close(ctx))
	}
	return m, compiled, nil
}

// nameless is how everything is instantiated: without a name, whatever a name
// section says, and with nothing started by itself. The source of randomness is
// for wazero's own WASI, which nothing links; its default is costly to make.
var nameless = wazero.NewModuleConfig().WithName("").WithStartFunctions().WithRandSource(rand.Reader)

// Stats returns the counters.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats
}

// Close frees all code. No run may be under way and none may start afterwards:
// nothing is ever freed under a running guest. It waits for a compilation that
// was given up.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.compilations.Wait()
	err := e.rt.Close(context.Background())
	e.slots.close()
	return err
}

// errClosed is what an Engine answers after Close.
var errClosed = errors.New("engine: closed")
