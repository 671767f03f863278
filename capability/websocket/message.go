package websocket

// message is a received message in pieces: no piece is copied when the next one
// is needed, and at most one is not full.
type message struct {
	parts [][]byte
	size  int
}

// Pieces start small, since most messages are, and double.
const (
	firstPart = 1 << 10
	mostPart  = 64 << 10
)

// space is where the next bytes go. It is never empty.
func (m *message) space() []byte {
	if n := len(m.parts); n > 0 {
		if last := m.parts[n-1]; len(last) < cap(last) {
			return last[len(last):cap(last)]
		}
	}
	next := firstPart
	if n := len(m.parts); n > 0 {
		next = min(2*cap(m.parts[n-1]), mostPart)
	}
	m.parts = append(m.parts, make([]byte, 0, next))
	return m.parts[len(m.parts)-1][:next]
}

// filled says that the first n bytes of space hold something.
func (m *message) filled(n int) {
	last := &m.parts[len(m.parts)-1]
	*last = (*last)[:len(*last)+n]
	m.size += n
}

// copyTo writes the whole message to out, which is long enough.
func (m *message) copyTo(out []byte) (n int) {
	for _, p := range m.parts {
		n += copy(out[n:], p)
	}
	return n
}
