package bench_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
)

// BenchmarkStopTheWorld measures how long runtime.ReadMemStats, which stops all
// goroutines, and a whole garbage collection take beside a guest. "nothing" is
// the same without a guest, and the guests of "plain" run in wazero alone; they
// end after a while, or else the process would stand still for ever.
func BenchmarkStopTheWorld(b *testing.B) {
	b.Run("nothing", func(b *testing.B) { stopTheWorld(b, func() bool { return true }) })
	for _, h := range endless(b) {
		b.Run(h.Class+"/"+h.Name, func(b *testing.B) {
			beside(b, hostilePlugin(b, h, limits.Limits{Wall: time.Hour}))
		})
	}
	b.Run("plain/loop", func(b *testing.B) { besidePlain(b, countingLoop(1_000_000_000)) })
	b.Run("plain/fib", func(b *testing.B) { besidePlain(b, fib(38)) })
	b.Run("plain/call bomb", func(b *testing.B) { besidePlain(b, wasmgen.Doubles(27)) })
	b.Run("plain/bulk", func(b *testing.B) { besidePlain(b, fills(50)) })
}

// stopTheWorld measures as long as the guest is there.
func stopTheWorld(b *testing.B, running func() bool) {
	b.Helper()
	var stopped, collected sample
	var stats runtime.MemStats
	for b.Loop() {
		for range rounds(b, 300) {
			time.Sleep(time.Millisecond)
			began := time.Now()
			runtime.ReadMemStats(&stats)
			stopped = append(stopped, time.Since(began))
			began = time.Now()
			runtime.GC()
			collected = append(collected, time.Since(began))
			if !running() {
				b.Fatal("the guest has ended")
			}
		}
	}
	b.ReportMetric(0, "ns/op") // is mostly the pause between two samples
	stopped.report(b, "stop-", "ms")
	collected.report(b, "gc-", "ms")
}

// beside measures while an endless guest runs, and cancels it afterwards.
func beside(b *testing.B, p *host.Plugin) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := p.Run(ctx, nil)
		ended <- err
	}()
	time.Sleep(10 * time.Millisecond) // let it begin
	stopTheWorld(b, func() bool { return len(ended) == 0 })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		b.Fatalf("the guest ended with %v", err)
	}
}

// besidePlain stops the world once in each call of a guest, 10 ms after it began.
func besidePlain(b *testing.B, wasm []byte) {
	b.Helper()
	call := plain(b, wasm, &answers{}).caller()
	var stopped sample
	var stats runtime.MemStats
	for b.Loop() {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			call()
		}()
		time.Sleep(10 * time.Millisecond)
		began := time.Now()
		runtime.ReadMemStats(&stats)
		stopped = append(stopped, time.Since(began))
		<-ended
	}
	b.ReportMetric(0, "ns/op") // is the guest's own time
	stopped.report(b, "stop-", "ms")
}

// fills makes a guest that fills 62 MiB n times.
func fills(n int) []byte {
	var b wasmgen.Builder
	b.Memory(1024)
	fill := wasmgen.MemoryFill(wasmgen.I32Const(0), wasmgen.I32Const(1), wasmgen.I32Const(62<<20))
	body := make([][]byte, n)
	for i := range body {
		body[i] = fill
	}
	b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil, body...))
	return b.Bytes()
}
