package wasmbin

import (
	"errors"
	"fmt"
	"strings"
)

// The identifiers of an [Error], stable across releases.
const (
	NotWasm     = "not-wasm"     // the bytes are something else: a zip, a text file, a component
	Malformed   = "malformed"    // the binary format is broken, or the file is cut
	Invalid     = "invalid"      // well formed, but against the rules of validation
	Unsupported = "unsupported"  // a feature that is refused on purpose
	TooComplex  = "too-complex"  // over a limit of size or compile cost
	Reserved    = "reserved"     // a name that belongs to the host
	OutOfRange  = "out-of-range" // a segment that leaves its memory or table
)

// Error is one reason why a module is refused.
type Error struct {
	ID     string // one of the identifiers above
	Offset int    // where, in bytes from the start of the module
	Func   int    // index of the function, or -1
	Name   string // the name of that function, when it has one
	What   string // the instruction, section or item, may be empty
	Reason string
	Cure   string // what would help, may be empty
}

// Error answers one line, such as
// "function 12 (foo.bar) at 0x3f1: return_call: tail calls are not supported; build with -mno-tail-call".
func (e *Error) Error() string {
	var b strings.Builder
	if e.Func >= 0 {
		fmt.Fprintf(&b, "function %d ", e.Func)
		if e.Name != "" {
			fmt.Fprintf(&b, "(%s) ", e.Name)
		}
	}
	fmt.Fprintf(&b, "at 0x%x: ", e.Offset)
	if e.What != "" {
		b.WriteString(e.What + ": ")
	}
	b.WriteString(e.Reason)
	if e.Cure != "" {
		b.WriteString("; " + e.Cure)
	}
	return b.String()
}

// maxProblems bounds how many reasons one module is told.
const maxProblems = 32

// joinProblems makes one error of all problems, which errors.As takes apart again.
func joinProblems(problems []*Error) error {
	if len(problems) == 0 {
		return nil
	}
	if len(problems) == 1 {
		return problems[0]
	}
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}
