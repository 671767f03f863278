package netproxy

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/sandcheck/sandcheck/limits"
)

// body is a response body: capped after decompression, bound to the deadline,
// and the end of its attempt.
type body struct {
	io.ReadCloser
	x     *exchange
	began time.Time
	once  sync.Once
	left  int64
	err   error // sticky
}

// Read yields at most Limits.Body bytes, then an *limits.ExceededError if there
// is more.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left { // one byte too many tells that there is more
		n = int(b.left)
		most := int64(b.x.g.limits.Body)
		err = &limits.ExceededError{Resource: "body", Limit: most, Used: most + 1}
	}
	b.left -= int64(n)
	b.x.attempt.received(n)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		b.err = io.EOF
		b.end(nil, true)
	default:
		b.err = b.explain(err)
		b.end(b.err, false)
	}
	return n, b.err
}

func (b *body) explain(err error) error {
	x := b.x
	if c := x.lease.connection(); c != nil && c.overread.Load() {
		return errWire(x.g)
	}
	if x.lease.ctx.Err() != nil {
		err = errors.Join(context.Cause(x.lease.ctx), err)
	}
	return failed("body", b.began, err)
}

// Close ends the exchange. What was not read is not waited for.
func (b *body) Close() error {
	b.end(nil, false)
	if b.err == nil {
		b.err = errors.New("netproxy: the body is closed")
	}
	return nil
}

// end delivers the attempt and gives the connection back, once.
func (b *body) end(err error, whole bool) {
	b.once.Do(func() {
		b.x.lease.end(whole) // first, so that net/http cannot wait for the peer
		b.ReadCloser.Close() //nolint:errcheck // its bytes have been dealt with
		b.x.release()
		b.x.attempt.finish(err) //nolint:errcheck // the caller has it
	})
}

// upgraded is the connection of a custom Transport after a 101.
type upgraded struct {
	io.ReadWriteCloser
	x    *exchange
	once sync.Once
}

func (u *upgraded) Close() error {
	err := u.ReadWriteCloser.Close()
	u.once.Do(func() {
		u.x.lease.end(false)
		u.x.release()
		u.x.attempt.finish(nil) //nolint:errcheck // nil goes in
	})
	return err
}

// requestBody counts and caps what is sent.
type requestBody struct {
	io.ReadCloser
	attempt *attempt
	left    int64
}

func (b *requestBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left {
		return 0, &limits.ExceededError{Resource: "request body", Limit: int64(maxRequestBody), Used: int64(maxRequestBody) + 1}
	}
	b.left -= int64(n)
	b.attempt.sent(n)
	return n, err
}
