package bench_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
)

// BenchmarkRefuse measures what Load takes to refuse each module of the hostile
// corpus that does not load. A class is told by its slowest module of up to
// 1 MB, of up to 5 MB and of more.
func BenchmarkRefuse(b *testing.B) {
	classes := map[string][]wasmgen.Hostile{}
	var names []string
	for _, h := range wasmgen.HostileCorpus() {
		if h.Want.Refused == "" {
			continue
		}
		if classes[h.Class] == nil {
			names = append(names, h.Class)
		}
		classes[h.Class] = append(classes[h.Class], h)
	}
	for _, class := range names {
		b.Run(class, func(b *testing.B) {
			for b.Loop() {
				worst := slowest{}
				for _, h := range classes[class] {
					worst.note(h.Name, h.Wasm(), refusal(b, h.Wasm(), h.Want.Refused))
				}
				worst.report(b)
			}
			b.ReportMetric(0, "ns/op") // of a whole class says nothing
			b.ReportMetric(float64(len(classes[class])), "modules")
		})
	}
}

// BenchmarkRefuseLast measures what Load takes to refuse modules that are right
// up to their last function, by their size and by what they are full of.
func BenchmarkRefuseLast(b *testing.B) {
	for _, f := range fillers() {
		for _, size := range []int{100_000, 1_000_000, 5_000_000} {
			b.Run(fmt.Sprintf("%s/%dKB", f.name, size/1000), func(b *testing.B) {
				refuseAgain(b, f.module(size), "function")
			})
		}
	}
	b.Run("standard Go, cut by one byte", func(b *testing.B) {
		wasm := wasmgen.Guest(b, "http-check-go")
		refuseAgain(b, wasm[:len(wasm)-1], "")
	})
}

func refuseAgain(b *testing.B, wasm []byte, because string) {
	b.Helper()
	var took sample
	for b.Loop() {
		took = append(took, refusal(b, wasm, because))
	}
	b.ReportMetric(0, "ns/op") // is told as a median
	b.ReportMetric(in("ms", took.at(0.5)), "p50-ms")
	b.ReportMetric(in("ms", took.at(1)), "max-ms")
	b.ReportMetric(float64(len(wasm)), "bytes")
}

// refusal is the median time of some Loads of wasm, which must fail.
func refusal(b *testing.B, wasm []byte, because string) time.Duration {
	b.Helper()
	rt := newRuntime(b, limits.Limits{Memory: 64 * limits.MiB})
	pkg := packageOf(wasm)
	var took sample
	for range rounds(b, 5) {
		began := time.Now()
		_, err := rt.Load(context.Background(), pkg)
		took = append(took, time.Since(began))
		if err == nil || !strings.Contains(err.Error(), because) {
			b.Fatalf("the error is %v, not about %q", err, because)
		}
	}
	return took.at(0.5)
}

// slowest keeps the slowest module of each group of sizes.
type slowest [3]struct {
	name string
	took time.Duration
	n    int
}

func (s *slowest) note(name string, wasm []byte, took time.Duration) {
	group := &s[2]
	switch n := len(wasm); {
	case n <= 1_000_000:
		group = &s[0]
	case n <= 5_000_000:
		group = &s[1]
	}
	group.n++
	if took > group.took {
		group.name, group.took = name, took
	}
}

func (s *slowest) report(b *testing.B) {
	b.Helper()
	for i, size := range []string{"1MB", "5MB", "more"} {
		if s[i].n > 0 {
			b.ReportMetric(in("ms", s[i].took), size+"-ms")
			b.Logf("%s: the slowest of %d is %q: %v", size, s[i].n, s[i].name, s[i].took)
		}
	}
}

// filler is code that a module can be full of.
type filler struct {
	name  string
	piece []byte
	wide  bool // instead of piece: calls that pass 255 values from one to the next
}

func fillers() []filler {
	get := wasmgen.LocalGet(0)
	return []filler{
		{name: "nop", piece: wasmgen.Nop()},
		{name: "additions", piece: wasmgen.LocalSet(0, wasmgen.I32Add(get, wasmgen.I32Const(1)))},
		{name: "stores", piece: wasmgen.I32Store(0, get, get)},
		{name: "blocks", piece: wasmgen.Block(wasmgen.BrIf(0, get))},
		{name: "wide calls", wide: true},
	}
}

// module is full of the filler and of about that size. Its last function is
// wrong.
func (f filler) module(size int) []byte {
	const body = 20_000 // many bodies, for each has limits of its own
	var b wasmgen.Builder
	b.Memory(1)
	piece := f.piece
	var before, after []byte
	if f.wide {
		i64 := make([]wasmgen.ValType, 255)
		for i := range i64 {
			i64[i] = wasmgen.I64
			before = wasmgen.Seq(before, wasmgen.I64Const(1))
			after = wasmgen.Seq(after, wasmgen.Drop())
		}
		piece = wasmgen.Call(b.Func(wasmgen.Sig{Params: i64, Results: i64}, nil, wasmgen.Unreachable()))
	}
	var code []byte
	for len(code) < body {
		code = append(code, piece...)
	}
	code = wasmgen.Seq(before, code, after)
	for n := 0; n < size; n += len(code) {
		b.Func(wasmgen.Sig{}, wasmgen.I32s(1), code)
	}
	b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil, wasmgen.Drop())) // of nothing
	return b.Bytes()
}
