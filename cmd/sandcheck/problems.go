package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/result"
)

// fail reports why there is nothing to report: one line UNKNOWN on standard
// output, or the JSON object, and every reason on standard error.
func (c *console) fail(f format, err error) int {
	c.blame(err)
	if f == formatText {
		f = formatNagios // a report of what never began tells nothing more
	}
	return c.write(f, failure(err), err)
}

// misused is fail for mistakes in the arguments: it adds what they can be.
func (c *console) misused(f format, usage string, err error) int {
	code := c.fail(f, err)
	fmt.Fprint(c.err, "\n"+usage)
	return code
}

// failure is the report of a run that could not even begin.
func failure(err error) *host.Report {
	all := problemsOf(err)
	res := result.FromError(all[0])
	if more := len(all) - 1; more > 0 {
		res.Summary += fmt.Sprintf(" (and %d more, on standard error)", more)
	}
	res.ObservedAt = time.Now().UTC()
	return &host.Report{Result: res}
}

// blame writes every problem of err to standard error, one a line.
func (c *console) blame(err error) {
	var b strings.Builder
	for _, p := range problemsOf(err) {
		b.WriteString("sandcheck: " + oneLine(p.Error()) + "\n")
		var at *sourceError
		if errors.As(p, &at) {
			b.WriteString(at.excerpt())
		}
	}
	fmt.Fprint(c.err, b.String())
}

// problemsOf takes a tree of errors apart into what a person would repair one by
// one. It returns at least one.
func problemsOf(err error) []error {
	switch e := err.(type) { //nolint:errorlint // the tree is walked node by node
	case *host.Error:
		return problemsOf(e.Err)
	case interface{ Unwrap() []error }:
		var all []error
		for _, part := range e.Unwrap() {
			all = append(all, problemsOf(part)...)
		}
		if len(all) > 0 {
			return all
		}
	}
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	if len(lines) == 1 {
		return []error{err}
	}
	all := make([]error, len(lines))
	for i, line := range lines {
		all[i] = errors.New(line)
	}
	return all
}

// sourceError is a problem of a package with the line that it is about.
type sourceError struct {
	at   *manifest.Error
	line string
}

func (e *sourceError) Error() string { return e.at.Error() }
func (e *sourceError) Unwrap() error { return e.at }

// withSource adds the lines of the files that the problems of err point into.
// read returns the text of a file of the package, "" if there is none.
func withSource(err error, read func(name string) string) error {
	all := problemsOf(err)
	texts := map[string][]string{}
	for i, p := range all {
		var at *manifest.Error
		if !errors.As(p, &at) || at.File == "" || at.Line < 1 {
			continue
		}
		if texts[at.File] == nil {
			texts[at.File] = strings.Split(read(at.File), "\n")
		}
		if lines := texts[at.File]; at.Line <= len(lines) {
			all[i] = &sourceError{at, lines[at.Line-1]}
		}
	}
	return errors.Join(all...)
}

// maxExcerpt is how much of a line is worth showing.
const maxExcerpt = 160

// excerpt is the line with a caret under the column. It is "" for lines that
// would not be shown as they are: a caret beside its place is worse than none.
func (e *sourceError) excerpt() string {
	line := strings.TrimSuffix(strings.ReplaceAll(e.line, "\t", " "), "\r")
	if line == "" || line != clean(line) || e.at.Column > utf8.RuneCountInString(line)+1 || e.at.Column > maxExcerpt {
		return ""
	}
	text := "    " + cut(line, maxExcerpt) + "\n"
	if e.at.Column > 0 {
		text += "    " + strings.Repeat(" ", e.at.Column-1) + "^\n"
	}
	return text
}
