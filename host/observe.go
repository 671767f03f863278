package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/internal/plain"
	"github.com/sandcheck/sandcheck/netproxy"
)

// keptDecisions bounds Report.Decisions. Hooks see all of them.
const keptDecisions = 1000

func (r *run) note(format string, args ...any) {
	r.report.Notes = append(r.report.Notes, fmt.Sprintf(format, args...))
}

// audit is told of every decision at the network gate. Dials race, so it may be
// called from several goroutines.
func (r *run) audit(ctx context.Context, d netproxy.Decision) {
	if d.Func == "" {
		d.Func = cmp.Or(abi.FuncName(ctx), r.inside())
	}
	d.At = r.p.rt.now().Add(-time.Since(d.At)) // on the clock of the report
	r.decide(ctx, d)
}

func (r *run) decide(ctx context.Context, d netproxy.Decision) {
	r.mu.Lock()
	switch {
	case r.over:
	case len(r.report.Decisions) < keptDecisions:
		r.report.Decisions = append(r.report.Decisions, d)
	default:
		r.dropped++
	}
	r.mu.Unlock()
	r.logDecision(ctx, d)
	r.p.rt.decision(ctx, d)
}

// logDecision tells the embedder's loggers: refusals as warnings, the rest for
// those who look closely. Hosts and rules may hold what a guest wrote.
func (r *run) logDecision(ctx context.Context, d netproxy.Decision) {
	level, verdict := slog.LevelDebug, "allowed"
	if !d.Allowed {
		level, verdict = slog.LevelWarn, "refused"
	}
	for _, l := range r.p.rt.loggers {
		l.LogAttrs(ctx, level, "decision: "+verdict,
			slog.String("plugin", r.report.ID), slog.String("run", r.report.RunID), slog.String("func", d.Func),
			slog.String("reason", string(d.Reason)), slog.String("network", d.Target.Network),
			slog.String("host", plain.Line(d.Target.Host)), slog.Int("port", int(d.Target.Port)),
			slog.String("rule", plain.Line(d.Rule)), slog.String("hint", d.Hint), slog.String("err", plain.Line(d.Err)))
	}
}

// called is told of every call of an env function. A stub is a decision of the
// call gate and stands in the same list as those of the network.
func (r *run) called(ctx context.Context, c abi.Record) {
	if c.Stub {
		r.decide(ctx, r.stubDecision(c))
	}
	if r.p.rt.watchesCalls() {
		r.p.rt.hostCall(ctx, r.hostCall(c))
	}
}

func (r *run) stubDecision(c abi.Record) netproxy.Decision {
	d := netproxy.Decision{
		Plugin: r.report.ID, Run: r.report.RunID, Func: c.Func, At: r.p.rt.now(), Reason: netproxy.NotOffered,
	}
	if c.Unlock != "" {
		d.Reason, d.Hint = netproxy.NotGranted, fmt.Sprintf("capabilities: [%s]", c.Unlock)
	}
	return d
}

func (r *run) hostCall(c abi.Record) HostCall {
	call := HostCall{Func: c.Func, Code: c.Code, Took: c.Took, In: c.In, Out: c.Out}
	if c.Code < 0 {
		call.Detail = r.p.rt.redact(detail(c.Err))
	}
	return call
}

// detail is why a call failed, for the admin: the guest learns less. It is cut,
// for an error may quote what a guest or a peer wrote.
func detail(err error) string {
	const most = 1024
	var (
		denied *netproxy.DeniedError
		code   capability.Code
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &denied):
		d := denied.Decision
		parts := []string{string(d.Reason)}
		for _, p := range []struct{ name, text string }{{"rule", d.Rule}, {"would allow it", d.Hint}, {"because", d.Err}} {
			if p.text != "" {
				parts = append(parts, p.name+": "+p.text)
			}
		}
		return plain.Cut(plain.Line(strings.Join(parts, "; ")), most)
	case errors.As(err, &code) && code == capability.Denied:
		return "the capability is not granted"
	case errors.As(err, &code) && code == capability.NotFound:
		return "this host does not offer the function"
	default:
		return plain.Cut(plain.Line(fullText(err)), most)
	}
}

// fullText adds the causes that an error keeps from guests.
func fullText(err error) string {
	text := err.Error()
	for cause := errors.Unwrap(err); cause != nil; cause = errors.Unwrap(cause) {
		if t := cause.Error(); !strings.Contains(text, t) {
			text += ": " + t
		}
	}
	return text
}

// logger is where the guest's lines go: into the report, and to the embedder's
// loggers with the names of plugin and run.
func (r *run) logger() *slog.Logger { return slog.New(&logHandler{run: r}) }

// logHandler is the slog.Handler of one run.
type logHandler struct {
	run   *run
	attrs []slog.Attr
}

// Enabled takes every level: the report has them all.
func (h *logHandler) Enabled(context.Context, slog.Level) bool { return true }

// Handle keeps the line and passes it on. It takes the lock that decisions take,
// because an embedder's Func may log from goroutines of its own.
func (h *logHandler) Handle(ctx context.Context, rec slog.Record) error {
	r := h.run
	text := r.p.rt.redact(rec.Message)
	r.mu.Lock()
	// The guest's own lines are counted where they enter; this bounds what an
	// embedder's Func adds.
	if !r.over && len(r.report.Logs) < r.p.grant.Limits.LogLines {
		r.report.Logs = append(r.report.Logs, LogLine{At: r.p.rt.now(), Level: rec.Level, Text: text})
	}
	r.mu.Unlock()
	attrs := append([]slog.Attr{slog.String("plugin", r.report.ID), slog.String("run", r.report.RunID)}, h.attrs...)
	rec.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	for _, l := range r.p.rt.loggers {
		l.LogAttrs(ctx, rec.Level, text, attrs...)
	}
	return nil
}

// WithAttrs returns a handler that adds attrs.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{run: h.run, attrs: append(append([]slog.Attr(nil), h.attrs...), attrs...)}
}

// WithGroup flattens groups: guests have none.
func (h *logHandler) WithGroup(string) slog.Handler { return h }

// connections counts what the run has open now.
func (r *run) connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.guard == nil {
		return 0
	}
	return r.guard.Open()
}

// inside names the host function that the run is in, "" in guest code.
func (r *run) inside() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.guest == nil {
		return ""
	}
	return r.guest.Inside()
}
