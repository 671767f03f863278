package host

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sandcheck/sandcheck/internal/engine"
	"github.com/sandcheck/sandcheck/internal/plain"
	"github.com/sandcheck/sandcheck/result"
)

// conclude chooses the Result: the last one that was accepted, whatever came
// after it, or else one that says why there is none. It returns the error of
// Run.
func (r *run) conclude(cause error) error {
	var submits []Submit
	if r.session != nil {
		submits = r.session.Submissions()
	}
	r.report.Submits = submits
	r.report.Cause = cause
	var last *result.Result
	var refused error
	for _, s := range submits {
		if s.Err != nil {
			refused = s.Err
			continue
		}
		last = s.Result
		r.finish(last)
	}
	if last != nil {
		r.report.Result = last
		return nil
	}
	if cause == nil && refused != nil {
		cause = &invalidResultError{refused}
	}
	if cause == nil {
		cause = ErrNoResult
	}
	r.report.Cause = cause
	r.report.Result = r.unknown(cause)
	return cause
}

// keptOutput is how much of each stream goes into the details of an UNKNOWN.
const keptOutput = 4 << 10

// unknown is the host's own result for a run that has none.
func (r *run) unknown(cause error) *result.Result {
	made := result.FromError(cause)
	// A trap and an exit are explained by what the guest printed last.
	if errors.Is(cause, ErrTrap) || errors.Is(cause, ErrExit) {
		if line := lastLine(r.report.Stderr); line != "" {
			made.Summary += ": " + line
		} else if line := lastLine(r.report.Stdout); line != "" {
			made.Summary += ": " + line
		}
		const most = 2048 // bytes of a summary
		made.Summary = plain.Cut(plain.Line(made.Summary), most)
		made.Details = r.output()
	}
	made.Summary = r.p.rt.redact(made.Summary)
	made.Details = r.p.rt.redact(made.Details)
	r.label(made)
	made.ObservedAt = r.p.rt.now().UTC()
	return made
}

func lastLine(text string) string {
	lines := strings.Split(text, "\n")
	for _, l := range slices.Backward(lines) {
		if l = strings.TrimSpace(l); l != "" {
			return l
		}
	}
	return ""
}

// output is the end of both streams, with a heading each where both have text.
func (r *run) output() string {
	var parts []string
	for _, s := range []struct{ name, text string }{{"stderr", r.report.Stderr}, {"stdout", r.report.Stdout}} {
		if text := strings.TrimSpace(s.text); text != "" {
			if over := len(text) - keptOutput; over > 0 {
				text = strings.ToValidUTF8(text[over:], "")
			}
			parts = append(parts, s.name+":\n"+text)
		}
	}
	return strings.Join(parts, "\n\n")
}

// future is how far ahead of the host's clock a guest's may be.
const future = 5 * time.Minute

// finish completes an accepted result: host labels, the time, redaction.
func (r *run) finish(res *result.Result) {
	now := r.p.rt.now().UTC()
	if res.ObservedAt.After(now.Add(future)) {
		res.Issues = append(res.Issues, result.Issue{
			Code: "observed_at_future", Pointer: "/observed_at", Message: "more than 5 minutes ahead of the host's clock, whose time is used",
		})
		res.ObservedAt = now
	}
	if res.ObservedAt.IsZero() {
		res.ObservedAt = now
	}
	r.undeclaredWidgets(res)
	res.Summary = r.p.rt.redact(res.Summary)
	res.Details = r.p.rt.redact(res.Details)
	r.label(res)
}

// undeclaredWidgets notes widgets that the display contract does not list. They
// are kept: the contract serves screens that prepare themselves.
func (r *run) undeclaredWidgets(res *result.Result) {
	contract := r.p.Manifest().Display
	if contract == nil {
		return
	}
	for i, w := range res.Display {
		if !slices.Contains(contract.Widgets, w.Kind) {
			res.Issues = append(res.Issues, result.Issue{
				Code: "widget_not_declared", Pointer: fmt.Sprintf("/display/%d", i),
				Message: fmt.Sprintf("the display contract does not list %q", w.Kind),
			})
		}
	}
}

// label adds the host's labels, which win.
func (r *run) label(res *result.Result) {
	labels := maps.Clone(res.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, r.running.labels)
	labels["plugin_id"], labels["plugin_name"] = r.p.Manifest().ID, r.p.Manifest().Name
	res.Labels = labels
}

// collect copies what the guest left behind into the report, cleaned.
func (r *run) collect(out engine.Outcome) {
	redact := r.p.rt.redact
	r.report.Stdout = redact(plain.Lines(r.guest.Stdout.String()))
	r.report.Stderr = redact(plain.Lines(r.guest.Stderr.String()))
	for _, f := range r.guest.Failures() {
		r.report.Failures = append(r.report.Failures, r.hostCall(f))
	}
	if out.StartDropped != nil {
		r.report.Notes = append(r.report.Notes, "_start was discarded and is not run again: "+plain.Line(out.StartDropped.Error()))
	}
	if r.dropped > 0 {
		r.note("%d more decisions are not listed", r.dropped)
	}
}
