package netproxy

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandcheck/sandcheck/limits"
)

// An attempt is one Decision in the making. It is delivered once, by finish.
type attempt struct {
	g      *Guard
	ctx    context.Context // values only, for Audit
	in     atomic.Int64
	out    atomic.Int64
	follow bool // a redirect asked for it

	mu       sync.Mutex
	done     bool
	decision Decision
}

// begin opens an attempt. Every path from here ends in finish or drop.
func (g *Guard) begin(ctx context.Context, network string) *attempt {
	a := &attempt{g: g, ctx: context.WithoutCancel(ctx)}
	a.decision = Decision{Plugin: g.cfg.Plugin, Run: g.cfg.Run, At: time.Now(), Tunnel: g.cfg.Tunnel}
	if network == "tcp" || network == "udp" {
		a.decision.Target.Network = network
	}
	g.mu.Lock()
	g.attempts[a] = true
	g.mu.Unlock()
	return a
}

// note changes the decision while it is not yet delivered. Trace hooks may come
// late, from goroutines of net/http.
func (a *attempt) note(change func(*Decision)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.done {
		change(&a.decision)
	}
}

func (a *attempt) aim(d destination) {
	a.note(func(x *Decision) {
		x.Target.Network, x.Target.Host, x.Target.Port = d.network, d.host.text(), d.port
	})
}

func (a *attempt) grant(rule string) {
	a.note(func(x *Decision) { x.Allowed, x.Reason, x.Rule = true, Granted, rule })
}

func (a *attempt) pin(addrs []netip.AddrPort, dropped []netip.Addr) Target {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.decision.Target.Addrs, a.decision.Dropped = addrs, dropped
	return a.decision.Target
}

// failNote keeps the class of the first failure of a connection that goes on.
func (a *attempt) failNote(err error) {
	a.note(func(x *Decision) {
		if x.Err == "" {
			x.Err = failureClass(err)
		}
	})
}

// drop forgets an attempt whose Decision another one makes.
func (a *attempt) drop() {
	a.mu.Lock()
	a.done = true
	a.mu.Unlock()
	a.g.mu.Lock()
	delete(a.g.attempts, a)
	a.g.mu.Unlock()
}

// finish delivers the Decision with the outcome err and returns the error for
// the caller: a refusal comes back with its whole Decision, and whatever a
// redirect led to that was not allowed comes back as a refusal. Only the first
// call counts.
func (a *attempt) finish(err error) error {
	a.mu.Lock()
	if a.done {
		a.mu.Unlock()
		return err
	}
	a.done = true
	x := &a.decision
	x.Took, x.BytesIn, x.BytesOut = time.Since(x.At), a.in.Load(), a.out.Load()
	err = a.settle(err)
	out := a.decision
	a.mu.Unlock()

	if a.g.settled(a, out) {
		a.g.audit(a.ctx, out)
	}
	return err
}

// settle writes the outcome into the decision.
func (a *attempt) settle(err error) error {
	x := &a.decision
	var denied *DeniedError
	var invalid *invalidError
	var over *limits.ExceededError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &denied):
		d := denied.Decision
		x.Allowed, x.Reason, x.Rule, x.Hint, x.Err = false, d.Reason, d.Rule, d.Hint, d.Err
	case errors.As(err, &invalid):
		x.Allowed, x.Reason, x.Rule, x.Err = false, BadTarget, "", invalid.Error()
		if !a.follow {
			return err
		}
	case errors.As(err, &over):
		if x.Status != 0 || x.Peer.IsValid() { // in the middle of an allowed exchange
			x.Err = "limit:" + over.Resource
		} else {
			x.Allowed, x.Reason, x.Rule = false, OverLimit, over.Resource
		}
		return err
	default:
		if x.Err == "" {
			x.Err = failureClass(err)
		}
		return err
	}
	if a.follow && x.Reason != CircuitOpen {
		x.Err, x.Reason = string(x.Reason), BadRedirect
	}
	return &DeniedError{Decision: *x}
}

// settled counts the outcome and reports whether it is to be delivered: after
// the circuit has opened, refusals are only counted.
func (g *Guard) settled(a *attempt, d Decision) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.attempts, a)
	if d.Allowed || d.Reason == OverLimit || d.Reason == BadTarget {
		return true
	}
	g.usage.Denials++
	if d.Reason != CircuitOpen {
		return true
	}
	first := !g.tripped
	g.tripped = true
	return first
}

// audit delivers. An observer that panics changes no verdict.
func (g *Guard) audit(ctx context.Context, d Decision) {
	if g.cfg.Audit == nil {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			slog.Default().Error("netproxy: Config.Audit panicked", "plugin", d.Plugin, "run", d.Run, "panic", r)
		}
	}()
	g.cfg.Audit(ctx, d)
}

// received and sent count payload.
func (a *attempt) received(n int) {
	a.in.Add(int64(n))
	a.g.bytesIn.Add(int64(n))
}

func (a *attempt) sent(n int) {
	a.out.Add(int64(n))
	a.g.bytesOut.Add(int64(n))
}
