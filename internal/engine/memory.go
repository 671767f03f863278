package engine

import "github.com/tetratelabs/wazero/experimental"

// memory is the linear memory of one instance, held to a limit. Growth beyond
// it is refused, which the guest sees as -1, and remembered. Capacity doubles up
// to the limit, so that copying is amortised.
type memory struct {
	limit        uint64
	buf          []byte
	peak         uint64
	refused      int
	firstRefused uint64
}

// Allocate is called once, when the instance is made. The maximum that the
// module declares needs no reservation.
func (m *memory) Allocate(uint64, uint64) experimental.LinearMemory { return m }

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
	if size > uint64(cap(m.buf)) {
		room := min(max(size, 2*uint64(cap(m.buf))), m.limit)
		grown := make([]byte, size, room)
		copy(grown, m.buf)
		m.buf = grown
	}
	m.buf = m.buf[:size]
	return m.buf
}

// Free lets the collector have the memory.
func (m *memory) Free() { m.buf = nil }
