package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/result"
)

// page is text for people under construction. Text of others enters it through
// item and block only, indented, so that it can never pass for a heading of ours.
type page struct{ strings.Builder }

func (p *page) head(title string) { fmt.Fprintf(p, "\n%s\n", title) }

// line writes one line of a list.
func (p *page) line(text string) { fmt.Fprintf(p, "  %s\n", cut(oneLine(text), maxLine)) }

// maxLine is how much of one line of a package is worth reading.
const maxLine = 500

// item writes one line; a label is padded, so that values stand in a column.
func (p *page) item(label, text string) {
	if text = oneLine(text); text != "" {
		fmt.Fprintf(p, "  %-12s %s\n", oneLine(label), text)
	}
}

// block writes text of several lines.
func (p *page) block(text string) {
	text = strings.TrimSpace(clean(strings.ReplaceAll(text, "\r\n", "\n")))
	for line := range strings.Lines(text) {
		fmt.Fprintf(p, "  %s\n", strings.TrimRight(line, "\n"))
	}
}

func reportToText(r *host.Report, err error) string {
	p := &page{}
	fmt.Fprintf(p, "%s: %s\n", r.Result.Status, oneLine(r.Result.Summary))
	if err == nil { // else they are the streams, which stand below
		p.block(r.Result.Details)
	}
	p.metrics(r.Result)
	p.labels(r.Result.Labels)
	p.run(r, err)
	p.decisions(r.Decisions)
	p.failures(r.Failures)
	p.remarks(r)
	p.logs(r.Logs)
	p.printed("stdout", r.Stdout)
	p.printed("stderr", r.Stderr)
	return p.String()
}

func (p *page) metrics(r *result.Result) {
	points := r.Points()
	if len(points) == 0 {
		return
	}
	p.head("metrics")
	for _, m := range points {
		text := cmp.Or(m.Text, number(m.Value)) + m.Unit
		for _, b := range []struct {
			name  string
			bound *result.Range
		}{{"warn", m.Warn}, {"crit", m.Crit}} {
			if b.bound != nil {
				text += ", " + b.name + " " + b.bound.String()
			}
		}
		for _, e := range []struct {
			name string
			end  *float64
		}{{"min", m.Min}, {"max", m.Max}} {
			if e.end != nil {
				text += ", " + e.name + " " + number(*e.end)
			}
		}
		p.item(m.Label, text)
	}
}

func number(v float64) string {
	if size := math.Abs(v); size != 0 && (size < 1e-6 || size >= 1e15) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

func (p *page) labels(labels map[string]string) {
	if len(labels) == 0 {
		return
	}
	p.head("labels")
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		p.item(name, labels[name])
	}
}

func (p *page) run(r *host.Report, err error) {
	u := r.Usage
	p.head("run")
	p.item("plugin", r.ID+" "+r.Version)
	p.item("digest", "sha256:"+r.Digest.String())
	p.item("run id", r.RunID)
	p.item("ended", ended(r.Ended.String(), cause(r, err)))
	p.item("time", fmt.Sprintf("%v in all: guest code %v, host functions %v, before the entrypoint %v",
		short(u.Wall), short(u.CPU), short(u.HostWait), short(u.Instantiate)))
	p.item("fuel", listed([]count{{"used", int64(u.Fuel)}, {"to initialise", int64(u.InitFuel)}}))
	p.item("memory", memory(u))
	p.item("network", listed([]count{
		{"connections at most", int64(u.PeakConnections)}, {"dials", int64(u.Dials)}, {"lookups", int64(u.Lookups)},
		{"targets", int64(u.Targets)}, {"denials", int64(u.Denials)}, {"bytes in", u.BytesIn}, {"bytes out", u.BytesOut},
	}))
	p.item("calls", listed(counts(u.Calls)))
	p.item("failed", listed(counts(u.Failed)))
	p.item("cut off", listed([]count{{"log lines", u.LogDropped}, {"bytes of output", u.OutputDropped}}))
}

func ended(how, why string) string {
	if why == "" || why == how {
		return how
	}
	return how + ": " + why
}

func short(d time.Duration) time.Duration {
	if d < time.Millisecond {
		return d.Round(time.Microsecond)
	}
	return d.Round(100 * time.Microsecond)
}

func memory(u limits.Usage) string {
	text := fmt.Sprintf("%v at most", u.PeakMemory)
	if u.RefusedGrows > 0 {
		text += fmt.Sprintf(", growing refused %d times, first to %v", u.RefusedGrows, u.FirstRefused)
	}
	return text
}

type count struct {
	name string
	n    int64
}

func counts(m map[string]int) []count {
	var all []count
	for _, name := range slices.Sorted(maps.Keys(m)) {
		all = append(all, count{name, int64(m[name])})
	}
	return all
}

// listed leaves out what did not happen.
func listed(all []count) string {
	var parts []string
	for _, c := range all {
		if c.n != 0 {
			parts = append(parts, fmt.Sprintf("%s %d", c.name, c.n))
		}
	}
	return strings.Join(parts, ", ")
}

func (p *page) decisions(ds []netproxy.Decision) {
	if len(ds) == 0 {
		return
	}
	p.head("decisions")
	for _, d := range ds {
		if !d.Allowed {
			p.item("refused", attempt(d)+": "+refusal(d))
			if d.Hint != "" {
				p.item("", hint(d))
			}
			continue
		}
		p.item("allowed", attempt(d)+outcome(d))
	}
}

func refusal(d netproxy.Decision) string {
	text := string(d.Reason)
	if d.Rule != "" {
		text += ", by " + d.Rule
	}
	if d.Err != "" {
		text += ", " + d.Err
	}
	if len(d.Dropped) > 0 {
		text += fmt.Sprintf(", it resolves to %v", d.Dropped)
	}
	return text
}

// outcome says by which rule an attempt was allowed and how it went.
func outcome(d netproxy.Decision) string {
	text := ""
	if d.Rule != "" {
		text += " by " + d.Rule
	}
	if d.Peer.IsValid() {
		text += " at " + d.Peer.String()
	}
	if d.Status != 0 {
		text += fmt.Sprintf(", status %d", d.Status)
	}
	if d.Err != "" {
		text += ", failed: " + d.Err
	}
	text += fmt.Sprintf(", %d bytes in, %d out, %v", d.BytesIn, d.BytesOut, short(d.Took))
	if d.InsecureTLS {
		text += ", certificate not verified"
	}
	return text
}

// failures are the calls that failed for another reason than a refusal, which
// stands among the decisions.
func (p *page) failures(calls []host.HostCall) {
	calls = slices.DeleteFunc(slices.Clone(calls), func(c host.HostCall) bool {
		return c.Code == capability.Denied || c.Code == capability.NotFound
	})
	if len(calls) == 0 {
		return
	}
	p.head("failed calls")
	for _, c := range calls {
		p.item(c.Func, fmt.Sprintf("answered %d (%v) after %v: %s", int(c.Code), c.Code, short(c.Took), c.Detail))
	}
}

// remarks are what host and reader of the result found odd.
func (p *page) remarks(r *host.Report) {
	q := &page{}
	for _, n := range r.Notes {
		q.item("host", n)
	}
	for i, s := range r.Submits {
		if s.Err != nil {
			q.item("submit", fmt.Sprintf("number %d was refused: %s", i+1, oneLine(s.Err.Error())))
		}
	}
	for _, i := range r.Result.Issues {
		q.item("result", i.Error())
	}
	if q.Len() > 0 {
		p.head("remarks")
		fmt.Fprint(p, q.String())
	}
}

func (p *page) logs(lines []host.LogLine) {
	if len(lines) == 0 {
		return
	}
	p.head("log")
	for _, l := range lines {
		p.item(l.At.Format("15:04:05.000"), fmt.Sprintf("%-5s %s", l.Level, l.Text))
	}
}

func (p *page) printed(stream, text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	p.head(stream)
	p.block(text)
}
