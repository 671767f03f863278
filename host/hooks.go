package host

import (
	"context"

	"github.com/sandcheck/sandcheck/netproxy"
)

// Hooks observe a Runtime. Every field is optional. Hooks are called in order,
// on the goroutine of the load or run they are about, several runs at one time;
// they must be quick and must not block. A hook changes no verdict.
type Hooks struct {
	// Loaded is told of every Load: what was found out, and the error if it
	// failed. The Inspection is nil where the package was refused before it was
	// looked at.
	Loaded func(context.Context, *Inspection, error)
	// RunStart is called before anything else of a run. The ctx that it
	// returns is the run's, so that spans can be carried; nil keeps the old.
	RunStart func(context.Context, *Plugin) context.Context
	// RunDone is told how every run ended, also one that did not start.
	RunDone func(context.Context, *Plugin, *Report, error)
	// HostCall is told of every call of an env function.
	HostCall func(context.Context, HostCall)
	// Decision is told of every decision, network and capability alike.
	Decision func(context.Context, netproxy.Decision)
}

func (s *settings) loaded(ctx context.Context, in *Inspection, err error) {
	for _, h := range s.hooks {
		if h.Loaded != nil {
			h.Loaded(ctx, in, err)
		}
	}
}

func (s *settings) runStart(ctx context.Context, p *Plugin) context.Context {
	for _, h := range s.hooks {
		if h.RunStart == nil {
			continue
		}
		if next := h.RunStart(ctx, p); next != nil {
			ctx = next
		}
	}
	return ctx
}

func (s *settings) runDone(ctx context.Context, p *Plugin, r *Report, err error) {
	for _, h := range s.hooks {
		if h.RunDone != nil {
			h.RunDone(ctx, p, r, err)
		}
	}
}

func (s *settings) hostCall(ctx context.Context, c HostCall) {
	for _, h := range s.hooks {
		if h.HostCall != nil {
			h.HostCall(ctx, c)
		}
	}
}

func (s *settings) decision(ctx context.Context, d netproxy.Decision) {
	for _, h := range s.hooks {
		if h.Decision != nil {
			h.Decision(ctx, d)
		}
	}
}

// watchesCalls reports whether any hook wants to see host calls, so that the
// text of their details is only made then.
func (s *settings) watchesCalls() bool {
	for _, h := range s.hooks {
		if h.HostCall != nil {
			return true
		}
	}
	return false
}
