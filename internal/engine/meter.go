package engine

import (
	"context"
	"math"
	"runtime"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/internal/wasmbin"
	"github.com/sandcheck/sandcheck/limits"
)

// Slices of fuel: what one refill grants. A slice is bounded in time, not in
// units, because the same units take a hundred times longer where every load
// misses the caches.
//
// How long the next slice takes is guessed from the last one, so no slice is so
// long that a wrong guess matters: after a while of arithmetic a guest may touch
// page after page of a memory that the system has yet to provide, at
// microseconds each. Only a large memory has many such pages.
const (
	firstSlice  = 5_000
	leastSlice  = 1_000
	mostSlice   = 100_000
	mostLarge   = 20_000 // for memories above largeMemory
	largeMemory = 4 << 20

	slowSlice = 400 * time.Microsecond // longer than this is cut down
	goalSlice = 200 * time.Microsecond
	fastSlice = 150 * time.Microsecond // shorter than this is doubled
)

// readEvery is the least time between two readings of the thread's CPU clock,
// which costs a system call.
const readEvery = time.Millisecond

// unitsPerMillisecond bounds fuel by the CPU budget, for clocks that do not
// work. It must be above what any guest can reach, or else one would be stopped
// long before its budget: a charge of 4,096 units, the largest there is, takes
// more than a nanosecond even where the code that it pays for is jumped over.
const unitsPerMillisecond = 5_000_000_000

// meter pays for one run: it grants fuel, and between two grants looks at the
// clock, the CPU budget and whether anybody still wants the run.
//
// The guest cannot run long between two refills, so these are also the points
// where Go's scheduler and collector get in.
type meter struct {
	run      *abi.Run
	deadline time.Time // zero where there is none
	cpuMost  time.Duration
	budget   uint64 // of units
	granted  uint64
	slice    uint64
	mem      *memory // of the instance that runs

	last      time.Time     // when the guest last got to run
	cpu       time.Duration // of finished segments
	clock     cpuClock
	segment   time.Duration // clock reading where the segment began
	began     time.Time     // the same on the wall clock
	read      time.Time     // when the CPU clock was last read
	inSegment bool
}

type meterKey struct{}

func newMeter(ctx context.Context, r *abi.Run) *meter {
	m := &meter{run: r, cpuMost: r.Limits.CPU, slice: firstSlice, mem: new(memory), clock: newCPUClock()}
	m.deadline, _ = ctx.Deadline()
	m.budget = math.MaxInt64
	if ms := uint64(m.cpuMost.Milliseconds()) + 1; ms < m.budget/unitsPerMillisecond {
		m.budget = ms * unitsPerMillisecond
	}
	return m
}

// stackOverflow unwinds a guest whose stack is used up.
type stackOverflow struct{}

func (stackOverflow) Error() string { return "guest stack overflow" }

// refill is the import that metering adds to every module.
var refill = api.GoModuleFunc(func(ctx context.Context, _ api.Module, stack []uint64) {
	stack[0] = uint64(ctx.Value(meterKey{}).(*meter).refill(int64(stack[0])))
})

// refill takes the negative rest of the guest's fuel and returns its next grant,
// or ends the run. Exactly what the guest used is charged, so that the point
// where a budget ends does not depend on the slices.
func (m *meter) refill(left int64) int64 {
	if left == wasmbin.RefillOverflow {
		panic(stackOverflow{})
	}
	now := time.Now()
	if !m.deadline.IsZero() && now.After(m.deadline) {
		m.expire()
	}
	m.run.StopIfOver()
	if m.inSegment && now.Sub(m.read) >= readEvery {
		m.read = now
		m.checkCPU(now)
	}
	used := m.granted + uint64(-left)
	if used > m.budget {
		m.exceed("fuel", int64(m.budget), int64(used))
	}
	if m.granted > 0 { // before there was no slice
		m.adapt(now.Sub(m.last))
	}
	m.last = now
	grant := min(m.slice, m.budget-used)
	m.granted = used + grant
	return int64(grant)
}

// expire waits for ctx to end: its timer is due, and it tells the cause. Only an
// embedder's ctx that does not keep its own deadline is not waited for.
func (m *meter) expire() {
	const patience = time.Second
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-m.run.Context().Done():
	case <-timer.C:
		panic(&abi.Stop{Cause: context.DeadlineExceeded})
	}
}

// adapt aims at slices of goalSlice.
func (m *meter) adapt(took time.Duration) {
	switch {
	case took > slowSlice:
		m.slice = max(leastSlice, uint64(float64(m.slice)*float64(goalSlice)/float64(took)))
	case took < fastSlice:
		m.slice *= 2
	}
	most := uint64(mostSlice)
	if m.mem.peak > largeMemory {
		most = mostLarge
	}
	m.slice = min(m.slice, most)
}

// used is what the run has paid for so far, given what is left of its grant.
func (m *meter) used(left int64) uint64 { return m.granted - uint64(left) }

func (m *meter) checkCPU(now time.Time) {
	if used := m.cpu + m.running(now); used > m.cpuMost {
		m.exceed("cpu", int64(m.cpuMost), int64(used))
	}
}

// exceed ends the run at a limit.
func (m *meter) exceed(resource string, limit, used int64) {
	panic(&abi.Stop{Cause: &limits.ExceededError{Resource: resource, Limit: limit, Used: used}})
}

// Resume begins a segment of guest time, on a thread that is the guest's own
// until Pause: the CPU clock is that of the thread.
func (m *meter) Resume() {
	runtime.LockOSThread()
	now := time.Now()
	m.last, m.began, m.read = now, now, now
	m.segment = m.clock.now()
	m.inSegment = true
}

// Pause ends a segment: the guest is done, or waits for the host. A budget that
// ran out meanwhile is found at the next refill or Pause.
func (m *meter) Pause() {
	if !m.inSegment {
		return
	}
	m.cpu += m.running(time.Now())
	m.inSegment = false
	runtime.UnlockOSThread()
}

// running is the CPU time of the segment so far.
func (m *meter) running(now time.Time) time.Duration {
	if !m.clock.works() {
		return now.Sub(m.began)
	}
	return m.clock.now() - m.segment
}
