package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/experimental"

	"github.com/sandcheck/sandcheck/internal/wasmgen"
)

// slow is a module that takes long enough to compile to be broken off meanwhile.
func slow() []byte { return wasmgen.Doubles(20_000) }

// hold keeps every compilation waiting for its turn until the function it returns
// is called.
func (e *Engine) hold() (free func()) {
	for range cap(e.compiling) {
		e.compiling <- struct{}{}
	}
	return func() {
		for range cap(e.compiling) {
			<-e.compiling
		}
	}
}

// cached reports whether wazero has the code of wasm: asked with a ctx that is
// over, it compiles nothing. Only for the compiler.
func (e *Engine) cached(t *testing.T, wasm []byte) bool {
	t.Helper()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	c, err := e.rt.CompileModule(experimental.WithCompilationWorkers(over, 2), wasm)
	if err != nil {
		return false
	}
	if err := c.Close(over); err != nil {
		t.Fatal(err)
	}
	return true
}

func TestCompileOnce(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, e *Engine) {
		const callers = 20
		wasm := wasmgen.Doubles(300)
		codes := make([]*Code, callers)
		var wg sync.WaitGroup
		for i := range codes {
			wg.Go(func() {
				var err error
				if codes[i], err = e.Compile(t.Context(), wasm, plenty); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		if got, want := e.Stats(), (Stats{Compiles: 1, CacheHits: callers - 1}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		for i, c := range codes {
			if c != codes[0] {
				t.Fatalf("caller %d got code of its own", i)
			}
			if n, _ := e.held(); n != 1 {
				t.Fatalf("%d codes are held before release %d", n, i)
			}
			c.Release()
		}
		if n, _ := e.held(); n != 0 {
			t.Errorf("%d codes are held after the last release", n)
		}
	})
}

func TestCompileOtherBytes(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Options{})
	a, b := compile(t, e, wasmgen.Doubles(3)), compile(t, e, wasmgen.Doubles(4))
	if a == b {
		t.Error("two modules share code")
	}
	a.Release()
	b.Release()
}

func TestReleaseFrees(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Options{})
	wasm := wasmgen.Doubles(50)
	for round := range 3 {
		first, second := compile(t, e, wasm), compile(t, e, wasm)
		first.Release()
		if !e.cached(t, wasm) {
			t.Fatalf("round %d: code was dropped while it is in use", round)
		}
		second.Release()
		if e.cached(t, wasm) {
			t.Fatalf("round %d: code is kept after the last release", round)
		}
	}
	if got, want := e.Stats(), (Stats{Compiles: 3, CacheHits: 3}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// waiting waits until so many wait for one compilation, and returns it.
func (e *Engine) waiting(t *testing.T, users int) (c *Code) {
	t.Helper()
	eventually(t, "waiting", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, c = range e.codes {
			return c.users == users
		}
		return false
	})
	return c
}

// TestCompileWaiterLeaves: a waiter that gives up leaves the compilation to the
// others, also if it began it.
func TestCompileWaiterLeaves(t *testing.T) {
	t.Parallel()
	for leaver := range 2 {
		e := newEngine(t, Options{})
		free := e.hold()
		wasm := wasmgen.Doubles(9)
		type answer struct {
			code *Code
			err  error
		}
		var answers [2]chan answer
		var leave [2]context.CancelCauseFunc
		for i := range answers {
			var ctx context.Context
			ctx, leave[i] = context.WithCancelCause(context.Background())
			answers[i] = make(chan answer, 1)
			go func() {
				c, err := e.Compile(ctx, wasm, plenty)
				answers[i] <- answer{c, err}
			}()
			e.waiting(t, i+1)
		}
		leave[leaver](errors.New("changed my mind"))
		if left := <-answers[leaver]; left.err == nil || left.err.Error() != "engine: compile: changed my mind" {
			t.Errorf("the one that left: got %v", left.err)
		}
		free()
		stayed := <-answers[1-leaver]
		if stayed.err != nil {
			t.Fatalf("the one that stayed: %v", stayed.err)
		}
		if got, want := e.Stats(), (Stats{Compiles: 1, CacheHits: 1}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		stayed.code.Release()
		leave[1-leaver](nil)
	}
}

// TestCompileOver: a ctx that is over begins nothing.
func TestCompileOver(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Options{})
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Compile(over, wasmgen.Doubles(1), plenty); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was given up", err)
	}
	if got := e.Stats(); got != (Stats{}) {
		t.Errorf("got %+v, want nothing begun", got)
	}
}

// TestCompileTurns: a compilation waits for its turn, can be given up meanwhile,
// and the wait is no part of its time.
func TestCompileTurns(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Options{})
	free := e.hold()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := e.Compile(ctx, wasmgen.Doubles(2), plenty); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want that it gave up waiting", err)
	}
	if n, _ := e.held(); n != 0 {
		t.Fatalf("%d codes are held", n)
	}
	const most = 400 * time.Millisecond
	late := time.AfterFunc(most+most/4, free)
	defer late.Stop()
	c, err := e.Compile(t.Context(), wasmgen.Doubles(2), most)
	if err != nil {
		t.Fatalf("after its turn came: %v", err)
	}
	c.Release()
}

// TestCompileNobodyWaits: the last waiter's leaving ends the compilation, in its
// turn or while it waits for that, and the next one starts anew.
func TestCompileNobodyWaits(t *testing.T) {
	t.Parallel()
	for _, inTurn := range []bool{true, false} {
		e := newEngine(t, Options{})
		wasm, free := slow(), func() {}
		if !inTurn {
			wasm, free = wasmgen.Doubles(9), e.hold()
		}
		var c *Code
		var leave [2]context.CancelFunc
		left := make(chan error, len(leave))
		for i := range leave {
			var ctx context.Context
			ctx, leave[i] = context.WithCancel(t.Context())
			go func() {
				_, err := e.Compile(ctx, wasm, plenty)
				left <- err
			}()
			c = e.waiting(t, i+1)
		}
		for _, cancel := range leave {
			cancel()
			if err := <-left; !errors.Is(err, context.Canceled) {
				t.Fatalf("in turn %v: got %v, want that it was given up", inTurn, err)
			}
		}
		select {
		case <-c.ready: // soon, and nobody had to wait for it
		case <-time.After(plenty):
			t.Fatal("the compilation goes on")
		}
		if n, _ := e.held(); n != 0 || c.compiled != nil || !errors.Is(c.err, context.Canceled) {
			t.Errorf("in turn %v: %d codes are held, compiled %v, %v", inTurn, n, c.compiled, c.err)
		}
		free()
		if inTurn {
			continue
		}
		compile(t, e, wasm).Release()
		if got := e.Stats().Compiles; got != 2 {
			t.Errorf("%d compilations, want 2", got)
		}
	}
}

func TestCompileTooSlow(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Options{})
	wasm := slow()
	_, err := e.Compile(t.Context(), wasm, time.Millisecond)
	if late := (*tooSlow)(nil); !errors.As(err, &late) || late.most != time.Millisecond {
		t.Fatalf("got %v, want that it took too long", err)
	}
	if want := "engine: compile: compiling took more than 1ms; raise the limit or use the interpreter"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if n, _ := e.held(); n != 0 {
		t.Errorf("%d codes are held", n)
	}
}

func TestCompileInvalid(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, e *Engine) {
		for range 2 {
			if _, err := e.Compile(t.Context(), []byte("\x00asm\x01\x00\x00\x00\xff"), plenty); err == nil {
				t.Fatal("a broken module compiles")
			}
		}
		if got := e.Stats().Compiles; got != 2 {
			t.Errorf("%d compilations, want 2: a failure is not kept", got)
		}
	})
}
