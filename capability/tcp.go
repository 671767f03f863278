package capability

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/sandcheck/sandcheck/netproxy"
)

// tcpConn is what a TCP handle stands for; no other kind of handle fits it.
type tcpConn struct{ net.Conn }

// tcpConnect opens a connection to an address that the Guard judged.
func tcpConnect() Func {
	return Func{
		Name:   "tcp_connect",
		Doc:    "open a TCP connection",
		Params: []Param{{"addr", In}, {"port", I32}, {"timeout_ms", I32}},
		Handle: func(ctx context.Context, c *Call) Code {
			ctx, cancel := c.Deadline(ctx, c.Ints[1])
			defer cancel()
			handle, err := c.Session.Open(func() (io.Closer, error) {
				conn, err := c.dial(ctx, "tcp")
				if err != nil {
					return nil, err
				}
				return &tcpConn{conn}, nil
			})
			if err != nil {
				return c.Fail(err)
			}
			return Code(handle)
		},
	}
}

// dial connects to the call's first In and Ints argument, through the Guard.
func (c *Call) dial(ctx context.Context, network string) (net.Conn, error) {
	if c.Session.Net == nil {
		return nil, netproxy.ErrDenied
	}
	return c.Session.Net.DialContext(ctx, network, addr(c.In[0], c.Ints[0]))
}

// tcpRead reads once, so that short reads are normal. After a timeout the
// connection stays usable and no byte is lost.
func tcpRead() Func {
	return Func{
		Name:   "tcp_read",
		Doc:    "read from a TCP connection",
		Params: []Param{{"handle", I32}, {"buf", Out}, {"timeout_ms", I32}},
		Handle: func(ctx context.Context, c *Call) Code {
			conn, err := Get[*tcpConn](c.Session, c.Ints[0])
			if err != nil {
				return c.Fail(err)
			}
			if len(c.Out) == 0 {
				return c.Fail(fmt.Errorf("%w: a buffer of 0 bytes", ErrInvalid))
			}
			ctx, cancel := c.Deadline(ctx, c.Ints[1])
			defer cancel()
			defer until(ctx, conn.SetReadDeadline)()
			n, err := conn.Read(c.Out)
			switch {
			case n > 0:
				return Code(n) // what failed after these bytes fails again
			case err == nil, errors.Is(err, io.EOF):
				return 0
			default:
				return c.Fail(err)
			}
		},
	}
}

// tcpWrite writes all or fails: after a failure the amount sent is unknown, and
// a partial count would hide that.
func tcpWrite() Func {
	return Func{
		Name:   "tcp_write",
		Doc:    "write to a TCP connection",
		Params: []Param{{"handle", I32}, {"data", In}, {"timeout_ms", I32}},
		Handle: func(ctx context.Context, c *Call) Code {
			conn, err := Get[*tcpConn](c.Session, c.Ints[0])
			if err != nil {
				return c.Fail(err)
			}
			if len(c.In[0]) == 0 {
				return OK
			}
			ctx, cancel := c.Deadline(ctx, c.Ints[1])
			defer cancel()
			defer until(ctx, conn.SetWriteDeadline)()
			n, err := conn.Write(c.In[0])
			if err != nil {
				return c.Fail(err)
			}
			return Code(n)
		},
	}
}

// tcpClose closes a connection.
func tcpClose() Func {
	return Func{
		Name:   "tcp_close",
		Doc:    "close a TCP connection",
		Params: []Param{{"handle", I32}},
		Handle: func(_ context.Context, c *Call) Code {
			if _, err := Get[*tcpConn](c.Session, c.Ints[0]); err != nil {
				return c.Fail(err)
			}
			// The handle is gone whatever Close says, and a guest can do
			// nothing about an error of it.
			_ = c.Session.CloseHandle(c.Ints[0])
			return OK
		},
	}
}

// until makes one direction of a connection give up when ctx ends, by deadline
// or by cancellation. The function it returns takes that back; it waits for a
// cancellation that is under way, so that none hits a later call.
func until(ctx context.Context, setDeadline func(time.Time) error) (undo func()) {
	if d, ok := ctx.Deadline(); ok {
		_ = setDeadline(d) // fails only on a closed connection, whose use then fails too
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = setDeadline(time.Unix(1, 0))
	})
	return func() {
		if !stop() {
			<-done
		}
		_ = setDeadline(time.Time{})
	}
}
