package abi

// Tail keeps the last bytes of a stream and counts the rest. The zero value
// keeps nothing.
type Tail struct {
	most  int
	buf   []byte
	next  int // where the next byte goes, once buf is full
	total int64
}

// NewTail returns a Tail that keeps the last most bytes.
func NewTail(most int) *Tail { return &Tail{most: max(most, 0)} }

// Write keeps the end of p. It never fails and copies at most what it keeps.
func (t *Tail) Write(p []byte) (int, error) {
	n := len(p)
	t.total += int64(n)
	if n > t.most {
		p = p[n-t.most:]
	}
	if grow := min(t.most-len(t.buf), len(p)); grow > 0 {
		t.buf = append(t.buf, p[:grow]...)
		p = p[grow:]
	}
	for len(p) > 0 {
		k := copy(t.buf[t.next:], p)
		p = p[k:]
		t.next = (t.next + k) % t.most
	}
	return n, nil
}

// Skip counts n bytes that were written but need not be kept, because at least
// as many as t keeps follow them.
func (t *Tail) Skip(n int64) { t.total += n }

// String is what is kept, oldest byte first.
func (t *Tail) String() string {
	if t == nil {
		return ""
	}
	return string(t.buf[t.next:]) + string(t.buf[:t.next])
}

// Dropped is the number of bytes that were not kept.
func (t *Tail) Dropped() int64 {
	if t == nil {
		return 0
	}
	return t.total - int64(len(t.buf))
}

// Most is the number of bytes that t keeps.
func (t *Tail) Most() int { return t.most }
