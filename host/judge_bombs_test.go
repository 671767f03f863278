package host_test

import (
	"context"
	"fmt"
	"sort"

	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
)

// bombCases are the largest modules of each expensive shape that a host takes:
// what they cost is the most that a guest can make it pay. Where the bound lies
// is the host's to say; one more must be refused.
func bombCases(interpreter bool) (cases []wasmgen.Hostile) {
	for _, b := range wasmgen.Bombs() {
		cases = append(cases, wasmgen.Hostile{
			Name: b.Name + ", as many as load", Class: "compile bombs", Want: wasmgen.Verdict{Ended: "returned"},
			Wasm: func() []byte { return b.Shape(largest(interpreter, b)) },
		})
	}
	return cases
}

// largest searches the bound with Inspect, which compiles nothing.
func largest(interpreter bool, b wasmgen.Bomb) int {
	opts := []host.Option{host.WithUnsigned(), host.WithMemoryLimit(judgeMemory)}
	if interpreter {
		opts = append(opts, host.WithInterpreter())
	}
	rt, err := host.New(opts...)
	if err != nil {
		panic(fmt.Sprintf("New: %v", err)) // the options are right elsewhere
	}
	defer rt.Close(context.Background())
	const least = 2
	n := sort.Search(b.Most-least, func(n int) bool {
		in, err := rt.Inspect(context.Background(), packageOf(b.Shape(n+least), "submit_result"))
		return err != nil || len(in.Problems) > 0
	})
	return n + least - 1
}
