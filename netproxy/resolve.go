package netproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/sandcheck/sandcheck/limits"
)

// Caps on the phases of an attempt, inside whatever deadline it has.
const (
	lookupTimeout  = 3 * time.Second
	connectTimeout = 5 * time.Second
	tlsTimeout     = 5 * time.Second
	headerTimeout  = 10 * time.Second
	httpTimeout    = 15 * time.Second // for a request without a deadline
)

// resolve turns a judged destination into a Target: one lookup, every answer
// judged, only permitted addresses kept.
func (g *Guard) resolve(ctx context.Context, a *attempt, d destination) (Target, error) {
	if d.host.addr.IsValid() {
		t := a.pin([]netip.AddrPort{netip.AddrPortFrom(d.host.addr, d.port)}, nil)
		g.permit(d.host, t.Addrs)
		return t, nil
	}
	if err := g.countLookup(d.host); err != nil {
		return Target{}, err
	}
	if err := wait(ctx, g.pace.lookups, 1, "lookup rate"); err != nil {
		return Target{}, failed("dns", time.Now(), err)
	}
	answers, err := g.lookup(ctx, a, d.host)
	if err != nil {
		if g.policy.opaque && g.policy.onlyWildcard(d.host) && !isTimeout(err) {
			return Target{}, &DeniedError{Decision{Reason: BadAddress, Err: failureClass(err)}}
		}
		return Target{}, err
	}
	var rule string
	a.note(func(x *Decision) { rule = x.Rule })
	permitted, dropped, v := g.policy.afterLookup(d, rule, answers)
	t := a.pin(candidates(permitted, d.port), dropped)
	if !v.ok {
		return Target{}, v.err()
	}
	a.grant(v.rule)
	g.permit(d.host, t.Addrs)
	return t, nil
}

// countLookup bounds the distinct names that a run looks up, which is how a
// sweep of a zone is stopped early.
func (g *Guard) countLookup(h canonHost) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.names[h.name] {
		if most := min(g.limits.Lookups, g.limits.Targets); len(g.names) >= most {
			return &limits.ExceededError{Resource: "lookups", Limit: int64(most), Used: int64(most) + 1}
		}
		g.names[h.name] = true
	}
	g.usage.Lookups++
	return nil
}

// lookup asks once. There is no second try: a name that changes its answer must
// not get another chance.
func (g *Guard) lookup(ctx context.Context, a *attempt, h canonHost) ([]netip.Addr, error) {
	name := h.name
	if strings.Contains(name, ".") {
		name += "." // absolute: no search list
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	answers, err := g.callResolver(ctx, name)
	a.note(func(x *Decision) { x.Lookup = time.Since(began) })
	if err == nil {
		if answers = usableAnswers(answers); len(answers) > 0 {
			return answers, nil
		}
		f := &failure{phase: "dns", class: "no address", took: time.Since(began)}
		f.cause = &net.DNSError{Err: "no usable address", Name: h.name, IsNotFound: true}
		return nil, f
	}
	var dns *net.DNSError
	if !errors.As(err, &dns) && !isTimeout(err) && ctx.Err() == nil {
		err = errors.Join(&net.DNSError{Err: "lookup failed", Name: h.name}, err)
	}
	return nil, failed("dns", began, err)
}

// callResolver keeps a resolver that panics or ignores its context from taking
// the run with it.
func (g *Guard) callResolver(ctx context.Context, name string) ([]netip.Addr, error) {
	type result struct {
		answers []netip.Addr
		err     error
	}
	done := make(chan result, 1)
	g.calls.Add(1) // the caller is counted, so the count is not zero
	go func() {
		defer g.calls.Done()
		var r result
		defer func() {
			if p := recover(); p != nil {
				r = result{err: fmt.Errorf("the resolver panicked: %v", p)}
			}
			done <- r
		}()
		r.answers, r.err = g.resolver.LookupNetIP(ctx, "ip", name)
	}()
	select {
	case r := <-done:
		return r.answers, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
