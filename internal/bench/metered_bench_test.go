package bench_test

import (
	"context"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

// metered is plain with the module that this library would run, and a refill
// that looks at what the engine's looks at, as often. The engine itself makes a
// new instance for each run; here one is kept, so that nothing but the guest's
// own code is compared.
func metered(b *testing.B, wasm []byte, a *answers) func() {
	b.Helper()
	module, err := wasmbin.Decode(wasm, wasmbin.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	out, meta, err := module.Instrument(wasmbin.InstrumentOptions{})
	if err != nil {
		b.Fatal(err)
	}
	r := newRaw(b, wazero.NewRuntimeConfig(), out, a)
	m := &meter{slice: 50_000, deadline: time.Now().Add(time.Hour)}
	m.offer(b, r)
	inst, err := r.rt.InstantiateModule(r.ctx, r.compiled, alone)
	if err != nil {
		b.Fatal(err)
	}
	if meta.Memory {
		memory, _ := inst.Memory().Read(0, inst.Memory().Size())
		meta.CopyData(memory)
	}
	r.initialize(inst)
	run := inst.ExportedFunction("run_check")
	ctx, cancel := context.WithDeadline(r.ctx, m.deadline)
	b.Cleanup(cancel)
	return func() {
		m.last = time.Now()
		if _, err := run.Call(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// meter grants fuel as the engine does.
type meter struct {
	deadline   time.Time
	granted    uint64
	slice      uint64
	last, read time.Time
}

// offer defines the import that metering adds, before the guest is instantiated.
func (m *meter) offer(b *testing.B, r *raw) {
	b.Helper()
	i64 := []api.ValueType{api.ValueTypeI64}
	_, err := r.rt.NewHostModuleBuilder(wasmbin.ImportModule).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(m.refill), i64, i64).Export(wasmbin.ImportRefill).Instantiate(r.ctx)
	if err != nil {
		b.Fatal(err)
	}
}

func (m *meter) refill(ctx context.Context, _ api.Module, stack []uint64) {
	now := time.Now()
	if now.After(m.deadline) || ctx.Err() != nil {
		panic("the benchmark took an hour")
	}
	if now.Sub(m.read) >= time.Millisecond {
		m.read = now
		threadTime()
	}
	switch took := now.Sub(m.last); {
	case took > 400*time.Microsecond:
		m.slice = max(5_000, uint64(float64(m.slice)*float64(200*time.Microsecond)/float64(took)))
	case took < 150*time.Microsecond:
		m.slice = min(1_000_000, 2*m.slice)
	}
	m.last = now
	m.granted += uint64(-int64(stack[0])) + m.slice
	stack[0] = m.slice
}
