package capability

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/result"
)

// Code is what a host function answers: a byte count, a handle or zero, or one
// of the negative codes below. A negative Code is itself an error, so a handler
// may give one to Call.Fail.
type Code int32

// The codes of ABI version 1. Guests test for "below zero" and print the number.
const (
	OK        Code = -iota
	Invalid        // an argument makes no sense
	Denied         // not granted, or refused by the network rules
	TooLarge       // a buffer too small, a payload too large, a limit reached
	NotFound       // this host does not offer the function
	Internal       // any other failure
	Timeout        // the call's or the run's time was up
	BadHandle      // no such handle, or one of another kind
)

// String is the stable word for c, "too_large"; a success is its number.
func (c Code) String() string {
	words := [...]string{"ok", "invalid", "denied", "too_large", "not_found", "internal", "timeout", "bad_handle"}
	if c <= OK && c >= BadHandle {
		return words[-c]
	}
	return fmt.Sprint(int32(c))
}

// Error is String.
func (c Code) Error() string { return c.String() }

// Sentinels that CodeOf knows, for handlers and those who test them.
var (
	// ErrBadHandle matches the use of a handle that is unknown, closed or of
	// another kind. CodeOf gives BadHandle.
	ErrBadHandle = errors.New("no such handle")
	// ErrInvalid matches an argument that makes no sense. CodeOf gives Invalid.
	// Wrap it to say which: fmt.Errorf("%w: port %d", ErrInvalid, port).
	ErrInvalid = errors.New("invalid argument")
)

// CodeOf is the code that a guest sees for err: OK for nil, the code itself for
// a Code, and otherwise by what err matches: ErrInvalid, netproxy.ErrInvalid or
// a *result.Issue Invalid; netproxy.ErrDenied Denied; limits.ErrExceeded
// TooLarge; ErrBadHandle BadHandle; a deadline or a net.Error that timed out
// Timeout; anything else Internal.
func CodeOf(err error) Code {
	var (
		code    Code
		issue   *result.Issue
		timeout interface{ Timeout() bool }
	)
	switch {
	case err == nil:
		return OK
	case errors.As(err, &code):
		return code
	case errors.Is(err, ErrBadHandle):
		return BadHandle
	case errors.Is(err, netproxy.ErrDenied):
		return Denied
	case errors.Is(err, ErrInvalid), errors.Is(err, netproxy.ErrInvalid), errors.As(err, &issue):
		return Invalid
	case errors.Is(err, limits.ErrExceeded):
		return TooLarge
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return Timeout
	default:
		return Internal
	}
}
