package bench_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/internal/wasmgen"
)

// BenchmarkMeter compares what guest code costs on instances that are kept:
// plain wazero, wazero with its own switch for ending guests, and metered code.
func BenchmarkMeter(b *testing.B) {
	for _, k := range []struct {
		name string
		wasm func(b *testing.B) []byte
	}{
		{"tightest-loop", func(*testing.B) []byte { return countingLoop(1_000_000) }},
		{"loop", func(*testing.B) []byte { return mixingLoop(1_000_000) }},
		{"fib", func(*testing.B) []byte { return fib(25) }},
		{"c", func(b *testing.B) []byte { return wasmgen.Guest(b, "http-check") }},
		{"rust", func(b *testing.B) []byte { return wasmgen.Guest(b, "http-check-rust") }},
		{"go-json", func(b *testing.B) []byte { return buildGo(b, jsonSource) }},
	} {
		b.Run(k.name, func(b *testing.B) {
			wasm := k.wasm(b)
			a := func() *answers { return httpAnswers(b) }
			compare(b, "us",
				often("plain", 20, plain(b, wasm, a()).caller()),
				often("switch", 1, switched(b, wasm, a()).caller()),
				often("metered", 20, metered(b, wasm, a())))
		})
	}
}

// often is a call whose time is taken over n of them: some take microseconds
// only, and now and then one has to need fuel. What is slow needs no more than one.
func often(name string, n int, call func()) variant {
	return variant{name, func() time.Duration {
		began := time.Now()
		for range n {
			call()
		}
		return time.Since(began) / time.Duration(n)
	}}
}

// countingLoop counts to n in its run_check.
func countingLoop(n int32) []byte {
	var b wasmgen.Builder
	b.Memory(1)
	b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, wasmgen.I32s(1), wasmgen.Loop(
		wasmgen.LocalSet(0, wasmgen.I32Add(wasmgen.LocalGet(0), wasmgen.I32Const(1))),
		wasmgen.BrIf(0, wasmgen.I32LtU(wasmgen.LocalGet(0), wasmgen.I32Const(n))))))
	return b.Bytes()
}

// mixingLoop does a little arithmetic in each of n rounds.
func mixingLoop(n int32) []byte {
	var b wasmgen.Builder
	b.Memory(1)
	i, x := wasmgen.LocalGet(0), wasmgen.LocalGet(1)
	b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, wasmgen.I32s(2), wasmgen.Loop(
		wasmgen.LocalSet(1, wasmgen.I32Add(wasmgen.I32Mul(wasmgen.I32Xor(x, i), wasmgen.I32Const(16777619)), wasmgen.I32ShrU(x, wasmgen.I32Const(7)))),
		wasmgen.LocalSet(0, wasmgen.I32Add(i, wasmgen.I32Const(1))),
		wasmgen.BrIf(0, wasmgen.I32LtU(i, wasmgen.I32Const(n)))),
		wasmgen.I32Store(0, wasmgen.I32Const(0), x)))
	return b.Bytes()
}

// fib computes a Fibonacci number in the slowest way.
func fib(n int32) []byte {
	var b wasmgen.Builder
	b.Memory(1)
	f := b.Declare(wasmgen.Sig{Params: wasmgen.I32s(1), Results: wasmgen.I32s(1)})
	less := func(by int32) []byte {
		return wasmgen.Call(f, wasmgen.I32Sub(wasmgen.LocalGet(0), wasmgen.I32Const(by)))
	}
	b.Define(f, nil,
		wasmgen.If(wasmgen.I32LtU(wasmgen.LocalGet(0), wasmgen.I32Const(2)), wasmgen.Return(wasmgen.LocalGet(0))),
		wasmgen.I32Add(less(1), less(2)))
	b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil, wasmgen.Drop(wasmgen.Call(f, wasmgen.I32Const(n)))))
	return b.Bytes()
}

// jsonSource reads and writes a document of the size of a check's result.
const jsonSource = `package main

import "encoding/json"

type metric struct {
	Name  string  ` + "`json:\"name\"`" + `
	Value float64 ` + "`json:\"value\"`" + `
	Unit  string  ` + "`json:\"unit\"`" + `
}

type result struct {
	Status  string            ` + "`json:\"status\"`" + `
	Summary string            ` + "`json:\"summary\"`" + `
	Metrics []metric          ` + "`json:\"metrics\"`" + `
	Labels  map[string]string ` + "`json:\"labels\"`" + `
}

var doc = []byte(` + "`" + `{"status":"OK","summary":"HTTP 200 in 12 ms","metrics":[{"name":"latency","value":12.5,"unit":"ms"},
	{"name":"size","value":4096,"unit":"B"}],"labels":{"region":"eu","host":"api.example.com"}}` + "`" + `)

func init() { runCheck() }

//go:wasmexport run_check
func runCheck() {
	var r result
	if err := json.Unmarshal(doc, &r); err != nil {
		panic(err)
	}
	if _, err := json.Marshal(r); err != nil {
		panic(err)
	}
}

func main() {}
`

// buildGo makes a reactor of standard Go.
func buildGo(b *testing.B, source string) []byte {
	b.Helper()
	dir := b.TempDir()
	for name, text := range map[string]string{"go.mod": "module guest\n\ngo 1.25\n", "main.go": source} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	file := filepath.Join(dir, "guest.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", file, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	return wasm
}
