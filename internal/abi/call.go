package abi

import (
	"context"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
)

// Trampoline returns the Go function that the engine binds for binding i of a
// program. All state is found through ctx, so programs with equal bindings may
// share it.
func Trampoline(i int, b Binding) api.GoModuleFunction {
	b.Name = label(b.Name) // from here on it is for people
	if b.Code != capability.OK {
		return api.GoModuleFunc(func(ctx context.Context, _ api.Module, stack []uint64) {
			from(ctx).stub(i, b, stack)
		})
	}
	return api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
		from(ctx).enter(i, b, m, stack)
	})
}

// stub answers a function that was not granted, or that this host does not offer.
func (r *Run) stub(i int, b Binding, stack []uint64) {
	r.arrive(i, b)
	r.call = capability.Call{Func: b.Name, Session: r.Session}
	r.call.Fail(b.Code)
	r.settle(i, Record{Func: b.Name, Code: b.Code, Err: b.Code, Stub: true, Unlock: b.Capability})
	for k, t := range b.Type.Results {
		stack[k] = encodeCode(t, b.Code)
	}
	r.StopIfOver()
}

// encodeCode writes a code as a value of type t: integers sign-extended, floats
// as a number.
func encodeCode(t api.ValueType, c capability.Code) uint64 {
	switch t {
	case api.ValueTypeI64:
		return uint64(int64(c))
	case api.ValueTypeF32:
		return api.EncodeF32(float32(c))
	case api.ValueTypeF64:
		return api.EncodeF64(float64(c))
	default:
		return api.EncodeI32(int32(c))
	}
}

// arrive counts a call and ends a run that is over, or a _start that has no
// business here.
func (r *Run) arrive(i int, b Binding) {
	if r.trying {
		panic(&StartCalled{Func: b.Name})
	}
	r.StopIfOver()
	r.counts[i]++
	r.total++
}

// enter is every call of a bound function: may it still run, are its ranges
// inside memory, do the work, write the code, is the run over.
func (r *Run) enter(i int, b Binding, m api.Module, stack []uint64) {
	r.arrive(i, b)
	rec := Record{Func: b.Name}
	r.call = capability.Call{Func: b.Name, Session: r.Session}
	rec.Err = r.admit()
	if rec.Err == nil {
		rec.Err = r.decode(b.Func.Params, m, stack, &rec)
	}
	if rec.Err != nil {
		rec.Code = r.call.Fail(rec.Err)
	} else {
		rec.Code = r.handle(i, b, &rec)
	}
	r.settle(i, rec)
	if !b.Func.Void {
		stack[0] = api.EncodeI32(int32(rec.Code))
	}
	r.StopIfOver()
}

// admit holds the run to its number and rate of host calls.
func (r *Run) admit() error {
	if r.total > r.Limits.HostCalls {
		return &limits.ExceededError{Resource: "host calls", Limit: int64(r.Limits.HostCalls), Used: int64(r.total)}
	}
	if !r.window.allow() {
		return &limits.ExceededError{Resource: "host calls per second", Limit: int64(r.Limits.CallRate), Used: int64(r.window.n) + 1}
	}
	return nil
}

// decode reads the arguments into r.call. Every range is checked before the
// handler runs, so nothing is dialled or consumed for a call that cannot be
// answered. Slots are narrowed to 32 bits first: their upper halves may hold
// anything.
func (r *Run) decode(params []capability.Param, m api.Module, stack []uint64, rec *Record) error {
	mem, ints, ins := r.MemoryOf(m), r.ints[:0], r.ins[:0]
	at := 0
	for _, p := range params {
		v := uint32(stack[at])
		at++
		if p.Kind == capability.I32 {
			ints = append(ints, v)
			continue
		}
		n := uint32(stack[at])
		at++
		view, ok := mem.View(v, n)
		if !ok {
			return &rangeError{param: p.Name}
		}
		if p.Kind == capability.In {
			ins = append(ins, view)
			rec.In += len(view)
		} else {
			r.call.Out = view
			rec.Out += len(view)
		}
	}
	r.call.Ints, r.call.In = ints, ins
	return nil
}

// rangeError is a pointer and length that do not lie inside guest memory.
type rangeError struct{ param string }

func (e *rangeError) Error() string        { return e.param + ": outside memory" }
func (e *rangeError) Is(target error) bool { return target == capability.ErrInvalid }

// handle runs the Func. One that may wait is timed, and gets a ctx that carries
// its name; the guest's own time does not go on meanwhile.
func (r *Run) handle(i int, b Binding, rec *Record) capability.Code {
	if b.Core {
		return r.protect(r.ctx, b, rec)
	}
	if r.named[i] == nil {
		r.named[i] = context.WithValue(r.ctx, nameKey{}, b.Name)
	}
	r.inside.Store(&r.bindings[i].Name)
	defer r.inside.Store(nil)
	done := r.Waiting()
	defer func() { rec.Took = done() }() // also when the handler panics
	code := r.protect(r.named[i], b, rec)
	r.catchUp()
	return code
}

// catchUp waits for ctx to end if its deadline has passed. The timer that made a
// handler give up at that moment may be quicker than that of ctx, and a guest
// that returned in between would seem to have ended in time.
func (r *Run) catchUp() {
	const patience = time.Second // with an embedder's ctx that does not keep its deadline
	d, ok := r.ctx.Deadline()
	if !ok || time.Now().Before(d) {
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-r.ctx.Done():
	case <-timer.C:
	}
}

// protect turns a panic of the handler into the end of the run.
func (r *Run) protect(ctx context.Context, b Binding, rec *Record) (code capability.Code) {
	defer func() {
		if v := recover(); v != nil {
			panic(&HostPanic{Func: b.Name, Value: v})
		}
	}()
	code = b.Func.Handle(ctx, &r.call)
	if code >= 0 {
		return code
	}
	if r.call.Err() == nil {
		r.call.Fail(code) // a handler that named only the code
	}
	rec.Err = r.call.Err()
	return code
}

// settle counts the outcome of a call and tells the hook.
func (r *Run) settle(i int, rec Record) {
	if rec.Code < 0 {
		r.noteFailure(i, rec)
	}
	if r.Called != nil {
		r.Called(r.ctx, rec)
	}
}
