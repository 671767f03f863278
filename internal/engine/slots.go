package engine

import (
	"runtime"
	"sync"
)

// slots are reserved ranges of addresses, each for one linear memory. A slot is
// as long as its memory may ever become, so that growing neither copies nor
// moves anything; a page of it costs nothing before it is touched. Used slots
// are emptied and kept for the next instance.
type slots struct {
	mu     sync.Mutex
	idle   map[uint64][][]byte // by length
	closed bool

	behind   bool // a slot is being emptied behind a run that is over
	emptying sync.WaitGroup
}

const (
	// mostCleared is what is cleared in place; the pages of a longer memory go
	// back to the system. It is also all that an idle slot keeps.
	mostCleared = 128 << 10
	// mostWaited is the longest memory whose emptying its run always waits for:
	// giving back each page of 64 MiB can take longer than a run may overstay. So
	// that is done behind its back, but for one at a time, as a Budget no longer
	// counts it.
	mostWaited = 4 << 20
)

// classes are the lengths of slots; the last is all that a guest can address.
var classes = [...]uint64{16 << 20, 64 << 20, 256 << 20, 1 << 30, 4 << 30}

// take returns a slot of at least size zero bytes, or nil if there is no room or
// the platform has none.
func (s *slots) take(size uint64) []byte {
	for _, class := range classes {
		if size > class {
			continue
		}
		s.mu.Lock()
		if idle := s.idle[class]; len(idle) > 0 {
			last := len(idle) - 1
			slot := idle[last]
			idle[last] = nil
			s.idle[class] = idle[:last]
			s.mu.Unlock()
			return slot
		}
		s.mu.Unlock()
		return reserve(class)
	}
	return nil
}

// give takes back a slot of which no more than the first used bytes were
// touched.
func (s *slots) give(slot []byte, used uint64) {
	s.mu.Lock()
	later := used > mostWaited && !s.closed && !s.behind
	if later {
		s.behind = true
		s.emptying.Add(1)
	}
	s.mu.Unlock()
	if !later {
		s.empty(slot, used)
		return
	}
	go func() {
		defer s.emptying.Done()
		s.empty(slot, used)
		s.mu.Lock()
		s.behind = false
		s.mu.Unlock()
	}()
}

func (s *slots) empty(slot []byte, used uint64) {
	class := uint64(len(slot))
	emptied := true
	if used <= mostCleared {
		clear(slot[:used])
	} else {
		emptied = discard(slot[:used])
	}
	s.mu.Lock()
	keep := emptied && !s.closed && len(s.idle[class]) < 2*runtime.GOMAXPROCS(0)
	if keep {
		if s.idle == nil {
			s.idle = map[uint64][][]byte{}
		}
		s.idle[class] = append(s.idle[class], slot)
	}
	s.mu.Unlock()
	if !keep {
		release(slot)
	}
}

// close releases what is idle and waits for what is being emptied. A slot that
// is given back later, by a run that a Func held on to, is released then.
func (s *slots) close() {
	s.mu.Lock()
	s.closed = true
	idle := s.idle
	s.idle = nil
	s.mu.Unlock()
	for _, class := range idle {
		for _, slot := range class {
			release(slot)
		}
	}
	s.emptying.Wait()
}
