// Package websocket lets guests speak WebSocket: websocket_connect,
// websocket_send, websocket_recv and websocket_close, as capabilities that a
// host registers beside its own.
//
//	rt, err := host.New(
//		host.WithCapabilities(capability.Network()...),
//		host.WithCapabilities(websocket.Funcs()...),
//	)
//
// It is a module of its own, so that only those who want it link a WebSocket
// library. That library gets no way to the network but the client of the run's
// Guard: rules, redirects, identities, limits and decisions are those of
// http_request, and a connection holds one of Limits.Connections until it is
// closed.
//
// A message is at most Limits.Payload long, in either direction. Compression is
// off: a small frame must not unpack into a large one.
package websocket

import (
	"context"
	"io"
	"math"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
)

// An Option changes what Funcs does for all guests.
type Option func(*settings)

type settings struct{ frames frames }

// Text sends every message as a text frame, for servers that take no others. A
// message that is not UTF-8, which no text frame may hold, is refused as
// invalid.
func Text() Option { return func(s *settings) { s.frames = text } }

// Auto sends a message as a text frame if it is valid UTF-8, else as a binary
// one.
func Auto() Option { return func(s *settings) { s.frames = auto } }

// Funcs lists the four functions. Without an Option messages are sent as binary
// frames, which all known servers of these plugins accept; of several Options
// the last stands. Received messages are handed over alike, text or binary. The
// functions hold no state of a run and may serve many runs at one time.
func Funcs(opts ...Option) []capability.Func {
	var s settings
	for _, o := range opts {
		if o != nil {
			o(&s)
		}
	}
	return named(connect(s), send(), receive(), closing())
}

// named makes each function name itself in a Call that a test wrote without a
// name, so that last_error tells there what it tells in a run.
func named(fs ...capability.Func) []capability.Func {
	for i, f := range fs {
		fs[i].Handle = func(ctx context.Context, c *capability.Call) capability.Code {
			if c.Func == "" {
				c.Func = f.Name
			}
			return f.Handle(ctx, c)
		}
	}
	return fs
}

// payload bounds one document or message of the run. What an answer cannot
// count is never taken, whatever the operator allows.
func payload(s *capability.Session) int64 {
	return min(int64(s.Limits.Or(limits.Default()).Payload), math.MaxInt32)
}

// connect opens a connection to a URL that the Guard judged, on every hop.
func connect(set settings) capability.Func {
	return capability.Func{
		Name:   "websocket_connect",
		Doc:    "open a WebSocket connection",
		Params: []capability.Param{{Name: "request", Kind: capability.In}, {Name: "timeout_ms", Kind: capability.I32}},
		Handle: func(ctx context.Context, c *capability.Call) capability.Code {
			if n, most := int64(len(c.In[0])), payload(c.Session); n > most {
				return c.Fail(&limits.ExceededError{Resource: "request", Limit: most, Used: n})
			}
			req, err := parseRequest(c.In[0])
			if err != nil {
				return c.Fail(err)
			}
			ctx, cancel := c.Deadline(ctx, c.Ints[0])
			defer cancel()
			handle, err := c.Session.Open(func() (io.Closer, error) { return dial(ctx, c.Session, req, set.frames) })
			if err != nil {
				return c.Fail(err)
			}
			return capability.Code(handle)
		},
	}
}

// send sends one message in one frame. After a failure the amount sent is
// unknown, so the connection is closed.
func send() capability.Func {
	return capability.Func{
		Name:   "websocket_send",
		Doc:    "send one WebSocket message",
		Params: []capability.Param{{Name: "handle", Kind: capability.I32}, {Name: "data", Kind: capability.In}, {Name: "timeout_ms", Kind: capability.I32}},
		Handle: func(ctx context.Context, c *capability.Call) capability.Code {
			conn, err := capability.Get[*conn](c.Session, c.Ints[0])
			if err != nil {
				return c.Fail(err)
			}
			if n, most := int64(len(c.In[0])), payload(c.Session); n > most {
				return c.Fail(&limits.ExceededError{Resource: "message", Limit: most, Used: n})
			}
			ctx, cancel := c.Deadline(ctx, c.Ints[1])
			defer cancel()
			if err := conn.send(ctx, c.In[0]); err != nil {
				return c.Fail(err)
			}
			return capability.Code(len(c.In[0]))
		},
	}
}

// receive hands over one message. One that does not fit the buffer stays for
// the next call, and so does the connection when none comes in time.
func receive() capability.Func {
	return capability.Func{
		Name:   "websocket_recv",
		Doc:    "receive one WebSocket message",
		Params: []capability.Param{{Name: "handle", Kind: capability.I32}, {Name: "buf", Kind: capability.Out}, {Name: "timeout_ms", Kind: capability.I32}},
		Handle: func(ctx context.Context, c *capability.Call) capability.Code {
			conn, err := capability.Get[*conn](c.Session, c.Ints[0])
			if err != nil {
				return c.Fail(err)
			}
			ctx, cancel := c.Deadline(ctx, c.Ints[1])
			defer cancel()
			n, err := conn.receive(ctx, c.Out)
			if err != nil {
				return c.Fail(err)
			}
			return capability.Code(n)
		},
	}
}

// closing says goodbye to the peer and closes the connection. The peer's answer
// is not waited for.
func closing() capability.Func {
	return capability.Func{
		Name:   "websocket_close",
		Doc:    "close a WebSocket connection",
		Params: []capability.Param{{Name: "handle", Kind: capability.I32}},
		Handle: func(_ context.Context, c *capability.Call) capability.Code {
			conn, err := capability.Get[*conn](c.Session, c.Ints[0])
			if err != nil {
				return c.Fail(err)
			}
			conn.finished.Store(true)
			// The handle is gone whatever Close says, and a guest can do
			// nothing about an error of it.
			_ = c.Session.CloseHandle(c.Ints[0])
			return capability.OK
		},
	}
}
