package engine

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/internal/wasmbin"
	"github.com/sandcheck/sandcheck/limits"
)

// Program is compiled code linked to what one plugin may call. It is immutable
// but for what is learnt about its _start, and serves many runs at one time.
type Program struct {
	engine *Engine
	code   *Code
	env    *env
	o      ProgramOptions

	noStart atomic.Bool // _start failed as initialisation once and is never tried again
}

// ProgramOptions say how a module is to be run.
type ProgramOptions struct {
	Entrypoint  string
	Initializer string // "_initialize", "_start" or ""
	Bindings    []abi.Binding
	Meta        *wasmbin.Meta // of the metered module that the code is of
}

// NewProgram links code, which it takes over: Close releases it.
func (e *Engine) NewProgram(code *Code, o ProgramOptions) (*Program, error) {
	v, err := e.env(o.Bindings)
	if err != nil {
		return nil, err
	}
	return &Program{engine: e, code: code, env: v, o: o}, nil
}

// Close gives code and host module back. No run may be under way.
func (p *Program) Close() {
	p.engine.releaseEnv(p.env)
	p.code.Release()
}

// Outcome is how a run ended and what the engine measured.
type Outcome struct {
	// Err is nil if the entrypoint returned in time; otherwise *abi.Exit,
	// *abi.Stop or *Trap, and anything else if the engine itself failed.
	Err error
	// StartDropped says why _start was discarded, in the run that did.
	StartDropped error
	// Instantiate is the time until the entrypoint was called, CPU what was
	// spent in guest code.
	Instantiate, CPU time.Duration
	// Fuel are the units of the entrypoint, InitFuel those of all before it.
	Fuel, InitFuel uint64
	PeakMemory     limits.Bytes
	RefusedGrows   int
	FirstRefused   limits.Bytes
}

// Run makes a fresh instance, initialises it, calls the entrypoint and frees
// everything, all under ctx.
func (p *Program) Run(ctx context.Context, r *abi.Run) (out Outcome) {
	m := newMeter(ctx, r)
	r.Meter = m
	ctx = context.WithValue(r.Begin(ctx, p.o.Bindings, p.o.Meta.Memory), meterKey{}, m)
	started := time.Now()
	m.Resume()
	inst, err := p.boot(ctx, r, m, &out)
	out.Instantiate = time.Since(started)
	out.InitFuel = inst.fuel(m)
	if err == nil {
		err = inst.call(ctx, p.o.Entrypoint)
	}
	m.Pause()
	if inst != nil {
		out.Fuel = inst.fuel(m) - out.InitFuel
		inst.close(&out)
	}
	out.CPU = m.cpu
	out.Err = p.ending(ctx, err)
	if limit := r.Limits.CPU; out.Err == nil && m.cpu > limit { // found too late for a refill
		out.Err = &abi.Stop{Cause: &limits.ExceededError{Resource: "cpu", Limit: int64(limit), Used: int64(m.cpu)}}
	}
	return out
}

// boot returns an instance that is ready for its entrypoint. The instance is
// the caller's to close, also beside an error.
func (p *Program) boot(ctx context.Context, r *abi.Run, m *meter, out *Outcome) (*instance, error) {
	if p.o.Initializer == "_start" && !p.noStart.Load() {
		inst, dropped := p.tryStart(ctx, r, m, out)
		if dropped == nil {
			return inst, nil
		}
		if ctx.Err() != nil {
			return nil, &abi.Stop{Cause: context.Cause(ctx)}
		}
		p.noStart.Store(true)
		out.StartDropped = dropped
	}
	inst, err := p.instantiate(ctx, r, m)
	if err == nil && p.o.Initializer == "_initialize" {
		err = inst.call(ctx, p.o.Initializer)
	}
	return inst, err
}

// instance is one instantiated module with its memory.
type instance struct {
	m   api.Module
	mem *memory
}

func (p *Program) instantiate(ctx context.Context, r *abi.Run, m *meter) (*instance, error) {
	inst := &instance{mem: &memory{limit: uint64(r.Limits.Memory), slots: &p.engine.slots}}
	m.mem = inst.mem
	ctx = experimental.WithMemoryAllocator(ctx, inst.mem)
	ctx = experimental.WithImportResolver(ctx, func(name string) api.Module {
		switch name {
		case abi.ModuleEnv:
			return p.env.module
		case abi.ModuleWASI:
			return p.engine.wasi
		case wasmbin.ImportModule:
			return p.engine.meter
		default:
			return nil
		}
	})
	module, err := p.engine.rt.InstantiateModule(ctx, p.code.compiled, nameless)
	if err != nil {
		return inst, err
	}
	inst.m = module
	p.o.Meta.CopyData(inst.mem.buf)
	if p.o.Meta.Start {
		err = inst.call(ctx, wasmbin.ExportStart)
	}
	return inst, err
}

// call runs an exported function without parameters. A panic that gets here is
// one of wazero itself; it ends the run, not the process.
func (i *instance) call(ctx context.Context, name string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &abi.HostPanic{Func: name, Value: v}
		}
	}()
	f := i.m.ExportedFunction(name)
	if f == nil {
		return fmt.Errorf("engine: no export %q", name)
	}
	// A call that was unwound before has not given its frames back.
	if depth, ok := i.m.ExportedGlobal(wasmbin.ExportDepth).(api.MutableGlobal); ok {
		depth.Set(0)
	}
	_, err = f.Call(ctx)
	return err
}

// fuel is what the run has used so far. Where there is no instance, the last one
// has been settled.
func (i *instance) fuel(m *meter) uint64 {
	if i == nil || i.m == nil {
		return m.granted
	}
	return m.used(int64(i.m.ExportedGlobal(wasmbin.ExportFuel).Get()))
}

// close frees the instance, on the goroutine that ran it: freeing memory under
// a running guest would crash the process.
func (i *instance) close(out *Outcome) {
	if i.m != nil {
		_ = i.m.Close(context.Background()) // nothing is open behind a guest module
	}
	i.mem.Free() // what instantiating left when it failed
	out.PeakMemory = max(out.PeakMemory, limits.Bytes(i.mem.peak))
	out.RefusedGrows += i.mem.refused
	if out.FirstRefused == 0 {
		out.FirstRefused = limits.Bytes(i.mem.firstRefused)
	}
}
