package netproxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandcheck/sandcheck/limits"
)

// A slot is one of Limits.Connections. It is given back exactly once.
type slot struct {
	g    *Guard
	once sync.Once
}

// takeSlot takes a slot before anything touches the network. If none is free
// the run's own idle HTTP connections make room first.
func (g *Guard) takeSlot() (*slot, error) {
	if s := g.trySlot(); s != nil {
		return s, nil
	}
	g.yieldIdle()
	if s := g.trySlot(); s != nil {
		return s, nil
	}
	most := int64(g.limits.Connections)
	return nil, &limits.ExceededError{Resource: "connections", Limit: most, Used: most + 1}
}

// yieldIdle closes pooled connections that serve nobody.
func (g *Guard) yieldIdle() {
	for _, t := range g.transports() {
		t.CloseIdleConnections()
	}
	// HTTP/2 takes a moment to notice that its last stream has ended.
	g.mu.Lock()
	var idle []*conn
	for c := range g.conns {
		if c.http2.Load() && c.busy.Load() == 0 {
			idle = append(idle, c)
		}
	}
	g.mu.Unlock()
	for _, c := range idle {
		c.Close() //nolint:errcheck // it makes room, whatever it says
	}
}

func (g *Guard) trySlot() *slot {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open >= g.limits.Connections {
		return nil
	}
	g.open++
	g.usage.PeakConnections = max(g.usage.PeakConnections, g.open)
	return &slot{g: g}
}

func (s *slot) free() {
	if s == nil {
		return
	}
	s.once.Do(func() {
		s.g.mu.Lock()
		s.g.open--
		s.g.mu.Unlock()
	})
}

// conn is an open connection of the run. It counts, holds a slot, and closes
// with the Guard. With an attempt of its own, its end is the attempt's end.
type conn struct {
	net.Conn
	g      *Guard
	slot   *slot
	closed sync.Once
	result error

	// For TCP, and for HTTP after an upgrade.
	mu      sync.Mutex
	attempt *attempt

	// For HTTP.
	key      poolKey
	address  string
	used     atomic.Bool // has served an exchange
	http2    atomic.Bool
	busy     atomic.Int32 // exchanges in progress
	budget   atomic.Int64 // bytes that the exchange may still receive
	metered  atomic.Bool
	overread atomic.Bool
}

// adopt registers a connection, unless the run has ended meanwhile.
func (g *Guard) adopt(c *conn) (*conn, error) {
	g.mu.Lock()
	closed := g.closed
	if !closed {
		g.conns[c] = true
	}
	g.mu.Unlock()
	if closed {
		c.Conn.Close() //nolint:errcheck // the run is over
		return nil, &failure{phase: "connect", class: "interrupted", cause: errOver}
	}
	return c, nil
}

func (c *conn) owner() *attempt {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.attempt
}

func (c *conn) setOwner(a *attempt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attempt = a
}

// Read reads once. io.EOF stays io.EOF; other errors are failures.
func (c *conn) Read(p []byte) (int, error) {
	if c.metered.Load() && c.budget.Load() <= 0 {
		c.overread.Store(true)
		return 0, errWire(c.g)
	}
	began := time.Now()
	n, err := c.Conn.Read(p)
	c.budget.Add(-int64(n))
	a := c.owner()
	if a == nil {
		return n, err // net/http wants its errors plain
	}
	a.received(n)
	return n, c.outcome(a, "read", began, err)
}

// Write writes all of p or fails.
func (c *conn) Write(p []byte) (int, error) {
	began := time.Now()
	n, err := c.Conn.Write(p)
	a := c.owner()
	if a == nil {
		return n, err
	}
	a.sent(n)
	return n, c.outcome(a, "write", began, err)
}

func (c *conn) outcome(a *attempt, phase string, began time.Time, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if c.g.life.Err() != nil {
		err = errors.Join(errOver, err)
	}
	err = failed(phase, began, err)
	a.failNote(err)
	return err
}

// Close closes the connection, gives the slot back and delivers the Decision.
// Only the first call does anything; all return the same.
func (c *conn) Close() error {
	c.closed.Do(func() {
		c.result = c.Conn.Close()
		c.slot.free()
		c.g.mu.Lock()
		delete(c.g.conns, c)
		c.g.mu.Unlock()
		if a := c.owner(); a != nil {
			a.finish(nil) //nolint:errcheck // nil goes in, nil comes out
		}
	})
	return c.result
}

// CloseWrite ends the sending side where the connection can.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

func errWire(g *Guard) error {
	most := g.wireBudget()
	return &limits.ExceededError{Resource: "wire bytes", Limit: most, Used: most + 1}
}

// wireBudget bounds what one exchange may receive, so that input which decodes
// to nothing ends as well.
func (g *Guard) wireBudget() int64 { return 2*int64(g.limits.Body) + 256<<10 }
