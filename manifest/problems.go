package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/sandcheck/sandcheck/internal/plain"
)

// maxProblems bounds how many problems one document reports: enough to repair
// it in one pass, too few to fill a log.
const maxProblems = 50

// maxShown bounds how much of an offending value a message repeats, in bytes.
const maxShown = 64

// problems collects what is wrong with one file.
type problems struct {
	file string
	list []*Error
}

func (p *problems) add(at mark, path, rule, format string, args ...any) {
	p.list = append(p.list, &Error{
		File: p.file, Path: path, Rule: rule, Message: fmt.Sprintf(format, args...), Line: at.line, Column: at.column,
	})
}

// err joins the first problems by position, or is nil.
func (p *problems) err() error {
	sortByPosition(p.list)
	errs := make([]error, 0, min(len(p.list), maxProblems))
	for _, e := range p.list[:cap(errs)] {
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// sorted is err for findings that do not fail: by position, at most maxProblems.
func (p *problems) sorted() []Error {
	sortByPosition(p.list)
	var out []Error
	for _, e := range p.list[:min(len(p.list), maxProblems)] {
		out = append(out, *e)
	}
	return out
}

func sortByPosition(list []*Error) {
	slices.SortStableFunc(list, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// A fileError says that a whole file of a package is refused, under the rule
// of its stage, with the problems found inside it.
type fileError struct {
	head  *Error
	cause error
}

func refuseFile(file, rule string, cause error) error {
	return &fileError{head: &Error{File: file, Rule: rule, Message: "is not valid"}, cause: cause}
}

func (e *fileError) Error() string   { return e.head.Error() + "\n" + e.cause.Error() }
func (e *fileError) Unwrap() []error { return []error{e.head, e.cause} }

// clip quotes the start of a value for a message.
func clip(s string) string { return strconv.Quote(plain.Cut(s, maxShown)) }

// closest returns the candidate within two edits of word, ignoring case, or "".
func closest(word string, candidates []string) string {
	const most = 2
	best, at := "", most+1
	for _, c := range candidates {
		if d := editDistance(word, c, most); d < at && d < len(word) {
			best, at = c, d
		}
	}
	return best
}

// editDistance counts the characters to insert, remove, replace or swap with
// their neighbour that turn a into b, ignoring ASCII case. It answers most+1
// for anything farther.
func editDistance(a, b string, most int) int {
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	before, above, row := rows[0], rows[1], rows[2]
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if lower(a[i-1]) == lower(b[j-1]) {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && lower(a[i-1]) == lower(b[j-2]) && lower(a[i-2]) == lower(b[j-1]) {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return min(above[len(b)], most+1)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// suggestion is "; did you mean ...?" or nothing.
func suggestion(word string, candidates []string) string {
	if c := closest(word, candidates); c != "" {
		return fmt.Sprintf("; did you mean %q?", c)
	}
	return ""
}
