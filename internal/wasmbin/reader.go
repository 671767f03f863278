package wasmbin

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// reader walks over bytes of a module. Its first error stays: every later read
// answers zero and consumes nothing, so callers check err once per item.
type reader struct {
	buf []byte // the whole module, so that positions are offsets in the file
	pos int
	end int // exclusive, at most len(buf)
	err *Error
}

// fail keeps the first error.
func (r *reader) fail(id string, at int, what, reason string) {
	r.failCure(id, at, what, reason, "")
}

func (r *reader) failCure(id string, at int, what, reason, cure string) {
	if r.err == nil {
		r.err = &Error{ID: id, Offset: at, Func: -1, What: what, Reason: reason, Cure: cure}
		r.pos = r.end
	}
}

func (r *reader) malformed(at int, reason string) { r.fail(Malformed, at, "", reason) }

// more reports whether bytes are left to read.
func (r *reader) more() bool { return r.pos < r.end }

func (r *reader) byte() byte {
	if r.pos >= r.end {
		r.malformed(r.pos, "unexpected end")
		return 0
	}
	b := r.buf[r.pos]
	r.pos++
	return b
}

// bytes answers a view of the next n bytes.
func (r *reader) bytes(n uint64) []byte {
	if n > uint64(r.end-r.pos) {
		r.malformed(r.pos, "unexpected end")
		return nil
	}
	b := r.buf[r.pos : r.pos+int(n) : r.pos+int(n)]
	r.pos += int(n)
	return b
}

// u32 reads an unsigned LEB128 number of at most five bytes.
func (r *reader) u32() uint32 {
	if r.pos < r.end && r.buf[r.pos] < 0x80 { // nearly all of them
		r.pos++
		return uint32(r.buf[r.pos-1])
	}
	return r.u32Long()
}

func (r *reader) u32Long() uint32 {
	at := r.pos
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		if r.err != nil {
			return 0
		}
		if shift == 28 && b > 0x0f {
			r.malformed(at, lebReason(b))
			return 0
		}
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	return 0 // not reached: the fifth byte ends the number or fails
}

func lebReason(last byte) string {
	if last >= 0x80 {
		return "integer representation too long"
	}
	return "integer too large"
}

func (r *reader) s32() int32 { return int32(r.signed(32)) }
func (r *reader) s33() int64 { return r.signed(33) }
func (r *reader) s64() int64 { return r.signed(64) }

// signed reads a signed LEB128 number of the given width. The unused bits of
// the longest form must repeat the sign.
func (r *reader) signed(width int) int64 {
	at := r.pos
	var v int64
	for shift := 0; ; shift += 7 {
		b := r.byte()
		if r.err != nil {
			return 0
		}
		if left := width - shift; left <= 7 {
			// Bits left-1 and above of this byte must be all equal.
			top := int8(b<<1) >> left
			if b >= 0x80 || top != 0 && top != -1 {
				r.malformed(at, lebReason(b))
				return 0
			}
		}
		v |= int64(b&0x7f) << shift
		if b < 0x80 {
			if s := shift + 7; s < 64 {
				v = v << (64 - s) >> (64 - s)
			}
			return v
		}
	}
}

func (r *reader) f32bits() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) f64bits() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// count reads the length of a vector whose items take at least size bytes
// each, and refuses what the remaining bytes cannot hold, before anybody
// allocates for it.
func (r *reader) count(what string, size int) int {
	at := r.pos
	n := r.u32()
	if r.err == nil && uint64(n)*uint64(size) > uint64(r.end-r.pos) {
		r.fail(Malformed, at, what, "unexpected end: the count is larger than the bytes that follow")
		return 0
	}
	return int(min(n, math.MaxInt32))
}

// name reads a UTF-8 name as a view.
func (r *reader) name() []byte {
	at := r.pos
	b := r.bytes(uint64(r.u32()))
	if r.err == nil && !utf8.Valid(b) {
		r.malformed(at, "malformed UTF-8 encoding in a name")
		return nil
	}
	return b
}
