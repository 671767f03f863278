package engine

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/internal/wasmbin"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
)

func TestAdapt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		slice, want uint64
		took        time.Duration
		peak        uint64
	}{
		{"at once", 5_000, 10_000, 0, 0},
		{"just fast", 5_000, 10_000, fastSlice - 1, 0},
		{"not fast any more", 5_000, 5_000, fastSlice, 0},
		{"the goal", 5_000, 5_000, goalSlice, 0},
		{"not slow yet", 5_000, 5_000, slowSlice, 0},
		{"just slow", 50_000, 24_999, slowSlice + 1, 0},
		{"five times the goal", 50_000, 10_000, 5 * goalSlice, 0},
		{"never below the least", 50_000, leastSlice, time.Hour, 0},
		{"the least stays", leastSlice, leastSlice, slowSlice + 1, 0},
		{"never above the most", 60_000, mostSlice, 0, 0},
		{"the most stays", mostSlice, mostSlice, 0, 0},
		{"a memory just not large", 60_000, mostSlice, 0, largeMemory},
		{"a large memory", 15_000, mostLarge, 0, largeMemory + 1},
		{"a memory that became large", mostSlice, mostLarge, goalSlice, largeMemory + 1},
		{"slow in a large memory", mostLarge, 9_999, slowSlice + 1, 4 << 30},
		{"a clock that jumped back", 5_000, 10_000, -time.Hour, 0},
	} {
		m := &meter{slice: tt.slice, mem: &memory{peak: tt.peak}}
		if m.adapt(tt.took); m.slice != tt.want {
			t.Errorf("%s: %d after %v, got %d, want %d", tt.name, tt.slice, tt.took, m.slice, tt.want)
		}
	}
}

// idle makes a meter that only the fuel budget ends.
func idle(budget uint64) *meter {
	r := newRun()
	ctx := r.Begin(context.Background(), nil, false)
	m := newMeter(ctx, r)
	m.budget, m.last = budget, time.Now()
	return m
}

// TestRefillExact plays a guest that pays 7 units again and again: whatever it
// is granted at a time, it is stopped at the same unit, and no unit is lost.
func TestRefillExact(t *testing.T) {
	t.Parallel()
	const charge, budget = 7, 1_000_000
	for _, slices := range [][]uint64{{1}, {6}, {7}, {8}, {50_000}, {mostSlice}, {1, 999_999, 3}, {math.MaxInt64}} {
		m, fuel, paid := idle(budget), int64(0), uint64(0)
		over := exceeded(unwound(func() {
			for i := 0; ; {
				paid += charge
				if fuel -= charge; fuel < 0 {
					m.slice = slices[i%len(slices)]
					fuel = m.refill(fuel)
					i++
				}
				if got := m.used(fuel); got != paid {
					t.Fatalf("slices %v: %d used, says the meter, %d were", slices, got, paid)
				}
			}
		}))
		want := limits.ExceededError{Resource: "fuel", Limit: budget, Used: 1_000_006}
		if over == nil || *over != want {
			t.Errorf("slices %v: got %v, want %v", slices, over, &want)
		}
	}
}

// TestFirstSlice: the refill at the very beginning tells nothing about the
// guest, however soon it comes.
func TestFirstSlice(t *testing.T) {
	t.Parallel()
	m := idle(math.MaxInt64)
	if got := m.refill(-1); got != firstSlice {
		t.Errorf("the first refill grants %d, want %d", got, firstSlice)
	}
	if got := m.refill(-1); got != 2*firstSlice {
		t.Errorf("the second refill, at once, grants %d, want %d", got, 2*firstSlice)
	}
}

func TestRefillAtBudget(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		left  int64
		grant int64
		ok    bool
	}{
		{"one below", -9, 1, true},
		{"at", -10, 0, true},
		{"above", -11, 0, false},
		{"far above", -math.MaxInt64, 0, false},
	} {
		m := idle(10)
		var got int64
		v := unwound(func() { got = m.refill(tt.left) })
		if ok := v == nil; ok != tt.ok || got != tt.grant {
			t.Errorf("%s: granted %d, unwound with %v; want %d, %v", tt.name, got, v, tt.grant, tt.ok)
		}
	}
}

func TestRefillStops(t *testing.T) {
	t.Parallel()
	over, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("not wanted any more"))
	late, cancelLate := context.WithDeadlineCause(t.Context(), time.Now().Add(-time.Second), errors.New("out of time"))
	defer cancelLate()
	for _, tt := range []struct {
		name string
		ctx  context.Context
		left int64
		want string
	}{
		{"stack", t.Context(), wasmbin.RefillOverflow, "guest stack overflow"},
		{"cancelled", over, -1, "run stopped: not wanted any more"},
		{"deadline", late, -1, "run stopped: out of time"},
	} {
		r := newRun()
		m := newMeter(r.Begin(tt.ctx, nil, false), r)
		err, _ := unwound(func() { m.refill(tt.left) }).(error)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
}

// deaf is a ctx with a deadline that it does not keep.
type deaf struct{ context.Context }

func (deaf) Deadline() (time.Time, bool) { return time.Now().Add(-time.Minute), true }

func TestDeadlineNotKept(t *testing.T) {
	t.Parallel()
	r := newRun()
	m := newMeter(r.Begin(deaf{t.Context()}, nil, false), r)
	err, _ := unwound(func() { m.refill(-1) }).(error)
	if stop := (*abi.Stop)(nil); !errors.As(err, &stop) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline all the same", err)
	}
}

func TestFuelBudget(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, tt := range []struct {
		cpu  time.Duration
		want uint64
	}{
		{0, unitsPerMillisecond},
		{time.Millisecond - 1, unitsPerMillisecond},
		{time.Millisecond, 2 * unitsPerMillisecond},
		{time.Second, 1001 * unitsPerMillisecond},
		{30 * day, math.MaxInt64}, // more than can be granted
		{math.MaxInt64, math.MaxInt64},
	} {
		r := newRun()
		r.Limits.CPU = tt.cpu
		m := newMeter(r.Begin(t.Context(), nil, false), r)
		if m.budget != tt.want {
			t.Errorf("%v: got %d, want %d", tt.cpu, m.budget, tt.want)
		}
	}
}

// TestBudgetInGuest ends a real guest at the same unit on both engines, whatever
// the first slice is.
func TestBudgetInGuest(t *testing.T) {
	t.Parallel()
	const budget = 300_000
	var all []int64
	for _, o := range []Options{{}, {Interpreter: true}} {
		p := programOf(t, newEngine(t, o), wasmgen.Doubles(30), "")
		for _, slice := range []uint64{leastSlice, 12_345, firstSlice, mostSlice} {
			r := newRun()
			m := newMeter(t.Context(), r)
			m.budget, m.slice = budget, slice
			ctx := context.WithValue(r.Begin(t.Context(), nil, true), meterKey{}, m)
			m.Resume()
			inst, err := p.instantiate(ctx, r, m)
			if err != nil {
				t.Fatal(err)
			}
			over := exceeded(p.ending(ctx, inst.call(ctx, "run_check")))
			m.Pause()
			if over == nil || over.Resource != "fuel" || over.Limit != budget {
				t.Fatalf("slice %d: got %v, want the fuel budget to end it", slice, over)
			}
			if got := inst.fuel(m); got != uint64(over.Used) {
				t.Errorf("slice %d: %d used in the report, %d in the error", slice, got, over.Used)
			}
			inst.close(&Outcome{})
			if !inst.m.IsClosed() || inst.mem.buf != nil {
				t.Error("the instance is not freed")
			}
			all = append(all, over.Used)
		}
	}
	if slices.Min(all) != slices.Max(all) || all[0] <= budget || all[0] > budget+4096 {
		t.Errorf("stopped at %v, want one number just above %d", all, budget)
	}
}
