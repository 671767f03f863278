package bench_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
)

// BenchmarkCPUBudget measures by how much an endless guest overdraws its CPU
// budget, as the report of the run tells it. Making the instance counts, and the
// first run is told apart for the reason that BenchmarkKill has.
func BenchmarkCPUBudget(b *testing.B) {
	const budget = 20 * time.Millisecond
	for _, h := range endless(b) {
		b.Run(h.Class+"/"+h.Name, func(b *testing.B) {
			p := hostilePlugin(b, h, limits.Limits{Wall: 10 * time.Second, CPU: budget})
			overdraw := func() time.Duration {
				report, err := p.Execute(context.Background(), nil)
				if !errors.Is(err, host.ErrCPULimit) {
					b.Fatalf("ended with %v", err)
				}
				return report.Usage.CPU - budget
			}
			first := overdraw()
			var over sample
			for b.Loop() {
				for range rounds(b, 100) {
					over = append(over, overdraw())
				}
			}
			b.ReportMetric(0, "ns/op") // is the budget
			b.ReportMetric(in("ms", first), "first-ms")
			over.report(b, "", "ms")
		})
	}
}

// BenchmarkBlocked measures what a guest is charged for 200 ms in which it waits
// for the host.
func BenchmarkBlocked(b *testing.B) {
	const wait = 200 * time.Millisecond
	blocks := capability.Func{Name: "block", Doc: "wait", Handle: func(ctx context.Context, _ *capability.Call) capability.Code {
		select {
		case <-time.After(wait):
			return capability.OK
		case <-ctx.Done():
			return capability.Timeout
		}
	}}
	var m wasmgen.Builder
	f := m.ImportFunc("env", "block", wasmgen.Sig{Results: wasmgen.I32s(1)})
	m.Memory(1)
	m.ExportFunc("run_check", m.Func(wasmgen.Sig{}, nil, wasmgen.Drop(wasmgen.Call(f))))
	p := load(b, newRuntime(b, limits.Limits{}, host.WithCapabilities(blocks)), packageOf(m.Bytes(), "block"))
	var charged sample
	for b.Loop() {
		for range rounds(b, 20) {
			report, err := p.Execute(context.Background(), nil)
			if !errors.Is(err, host.ErrNoResult) || report.Usage.HostWait < wait {
				b.Fatalf("ended with %v after %v of waiting", err, report.Usage.HostWait)
			}
			charged = append(charged, report.Usage.CPU)
		}
	}
	b.ReportMetric(0, "ns/op") // is the wait
	charged.report(b, "", "us")
	b.ReportMetric(100*float64(charged.at(1))/float64(wait), "max-percent")
}
