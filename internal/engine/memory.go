package engine

import "github.com/tetratelabs/wazero/experimental"

// memory is the linear memory of one instance, held to a limit. Growth beyond
// it is refused, which the guest sees as -1, and remembered.
//
// It lies in a slot, where growing is free; without one it is on the Go heap,
// where capacity doubles up to the limit, so that copying is amortised.
type memory struct {
	limit        uint64
	slots        *slots // nil: Go heap
	slot         []byte // nil: Go heap
	buf          []byte
	peak         uint64
	refused      int
	firstRefused uint64
}

// Allocate is called once, when the instance is made. The maximum that the
// module declares needs no reservation.
func (m *memory) Allocate(uint64, uint64) experimental.LinearMemory {
	if m.slots != nil {
		m.slot = m.slots.take(m.limit)
	}
	return m
}

// Reallocate makes the memory size bytes long. The first call is for the
// declared minimum, which Load has compared with the limit: answering nil there
// would panic inside wazero.
func (m *memory) Reallocate(size uint64) []byte {
	if size > m.limit {
		if m.refused == 0 {
			m.firstRefused = size
		}
		m.refused++
		return nil
	}
	m.peak = max(m.peak, size)
	switch {
	case m.slot != nil:
		m.buf = m.slot[:size:size]
	case size > uint64(cap(m.buf)):
		room := min(max(size, 2*uint64(cap(m.buf))), m.limit)
		grown := make([]byte, size, room)
		copy(grown, m.buf)
		m.buf = grown
	default:
		m.buf = m.buf[:size]
	}
	return m.buf
}

// Free gives the memory back. No guest runs in it any more.
func (m *memory) Free() {
	if m.slot != nil {
		m.slots.give(m.slot, m.peak)
	}
	m.slot, m.buf = nil, nil
}
