// Package strict reads JSON that somebody else wrote.
//
// encoding/json takes the last of two equal keys, folds the case of names,
// accepts numbers of a million digits and replaces broken text in silence. In
// a sandbox each of these lets two readers of one document disagree. Check
// refuses such documents in one pass, before anything is built from them, and
// with every size bounded. Fields, Elements and Text then walk a checked
// document and hand out its values as they were written.
package strict

import (
	"fmt"
	"strings"
)

// Codes of an Error, stable words.
const (
	TooLarge    = "too_large"
	Empty       = "empty"
	BOM         = "bom"
	NotJSON     = "not_json"
	Trailing    = "trailing_data"
	NotObject   = "not_object"
	TooDeep     = "too_deep"
	TooManyToks = "too_many_tokens"
	TooManyKeys = "too_many_keys"
	Duplicate   = "duplicate_key"
	KeyText     = "key_utf8"
	BadText     = "invalid_utf8"
	LongNumber  = "number_too_long"
)

// Options bounds a document. A zero field takes its default, never "no limit".
type Options struct {
	// Bytes bounds the document. Default 2,097,152.
	Bytes int
	// Depth bounds nested objects and arrays; the root counts 1. Default 32.
	Depth int
	// Tokens bounds keys, scalars, opening and closing brackets together.
	// Commas and colons do not count. Default 200,000.
	Tokens int
	// Keys bounds the keys of one object. Default 1,024.
	Keys int
	// NumberLen bounds the characters of one number. Default 64.
	NumberLen int
	// Exponent bounds the absolute value of an exponent. Default 400.
	Exponent int
	// AnyRoot accepts a root that is not an object.
	AnyRoot bool
}

func (o Options) filled() Options {
	for _, f := range []struct {
		field    *int
		standard int
	}{
		{&o.Bytes, 2_097_152}, {&o.Depth, 32}, {&o.Tokens, 200_000},
		{&o.Keys, 1024}, {&o.NumberLen, 64}, {&o.Exponent, 400},
	} {
		if *f.field <= 0 {
			*f.field = f.standard
		}
	}
	return o
}

// Error is one problem of a document.
type Error struct {
	Code    string // one of the constants of this package
	Pointer string // JSON pointer; long names in it are cut
	Message string // for people
	Offset  int    // in bytes from the start of the document
}

// Error is "CODE at POINTER: MESSAGE".
func (e *Error) Error() string {
	return fmt.Sprintf("%s at %q (byte %d): %s", e.Code, e.Pointer, e.Offset, e.Message)
}

// Errors are the problems of one document in the order in which they stand in
// it. errors.As with a **Error finds the first.
type Errors []*Error

// Error joins the messages.
func (es Errors) Error() string {
	parts := make([]string, len(es))
	for i, e := range es {
		parts[i] = e.Error()
	}
	return strings.Join(parts, "; ")
}

// Unwrap lists the problems for errors.Is and errors.As.
func (es Errors) Unwrap() []error {
	errs := make([]error, len(es))
	for i, e := range es {
		errs[i] = e
	}
	return errs
}

// maxErrors bounds the problems reported of one document.
const maxErrors = 50

// Check reports what makes doc unacceptable: nil, or Errors. Problems that
// leave the structure readable (duplicate keys, broken text, long numbers) are
// collected, at most 50; the first of the others ends the scan. Broken text,
// which is invalid UTF-8 or half a surrogate pair, is refused in keys and
// values alike.
func Check(doc []byte, o Options) error {
	s := scan(doc, o)
	if len(s.found) == 0 && len(s.broken) == 0 {
		return nil
	}
	return merge(s.found, s.broken)
}

// Repair is Check for documents whose broken text is no reason to refuse them:
// in values each broken unit becomes U+FFFD. It returns the repaired document
// (doc itself when there was nothing to repair) and one Error per repaired
// value, at most 50.
func Repair(doc []byte, o Options) (clean []byte, repaired Errors, err error) {
	s := scan(doc, o)
	switch {
	case len(s.found) > 0:
		return nil, nil, s.found
	case len(s.broken) > 0:
		return repair(doc), s.broken, nil
	default:
		return doc, nil, nil
	}
}

// merge joins two lists that are each in document order.
func merge(a, b Errors) Errors {
	all := make(Errors, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].Offset <= b[0].Offset {
			all, a = append(all, a[0]), a[1:]
		} else {
			all, b = append(all, b[0]), b[1:]
		}
	}
	return append(append(all, a...), b...)
}
