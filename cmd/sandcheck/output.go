package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/result"
)

// write writes a report and returns the exit code. err is that of the run, nil
// where the plugin brought the result itself.
func (c *console) write(f format, r *host.Report, err error) int {
	text, failed := render(f, r, err)
	if failed == nil {
		_, failed = io.WriteString(c.out, text)
	}
	if failed != nil {
		fmt.Fprintf(c.err, "sandcheck: the result cannot be written: %v\n", failed)
		return exitUnknown
	}
	if f == formatNagios {
		c.tell(r, err)
	}
	return r.Result.Status.ExitCode()
}

func render(f format, r *host.Report, err error) (string, error) {
	switch f {
	case formatJSON:
		doc, err := reportToJSON(r, err)
		return string(doc), err
	case formatNagios:
		return nagios(r.Result, err == nil)
	default:
		return reportToText(r, err), nil
	}
}

// nagios is the output of a classic check. A result that the host made has one
// line: its details are what the guest printed, no finding of a check.
func nagios(res *result.Result, own bool) (string, error) {
	if !own {
		line := *res
		line.Details = ""
		res = &line
	}
	var b strings.Builder
	err := res.WriteNagios(&b)
	return b.String(), err
}

// tell writes to standard error what a classic check's output has no place for.
func (c *console) tell(r *host.Report, err error) {
	var b strings.Builder
	if err == nil && r.Cause != nil {
		b.WriteString("sandcheck: after its result the check ended otherwise than by returning: " + oneLine(r.Cause.Error()) + "\n")
	}
	for _, d := range r.Decisions {
		if d.Allowed {
			continue
		}
		b.WriteString("sandcheck: refused " + attempt(d) + ": " + string(d.Reason) + "\n")
		if d.Hint != "" {
			b.WriteString("sandcheck: " + hint(d) + "\n")
		}
	}
	fmt.Fprint(c.err, b.String())
}

// attempt says what was tried, on one line.
func attempt(d netproxy.Decision) string {
	words := []string{d.Func}
	switch {
	case d.Target.Host == "":
	case d.Method != "":
		words = append(words, d.Method, fmt.Sprintf("%s://%s", d.Scheme, destination(d.Target)))
	default:
		words = append(words, d.Target.Network, destination(d.Target))
	}
	if d.Target.Hop > 0 {
		words = append(words, fmt.Sprintf("(redirect %d)", d.Target.Hop))
	}
	return oneLine(strings.Join(words, " "))
}

func destination(t netproxy.Target) string {
	if strings.Contains(t.Host, ":") {
		return fmt.Sprintf("[%s]:%d", t.Host, t.Port)
	}
	return fmt.Sprintf("%s:%d", t.Host, t.Port)
}

// hint is the line that would allow a refused attempt, and where it belongs.
func hint(d netproxy.Decision) string {
	where := "in the permissions of both plugin.yaml and the grant"
	if d.Reason == netproxy.NotGranted {
		where = "in both plugin.yaml and the grant"
	}
	return oneLine(fmt.Sprintf("to allow it, %s: %s", where, d.Hint))
}

// cause is why a run ended, "" for a plain return.
func cause(r *host.Report, err error) string {
	if r.Cause != nil {
		return r.Cause.Error()
	}
	var e *host.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Err.Error()
	default:
		return err.Error()
	}
}
