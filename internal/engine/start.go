package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/sandcheck/sandcheck/internal/abi"
)

// mostStackLost is how much of its stack a _start may leave behind. An unwound
// call does not put the stack pointer back; a little is harmless, much of it
// would make the entrypoint fail.
const mostStackLost = 4 << 10

// tryStart runs the _start of a command module as initialisation, so that its
// package-level initialisers run, and its proc_exit(0) only unwinds. If that
// fails in any way the instance is discarded and the reason returned: nothing of
// the attempt remains, and it had only half of the run's time.
func (p *Program) tryStart(ctx context.Context, r *abi.Run, m *meter, out *Outcome) (inst *instance, dropped error) {
	inst, err := p.instantiate(ctx, r, m)
	if err == nil {
		err = p.start(ctx, r, m, inst)
	}
	if err == nil {
		return inst, nil
	}
	if inst.m != nil {
		m.lost(inst)
	}
	inst.close(out)
	r.Stdout, r.Stderr = abi.NewTail(r.Stdout.Most()), abi.NewTail(r.Stderr.Most())
	return nil, err
}

func (p *Program) start(ctx context.Context, r *abi.Run, m *meter, inst *instance) error {
	if deadline, ok := ctx.Deadline(); ok {
		half := time.Until(deadline) / 2
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, half, fmt.Errorf("it took more than %v, half of the run's time", half.Round(time.Millisecond)))
		defer cancel()
	}
	defer m.half(ctx)()
	defer r.Try(ctx)()
	before, has := stackPointer(inst.m)
	err := p.ending(ctx, inst.call(ctx, "_start"))
	var exit *abi.Exit
	if errors.As(err, &exit) && exit.Code == 0 {
		err = nil
	}
	if err != nil {
		return err
	}
	if after, _ := stackPointer(inst.m); has && after < before && before-after > mostStackLost {
		return fmt.Errorf("it left %d bytes of the guest's stack behind, more than %d", before-after, mostStackLost)
	}
	return nil
}

// half leaves the run only half of its CPU budget and the deadline of ctx, until
// the function it returns is called.
func (m *meter) half(ctx context.Context) (whole func()) {
	deadline, cpu := m.deadline, m.cpuMost
	m.deadline, _ = ctx.Deadline()
	m.cpuMost = cpu / 2
	return func() { m.deadline, m.cpuMost = deadline, cpu }
}

// lost settles the fuel of an instance that is discarded: what it was granted
// and did not use goes back.
func (m *meter) lost(i *instance) { m.granted = i.fuel(m) }

// stackPointer reads global 0, which is the stack pointer in modules that
// wasm-ld linked. In others it means something else; there it starts at zero or
// does not go down.
func stackPointer(m api.Module) (uint32, bool) {
	im, ok := m.(experimental.InternalModule)
	if !ok || im.NumGlobal() == 0 {
		return 0, false
	}
	g := im.Global(0)
	if g.Type() != api.ValueTypeI32 {
		return 0, false
	}
	v := uint32(g.Get())
	return v, v != 0
}
