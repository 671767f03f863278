package host

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/internal/engine"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/result"
)

// Plugin is a loaded package, linked to its grant. It is safe for concurrent
// use: many runs may be under way at one time, and share nothing but compiled
// code and the pace of their network use.
type Plugin struct {
	rt         *Runtime
	pkg        *manifest.Package
	grant      capability.Grant
	inspection *Inspection
	program    *engine.Program
	pace       *netproxy.Pace
	networked  bool // whether anything bound may reach the network

	mu      sync.Mutex
	runs    map[*run]struct{}
	closed  bool
	drained chan struct{} // closed once closed and no run is left
}

// Manifest is the manifest of the package. It must not be changed.
func (p *Plugin) Manifest() *manifest.Manifest { return p.pkg.Manifest }

// Grant is what the plugin may really do: what it asks for, narrowed by the
// operator's Grant and the ceiling, with every limit filled in.
func (p *Plugin) Grant() capability.Grant { return p.grant }

// Inspection is what is known of the package; Imports tells what each import is
// linked to. It must not be changed.
func (p *Plugin) Inspection() *Inspection { return p.inspection }

// Run runs the plugin once and returns what it found. The Result is never nil.
// The error is non-nil exactly when the host made the Result itself, which is
// then UNKNOWN: see the package documentation for the reasons.
//
// cfg is what the guest reads with get_config: nil for none, []byte or
// json.RawMessage for one JSON value of at most 2 MiB, anything else for its
// JSON. Where the package has a config schema, defaults are added and the config
// is validated before anything runs.
func (p *Plugin) Run(ctx context.Context, cfg any) (*result.Result, error) {
	report, err := p.Execute(ctx, cfg)
	return report.Result, err
}

// Close refuses new runs and waits for those under way until ctx ends; then it
// stops them. Its error is that of ctx if the runs had to be stopped. Closing
// twice is safe.
func (p *Plugin) Close(ctx context.Context) error {
	if err := p.close(ctx, false); err != nil {
		return &Error{Op: "close", Plugin: p.Manifest().ID, Err: err}
	}
	return nil
}

// stopGrace is how long Close waits for runs that it stopped after its ctx had
// ended. Guests end at once; only a host function that ignores its ctx does not.
const stopGrace = 2 * time.Second

// close ends the plugin: at once with now, else when its runs are done.
func (p *Plugin) close(ctx context.Context, now bool) error {
	if name := abi.FuncName(ctx); name != "" {
		return fmt.Errorf("called from inside the host function %s, which it would wait for", name)
	}
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		if len(p.runs) == 0 {
			p.free()
		}
	}
	if now {
		p.stopRuns()
	}
	p.mu.Unlock()

	select {
	case <-p.drained:
		return nil
	case <-ctx.Done():
	}
	return p.abandon(ctx, now)
}

// abandon is the end of a Close whose ctx is over: the runs are stopped, and
// those that do not end within a moment are named and left alone.
func (p *Plugin) abandon(ctx context.Context, stopped bool) error {
	err := context.Cause(ctx)
	if !stopped {
		p.mu.Lock()
		p.stopRuns()
		p.mu.Unlock()
		select {
		case <-p.drained:
			return err
		case <-time.After(stopGrace):
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var held []string
	for r := range p.runs {
		held = append(held, cmp.Or(r.inside(), "guest code"))
	}
	if len(held) == 0 {
		return nil // drained meanwhile
	}
	slices.Sort(held)
	return fmt.Errorf("%w: %d runs of %s go on, inside %s", err, len(held), p.Manifest().ID, strings.Join(slices.Compact(held), ", "))
}

// stopRuns cancels the runs. The caller holds mu.
func (p *Plugin) stopRuns() {
	for r := range p.runs {
		r.stop(ErrClosed)
	}
}

// free gives the program back, once. The caller holds mu; no run is left.
func (p *Plugin) free() {
	p.program.Close()
	p.rt.forget(p)
	close(p.drained)
}

// begin registers a run, unless the plugin is closed.
func (p *Plugin) begin(r *run) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	p.runs[r] = struct{}{}
	return nil
}

// end is the end of a run. The last one frees a plugin that was closed.
func (p *Plugin) end(r *run) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.runs, r)
	if p.closed && len(p.runs) == 0 {
		p.free()
	}
}

// active counts the runs under way and their open connections.
func (p *Plugin) active() (runs, connections int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for r := range p.runs {
		connections += r.connections()
	}
	return len(p.runs), connections
}

// networked reports whether a plugin can reach the network at all, so that runs
// of others need no Guard.
func networked(bindings []abi.Binding) bool {
	return slices.ContainsFunc(bindings, func(b abi.Binding) bool { return b.Code == capability.OK && !b.Core })
}
