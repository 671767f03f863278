package engine

import (
	"testing"

	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
)

const page = 64 << 10

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		size uint64
		ok   bool
	}{
		{"below", 4*page - 1, true},
		{"at", 4 * page, true},
		{"above", 4*page + 1, false},
		{"all that a guest can ask for", 65536 * page, false},
	} {
		m := &memory{limit: 4 * page}
		buf := m.Reallocate(tt.size)
		if got := buf != nil; got != tt.ok {
			t.Errorf("%s: %d bytes of %d: got %v, want %v", tt.name, tt.size, m.limit, got, tt.ok)
		}
		if tt.ok && (uint64(len(buf)) != tt.size || m.peak != tt.size || m.refused != 0) {
			t.Errorf("%s: length %d, peak %d, refused %d", tt.name, len(buf), m.peak, m.refused)
		}
		if !tt.ok && (m.peak != 0 || m.refused != 1 || m.firstRefused != tt.size) {
			t.Errorf("%s: peak %d, refused %d, first %d", tt.name, m.peak, m.refused, m.firstRefused)
		}
	}
}

// TestMemoryDoubles: content stays, capacity doubles and stops at the limit, and
// what is new is zero.
func TestMemoryDoubles(t *testing.T) {
	t.Parallel()
	m := &memory{limit: 7 * page}
	if m.Allocate(page, 65536*page) != m {
		t.Fatal("Allocate answers another memory")
	}
	for i, want := range []int{1, 2, 4, 4, 7, 7, 7} {
		size := uint64(i+1) * page
		buf := m.Reallocate(size)
		if uint64(len(buf)) != size || cap(buf) != want*page {
			t.Fatalf("page %d: length %d, capacity %d, want %d pages", i, len(buf), cap(buf), want)
		}
		last := buf[i*page:]
		for at, v := range last {
			if v != 0 {
				t.Fatalf("page %d: byte %d is %d", i, at, v)
			}
		}
		last[0], last[page-1] = byte(i+1), byte(i+1)
		for old := range i {
			if buf[old*page] != byte(old+1) || buf[(old+1)*page-1] != byte(old+1) {
				t.Fatalf("page %d was lost when page %d came", old, i)
			}
		}
	}
	for _, size := range []uint64{9 * page, 8 * page} {
		if m.Reallocate(size) != nil {
			t.Fatalf("%d bytes were given", size)
		}
	}
	if m.peak != 7*page || m.refused != 2 || m.firstRefused != 9*page {
		t.Errorf("peak %d, refused %d, first %d; want %d, 2, %d", m.peak, m.refused, m.firstRefused, 7*page, 9*page)
	}
	if m.Free(); m.buf != nil {
		t.Error("Free keeps the bytes")
	}
	if m.peak != 7*page {
		t.Error("Free forgets the peak, which is reported afterwards")
	}
}

// TestMemoryReported: what a guest sees and what the outcome says.
func TestMemoryReported(t *testing.T) {
	t.Parallel()
	grow := func(pages int32) []byte { return wasmgen.Drop(wasmgen.MemoryGrow(wasmgen.I32Const(pages))) }
	expect := func(pages, want int32) []byte {
		return wasmgen.If(wasmgen.I32Ne(wasmgen.MemoryGrow(wasmgen.I32Const(pages)), wasmgen.I32Const(want)), wasmgen.Unreachable())
	}
	engines(t, func(t *testing.T, e *Engine) {
		for _, tt := range []struct {
			name    string
			body    [][]byte
			peak    limits.Bytes
			refused int
			first   limits.Bytes
		}{
			{"no growth", nil, page, 0, 0},
			{"to the limit", [][]byte{expect(3, 1)}, 4 * page, 0, 0},
			{"one page beyond", [][]byte{expect(4, -1), expect(0, 1)}, page, 1, 5 * page},
			{"beyond, to the limit, beyond", [][]byte{expect(100, -1), expect(3, 1), expect(1, -1)}, 4 * page, 2, 101 * page},
			{"and a trap", [][]byte{grow(2), grow(7), wasmgen.Unreachable()}, 3 * page, 1, 10 * page},
		} {
			p := programOf(t, e, guest(tt.body...), "")
			r := newRun()
			r.Limits.Memory = 4 * page
			out := p.Run(t.Context(), r)
			if _, trapped := out.Err.(*Trap); trapped != (tt.name == "and a trap") {
				t.Errorf("%s: ended with %v", tt.name, out.Err)
			}
			if out.PeakMemory != tt.peak || out.RefusedGrows != tt.refused || out.FirstRefused != tt.first {
				t.Errorf("%s: peak %v, refused %d, first %v; want %v, %d, %v", tt.name,
					out.PeakMemory, out.RefusedGrows, out.FirstRefused, tt.peak, tt.refused, tt.first)
			}
		}
	})
}
