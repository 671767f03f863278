package websocket

import (
	"errors"
	"fmt"

	ws "github.com/coder/websocket"

	"github.com/sandcheck/sandcheck/limits"
)

// The errors below end up in a report whole, and with last_error a guest may
// ask for their GuestReason: what it may know of a connection of its own, and
// never an address, a header or a URL.

// handshakeError is an answer that is not the switch to WebSocket.
type handshakeError struct{ status int }

func (e *handshakeError) Error() string {
	if e.status == 0 || e.status == 101 {
		return "handshake: the answer breaks the protocol"
	}
	return fmt.Sprintf("handshake: answered with status %d", e.status)
}

func (e *handshakeError) GuestReason() string { return e.Error() }

// timeoutError is a call whose time was up. It is not the end of a connection
// that only waited.
type timeoutError struct {
	phase string
	cause error
}

func (e *timeoutError) Error() string       { return e.phase + ": " + e.cause.Error() }
func (e *timeoutError) GuestReason() string { return e.phase }
func (e *timeoutError) Timeout() bool       { return true }

// bufferError is a message that does not fit the guest's buffer.
type bufferError struct{ need, have int }

func (e *bufferError) Error() string {
	return fmt.Sprintf("the message has %d bytes, the buffer %d", e.need, e.have)
}

func (e *bufferError) GuestReason() string  { return e.Error() }
func (e *bufferError) Is(target error) bool { return target == limits.ErrExceeded }

// endError is why a connection is of no more use. It hides the kind of its
// cause on purpose: a peer that is gone is no timeout of this call, whatever
// the system calls it.
type endError struct {
	reason string // fit for a guest
	cause  error
}

func (e *endError) Error() string {
	if e.cause == nil {
		return e.reason
	}
	return e.reason + ": " + e.cause.Error()
}

func (e *endError) GuestReason() string { return e.reason }

// errPeerGone is the end of the stream where no close frame came first. It
// stands in for io.EOF, which the library takes for the end of a message even
// in the middle of one.
var errPeerGone = errors.New("the stream ended without a close frame")

// ended turns what a read or write of the library failed with into an endError.
func ended(err error) error {
	var (
		closed ws.CloseError
		told   interface{ GuestReason() string }
	)
	switch {
	case errors.As(err, &closed) && closed.Reason != "":
		return &endError{reason: fmt.Sprintf("closed by the peer: code %d, %q", closed.Code, closed.Reason)}
	case errors.As(err, &closed):
		return &endError{reason: fmt.Sprintf("closed by the peer: code %d", closed.Code)}
	case errors.Is(err, errPeerGone):
		return &endError{reason: fmt.Sprintf("closed by the peer: code %d, no close frame", ws.StatusAbnormalClosure)}
	case errors.As(err, &told):
		return &endError{told.GuestReason(), err}
	default:
		return &endError{"the connection is closed", err}
	}
}
