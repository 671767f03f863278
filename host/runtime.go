package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/internal/engine"
)

// Runtime loads packages and owns what they share: the engine, the network
// settings, the budget. It is safe for concurrent use.
type Runtime struct {
	settings
	engine *engine.Engine
	epoch  time.Time // start of every guest's monotonic clock

	closing context.Context // done once Close was called
	stop    context.CancelCauseFunc

	versionMu sync.Mutex // a version is compared and remembered in one step

	mu      sync.Mutex
	plugins map[*Plugin]struct{}
	loads   int           // under way
	idle    chan struct{} // closed when the last load ended, after closing
	closed  bool
	freed   bool
	stats   Stats
}

// Stats counts since New. Plugins, Active and Connections are what is loaded,
// running and open now.
type Stats struct {
	Plugins, Active, Connections        int
	Runs, Failures, Compiles, CacheHits uint64
	LastRun, LastFailure                time.Time
}

// New makes a Runtime. It opens nothing and starts nothing; all errors of its
// options are joined.
func New(opts ...Option) (*Runtime, error) {
	s, err := newSettings(opts)
	if err != nil {
		return nil, &Error{Op: "new", Err: err}
	}
	e, err := engine.New(engine.Options{Interpreter: s.interpreter})
	if err != nil {
		return nil, &Error{Op: "new", Err: err}
	}
	r := &Runtime{
		settings: *s,
		engine:   e,
		// An hour of past, so that a guest may subtract from its clock.
		epoch:   s.now().Add(-time.Hour),
		plugins: map[*Plugin]struct{}{},
		idle:    make(chan struct{}),
	}
	r.closing, r.stop = context.WithCancelCause(context.Background())
	return r, nil
}

// Stats returns the counters.
func (r *Runtime) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Plugins = len(r.plugins)
	e := r.engine.Stats()
	s.Compiles, s.CacheHits = e.Compiles, e.CacheHits
	for p := range r.plugins {
		active, open := p.active()
		s.Active += active
		s.Connections += open
	}
	return s
}

// Close refuses new loads and runs, stops the runs that are under way, waits for
// them and frees everything. If ctx ends first, the error says what holds on;
// what still runs is left alone, for memory is never freed under a guest, and a
// later Close may finish the work. Closing twice is safe.
func (r *Runtime) Close(ctx context.Context) error {
	// Refused whole: half a Close would stop everybody's runs.
	if name := abi.FuncName(ctx); name != "" {
		return &Error{Op: "close", Err: fmt.Errorf("called from inside the host function %s, which it would wait for", name)}
	}
	r.mu.Lock()
	if r.freed {
		r.mu.Unlock()
		return nil
	}
	if !r.closed {
		r.closed = true
		if r.loads == 0 {
			close(r.idle)
		}
	}
	plugins := make([]*Plugin, 0, len(r.plugins))
	for p := range r.plugins {
		plugins = append(plugins, p)
	}
	r.mu.Unlock()

	r.stop(ErrClosed)
	var errs []error
	for _, p := range plugins {
		errs = append(errs, p.close(ctx, true))
	}
	select {
	case <-r.idle:
	case <-ctx.Done():
		errs = append(errs, context.Cause(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return &Error{Op: "close", Err: err}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.freed {
		return nil
	}
	r.freed = true
	return r.engine.Close()
}

// beginLoad registers a load, so that Close waits for it.
func (r *Runtime) beginLoad() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	r.loads++
	return nil
}

// endLoad is the end of a load. p is nil where it failed. A plugin that was
// loaded while Close was called is refused.
func (r *Runtime) endLoad(p *Plugin) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loads--
	if r.closed {
		if p != nil {
			p.program.Close()
		}
		if r.loads == 0 {
			close(r.idle)
		}
		return ErrClosed
	}
	if p != nil {
		r.plugins[p] = struct{}{}
	}
	return nil
}

func (r *Runtime) forget(p *Plugin) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.plugins, p)
}

// countRun adds one finished run to the counters.
func (r *Runtime) countRun(at time.Time, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Runs++
	r.stats.LastRun = at
	if failed {
		r.stats.Failures++
		r.stats.LastFailure = at
	}
}
