package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sandcheck/sandcheck/internal/plain"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/result"
)

// Error is every error of this package: what was done, for which plugin, and
// why it failed.
type Error struct {
	Op     string // "new", "load", "run", "close"
	Plugin string // id of the plugin, "" where none is concerned
	Err    error
}

// Error is "host: OP PLUGIN: REASON".
func (e *Error) Error() string {
	if e.Plugin == "" {
		return fmt.Sprintf("host: %s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("host: %s %s: %v", e.Op, e.Plugin, e.Err)
}

// Unwrap is the reason.
func (e *Error) Unwrap() error { return e.Err }

// Reasons, for errors.Is. The package documentation says when each occurs.
var (
	ErrUnverified    = errors.New("nobody vouches for the package")
	ErrInvalidModule = errors.New("invalid module")
	ErrInvalidConfig = errors.New("config invalid")
	ErrTimeout       = errors.New("timeout")
	ErrCPULimit      = errors.New("cpu limit")
	ErrTrap          = errors.New("trap")
	ErrExit          = errors.New("exit")
	ErrNoResult      = errors.New("no result submitted")
	ErrInvalidResult = errors.New("plugin result invalid")
	ErrClosed        = errors.New("closed")
)

// TrapError is a run that ended in a trap. Kind is a stable word: unreachable,
// out_of_bounds_memory, out_of_bounds_table, indirect_call,
// integer_divide_by_zero, integer_overflow, invalid_conversion, stack_overflow
// or host_panic. Frames are the guest's functions, innermost first, as its name
// section calls them.
type TrapError struct {
	Kind   string
	Frames []string
}

// Error is "trap: KIND".
func (e *TrapError) Error() string { return "trap: " + e.Kind }

// Is matches ErrTrap.
func (e *TrapError) Is(target error) bool { return target == ErrTrap }

// ExitError is a run that ended with proc_exit and a code other than 0.
type ExitError struct{ Code int }

// Error is "exit: code N".
func (e *ExitError) Error() string { return fmt.Sprintf("exit: code %d", e.Code) }

// Is matches ErrExit.
func (e *ExitError) Is(target error) bool { return target == ErrExit }

// timeoutError is a run that was still going after its time.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("timeout after %v", e.after) }

func (e *timeoutError) Is(target error) bool {
	return target == ErrTimeout || target == context.DeadlineExceeded
}

// cpuError is a run that used up its CPU time.
type cpuError struct{ over *limits.ExceededError }

func (e *cpuError) Error() string {
	if e.over.Resource != "cpu" { // the deterministic backstop behind the clock
		return fmt.Sprintf("%v: used more than %d units of fuel", ErrCPULimit, e.over.Limit)
	}
	return fmt.Sprintf("%v: used more than %v", ErrCPULimit, time.Duration(e.over.Limit))
}

func (e *cpuError) Is(target error) bool { return target == ErrCPULimit }
func (e *cpuError) Unwrap() error        { return e.over }

// cancelledError is a run whose caller lost interest. The cause may say more.
type cancelledError struct{ cause error }

func (e *cancelledError) Error() string {
	if e.cause == nil || errors.Is(e.cause, context.Canceled) {
		return "cancelled"
	}
	return fmt.Sprintf("cancelled: %v", e.cause)
}

func (e *cancelledError) Is(target error) bool { return target == context.Canceled }
func (e *cancelledError) Unwrap() error        { return e.cause }

// invalidResultError is a run whose submissions were all refused.
type invalidResultError struct{ last error }

func (e *invalidResultError) Error() string {
	var issue *result.Issue
	if errors.As(e.last, &issue) {
		if issue.Pointer == "" {
			return fmt.Sprintf("%v: %s", ErrInvalidResult, issue.Code)
		}
		return fmt.Sprintf("%v: %s at %s", ErrInvalidResult, issue.Code, plain.Line(issue.Pointer))
	}
	return fmt.Sprintf("%v: %v", ErrInvalidResult, e.last)
}

func (e *invalidResultError) Is(target error) bool { return target == ErrInvalidResult }
func (e *invalidResultError) Unwrap() error        { return e.last }

// configError is a config that nothing was run with.
type configError struct{ err error }

func (e *configError) Error() string        { return fmt.Sprintf("%v: %v", ErrInvalidConfig, e.err) }
func (e *configError) Is(target error) bool { return target == ErrInvalidConfig }
func (e *configError) Unwrap() error        { return e.err }

// moduleError is a module that cannot be loaded.
type moduleError struct{ err error }

func (e *moduleError) Error() string        { return fmt.Sprintf("%v: %v", ErrInvalidModule, e.err) }
func (e *moduleError) Is(target error) bool { return target == ErrInvalidModule }
func (e *moduleError) Unwrap() error        { return e.err }
