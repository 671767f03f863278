package host

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/internal/engine"
	"github.com/sandcheck/sandcheck/internal/plain"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
)

// run is one run while it is under way. The guest's goroutine fills the report;
// what other goroutines may touch is behind mu.
type run struct {
	p       *Plugin
	running running
	report  *Report
	session *capability.Session
	guard   *netproxy.Guard // nil for plugins that cannot reach the network
	guest   *abi.Run
	stop    context.CancelCauseFunc

	started time.Time // on the real clock, whatever WithClock says

	mu      sync.Mutex
	dropped int // decisions beyond those that are kept
	over    bool
}

// Execute is Run with all that is known of the run. The Report is never nil and
// the error follows the rule of Run.
func (p *Plugin) Execute(ctx context.Context, cfg any, opts ...RunOption) (*Report, error) {
	ctx = p.rt.runStart(ctx, p)
	r := &run{p: p, started: time.Now()}
	for _, o := range opts {
		o.runOption(&r.running)
	}
	if r.running.id == "" {
		r.running.id = rand.Text()
	}
	r.report = &Report{
		ID: p.Manifest().ID, Version: p.Manifest().Version, Digest: p.inspection.Digest,
		RunID: r.running.id, Started: p.rt.now(),
	}
	cause := r.execute(ctx, cfg)
	err := r.conclude(cause)
	r.report.Usage.Wall = time.Since(r.started)
	if err != nil {
		err = &Error{Op: "run", Plugin: p.Manifest().ID, Err: err}
	}
	p.rt.countRun(r.report.Started, err != nil)
	p.rt.runDone(ctx, p, r.report, err)
	return r.report, err
}

// execute runs the guest and returns why it ended, nil for a plain return.
func (r *run) execute(ctx context.Context, cfg any) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.stop = stop
	defer context.AfterFunc(r.p.rt.closing, func() { stop(ErrClosed) })()
	if err := r.p.begin(r); err != nil {
		return err
	}
	defer r.p.end(r)

	config, err := r.p.config(cfg)
	if err != nil {
		return &configError{err}
	}
	release, err := r.admit(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := r.open(config); err != nil {
		return err
	}
	out := r.guestRun(ctx)
	r.close(out)
	return r.ended(ctx, out.Err)
}

// admit waits for the budget of all runs. A run that is closed or cancelled
// while it waits has that as its reason, not the budget.
func (r *run) admit(ctx context.Context) (release func(), err error) {
	if r.p.rt.budget == nil {
		return func() {}, nil
	}
	release, err = r.p.rt.budget.Acquire(ctx, r.p.grant.Limits)
	if err != nil && errors.Is(context.Cause(ctx), ErrClosed) {
		err = ErrClosed
	}
	return release, err
}

// open makes the state that host functions see.
func (r *run) open(config []byte) error {
	l := r.p.grant.Limits
	if r.p.networked {
		cfg := r.p.rt.network
		cfg.Limits, cfg.Pace, cfg.Plugin, cfg.Run = l, r.p.pace, r.report.ID, r.report.RunID
		cfg.Audit = r.audit
		guard, err := netproxy.New(r.p.grant.Permissions, cfg)
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.guard = guard
		r.mu.Unlock()
	}
	r.session = &capability.Session{
		Plugin: r.report.ID, Run: r.report.RunID, Config: config, Net: r.guard, Log: r.logger(), Limits: l,
	}
	guest := &abi.Run{
		Session: r.session, Limits: l, Now: r.p.rt.now, Epoch: r.p.rt.epoch, Rand: r.p.rt.rand,
		Stdout: abi.NewTail(int(l.Stderr)), Stderr: abi.NewTail(int(l.Stderr)), Called: r.called,
	}
	r.mu.Lock()
	r.guest = guest
	r.mu.Unlock()
	return nil
}

// guestRun runs the guest under the wall limit.
func (r *run) guestRun(ctx context.Context) engine.Outcome {
	wall := r.p.grant.Limits.Wall
	ctx, cancel := context.WithTimeoutCause(ctx, wall, &timeoutError{wall})
	defer cancel()
	return r.p.program.Run(ctx, r.guest)
}

// close ends what the run opened, whatever the guest did, and reads the meters.
func (r *run) close(out engine.Outcome) {
	u := &r.report.Usage
	// Errors of closing are of connections nobody uses any more.
	_ = r.session.Close()
	if r.guard != nil {
		_ = r.guard.Close()
		*u = r.guard.Usage()
	}
	s := r.session.Usage()
	u.PeakConnections, u.LogDropped = max(u.PeakConnections, s.PeakConnections), s.LogDropped
	r.guest.Counts(u)
	u.Instantiate, u.PeakMemory = out.Instantiate, out.PeakMemory
	u.RefusedGrows, u.FirstRefused = out.RefusedGrows, out.FirstRefused
	u.CPU, u.Fuel, u.InitFuel = out.CPU, out.Fuel, out.InitFuel
	r.mu.Lock()
	r.over = true // what an audit still tells now is not of this report
	r.mu.Unlock()
	r.collect(out)
}

// ended turns the engine's word for the end into this package's, and sets Ended.
func (r *run) ended(ctx context.Context, err error) error {
	var (
		exit *abi.Exit
		stop *abi.Stop
		trap *engine.Trap
	)
	switch {
	case err == nil:
		r.report.Ended = Returned
		return nil
	case errors.As(err, &exit):
		r.report.Ended = Exited
		if exit.Code == 0 {
			return nil
		}
		return &ExitError{Code: int(exit.Code)}
	case errors.As(err, &stop):
		return r.stopped(ctx, stop.Cause)
	case errors.As(err, &trap):
		r.report.Ended = Trapped
		if trap.Cause != nil { // a host panic: what it said is for the admin only
			r.note("%s", plain.Cut(plain.Line(trap.Cause.Error()), 1024))
		}
		return &TrapError{Kind: trap.Kind, Frames: trap.Frames}
	default:
		r.report.Ended = Trapped
		return err
	}
}

// stopped is a run that the host ended.
func (r *run) stopped(ctx context.Context, cause error) error {
	var wall *timeoutError
	var over *limits.ExceededError
	switch {
	case errors.As(cause, &over):
		r.report.Ended = Limited
		return &cpuError{over}
	case errors.As(cause, &wall):
		r.report.Ended = TimedOut
		return wall
	case errors.Is(cause, ErrClosed):
		r.report.Ended = Cancelled
		return ErrClosed
	case errors.Is(cause, context.DeadlineExceeded):
		r.report.Ended = TimedOut
		return &timeoutError{r.untilDeadline(ctx)}
	default:
		r.report.Ended = Cancelled
		return &cancelledError{cause}
	}
}

// untilDeadline is the time that ctx had left when the run started.
func (r *run) untilDeadline(ctx context.Context) time.Duration {
	if d, ok := ctx.Deadline(); ok {
		return max(0, d.Sub(r.started)).Round(time.Millisecond)
	}
	return time.Since(r.started).Round(time.Millisecond)
}
