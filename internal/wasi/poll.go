package wasi

import (
	"encoding/binary"
	"time"
)

// Layout of preview1 subscriptions and events.
const (
	subscriptionSize = 48
	eventSize        = 32
	maxSubscriptions = 1024

	tagClock   = 0
	tagFdRead  = 1
	tagFdWrite = 2
)

// subscription is one thing that a guest waits for.
type subscription struct {
	userdata uint64
	tag      byte
	err      errno
	ready    bool
	wait     time.Duration // of a clock
}

// poll waits for the earliest of the guest's clocks, or until the run ends,
// whichever is first. The standard streams are ready at once.
func poll(c *call) errno {
	n := c.u32(2)
	if n == 0 || n > maxSubscriptions {
		return inval
	}
	in, err := c.view(0, n*subscriptionSize)
	if err != success {
		return err
	}
	out, err := c.view(1, n*eventSize)
	if err != success {
		return err
	}
	if _, err := c.view(3, 4); err != success {
		return err
	}
	subs := make([]subscription, n)
	wait := time.Duration(-1)
	for i := range subs {
		s := &subs[i]
		if err := c.read(s, in[i*subscriptionSize:]); err != success {
			return err
		}
		switch {
		case s.ready:
			wait = 0
		case wait < 0 || s.wait < wait:
			wait = s.wait
		}
	}
	c.sleep(wait)
	events := uint32(0)
	for _, s := range subs {
		if s.ready || s.wait <= wait {
			writeEvent(out[events*eventSize:], s)
			events++
		}
	}
	return c.put32(3, events)
}

// read decodes one subscription and says when it will be ready.
func (c *call) read(s *subscription, in []byte) errno {
	s.userdata, s.tag = binary.LittleEndian.Uint64(in), in[8]
	switch s.tag {
	case tagClock:
		timeout := binary.LittleEndian.Uint64(in[24:])
		absolute := binary.LittleEndian.Uint16(in[40:])&1 != 0
		now, err := c.now(binary.LittleEndian.Uint32(in[16:]))
		if err != success {
			s.err, s.ready = err, true
			return success
		}
		if absolute {
			timeout = max(timeout, now) - now
		}
		s.wait = time.Duration(min(timeout, 1<<63-1))
		s.ready = s.wait == 0
	case tagFdRead, tagFdWrite:
		s.ready = true
		if binary.LittleEndian.Uint32(in[16:]) > stderr {
			s.err = badf
		}
	default:
		return inval
	}
	return success
}

func writeEvent(out []byte, s subscription) {
	clear(out[:eventSize])
	binary.LittleEndian.PutUint64(out, s.userdata)
	binary.LittleEndian.PutUint16(out[8:], uint16(s.err))
	out[10] = s.tag
}

// sleep waits for d or for the end of the run.
func (c *call) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	// A storm of tiny sleeps is work, not waiting: it stays on the guest's account.
	if d >= time.Millisecond {
		done := c.run.Waiting()
		defer func() { done() }()
	}
	from := c.run.Time()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		c.run.Slept(from, d)
	case <-c.run.Context().Done():
		c.run.StopIfOver()
	}
}
