package bench_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
)

// hostCalls is how many calls are measured together.
const hostCalls = 200_000

// BenchmarkHostCall measures a call of a host function that does nothing, from a
// loop in a guest: of raw wazero in its two ways; of this library a function of
// capability.Core, one that an embedder adds, and one that is not granted.
func BenchmarkHostCall(b *testing.B) {
	noop := capability.Func{Name: "noop", Doc: "do nothing",
		Handle: func(context.Context, *capability.Call) capability.Code { return capability.OK }}
	rt := newRuntime(b, limits.Limits{HostCalls: 1 << 30, CallRate: 1 << 30}, host.WithCapabilities(noop))
	pointers := [][]byte{wasmgen.I32Const(0), wasmgen.I32Const(1)}
	for _, v := range []struct {
		name string
		once func(b *testing.B) func()
	}{
		{"raw", func(b *testing.B) func() {
			return rawCaller(b, func(f wazero.HostFunctionBuilder) wazero.HostFunctionBuilder {
				return f.WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, _ api.Module, s []uint64) { s[0] = 0 }), nil, i32s(1))
			})
		}},
		{"reflective", func(b *testing.B) func() {
			return rawCaller(b, func(f wazero.HostFunctionBuilder) wazero.HostFunctionBuilder {
				return f.WithFunc(func(context.Context, api.Module) uint32 { return 0 })
			})
		}},
		{"core", func(b *testing.B) func() {
			return pluginCaller(b, load(b, rt, packageOf(callsInLoop("last_error", pointers...))))
		}},
		{"embedder", func(b *testing.B) func() { return pluginCaller(b, load(b, rt, packageOf(callsInLoop("noop"), "noop"))) }},
		{"refused", func(b *testing.B) func() { return pluginCaller(b, load(b, rt, packageOf(callsInLoop("noop")))) }},
	} {
		b.Run(v.name, func(b *testing.B) {
			once := v.once(b)
			once()
			var took sample
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				began := time.Now()
				once()
				took = append(took, time.Since(began))
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(0, "ns/op") // of 200,000 calls says nothing
			b.ReportMetric(float64(took.at(0.5).Nanoseconds())/hostCalls, "ns/call")
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(len(took)*hostCalls), "allocs/call")
		})
	}
}

// callsInLoop makes a guest that calls a host function many times.
func callsInLoop(name string, args ...[]byte) []byte {
	var b wasmgen.Builder
	f := b.ImportFunc("env", name, wasmgen.Env(name, len(args)).Sig)
	b.Memory(1)
	b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, wasmgen.I32s(1), wasmgen.Loop(
		wasmgen.Drop(wasmgen.Call(f, args...)),
		wasmgen.LocalSet(0, wasmgen.I32Add(wasmgen.LocalGet(0), wasmgen.I32Const(1))),
		wasmgen.BrIf(0, wasmgen.I32LtU(wasmgen.LocalGet(0), wasmgen.I32Const(hostCalls))))))
	return b.Bytes()
}

func pluginCaller(b *testing.B, p *host.Plugin) func() {
	return func() {
		report, _ := p.Execute(context.Background(), nil) // it submits nothing, which is an error
		n := 0
		for _, calls := range report.Usage.Calls {
			n += calls
		}
		if report.Ended != host.Returned || n != hostCalls {
			b.Fatalf("%v after %d calls: %v", report.Ended, n, report.Cause)
		}
	}
}

func rawCaller(b *testing.B, offer func(wazero.HostFunctionBuilder) wazero.HostFunctionBuilder) func() {
	b.Helper()
	r := &raw{b: b, ctx: context.Background()}
	r.rt = wazero.NewRuntime(r.ctx)
	b.Cleanup(func() { r.rt.Close(r.ctx) })
	if _, err := offer(r.rt.NewHostModuleBuilder("env").NewFunctionBuilder()).Export("noop").Instantiate(r.ctx); err != nil {
		b.Fatal(err)
	}
	var err error
	if r.compiled, err = r.rt.CompileModule(r.ctx, callsInLoop("noop")); err != nil {
		b.Fatal(err)
	}
	return r.caller()
}
