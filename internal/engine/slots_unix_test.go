//go:build (linux || darwin || freebsd) && (amd64 || arm64) && !sandcheck_portable

package engine

import (
	"math"
	"runtime"
	"testing"

	"github.com/sandcheck/sandcheck/internal/wasmgen"
)

func TestSlotClasses(t *testing.T) {
	t.Parallel()
	s := &slots{}
	defer s.close()
	for _, tt := range []struct{ size, want uint64 }{
		{0, 16 << 20}, {16<<20 - 1, 16 << 20}, {16 << 20, 16 << 20}, {16<<20 + 1, 64 << 20}, {64 << 20, 64 << 20},
		{256<<20 + 1, 1 << 30}, {1<<30 + 1, 4 << 30}, {4 << 30, 4 << 30}, {4<<30 + 1, 0}, {math.MaxUint64, 0},
	} {
		slot := s.take(tt.size)
		if uint64(len(slot)) != tt.want {
			t.Errorf("%d bytes: a slot of %d, want %d", tt.size, len(slot), tt.want)
		}
		if slot != nil {
			slot[0], slot[len(slot)-1] = 1, 1
			release(slot)
		}
	}
}

// TestSlotsComeBackEmpty: whichever way a slot is emptied, the next user finds
// zeros.
func TestSlotsComeBackEmpty(t *testing.T) {
	t.Parallel()
	for _, used := range []uint64{0, 1, page, mostCleared, mostCleared + page, mostWaited, mostWaited + page, 16 << 20} {
		s := &slots{}
		slot := s.take(1)
		for i := range used {
			slot[i] = 0xaa
		}
		s.give(slot, used)
		s.emptying.Wait()
		again := s.take(1)
		for i, v := range again {
			if v != 0 {
				t.Fatalf("%d bytes used: byte %d is %#x", used, i, v)
			}
		}
		if kept := &again[0] == &slot[0]; kept != (runtime.GOOS == "linux" || used <= mostCleared) {
			t.Errorf("%d bytes used: the same slot came back: %v", used, kept)
		}
		release(again)
		s.close()
	}
}

func TestIdleSlotsAreBounded(t *testing.T) {
	t.Parallel()
	s := &slots{}
	most := 2 * runtime.GOMAXPROCS(0)
	var taken [][]byte
	for range most + 3 {
		taken = append(taken, s.take(page))
	}
	late := s.take(page)
	for i, slot := range taken {
		s.give(slot, page)
		if got, want := len(s.idle[uint64(len(slot))]), min(i+1, most); got != want {
			t.Errorf("after %d were given back: %d idle, want %d", i+1, got, want)
		}
	}
	s.close()
	s.give(late, 16<<20) // by a run that Close did not wait for
	if len(s.idle) != 0 {
		t.Errorf("a closed pool keeps %d classes", len(s.idle))
	}
}

// TestGrowthDoesNotMove: growing gives a longer view of the same bytes.
func TestGrowthDoesNotMove(t *testing.T) {
	t.Parallel()
	s := &slots{}
	defer s.close()
	m := &memory{limit: 7 * page, slots: s}
	m.Allocate(0, 0)
	first := m.Reallocate(page)
	first[0] = 1
	grown := m.Reallocate(7 * page)
	if &grown[0] != &first[0] || len(grown) != 7*page || cap(grown) != 7*page {
		t.Errorf("7 pages: moved %v, length %d, capacity %d", &grown[0] != &first[0], len(grown), cap(grown))
	}
	if m.Reallocate(8*page) != nil || m.refused != 1 || m.peak != 7*page {
		t.Errorf("8 pages: refused %d, peak %d", m.refused, m.peak)
	}
	m.Free()
	m.Free()
	if idle := len(s.idle[16<<20]); m.slot != nil || m.buf != nil || m.peak != 7*page || idle > 1 {
		t.Errorf("after Free: slot %v, buffer %v, peak %d, %d idle", m.slot != nil, m.buf != nil, m.peak, idle)
	}
}

// TestEveryRunGivesItsSlotBack, however it ends and even if it never began.
func TestEveryRunGivesItsSlotBack(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, e *Engine) {
		for _, tt := range []struct {
			name string
			body [][]byte
		}{
			{"returns", nil},
			{"grows", [][]byte{wasmgen.Drop(wasmgen.MemoryGrow(wasmgen.I32Const(2)))}},
			{"traps", [][]byte{wasmgen.Unreachable()}},
		} {
			p := programOf(t, e, guest(tt.body...), "")
			for range 5 {
				p.Run(t.Context(), newRun())
			}
			e.slots.emptying.Wait()
			idle := 0
			for _, class := range e.slots.idle {
				idle += len(class)
			}
			if idle != 1 {
				t.Errorf("%s: %d idle slots after 5 runs in turn, want 1", tt.name, idle)
			}
		}
	})
}
