package host_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
)

// worker makes a guest that does a bit of everything that is charged: rounds of
// a loop, calls, bulk instructions, growth, and host calls.
func worker(rounds int32) []byte {
	var b wasmgen.Builder
	logf := b.ImportFunc("env", "log", wasmgen.Log().Sig)
	b.Memory(3)
	b.Data(8, []byte("line"))
	g := b.Global(wasmgen.I64, true, wasmgen.I64Const(1))
	add := b.Func(wasmgen.Sig{Params: wasmgen.I32s(1)}, nil,
		wasmgen.GlobalSet(g, wasmgen.I64Add(wasmgen.GlobalGet(g), wasmgen.I64ExtendI32U(wasmgen.LocalGet(0)))))
	b.ExportFunc("_initialize", b.Func(wasmgen.Sig{}, nil, wasmgen.Call(add, wasmgen.I32Const(3)), wasmgen.MemoryFill(wasmgen.I32Const(100), wasmgen.I32Const(1), wasmgen.I32Const(5000))))
	b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, wasmgen.I32s(1),
		wasmgen.LocalSet(0, wasmgen.I32Const(rounds)),
		wasmgen.Loop(
			wasmgen.Call(add, wasmgen.LocalGet(0)),
			wasmgen.If(wasmgen.I32Eqz(wasmgen.I32RemU(wasmgen.LocalGet(0), wasmgen.I32Const(1000))),
				wasmgen.Call(logf, wasmgen.I32Const(1), wasmgen.I32Const(8), wasmgen.I32Const(4)),
				wasmgen.MemoryCopy(wasmgen.I32Const(0), wasmgen.I32Const(1), wasmgen.I32Const(150_000))),
			wasmgen.BrIf(0, wasmgen.LocalTee(0, wasmgen.I32Sub(wasmgen.LocalGet(0), wasmgen.I32Const(1))))),
		wasmgen.Drop(wasmgen.MemoryGrow(wasmgen.I32Const(2))),
		wasmgen.If(wasmgen.I64Eqz(wasmgen.GlobalGet(g)), wasmgen.Unreachable())))
	return b.Bytes()
}

// TestFuelRepeats runs one guest 100 times and wants one number, the same from
// both engines.
func TestFuelRepeats(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[[2]uint64][]string{}
	t.Run("engines", func(t *testing.T) {
		engines(t, func(t *testing.T, engine ...host.Option) {
			for range 10 {
				p := load(t, newRuntime(t, engine...), packageOf(worker(5000), "log", "submit_result"))
				for range 10 {
					r, err := p.Execute(t.Context(), nil)
					if !errors.Is(err, host.ErrNoResult) {
						t.Fatal(err)
					}
					mu.Lock()
					key := [2]uint64{r.Usage.Fuel, r.Usage.InitFuel}
					seen[key] = append(seen[key], t.Name())
					mu.Unlock()
				}
			}
		})
	})
	if len(seen) != 1 {
		t.Errorf("units of entrypoint and initialisation: %v, want one pair", seen)
	}
	for key := range seen {
		if key[0] < 5000*10 || key[1] == 0 {
			t.Errorf("%d units for 5,000 rounds, %d for initialisation", key[0], key[1])
		}
	}
}

// TestCPUIsNotWallTime gives a guest a CPU budget that it needs half of, beside
// goroutines that take the cores away from it.
func TestCPUIsNotWallTime(t *testing.T) {
	if testing.Short() {
		t.Log("with one busy neighbour instead of eight, because of -short")
	}
	p := load(t, newRuntime(t, wall(time.Minute)), packageOf(worker(5_000_000), "log", "submit_result"))
	run := func() limits.Usage {
		r, err := p.Execute(t.Context(), nil)
		if !errors.Is(err, host.ErrNoResult) {
			t.Fatalf("ended %v: %v", r.Ended, err)
		}
		return r.Usage
	}
	run()
	alone := min(run().CPU, run().CPU, run().CPU)
	var quit atomic.Bool
	var busy sync.WaitGroup
	neighbours := 8
	if testing.Short() {
		neighbours = 1
	}
	for range neighbours {
		busy.Go(func() {
			for !quit.Load() { // busy on purpose
			}
		})
	}
	beside := run()
	quit.Store(true)
	busy.Wait()
	t.Logf("alone %v of CPU; beside %d busy goroutines %v of CPU in %v", alone, neighbours, beside.CPU, beside.Wall)
	if alone == 0 || beside.CPU > 3*alone+20*time.Millisecond {
		t.Errorf("CPU time %v beside busy goroutines, %v alone", beside.CPU, alone)
	}
	if beside.CPU > beside.Wall {
		t.Errorf("CPU time %v in %v", beside.CPU, beside.Wall)
	}
}

// TestBlockedTimeIsFree sleeps and waits for a silent peer: that is host time.
func TestBlockedTimeIsFree(t *testing.T) {
	t.Parallel()
	const blocked = 200 * time.Millisecond
	for _, tt := range []struct {
		name  string
		steps []wasmgen.Step
	}{
		{"poll_oneoff", []wasmgen.Step{wasmgen.Sleep(200)}},
		{"tcp_read", []wasmgen.Step{
			wasmgen.Do("tcp_connect", wasmgen.Text("silent.example"), wasmgen.Lit(80), wasmgen.Lit(0)).As("c"),
			wasmgen.Do("tcp_read", wasmgen.Ref("c"), wasmgen.Out(64), wasmgen.Lit(200)),
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := judgeNetwork()
			defer n.Close()
			pkg := packageOf(wasmgen.Proxy(wasmgen.Script{Entry: tt.steps}))
			pkg.Manifest.Permissions = judgePermissions()
			p := load(t, newRuntime(t, host.WithNetwork(n.Config()), host.WithLimits(limits.Limits{CPU: 100 * time.Millisecond})), pkg, host.GrantRequested())
			r, err := p.Execute(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.Usage.HostWait < blocked-20*time.Millisecond || r.Usage.HostWait > r.Usage.Wall {
				t.Errorf("host wait %v of %v, slept %v", r.Usage.HostWait, r.Usage.Wall, blocked)
			}
			if r.Usage.CPU > blocked/4 {
				t.Errorf("CPU time %v while blocked for %v", r.Usage.CPU, blocked)
			}
		})
	}
}

// TestRefusedGrowth asks for more memory than there is.
func TestRefusedGrowth(t *testing.T) {
	t.Parallel()
	const page = 64 << 10
	for _, tt := range []struct {
		name     string
		grow     []uint32
		peak     limits.Bytes
		refused  int
		firstAsk limits.Bytes
	}{
		{"none", nil, page, 0, 0},
		{"up to the limit", []uint32{63}, 4 * limits.MiB, 0, 0},
		{"one page above", []uint32{63, 1}, 4 * limits.MiB, 1, 4*limits.MiB + page},
		{"too much, then enough, then too much", []uint32{64, 10, 100}, 11 * page, 2, 65 * page},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			engines(t, func(t *testing.T, engine ...host.Option) {
				var b wasmgen.Builder
				b.Memory(1)
				var body []byte
				for _, n := range tt.grow {
					body = wasmgen.Seq(body, wasmgen.Drop(wasmgen.MemoryGrow(wasmgen.I32Const(int32(n)))))
				}
				b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil, body))
				p := load(t, newRuntime(t, append(engine, host.WithMemoryLimit(4*limits.MiB))...), packageOf(b.Bytes(), "submit_result"))
				r, _ := p.Execute(t.Context(), nil) // without a result, which is not the question
				u := r.Usage
				if u.PeakMemory != tt.peak || u.RefusedGrows != tt.refused || u.FirstRefused != tt.firstAsk {
					t.Errorf("peak %v, %d refused, first %v; want %v, %d, %v", u.PeakMemory, u.RefusedGrows, u.FirstRefused, tt.peak, tt.refused, tt.firstAsk)
				}
			})
		})
	}
}

// nesting makes a guest that calls itself to the given depth.
func nesting(depth int32) []byte {
	var b wasmgen.Builder
	f := b.Declare(wasmgen.Sig{Params: wasmgen.I32s(1)})
	b.Define(f, nil, wasmgen.If(wasmgen.LocalGet(0), wasmgen.Call(f, wasmgen.I32Sub(wasmgen.LocalGet(0), wasmgen.I32Const(1)))))
	b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil, wasmgen.Call(f, wasmgen.I32Const(depth))))
	return b.Bytes()
}

// TestStackBound calls as deep as 1 MiB of frames allows, and one deeper.
func TestStackBound(t *testing.T) {
	t.Parallel()
	const (
		stack = 1 << 20
		frame = 64 + 8*(1+2) // a parameter and two operands
		outer = 64 + 8*1
		most  = (stack-outer)/frame - 1 // the deepest frame has a parameter of 0
	)
	ended := func(depth int32, engine ...host.Option) string {
		r, _ := load(t, newRuntime(t, engine...), packageOf(nesting(depth), "submit_result")).Execute(t.Context(), nil)
		var trap *host.TrapError
		if errors.As(r.Cause, &trap) {
			return trap.Kind
		}
		return r.Ended.String()
	}
	if got := ended(most); got != "returned" {
		t.Errorf("%d calls in each other: %s, want returned", most, got)
	}
	if got := ended(most + 1); got != "stack_overflow" {
		t.Errorf("%d calls in each other: %s, want stack_overflow", most+1, got)
	}
	// The interpreter has a bound of its own, of 2,000 frames.
	if got := ended(1900, host.WithInterpreter()); got != "returned" {
		t.Errorf("interpreter, 1,900 calls in each other: %s, want returned", got)
	}
	if got := ended(2100, host.WithInterpreter()); got != "stack_overflow" {
		t.Errorf("interpreter, 2,100 calls in each other: %s, want stack_overflow", got)
	}
}

// TestFramesOfTraps wants the guest's own names, innermost first, and none of
// the functions that metering adds.
func TestFramesOfTraps(t *testing.T) {
	t.Parallel()
	module := func(named bool, inner ...[]byte) []byte {
		var b wasmgen.Builder
		b.Memory(1)
		in := b.Declare(wasmgen.Sig{})
		b.Define(in, nil, inner...)
		mid := b.Func(wasmgen.Sig{}, nil, wasmgen.Call(in))
		b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil, wasmgen.Call(mid)))
		if named {
			b.Names("check.inner", "check.middle", "check.outer")
		}
		return b.Bytes()
	}
	for _, tt := range []struct {
		name string
		wasm []byte
		kind string
		want []string // the first ones
	}{
		{"unreachable", module(true, wasmgen.Unreachable()), "unreachable", []string{"check.inner", "check.middle", "check.outer"}},
		{"without names", module(false, wasmgen.Unreachable()), "unreachable", []string{"$0", "$1", "$2"}},
		{"bulk instruction", module(true, wasmgen.MemoryFill(wasmgen.I32Const(-1), wasmgen.I32Const(0), wasmgen.I32Const(9))),
			"out_of_bounds_memory", []string{"check.inner", "check.middle", "check.outer"}},
		{"stack", module(true, wasmgen.Call(0)), "stack_overflow", []string{"check.inner", "check.inner"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			engines(t, func(t *testing.T, engine ...host.Option) {
				r, err := load(t, newRuntime(t, engine...), packageOf(tt.wasm, "submit_result")).Execute(t.Context(), nil)
				var trap *host.TrapError
				if !errors.As(err, &trap) || trap.Kind != tt.kind {
					t.Fatalf("%v, want a trap of kind %s", err, tt.kind)
				}
				var got []string
				for _, f := range trap.Frames {
					name, _, _ := strings.Cut(f, "(")
					got = append(got, name)
				}
				if len(got) < len(tt.want) || !slices.Equal(got[:len(tt.want)], tt.want) {
					t.Errorf("frames %q, want %q", trap.Frames, tt.want)
				}
				if r.Result.Summary != "trap: "+tt.kind {
					t.Errorf("summary %q", r.Result.Summary)
				}
			})
		})
	}
}

// TestEndingsOfBudgets checks what people read of a run that was stopped, and
// that it was stopped soon.
func TestEndingsOfBudgets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		limits  limits.Limits
		ended   host.Ending
		summary string
		is      error
	}{
		{"wall", limits.Limits{Wall: 120 * time.Millisecond}, host.TimedOut, "timeout after 120ms", host.ErrTimeout},
		{"cpu", limits.Limits{CPU: 50 * time.Millisecond}, host.Limited, "cpu limit: used more than 50ms", host.ErrCPULimit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			engines(t, func(t *testing.T, engine ...host.Option) {
				p := load(t, newRuntime(t, append(engine, host.WithLimits(tt.limits))...), packageOf(wasmgen.Loops(), "submit_result"))
				r, err := p.Execute(t.Context(), nil)
				if r.Ended != tt.ended || r.Result.Summary != tt.summary || !errors.Is(err, tt.is) {
					t.Errorf("ended %v, %q, %v; want %v, %q", r.Ended, r.Result.Summary, err, tt.ended, tt.summary)
				}
				if r.Usage.Fuel == 0 || r.Usage.CPU == 0 || r.Usage.CPU > r.Usage.Wall+time.Millisecond {
					t.Errorf("%d units, %v of CPU in %v", r.Usage.Fuel, r.Usage.CPU, r.Usage.Wall)
				}
				var over *limits.ExceededError
				if tt.ended == host.Limited && (!errors.As(err, &over) || over.Resource != "cpu" || over.Used < over.Limit) {
					t.Errorf("%v does not tell limit and use", err)
				}
				if tt.ended == host.Limited && r.Usage.CPU > 200*time.Millisecond {
					t.Errorf("%v of CPU on a budget of 50ms", r.Usage.CPU)
				}
			})
		})
	}
}
