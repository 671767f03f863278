package netproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandcheck/sandcheck/limits"
)

// A Guard judges and dials for one run. It is itself a Dialer and an
// http.RoundTripper, safe to hand to any library and to use from many
// goroutines. Nothing can be put in the place of its rules: they are data that
// it copied, and whatever it dials is an address that it judged.
//
// Close it when the run ends; until then idle HTTP connections stay open.
type Guard struct {
	policy   *policy
	cfg      Config
	limits   limits.Limits
	pace     *Pace
	dialer   Dialer
	resolver Resolver
	life     context.Context // ends with the Guard, which has no caller's context
	end      context.CancelCauseFunc
	calls    sync.WaitGroup // calls that have not returned

	bytesIn, bytesOut atomic.Int64

	mu       sync.Mutex
	closed   bool
	tripped  bool // the circuit has made its Decision
	usage    limits.Usage
	open     int // connection slots taken
	names    map[string]bool
	targets  map[netip.AddrPort]bool
	reached  map[netip.AddrPort]map[string]bool // permitted peers, by host
	attempts map[*attempt]bool
	conns    map[*conn]bool
	pools    map[poolKey]*http.Transport
}

// errOver is why calls end when the Guard is closed.
var errOver = errors.New("the run is over")

// New checks rules and settings, reports everything wrong with them at once and
// returns a Guard that has copied both.
func New(rules Rules, cfg Config) (*Guard, error) {
	p, err := compile(rules, cfg)
	errs := []error{err, cfg.Limits.Validate()}
	for _, id := range cfg.Identities {
		if cfg.Transport != nil && (id.Certificate != nil || id.Certificates != nil) {
			errs = append(errs, fmt.Errorf("identity %q holds a certificate, which a custom Transport cannot present", id.ID))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("netproxy: %w", err)
	}
	g := &Guard{
		policy: p, cfg: cfg, limits: withDefaults(cfg.Limits), pace: cfg.Pace, resolver: cfg.Resolver,
		names: map[string]bool{}, targets: map[netip.AddrPort]bool{}, reached: map[netip.AddrPort]map[string]bool{},
		attempts: map[*attempt]bool{}, conns: map[*conn]bool{}, pools: map[poolKey]*http.Transport{},
	}
	g.life, g.end = context.WithCancelCause(context.Background())
	if g.pace == nil {
		g.pace = NewPace(cfg.Limits)
	}
	if g.resolver == nil {
		g.resolver = &net.Resolver{PreferGo: true}
	}
	g.dialer = g.checkedDialer(cfg.Dialer)
	return g, nil
}

// Decide judges a destination and pins its addresses without connecting. It is
// an attempt like any other: it makes a Decision, and looks a granted name up.
// network is "tcp" or "udp". The errors are those of DialContext.
func (g *Guard) Decide(ctx context.Context, network, host string, port uint16) (Target, error) {
	a := g.begin(ctx, network)
	leave, err := g.enter()
	if err != nil {
		return Target{}, a.finish(err)
	}
	defer leave()
	d, err := parseDestination(network, host, port)
	if err != nil {
		return Target{}, a.finish(err)
	}
	ctx, release := g.bind(ctx)
	defer release()
	if err := g.judge(a, d); err != nil {
		return Target{}, a.finish(err)
	}
	t, err := g.resolve(ctx, a, d)
	return t, a.finish(err)
}

// judge takes an attempt through all that needs no lookup.
func (g *Guard) judge(a *attempt, d destination) error {
	a.aim(d)
	v := g.policy.beforeLookup(d)
	if !v.ok {
		return v.err()
	}
	a.grant(v.rule)
	return nil
}

func (v verdict) err() error {
	return &DeniedError{Decision{Reason: v.reason, Rule: v.rule, Hint: v.hint}}
}

// enter admits a call while the run lives and the circuit is closed. leave says
// that it has returned.
func (g *Guard) enter() (leave func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return nil, &DeniedError{Decision{Reason: HostDenied, Rule: errOver.Error()}}
	case g.usage.Denials >= g.limits.Denials:
		return nil, &DeniedError{Decision{Reason: CircuitOpen, Rule: "denials"}}
	}
	g.calls.Add(1)
	return g.calls.Done, nil
}

// bind ends ctx when the run ends.
func (g *Guard) bind(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(g.life, func() { cancel(errOver) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// Usage returns what was used so far: Dials, Lookups, Targets, Denials,
// PeakConnections, BytesIn and BytesOut. Other fields are zero.
func (g *Guard) Usage() limits.Usage {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.usage
	u.Targets = len(g.targets) + len(g.names)
	u.BytesIn, u.BytesOut = g.bytesIn.Load(), g.bytesOut.Load()
	return u
}

// Close ends the run: it refuses what comes late, interrupts every lookup,
// dial, read and write, closes all connections, and delivers the Decisions that
// are still open. It returns once calls in progress have, or after a second if
// some seam does not honour its context. Closing again does nothing.
func (g *Guard) Close() error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil
	}
	g.closed = true
	g.mu.Unlock()

	g.end(errOver)
	g.closeAll()
	done := make(chan struct{})
	go func() {
		g.calls.Wait()
		close(done)
	}()
	patience := time.NewTimer(time.Second)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
	}
	g.closeAll() // what a call opened while it was ending
	for _, a := range g.pending() {
		a.finish(&failure{phase: "run", class: "over", cause: errOver})
	}
	return nil
}

// closeAll closes every connection, then the pools, which by then can no longer
// block on a peer.
func (g *Guard) closeAll() {
	g.mu.Lock()
	var conns []*conn
	for c := range g.conns {
		conns = append(conns, c)
	}
	var pools []*http.Transport
	for _, t := range g.pools {
		pools = append(pools, t)
	}
	g.mu.Unlock()
	for _, c := range conns {
		c.Close() //nolint:errcheck // the run is over either way
	}
	for _, t := range pools {
		t.CloseIdleConnections()
	}
}

func (g *Guard) pending() []*attempt {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []*attempt
	for a := range g.attempts {
		out = append(out, a)
	}
	return out
}
