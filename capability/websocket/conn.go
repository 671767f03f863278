package websocket

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	ws "github.com/coder/websocket"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
)

// conn is what a WebSocket handle stands for.
//
// The library closes a connection whose read is given up, and answers pings
// only while somebody reads. So one goroutine reads for as long as the
// connection lives, and calls of the guest wait for what it queued: one message,
// so that a peer cannot fill the host. It ends with Close, at the latest when
// the run's Session is closed.
type conn struct {
	lib    *ws.Conn
	socket *socket
	frames frames
	most   int64 // bytes of a received message

	room  chan struct{} // holds a token while a message is queued
	queue chan message  // never blocks those who hold the token

	once     sync.Once
	closing  chan struct{}
	finished atomic.Bool // the guest closes, not the end of the run
	ended    chan struct{}
	err      error       // why it ended, set before ended is closed
	told     atomic.Bool // err was told once
}

func start(lib *ws.Conn, s *socket, f frames, most int64) *conn {
	c := &conn{
		lib: lib, socket: s, frames: f, most: most,
		room: make(chan struct{}, 1), queue: make(chan message, 1),
		closing: make(chan struct{}), ended: make(chan struct{}),
	}
	lib.SetReadLimit(most)
	go c.read()
	return c
}

// read queues messages until the connection ends.
func (c *conn) read() {
	defer close(c.ended)
	c.err = c.readAll()
	var over *limits.ExceededError
	if errors.As(c.err, &over) {
		c.leave(ws.StatusMessageTooBig)
		return
	}
	c.socket.cut()
	_ = c.lib.CloseNow() // gives its buffers back; the connection is gone already
}

func (c *conn) readAll() (err error) {
	defer func() {
		if v := recover(); v != nil { // of an embedder's Dialer: this goroutine has no one above it
			err = &endError{"the connection failed", fmt.Errorf("reading panicked: %v", v)}
		}
	}()
	for {
		m, err := c.readMessage()
		if err != nil {
			return err
		}
		select {
		case c.room <- struct{}{}:
			c.queue <- m
		case <-c.closing:
			return ended(errors.New("closed by the host"))
		}
	}
}

// readMessage takes a message apart into pieces of the size that it turns out
// to have. It gives up one byte above the limit.
func (c *conn) readMessage() (m message, err error) {
	_, r, err := c.lib.Reader(context.Background()) // ended by closing the connection
	if err != nil {
		return m, ended(err)
	}
	for {
		n, err := r.Read(m.space())
		m.filled(n)
		switch {
		case int64(m.size) > c.most:
			return m, &limits.ExceededError{Resource: "message", Limit: c.most, Used: int64(m.size)}
		case errors.Is(err, io.EOF):
			return m, nil
		case errors.Is(err, ws.ErrMessageTooBig):
			return m, &limits.ExceededError{Resource: "message", Limit: c.most, Used: c.most + 1}
		case err != nil:
			return m, ended(err)
		}
	}
}

// receive copies the next message into out. One that is longer stays queued.
func (c *conn) receive(ctx context.Context, out []byte) (int, error) {
	m, err := c.next(ctx)
	if err != nil {
		return 0, err
	}
	if m.size > len(out) {
		c.queue <- m // its token is still held
		return 0, &bufferError{need: m.size, have: len(out)}
	}
	<-c.room
	return m.copyTo(out), nil
}

// next takes the queued message, or waits for one. What came before the end of
// the connection is handed over first.
func (c *conn) next(ctx context.Context) (message, error) {
	select {
	case m := <-c.queue:
		return m, nil
	default:
	}
	select {
	case m := <-c.queue:
		return m, nil
	case <-c.ended:
	case <-ctx.Done():
		return message{}, &timeoutError{"receive", context.Cause(ctx)}
	}
	select {
	case m := <-c.queue:
		return m, nil
	default:
		return message{}, c.why()
	}
}

// why is the end of the connection. That a message was too large is told once,
// then the connection is simply closed.
func (c *conn) why() error {
	var over *limits.ExceededError
	if errors.As(c.err, &over) && !c.told.CompareAndSwap(false, true) {
		return &endError{"closed by the host, after a message that was too large", nil}
	}
	return c.err
}

// send writes p as one frame.
func (c *conn) send(ctx context.Context, p []byte) error {
	kind, err := c.frames.of(p)
	if err != nil {
		return err
	}
	err = c.lib.Write(ctx, kind, p)
	if err == nil {
		return nil
	}
	defer c.socket.cut() // half a frame may have been sent
	if ctx.Err() != nil {
		return &timeoutError{"send", context.Cause(ctx)}
	}
	var over *limits.ExceededError
	select {
	case <-c.ended:
		if !errors.As(c.err, &over) { // that is for receive to tell
			return c.err
		}
	default:
	}
	return ended(err)
}

// Close says goodbye, closes the connection and waits for the reader.
func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closing)
		status := ws.StatusGoingAway
		if c.finished.Load() {
			status = ws.StatusNormalClosure
		}
		c.leave(status)
	})
	<-c.ended
	return nil
}

// patience is how long a peer that does not read may hold up a goodbye.
const patience = 50 * time.Millisecond

// leave tells the peer why, if that can be done at once, and closes. The
// library would wait for an answer.
func (c *conn) leave(status ws.StatusCode) {
	late := time.AfterFunc(patience, c.socket.cut)
	defer late.Stop()
	_, _ = c.socket.Write(closeFrame(status)) // a peer that is gone needs no goodbye
	_ = c.lib.CloseNow()                      // the connection is of no use any more, whatever it says
}

// closeFrame is a close frame of a client: masked, with a status and no text.
func closeFrame(status ws.StatusCode) []byte {
	f := []byte{0x88, 0x80 | 2, 0, 0, 0, 0, 0, 0}
	mask, body := f[2:6], f[6:]
	_, _ = rand.Read(mask) // never fails
	binary.BigEndian.PutUint16(body, uint16(status))
	for i := range body {
		body[i] ^= mask[i]
	}
	return f
}

// frames says how messages are sent.
type frames uint8

const (
	binaryFrames frames = iota
	text
	auto
)

func (f frames) of(p []byte) (ws.MessageType, error) {
	switch {
	case f == binaryFrames:
		return ws.MessageBinary, nil
	case utf8.Valid(p):
		return ws.MessageText, nil
	case f == auto:
		return ws.MessageBinary, nil
	default:
		return 0, fmt.Errorf("%w: the message is not UTF-8, and this host sends text", capability.ErrInvalid)
	}
}
