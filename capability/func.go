package capability

import (
	"context"
	"errors"
	"fmt"
	"regexp"
)

// Func is one host function, as plain data. Copies are independent; a Func
// holds no state of a run and may serve many runs at one time.
type Func struct {
	// Name is what guests import from module "env".
	Name string
	// Requires is the capability that unlocks the function; empty means Name.
	// One capability may unlock several functions.
	Requires string
	// Doc says in a few words what the function does.
	Doc string
	// Params are the arguments in order. At most one is Out.
	Params []Param
	// Void marks a function without a result; its guest never learns a code.
	Void bool
	// Handle does the work. See the package documentation for its contract.
	Handle func(ctx context.Context, c *Call) Code
}

// Param is one parameter of a Func.
type Param struct {
	Name string
	Kind Kind
}

// Kind says how an argument crosses from the guest.
type Kind uint8

// The kinds of parameters. Every Wasm value is an i32, read as unsigned.
const (
	I32 Kind = iota // one value, in Call.Ints
	In              // pointer and length of bytes to read, in Call.In
	Out             // pointer and capacity of a buffer to fill, in Call.Out
)

// String is the word for k in traces and tables: "i32", "in", "out".
func (k Kind) String() string {
	switch k {
	case I32:
		return "i32"
	case In:
		return "in"
	case Out:
		return "out"
	default:
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
}

// Capability is the name that unlocks f: Requires, or Name where that is empty.
func (f Func) Capability() string {
	if f.Requires != "" {
		return f.Requires
	}
	return f.Name
}

// MaxInts and MaxIns bound the parameters of a Func, so that a call needs no
// allocation.
const (
	maxInts = 8
	maxIns  = 4
)

var namePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,127}$`)

// Validate reports everything that keeps f from being offered: a name that is
// no identifier, a missing Handle, an unknown Kind, more than one Out, more
// than 8 I32 or 4 In parameters.
func (f Func) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("capability: func %q: %s", f.Name, fmt.Sprintf(format, args...)))
	}
	if !namePattern.MatchString(f.Name) {
		bad("a name is 1 to 128 letters, digits or _ . -, and starts with a letter or _")
	}
	if f.Handle == nil {
		bad("Handle is missing")
	}
	var count [3]int
	for _, p := range f.Params {
		if p.Kind > Out {
			bad("parameter %q has unknown kind %d", p.Name, p.Kind)
			continue
		}
		count[p.Kind]++
	}
	if count[I32] > maxInts || count[In] > maxIns || count[Out] > 1 {
		bad("%d i32, %d in and %d out parameters; at most %d, %d and 1", count[I32], count[In], count[Out], maxInts, maxIns)
	}
	return errors.Join(errs...)
}
