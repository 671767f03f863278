package limits

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"
)

// A Budget bounds what all runs together may hold at one time: memory, CPU
// time, connections and the number of runs. A run reserves its own limits
// before it starts and gives them back when it ends. Waiting runs are admitted
// in the order in which they asked, so a large one is not starved by small
// ones. A Budget may be shared by several Runtimes and goroutines.
type Budget struct {
	total reservation // a zero field is not budgeted

	mu    sync.Mutex
	held  reservation
	queue list.List // of *waiter, oldest first
}

// reservation is what one run, or all of them, hold.
type reservation struct {
	memory, cpu, connections, runs int64
}

type waiter struct {
	want  reservation
	ready chan struct{} // closed, under mu, once the reservation is held
}

// defaultConnections bounds open connections of all runs where total says nothing.
const defaultConnections = 256

// NewBudget returns a Budget of total.Memory, total.CPU and total.Connections
// (256 where it is zero) and of that number of runs at one time. A zero Memory,
// CPU or runs is not budgeted; other fields of total are ignored.
func NewBudget(total Limits, runs int) *Budget {
	b := &Budget{total: reserve(total)}
	b.total.runs = int64(max(runs, 0))
	if b.total.connections == 0 {
		b.total.connections = defaultConnections
	}
	return b
}

func reserve(l Limits) reservation {
	return reservation{memory: int64(l.Memory), cpu: int64(l.CPU), connections: int64(l.Connections), runs: 1}
}

// Acquire reserves Memory, CPU, Connections and one run of want, waiting its
// turn until ctx ends. A want that could never fit fails at once. The error
// matches ErrAdmission, names the resource that was short, and wraps the ctx
// error where ctx ended the wait. release gives everything back; calling it
// more than once does nothing.
func (b *Budget) Acquire(ctx context.Context, want Limits) (release func(), err error) {
	w := &waiter{want: reserve(want), ready: make(chan struct{})}
	if short, ok := b.total.short(reservation{}, w.want); !ok {
		return nil, &admissionError{short: short}
	}
	b.mu.Lock()
	e := b.queue.PushBack(w)
	b.admit()
	b.mu.Unlock()

	select {
	case <-w.ready:
	default:
		select {
		case <-w.ready:
		case <-ctx.Done():
			if err := b.giveUp(ctx, e, w); err != nil {
				return nil, err
			}
		}
	}
	var once sync.Once
	return func() { once.Do(func() { b.release(w.want) }) }, nil
}

// giveUp takes w out of the queue. It returns nil if w was admitted while ctx
// ended: the caller then holds the reservation after all.
func (b *Budget) giveUp(ctx context.Context, e *list.Element, w *waiter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	default:
	}
	short, _ := b.total.short(b.held, w.want)
	if short.Resource == "" { // it would fit, but others wait before it
		short = ExceededError{Resource: "queue", Used: int64(b.queue.Len())}
	}
	b.queue.Remove(e)
	b.admit()
	return &admissionError{short: short, cause: context.Cause(ctx)}
}

func (b *Budget) release(r reservation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held = b.held.plus(r, -1)
	b.admit()
}

// admit lets in as many of the oldest waiters as fit. The caller holds mu.
func (b *Budget) admit() {
	for e := b.queue.Front(); e != nil; e = b.queue.Front() {
		w := e.Value.(*waiter)
		if _, ok := b.total.short(b.held, w.want); !ok {
			return
		}
		b.held = b.held.plus(w.want, 1)
		b.queue.Remove(e)
		close(w.ready)
	}
}

// Fits reports whether runs with these limits could all be held at one time.
// It is a dry run: nothing is reserved and what is held now does not count. The
// error matches ErrAdmission.
func (b *Budget) Fits(want ...Limits) error {
	var sum reservation
	for _, l := range want {
		r := reserve(l)
		if short, ok := b.total.short(sum, r); !ok {
			return &admissionError{short: short}
		}
		sum = sum.plus(r, 1)
	}
	return nil
}

// short names the first resource of which held and want together exceed total.
func (total reservation) short(held, want reservation) (ExceededError, bool) {
	for _, r := range []struct {
		name              string
		total, held, want int64
	}{
		{"memory", total.memory, held.memory, want.memory},
		{"cpu", total.cpu, held.cpu, want.cpu},
		{"connections", total.connections, held.connections, want.connections},
		{"runs", total.runs, held.runs, want.runs},
	} {
		// Compared by subtraction: held never exceeds total, so no overflow.
		if r.total != 0 && r.want > r.total-r.held {
			return ExceededError{Resource: r.name, Limit: r.total, Used: r.held + min(r.want, r.total+1)}, false
		}
	}
	return ExceededError{}, true
}

func (r reservation) plus(o reservation, sign int64) reservation {
	return reservation{
		memory:      r.memory + sign*o.memory,
		cpu:         r.cpu + sign*o.cpu,
		connections: r.connections + sign*o.connections,
		runs:        r.runs + sign*o.runs,
	}
}

// admissionError says which resource kept a run out.
type admissionError struct {
	short ExceededError
	cause error // why the wait ended; nil if it could never have succeeded
}

// Error is "admission denied: RESOURCE" and what is behind it.
func (e *admissionError) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("%v: %s: %s can never fit in %s", ErrAdmission, e.short.Resource, e.amount(e.short.Used), e.amount(e.short.Limit))
	}
	if e.short.Resource == "queue" {
		return fmt.Sprintf("%v: queue: %d runs were waiting: %v", ErrAdmission, e.short.Used, e.cause)
	}
	return fmt.Sprintf("%v: %s: %s were in use: %v", ErrAdmission, e.short.Resource, e.amount(e.short.Limit), e.cause)
}

func (e *admissionError) amount(n int64) string {
	switch e.short.Resource {
	case "memory":
		return Bytes(n).String()
	case "cpu":
		return time.Duration(n).String()
	default:
		return fmt.Sprint(n)
	}
}

func (e *admissionError) Is(target error) bool { return target == ErrAdmission }

func (e *admissionError) Unwrap() []error {
	errs := []error{&e.short}
	if e.cause != nil {
		errs = append(errs, e.cause)
	}
	return errs
}
