package netproxytest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeBuffer is how much one side may write ahead of the other, in bytes.
const pipeBuffer = 64 << 10

// stream carries bytes one way.
type stream struct {
	mu     sync.Mutex
	buf    []byte
	ended  bool          // the writer is done
	gone   bool          // the reader is gone
	change chan struct{} // closed and renewed whenever something above changes
}

func newStream() *stream { return &stream{change: make(chan struct{})} }

func (s *stream) changed() {
	close(s.change)
	s.change = make(chan struct{})
}

func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.changed()
}

func (s *stream) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	s.buf = nil
	s.changed()
}

func (s *stream) read(p []byte, limit *deadline) (int, error) {
	for {
		expired := limit.wait()
		select {
		case <-expired:
			return 0, os.ErrDeadlineExceeded
		default:
		}
		s.mu.Lock()
		switch {
		case s.gone:
			s.mu.Unlock()
			return 0, net.ErrClosed
		case len(s.buf) > 0 || len(p) == 0:
			n := copy(p, s.buf)
			s.buf = s.buf[n:]
			s.changed()
			s.mu.Unlock()
			return n, nil
		case s.ended:
			s.mu.Unlock()
			return 0, io.EOF
		}
		change := s.change
		s.mu.Unlock()
		select {
		case <-change:
		case <-expired:
		case <-limit.moved():
		}
	}
}

func (s *stream) write(p []byte, limit *deadline) (int, error) {
	written := 0
	for {
		expired := limit.wait()
		select {
		case <-expired:
			return written, os.ErrDeadlineExceeded
		default:
		}
		s.mu.Lock()
		switch {
		case s.ended:
			s.mu.Unlock()
			return written, net.ErrClosed
		case s.gone:
			s.mu.Unlock()
			return written, errReset
		}
		if room := pipeBuffer - len(s.buf); room > 0 {
			n := min(room, len(p)-written)
			s.buf = append(s.buf, p[written:written+n]...)
			written += n
			s.changed()
		}
		if written == len(p) {
			s.mu.Unlock()
			return written, nil
		}
		change := s.change
		s.mu.Unlock()
		select {
		case <-change:
		case <-expired:
		case <-limit.moved():
		}
	}
}

// deadline is a moment that may be moved while somebody waits for it.
type deadline struct {
	mu      sync.Mutex
	timer   *time.Timer
	expired chan struct{}
	move    chan struct{}
}

func newDeadline() *deadline {
	return &deadline{expired: make(chan struct{}), move: make(chan struct{})}
}

func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.expired
}

func (d *deadline) moved() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.move
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	expired := make(chan struct{})
	d.expired = expired
	if !t.IsZero() {
		if wait := time.Until(t); wait <= 0 {
			close(expired)
		} else {
			d.timer = time.AfterFunc(wait, func() { close(expired) })
		}
	}
	close(d.move)
	d.move = make(chan struct{})
}

// conn is one end of a connection.
type conn struct {
	in, out       *stream
	readBy, until *deadline
	local, remote net.Addr
	once          sync.Once
	closed        func()
}

func newPair(client, server net.Addr) (c, s *conn) {
	up, down := newStream(), newStream()
	c = &conn{in: down, out: up, readBy: newDeadline(), until: newDeadline(), local: client, remote: server}
	s = &conn{in: up, out: down, readBy: newDeadline(), until: newDeadline(), local: server, remote: client}
	return c, s
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p, c.readBy)
	return n, c.wrap("read", err)
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p, c.until)
	return n, c.wrap("write", err)
}

func (c *conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // made above
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// Close ends both directions. Bytes already written still arrive.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.out.end()
		c.in.abandon()
		c.readBy.set(time.Time{})
		c.until.set(time.Time{})
		if c.closed != nil {
			c.closed()
		}
	})
	return nil
}

// cut ends the connection for both sides.
func (c *conn) cut() {
	c.Close()
	c.out.abandon()
	c.in.end()
}

// CloseWrite ends the sending side.
func (c *conn) CloseWrite() error {
	c.out.end()
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	c.readBy.set(t)
	c.until.set(t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.readBy.set(t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.until.set(t)
	return nil
}
