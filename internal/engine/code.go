package engine

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
)

// Code is one compiled module. Plugins of equal bytes share it, and it is freed
// with the last of them.
type Code struct {
	engine *Engine
	key    [sha256.Size]byte

	ready    chan struct{} // closed when compiled or failed
	compiled wazero.CompiledModule
	err      error
	cancel   context.CancelFunc // ends the compilation
	users    int                // under Engine.mu: plugins and waiters
	done     bool               // under Engine.mu: compiled or failed
}

// Compile returns the code of wasm, compiling it unless that has been done or is
// under way. Waiting ends with ctx; the compilation itself ends when the last
// waiter has gone, or after most. The caller calls Release once.
func (e *Engine) Compile(ctx context.Context, wasm []byte, most time.Duration) (*Code, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("engine: compile: %w", context.Cause(ctx))
	}
	key := sha256.Sum256(wasm)
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil, errClosed
	}
	c, known := e.codes[key]
	if !known {
		compileCtx, cancel := context.WithCancel(context.Background())
		c = &Code{engine: e, key: key, ready: make(chan struct{}), cancel: cancel}
		e.codes[key] = c
		e.stats.Compiles++
		e.compilations.Add(1)
		go c.compile(compileCtx, wasm, most)
	} else {
		e.stats.CacheHits++
	}
	c.users++
	e.mu.Unlock()

	select {
	case <-c.ready:
	case <-ctx.Done():
		c.Release()
		return nil, fmt.Errorf("engine: compile: %w", context.Cause(ctx))
	}
	if c.err != nil {
		c.Release()
		return nil, c.err
	}
	return c, nil
}

// tooSlow is the cause of a compilation that took its whole time.
type tooSlow struct{ most time.Duration }

func (t *tooSlow) Error() string {
	return fmt.Sprintf("compiling took more than %v; raise the limit or use the interpreter", t.most)
}

// workers compile one module. With more than one, wazero looks at ctx between
// two functions; the memory of a compilation, which decoding bounds, grows with
// their number.
const workers = 2

// compile runs on a goroutine of its own, which ends soon after ctx or most: at
// the end of the function that is being compiled.
func (c *Code) compile(ctx context.Context, wasm []byte, most time.Duration) {
	defer c.engine.compilations.Done()
	defer c.cancel()
	c.compiled, c.err = c.engine.compile(ctx, wasm, most)
	c.engine.mu.Lock()
	c.done = true
	wanted := c.users > 0
	if c.err != nil {
		c.engine.drop(c)
	}
	c.engine.mu.Unlock()
	close(c.ready)
	if !wanted {
		c.free()
	}
}

// compile waits its turn first: compiling is what takes most memory.
func (e *Engine) compile(ctx context.Context, wasm []byte, most time.Duration) (wazero.CompiledModule, error) {
	select {
	case e.compiling <- struct{}{}:
		defer func() { <-e.compiling }()
	case <-ctx.Done(): // found again below
	}
	ctx, cancel := context.WithTimeoutCause(ctx, most, &tooSlow{most})
	defer cancel()
	var compiled wazero.CompiledModule
	err := ctx.Err()
	if err == nil { // wazero loses a page of code for each compilation that it breaks off
		compiled, err = e.rt.CompileModule(experimental.WithCompilationWorkers(ctx, workers), wasm)
	}
	switch {
	case err == nil && ctx.Err() == nil:
		return compiled, nil
	case err == nil:
		err = compiled.Close(ctx)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return nil, fmt.Errorf("engine: compile: %w", err)
}

// Release gives the code back. A compilation that nobody waits for any more is
// broken off, and is not waited for here.
func (c *Code) Release() {
	c.engine.mu.Lock()
	c.users--
	last := c.users == 0
	done := c.done
	if last {
		c.engine.drop(c)
	}
	c.engine.mu.Unlock()
	if !last {
		return
	}
	c.cancel()
	if done {
		c.free()
	}
}

// free drops the code; nobody uses it.
func (c *Code) free() {
	if c.compiled != nil {
		_ = c.compiled.Close(context.Background()) // reports nothing
	}
}

// drop takes c out of the table; a later Compile starts anew. The caller holds mu.
func (e *Engine) drop(c *Code) {
	if e.codes[c.key] == c {
		delete(e.codes, c.key)
	}
}
