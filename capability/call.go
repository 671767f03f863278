package capability

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sandcheck/sandcheck/limits"
)

// Call is one host function call, with its arguments by kind, in the order of
// the Func's parameters. The host fills every field; a test fills those that
// the handler reads. It belongs to the call and must not be kept.
type Call struct {
	// Func is the name of the function; it may be empty in tests.
	Func    string
	Session *Session
	Ints    []uint32
	In      [][]byte // views of guest memory
	Out     []byte   // the guest's buffer, as long as its capacity

	err error // what Fail was given
}

// Reply copies b into Out and answers its length. Where b does not fit, nothing
// is written and the answer is TooLarge, with both sizes as the reason.
func (c *Call) Reply(b []byte) Code {
	if len(b) > len(c.Out) {
		return c.Fail(&bufferError{need: len(b), have: len(c.Out)})
	}
	return Code(copy(c.Out, b))
}

// ReplyJSON is Reply of v as JSON, without HTML escaping.
func (c *Call) ReplyJSON(v any) Code {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return c.Fail(fmt.Errorf("encode the answer: %w", err))
	}
	return c.Reply(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// Fail answers CodeOf(err) and keeps err as the reason: the report shows it
// whole, and the guest may ask for the part that is fit for it with last_error.
// A nil err answers Internal, since a failure without a reason is a mistake of
// the handler.
func (c *Call) Fail(err error) Code {
	if err == nil {
		err = Internal
	}
	c.err = err
	code := CodeOf(err)
	if code >= 0 {
		code = Internal
	}
	if c.Session != nil {
		c.Session.noteFailure(c.Func, code, err)
	}
	return code
}

// Err is what Fail was given last, nil if the call did not fail.
func (c *Call) Err() error { return c.err }

// Deadline narrows ctx to ms milliseconds from now. Zero means that the guest
// named no time. A guest may only shorten the run: whatever ms is, the run's
// own deadline stays.
func (c *Call) Deadline(ctx context.Context, ms uint32) (context.Context, context.CancelFunc) {
	if ms == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(ms)*time.Millisecond)
}

// bufferError is an answer that does not fit the guest's buffer. Both numbers
// are the guest's own business, so that it can ask again with a larger one.
type bufferError struct{ need, have int }

func (e *bufferError) Error() string {
	return fmt.Sprintf("need %d bytes, buffer has %d", e.need, e.have)
}

func (e *bufferError) Is(target error) bool { return target == limits.ErrExceeded }
