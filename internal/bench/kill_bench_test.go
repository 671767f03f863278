package bench_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
)

// endless are the modules of the hostile corpus that never end by themselves
// and spend their time in guest code.
func endless(b *testing.B) []wasmgen.Hostile {
	b.Helper()
	classes := []string{"loops", "call bombs", "recursion", "bulk", "growth"}
	var list []wasmgen.Hostile
	for _, h := range wasmgen.HostileCorpus() {
		if slices.Contains(classes, h.Class) && h.Want.Ended == "timed_out" && h.Want.Summary == "" && h.CPU == 0 {
			list = append(list, h)
		}
	}
	if len(list) < 20 {
		b.Fatalf("%d endless modules in the corpus", len(list))
	}
	return list
}

// hostilePlugin loads a module of the corpus. It may have the memory that all
// of them are made for.
func hostilePlugin(b *testing.B, h wasmgen.Hostile, l limits.Limits) *host.Plugin {
	b.Helper()
	l.Memory = 64 * limits.MiB
	return load(b, newRuntime(b, l), packageOf(h.Wasm()))
}

// BenchmarkKill measures how long after its deadline an endless guest is gone:
// from the wall limit to the return of Run, which includes making the run and
// freeing all of it. The first run is told apart: it may have to get the guest's
// memory from the system, page by page, before there is anything to stop.
func BenchmarkKill(b *testing.B) {
	const wall = 20 * time.Millisecond
	for _, h := range endless(b) {
		b.Run(h.Class+"/"+h.Name, func(b *testing.B) {
			p := hostilePlugin(b, h, limits.Limits{Wall: wall})
			kill := func() time.Duration {
				began := time.Now()
				_, err := p.Run(context.Background(), nil)
				late := time.Since(began) - wall
				if !errors.Is(err, host.ErrTimeout) {
					b.Fatalf("ended with %v", err)
				}
				return late
			}
			first := kill()
			var late sample
			for b.Loop() {
				for range rounds(b, 100) {
					late = append(late, kill())
				}
			}
			b.ReportMetric(0, "ns/op") // is the deadline
			b.ReportMetric(in("ms", first), "first-ms")
			late.report(b, "", "ms")
		})
	}
}
