// Package flight lets many callers wait for one piece of work.
package flight

import (
	"context"
	"sync"
)

// A Group shares work by key. The zero value is ready; it is safe for
// concurrent use.
type Group[K comparable, V any] struct {
	mu    sync.Mutex
	calls map[K]*call[V]
}

type call[V any] struct {
	waiting int // under Group.mu
	cancel  context.CancelFunc
	done    chan struct{}
	value   V     // after done
	err     error // after done
}

// Do returns what work returns for key, joining a call of work that is under
// way. A caller whose ctx ends stops waiting with the error of ctx; the work
// goes on for the others, and its context ends with the last of them.
func (g *Group[K, V]) Do(ctx context.Context, key K, work func(context.Context) (V, error)) (V, error) {
	var none V
	if err := ctx.Err(); err != nil {
		return none, err
	}
	c := g.join(ctx, key, work)
	select {
	case <-c.done:
		g.leave(key, c)
		return c.value, c.err
	case <-ctx.Done():
		g.leave(key, c)
		return none, ctx.Err()
	}
}

func (g *Group[K, V]) join(ctx context.Context, key K, work func(context.Context) (V, error)) *call[V] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c, ok := g.calls[key]; ok {
		c.waiting++
		return c
	}
	if g.calls == nil {
		g.calls = map[K]*call[V]{}
	}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &call[V]{waiting: 1, cancel: cancel, done: make(chan struct{})}
	g.calls[key] = c
	go func() {
		defer close(c.done)
		c.value, c.err = work(own)
		g.forget(key, c)
	}()
	return c
}

// leave ends the work with its last waiter. Who comes later starts anew rather
// than joining work that is being stopped.
func (g *Group[K, V]) leave(key K, c *call[V]) {
	g.mu.Lock()
	c.waiting--
	last := c.waiting == 0
	if last && g.calls[key] == c {
		delete(g.calls, key)
	}
	g.mu.Unlock()
	if last {
		c.cancel()
	}
}

func (g *Group[K, V]) forget(key K, c *call[V]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.calls[key] == c {
		delete(g.calls, key)
	}
}
