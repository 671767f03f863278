package abi

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
)

// Run is the state of one run on the guest's side of the boundary: what host
// functions and WASI need besides the Session. It belongs to the goroutine that
// runs the guest.
type Run struct {
	Session *capability.Session
	Limits  limits.Limits
	Now     func() time.Time // the guest's wall clock
	Epoch   time.Time        // where its monotonic clock starts: one for all runs of a Runtime
	Rand    io.Reader
	Stdout  *Tail
	Stderr  *Tail
	// Meter, if set, is told when guest time stands still.
	Meter Meter
	// Called, if set, is told of every call of an env function.
	Called func(ctx context.Context, c Record)

	ctx      context.Context
	bindings []Binding
	memory   bool              // whether the module has one: asking the engine panics
	named    []context.Context // ctx with the function's name, by binding, made on first use

	// Reused, so that a call allocates nothing.
	call capability.Call
	ints [8]uint32
	ins  [4][]byte

	trying bool // see Try

	counts   []int
	failed   map[failure]int
	last     []Record // the last failing calls, oldest first
	total    int
	window   rate
	wait     time.Duration
	lastMono time.Duration
	skipped  time.Duration          // see Slept
	inside   atomic.Pointer[string] // the Func that the run is in, for those who wait for it
}

// Meter measures guest time. Pause is called before the guest waits for the
// host, Resume when it goes on.
type Meter interface {
	Pause()
	Resume()
}

// failure is one kind of failing call, for counting.
type failure struct {
	binding int
	code    capability.Code
}

// Record is one host call, as hooks and reports see it.
type Record struct {
	Func    string
	Code    capability.Code
	Err     error // why it failed
	Took    time.Duration
	In, Out int    // bytes the guest named
	Unlock  string // of a stub: the capability that would bind it, "" if it is not offered
	Stub    bool
}

type (
	runKey  struct{}
	nameKey struct{}
)

// Begin ties r to a linked program and to ctx, which ends with the run, and
// returns the ctx to call the guest with.
func (r *Run) Begin(ctx context.Context, bindings []Binding, memory bool) context.Context {
	r.bindings, r.memory = bindings, memory
	r.named = make([]context.Context, len(bindings))
	r.counts = make([]int, len(bindings))
	r.window = rate{most: r.Limits.CallRate}
	r.ctx = context.WithValue(ctx, runKey{}, r)
	return r.ctx
}

// from finds the Run behind ctx. Guests are only ever called with a ctx of Begin.
func from(ctx context.Context) *Run { return ctx.Value(runKey{}).(*Run) }

// From is from, for WASI.
func From(ctx context.Context) *Run { return from(ctx) }

// FuncName is the name of the host function that ctx was handed to, "" outside
// of one.
func FuncName(ctx context.Context) string {
	name, _ := ctx.Value(nameKey{}).(string)
	return name
}

// Try marks a _start that is tried as initialisation: until the function it
// returns is called, any env call ends the attempt, and waits end with ctx.
func (r *Run) Try(ctx context.Context) (done func()) {
	whole := r.ctx
	r.ctx, r.trying = ctx, true
	return func() { r.ctx, r.trying = whole, false }
}

// Inside names the host function that the run is in, "" while guest code runs.
// Any goroutine may ask.
func (r *Run) Inside() string {
	if name := r.inside.Load(); name != nil {
		return *name
	}
	return ""
}

// Context ends when the run does.
func (r *Run) Context() context.Context { return r.ctx }

// MemoryOf returns the memory of the calling instance.
func (r *Run) MemoryOf(m api.Module) Memory {
	if !r.memory {
		return Memory{}
	}
	return Memory{m.Memory()}
}

// Time is the guest's wall clock.
func (r *Run) Time() time.Time { return r.Now().Add(r.skipped) }

// Monotonic is the guest's monotonic clock: the time since Epoch on the guest's
// clock. It never runs backwards within a run, even if that clock is set back.
func (r *Run) Monotonic() time.Duration {
	r.lastMono = max(r.lastMono, r.Time().Sub(r.Epoch))
	return r.lastMono
}

// Slept makes sure that a sleep of d, begun at from on the guest's clock, has
// taken d on that clock too. A clock of WithClock that stands still would have
// a guest sleep again and again for what is left.
func (r *Run) Slept(from time.Time, d time.Duration) {
	if short := d - r.Time().Sub(from); short > 0 {
		r.skipped += short
	}
}

// StopIfOver ends the run, by unwinding the guest, once its ctx is done.
func (r *Run) StopIfOver() {
	if r.ctx.Err() != nil {
		panic(&Stop{Cause: context.Cause(r.ctx)})
	}
}

// Waiting brackets time in which the guest waits for the host. It is not charged
// to the guest.
func (r *Run) Waiting() (done func() time.Duration) {
	if r.Meter != nil {
		r.Meter.Pause()
	}
	start := time.Now()
	return func() time.Duration {
		took := time.Since(start)
		r.wait += took
		if r.Meter != nil {
			r.Meter.Resume()
		}
		return took
	}
}

// Counts adds what the run has counted so far to u.
func (r *Run) Counts(u *limits.Usage) {
	u.HostWait = r.wait
	u.Calls, u.Failed = map[string]int{}, map[string]int{}
	for i, n := range r.counts {
		if n > 0 {
			u.Calls[label(r.bindings[i].Name)] += n
		}
	}
	for f, n := range r.failed {
		u.Failed[fmt.Sprintf("%s %d", label(r.bindings[f.binding].Name), f.code)] += n
	}
	u.OutputDropped = r.Stdout.Dropped() + r.Stderr.Dropped()
}

// Failures returns the last failing calls, oldest first.
func (r *Run) Failures() []Record { return r.last }

// keptFailures bounds Failures: enough to see what a guest ran into, however
// often it does.
const keptFailures = 32

func (r *Run) noteFailure(i int, rec Record) {
	if r.failed == nil {
		r.failed = map[failure]int{}
	}
	r.failed[failure{i, rec.Code}]++
	if len(r.last) == keptFailures {
		copy(r.last, r.last[1:])
		r.last = r.last[:keptFailures-1]
	}
	r.last = append(r.last, rec)
}

// rate is a cheap limit of events per second: the clock is read only when a
// window of that many events is full.
type rate struct {
	most  float64
	n     float64
	start time.Time
}

func (w *rate) allow() bool {
	if w.n < w.most {
		if w.n == 0 {
			w.start = time.Now()
		}
		w.n++
		return true
	}
	if time.Since(w.start) < time.Second {
		return false
	}
	w.n, w.start = 1, time.Now()
	return true
}
