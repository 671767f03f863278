package abi_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/limits"
)

// copies reads one range and fills another with 0xee.
func copies(seen *[]byte) capability.Func {
	return capability.Func{
		Name:   "copies",
		Params: []capability.Param{{Name: "a", Kind: capability.I32}, {Name: "in", Kind: capability.In}, {Name: "out", Kind: capability.Out}},
		Handle: func(_ context.Context, c *capability.Call) capability.Code {
			*seen = append([]byte{}, c.In[0]...)
			for i := range c.Out {
				c.Out[i] = 0xee
			}
			return capability.Code(c.Ints[0])
		},
	}
}

func TestPointersAgainstRealMemory(t *testing.T) {
	t.Parallel()
	const size = 65536
	const garbage = 0xdeadbeef << 32
	for _, tt := range []struct {
		name           string
		pages          uint32
		inPtr, inLen   uint64
		outPtr, outLen uint64
		ok             bool
	}{
		{"all of memory, twice", 1, 0, size, 0, size, true},
		{"garbage in the upper halves", 1, garbage | 8, garbage | 8, garbage | 16, garbage | 8, true},
		{"garbage alone", 1, garbage, garbage, garbage, garbage, true},
		{"last byte", 1, size - 1, 1, size - 1, 1, true},
		{"one past the end", 1, size - 1, 2, 0, 0, false},
		{"one past the end, answer", 1, 0, 0, size - 1, 2, false},
		{"at the end", 1, size, 1, 0, 0, false},
		{"at the end, nothing", 1, size, 0, size, 0, true},
		{"past the end, nothing", 1, size + 1, 0, size + 1, 0, true},
		{"largest pointer, nothing", 1, math.MaxUint32, 0, math.MaxUint32, 0, true},
		{"largest pointer", 1, math.MaxUint32, 1, 0, 0, false},
		{"largest length", 1, 0, math.MaxUint32, 0, 0, false},
		{"largest length, answer", 1, 0, 0, 0, math.MaxUint32, false},
		{"wraps to 8", 1, math.MaxUint32 - 7, 16, 0, 0, false},
		{"wraps to 8, answer", 1, 0, 0, math.MaxUint32 - 7, 16, false},
		{"both largest", 1, math.MaxUint32, math.MaxUint32, math.MaxUint32, math.MaxUint32, false},
		{"1 GiB", 1, 0, 0, 0, 1 << 30, false},
		{"no memory, nothing", 0, 0, 0, 0, 0, true},
		{"no memory, nothing anywhere", 0, 99, 0, math.MaxUint32, 0, true},
		{"no memory", 0, 0, 1, 0, 0, false},
		{"no memory, answer", 0, 0, 0, 0, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := instance(t, tt.pages)
			if tt.pages > 0 {
				m.Memory().Write(0, []byte(strings.Repeat("m", size)))
			}
			var seen []byte
			g := begin(t, t.Context(), m, tt.pages > 0, limits.Limits{}, bindings(copies(&seen))...)
			got, want := g.code(0, garbage|7, tt.inPtr, tt.inLen, tt.outPtr, tt.outLen), capability.Code(7)
			if !tt.ok {
				want = capability.Invalid
			}
			if got != want {
				t.Errorf("answered %d, want %d", got, want)
			}
			if n := len(seen); tt.ok && n != int(uint32(tt.inLen)) || !tt.ok && seen != nil {
				t.Errorf("the handler saw %d bytes", n)
			}
			if tt.pages == 0 {
				return
			}
			after, _ := m.Memory().Read(0, size)
			for i, b := range after {
				inside := tt.ok && i >= int(uint32(tt.outPtr)) && i < int(uint32(tt.outPtr))+int(uint32(tt.outLen))
				if (b == 0xee) != inside {
					t.Fatalf("byte %d is %#x", i, b)
				}
			}
		})
	}
}

func TestViewsCannotGrow(t *testing.T) {
	t.Parallel()
	f := capability.Func{Name: "f", Params: []capability.Param{{Kind: capability.In}, {Kind: capability.Out}},
		Handle: func(_ context.Context, c *capability.Call) capability.Code {
			_ = append(c.In[0], 'X')
			_ = append(c.Out, 'X')
			return capability.Code(cap(c.In[0])<<8 | cap(c.Out))
		}}
	m := instance(t, 1)
	g := begin(t, t.Context(), m, true, limits.Limits{}, bindings(f)...)
	if got := g.code(0, 0, 3, 10, 5); got != 3<<8|5 {
		t.Errorf("capacities %d and %d, want 3 and 5", got>>8, got&0xff)
	}
	if b, _ := m.Memory().Read(0, 20); strings.Contains(string(b), "X") {
		t.Errorf("append wrote behind a view: %q", b)
	}
}

func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	ran := 0
	f := capability.Func{Name: "f", Params: []capability.Param{{Name: "in", Kind: capability.In}},
		Handle: func(context.Context, *capability.Call) capability.Code { ran++; return capability.Denied }}
	g := begin(t, t.Context(), &module{mem: &memory{b: make([]byte, 8)}}, true, limits.Limits{HostCalls: 3}, bindings(f)...)
	for i, step := range []struct {
		ptr  uint64
		want capability.Code
		ran  int
	}{
		{9, capability.Invalid, 0}, // a range outside comes before the handler
		{0, capability.Denied, 1},
		{0, capability.Denied, 2},   // the last call of the limit
		{9, capability.TooLarge, 2}, // the limit comes before the range
		{0, capability.TooLarge, 2},
	} {
		if got := g.code(0, step.ptr, 1); got != step.want || ran != step.ran {
			t.Errorf("call %d answered %d after %d handled, want %d after %d", i+1, got, ran, step.want, step.ran)
		}
	}
	var u limits.Usage
	g.Counts(&u)
	if u.Calls["f"] != 5 || u.Failed["f -3"] != 2 || u.Failed["f -2"] != 2 || u.Failed["f -1"] != 1 {
		t.Errorf("counted %v, failed %v", u.Calls, u.Failed)
	}
	if len(g.records) != 5 || len(g.Failures()) != 5 {
		t.Errorf("%d records, %d failures", len(g.records), len(g.Failures()))
	}
}

func TestStubsNeverCountTowardsADenialOfRanges(t *testing.T) {
	t.Parallel()
	stub := abi.Binding{Name: "x", Type: abi.Type{Params: ints(2), Results: ints(1)}, Code: capability.NotFound}
	g := begin(t, t.Context(), &module{}, false, limits.Limits{HostCalls: 1}, stub)
	for range 3 {
		if got := g.code(0, 1, math.MaxUint32); got != capability.NotFound {
			t.Errorf("answered %d, want -4 whatever its arguments and limits", got)
		}
	}
}

func TestStubResults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		t    api.ValueType
		want uint64
	}{
		{"i32", i32, api.EncodeI32(-4)},
		{"i64", i64, uint64(math.MaxUint64 - 3)},
		{"f32", f32, api.EncodeF32(-4)},
		{"f64", f64, api.EncodeF64(-4)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			stub := abi.Binding{Name: "x", Type: abi.Type{Results: []api.ValueType{tt.t, tt.t}}, Code: capability.NotFound}
			g := begin(t, t.Context(), &module{}, false, limits.Limits{}, stub)
			stack := []uint64{1, 2, 3}
			abi.Trampoline(0, stub).(api.GoModuleFunc)(g.ctx, g.module, stack)
			if stack[0] != tt.want || stack[1] != tt.want || stack[2] != 3 {
				t.Errorf("stack %#x, want %#x twice", stack, tt.want)
			}
		})
	}
	void := abi.Binding{Name: "log", Type: abi.Type{Params: ints(1)}, Code: capability.Denied, Capability: "log"}
	g := begin(t, t.Context(), &module{}, false, limits.Limits{}, void)
	stack := []uint64{77}
	abi.Trampoline(0, void).(api.GoModuleFunc)(g.ctx, g.module, stack)
	if stack[0] != 77 {
		t.Errorf("a stub without result wrote %#x", stack[0])
	}
	if len(g.records) != 1 || !g.records[0].Stub || g.records[0].Unlock != "log" {
		t.Errorf("records %+v", g.records)
	}
}

func TestVoidFunctionsLeaveTheStackAlone(t *testing.T) {
	t.Parallel()
	f := capability.Func{Name: "f", Void: true, Params: []capability.Param{{Kind: capability.In}},
		Handle: func(context.Context, *capability.Call) capability.Code { return capability.Internal }}
	g := begin(t, t.Context(), &module{mem: &memory{b: make([]byte, 8)}}, true, limits.Limits{}, bindings(f)...)
	for _, ptr := range []uint64{0, 99} {
		if got := g.call(0, ptr, 1); got != ptr {
			t.Errorf("wrote %#x over %#x", got, ptr)
		}
	}
}

func TestLastErrorThroughTheTrampoline(t *testing.T) {
	t.Parallel()
	m := &module{mem: &memory{b: make([]byte, 256)}}
	stub := abi.Binding{Name: "emit\x1b[2J", Type: sig(nil, i32), Code: capability.NotFound}
	bound := append(bindings(capability.Core()...), stub)
	g := begin(t, t.Context(), m, true, limits.Limits{}, bound...)
	g.Session.Config = []byte("config")
	text := func() string {
		n := g.code(3, 0, 256)
		if n < 0 {
			t.Fatalf("last_error = %d", n)
		}
		return string(m.mem.b[:n])
	}
	if got := text(); got != "" {
		t.Errorf("before any failure: %q", got)
	}
	for _, step := range []struct {
		name string
		do   func() capability.Code
		code capability.Code
		want string
	}{
		{"too small", func() capability.Code { return g.code(0, 0, 3) }, -3, "too_large: get_config: need 6 bytes, buffer has 3"},
		{"outside", func() capability.Code { return g.code(2, 250, 7) }, -1, "invalid: submit_result: doc: outside memory"},
		{"its own failures", func() capability.Code { return g.code(3, 250, 7) }, -1, "invalid: submit_result: doc: outside memory"},
		{"too small itself", func() capability.Code { return g.code(3, 0, 1) }, -3, "invalid: submit_result: doc: outside memory"},
		{"a success keeps it", func() capability.Code { return g.code(0, 0, 6) }, 6, "invalid: submit_result: doc: outside memory"},
		{"a stub", func() capability.Code { return g.code(4) }, -4, "not_found: emit\ufffd: this host does not offer the function"},
	} {
		if got := step.do(); got != step.code {
			t.Errorf("%s: answered %d, want %d", step.name, got, step.code)
		}
		if got := text(); got != step.want {
			t.Errorf("%s: last_error = %q, want %q", step.name, got, step.want)
		}
	}
	if n := g.code(3, math.MaxUint32, 0); int(n) != len(text()) {
		t.Errorf("length 0 at any pointer = %d", n)
	}
}

func TestAHandlerThatNamesOnlyTheCode(t *testing.T) {
	t.Parallel()
	f := capability.Func{Name: "f", Handle: func(context.Context, *capability.Call) capability.Code { return capability.Timeout }}
	g := begin(t, t.Context(), &module{}, false, limits.Limits{}, bindings(f)...)
	if got := g.code(0); got != capability.Timeout {
		t.Errorf("answered %d", got)
	}
	if err := g.records[0].Err; capability.CodeOf(err) != capability.Timeout {
		t.Errorf("recorded %v", err)
	}
}

func TestHostPanic(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		handle func(*capability.Call)
	}{
		{"a word", func(*capability.Call) { panic("boom") }},
		{"an error", func(*capability.Call) { panic(errors.New("boom")) }},
		{"a mistake", func(c *capability.Call) { c.Ints[9]++ }},
		{"nil", func(*capability.Call) { panic(nil) }}, //nolint:govet // Go makes it an error
	} {
		for _, core := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, core %v", tt.name, core), func(t *testing.T) {
				t.Parallel()
				f := capability.Func{Name: "f", Handle: func(_ context.Context, c *capability.Call) capability.Code {
					tt.handle(c)
					return 0
				}}
				bound := bindings(f)
				bound[0].Core = core
				g := begin(t, t.Context(), &module{}, false, limits.Limits{}, bound...)
				v := unwound(func() { g.code(0) })
				if p, ok := v.(*abi.HostPanic); !ok || p.Func != "f" || p.Value == nil {
					t.Errorf("the guest ended with %v", v)
				}
				if g.Inside() != "" {
					t.Errorf("still inside %q", g.Inside())
				}
			})
		}
	}
}

func TestStopIfOver(t *testing.T) {
	t.Parallel()
	why := errors.New("why")
	ran := 0
	ctx, cancel := context.WithCancelCause(t.Context())
	f := capability.Func{Name: "f", Handle: func(context.Context, *capability.Call) capability.Code {
		ran++
		cancel(why)
		return 5
	}}
	stub := abi.Binding{Name: "s", Type: sig(nil, i32), Code: capability.NotFound}
	g := begin(t, ctx, &module{}, false, limits.Limits{}, append(bindings(f), stub)...)
	for i, binding := range []int{0, 0, 1} { // on the way out, then on the way in
		v := unwound(func() { g.code(binding) })
		stop, ok := v.(*abi.Stop)
		if !ok || !errors.Is(stop, why) {
			t.Errorf("call %d ended with %v", i+1, v)
		}
	}
	if ran != 1 || len(g.records) != 1 || g.records[0].Code != 5 {
		t.Errorf("handled %d times, records %+v", ran, g.records)
	}
}

// late is a ctx that tells a deadline and ends some time after it.
type late struct {
	context.Context
	deadline time.Time
}

func (l late) Deadline() (time.Time, bool) { return l.deadline, true }

func TestADeadlineThatEndedAHandlerEndsTheRun(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		after time.Duration // between the deadline and the end of ctx
		took  time.Duration
		over  bool
	}{
		{"a moment later", 20 * time.Millisecond, 20 * time.Millisecond, true},
		{"a ctx that does not keep it", time.Hour, time.Second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const run = 500 * time.Millisecond
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				time.AfterFunc(run+tt.after, cancel)
				f := capability.Func{Name: "f", Handle: func(context.Context, *capability.Call) capability.Code {
					time.Sleep(run)
					return capability.Timeout
				}}
				g := begin(t, late{ctx, time.Now().Add(run)}, &module{}, false, limits.Limits{}, bindings(f)...)
				start := time.Now()
				v := unwound(func() { g.code(0) })
				if _, over := v.(*abi.Stop); over != tt.over {
					t.Errorf("ended with %v", v)
				}
				if took := time.Since(start); took != run+tt.took {
					t.Errorf("back after %v, want %v", took, run+tt.took)
				}
			})
		})
	}
}

func TestTry(t *testing.T) {
	t.Parallel()
	ran := 0
	f := capability.Func{Name: "f", Handle: func(context.Context, *capability.Call) capability.Code { ran++; return 0 }}
	g := begin(t, t.Context(), &module{}, false, limits.Limits{}, bindings(f)...)
	half, cancel := context.WithCancel(t.Context())
	done := g.Try(half)
	v := unwound(func() { g.code(0) })
	if s, ok := v.(*abi.StartCalled); !ok || s.Func != "f" || ran != 0 {
		t.Errorf("an env call in _start ended with %v after %d handled", v, ran)
	}
	cancel()
	if v := unwound(g.StopIfOver); v == nil {
		t.Error("the attempt outlives its half of the time")
	}
	done()
	if got := g.code(0); got != 0 || ran != 1 {
		t.Errorf("after the attempt: %d, handled %d times", got, ran)
	}
	var u limits.Usage
	g.Counts(&u)
	if u.Calls["f"] != 1 {
		t.Errorf("the attempt counts: %v", u.Calls)
	}
}

func TestFuncNameAndInside(t *testing.T) {
	t.Parallel()
	var g *guest
	f := capability.Func{Name: "f", Handle: func(ctx context.Context, _ *capability.Call) capability.Code {
		if abi.FuncName(ctx) != "f" || g.Inside() != "f" {
			return capability.Internal
		}
		return 0
	}}
	g = begin(t, t.Context(), &module{}, false, limits.Limits{}, bindings(f)...)
	for range 2 {
		if got := g.code(0); got != 0 {
			t.Error("the handler does not find its name")
		}
	}
	if g.Inside() != "" || abi.FuncName(g.ctx) != "" {
		t.Error("the name outlives the call")
	}
}

func TestCallRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := capability.Func{Name: "f", Handle: func(context.Context, *capability.Call) capability.Code { return 0 }}
		g := begin(t, t.Context(), &module{}, false, limits.Limits{CallRate: 5}, bindings(f)...)
		count := func(calls int) (let int) {
			for range calls {
				switch got := g.code(0); got {
				case 0:
					let++
				case capability.TooLarge:
				default:
					t.Fatalf("answered %d", got)
				}
			}
			return let
		}
		if let := count(4); let != 4 {
			t.Errorf("one below: %d let through", let)
		}
		if let := count(10); let != 1 {
			t.Errorf("above: %d let through, want 1", let)
		}
		time.Sleep(999 * time.Millisecond)
		if let := count(10); let != 0 {
			t.Errorf("before the second is over: %d", let)
		}
		time.Sleep(time.Millisecond)
		if let := count(10); let != 5 {
			t.Errorf("in the next second: %d, want 5", let)
		}
	})
}

func TestHostWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := capability.Func{Name: "f", Handle: func(context.Context, *capability.Call) capability.Code {
			time.Sleep(time.Second)
			return 0
		}}
		bound := append(bindings(f), bindings(f)...)
		bound[1].Core = true
		g := begin(t, t.Context(), &module{}, false, limits.Limits{}, bound...)
		g.code(0)
		g.code(1) // core functions do not wait: their time is the guest's
		done := g.Waiting()
		time.Sleep(time.Second)
		done()
		var u limits.Usage
		g.Counts(&u)
		if u.HostWait != 2*time.Second || g.records[0].Took != time.Second || g.records[1].Took != 0 {
			t.Errorf("waited %v, records %+v", u.HostWait, g.records)
		}
	})
}

func TestMonotonicNeverGoesBack(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	r := &abi.Run{Now: func() time.Time { return now }, Epoch: time.Unix(900, 0)}
	for _, step := range []struct {
		set  int64
		want time.Duration
	}{{1000, 100 * time.Second}, {990, 100 * time.Second}, {0, 100 * time.Second}, {1001, 101 * time.Second}} {
		now = time.Unix(step.set, 0)
		if got := r.Monotonic(); got != step.want {
			t.Errorf("at %d: %v, want %v", step.set, got, step.want)
		}
	}
}

func TestFailuresAreBounded(t *testing.T) {
	t.Parallel()
	f := capability.Func{Name: "f", Params: []capability.Param{{Name: "n", Kind: capability.I32}},
		Handle: func(_ context.Context, c *capability.Call) capability.Code {
			return c.Fail(fmt.Errorf("%w: number %d", capability.ErrInvalid, c.Ints[0]))
		}}
	g := begin(t, t.Context(), &module{}, false, limits.Limits{}, bindings(f)...)
	for i := range uint64(1000) {
		g.code(0, i)
	}
	kept := g.Failures()
	if len(kept) != 32 || !strings.HasSuffix(kept[0].Err.Error(), "968") || !strings.HasSuffix(kept[31].Err.Error(), "999") {
		t.Errorf("%d failures are kept, from %v", len(kept), kept[0].Err)
	}
}
