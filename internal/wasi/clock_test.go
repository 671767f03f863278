package wasi_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"time"
)

func TestClocks(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 123)
	g := newGuest(t.Context(), 64)
	g.Now = func() time.Time { return now }
	g.Epoch = now.Add(-time.Hour)
	for _, tt := range []struct {
		name string
		id   uint64
		err  uint32
		want uint64
	}{
		{"wall", 0, success, 1_700_000_000_000_000_123},
		{"monotonic", 1, success, uint64(time.Hour)},
		{"CPU time of the process", 2, inval, 0},
		{"CPU time of the thread", 3, inval, 0},
		{"largest", 1<<32 - 1, inval, 0},
	} {
		clear(g.mem)
		if got := g.call(t, "clock_time_get", tt.id, 1<<63, 8); got != tt.err || g.u64(8) != tt.want {
			t.Errorf("clock_time_get of %s = %d, %d; want %d, %d", tt.name, got, g.u64(8), tt.err, tt.want)
		}
		clear(g.mem)
		if got := g.call(t, "clock_res_get", tt.id, 8); got != tt.err || (g.u64(8) > 0) != (tt.err == success) || g.u64(8) > uint64(time.Millisecond) {
			t.Errorf("clock_res_get of %s = %d, %d ns", tt.name, got, g.u64(8))
		}
	}
	// The wall clock may be set back; the other never goes back.
	now = now.Add(-time.Minute)
	g.call(t, "clock_time_get", 1, 0, 8)
	if got := g.u64(8); got != uint64(time.Hour) {
		t.Errorf("monotonic after the clock was set back: %v", time.Duration(got))
	}
}

func TestRandom(t *testing.T) {
	t.Parallel()
	const size = 200 << 10 // more than one piece
	for _, n := range []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, size - 8} {
		g := newGuest(t.Context(), size)
		if got := g.call(t, "random_get", 8, uint64(n)); got != success || g.touched([2]int{8, 8 + n}) {
			t.Errorf("random_get of %d bytes = %d", n, got)
		}
		if want := make([]byte, n); !bytes.Equal(g.mem[8:8+n], want) {
			t.Errorf("random_get of %d bytes left some alone", n)
		}
	}
	g := newGuest(t.Context(), 4096)
	g.Rand = rand.Reader
	seen := map[string]bool{}
	g.call(t, "random_get", 0, 4096)
	for i := 0; i < 4096; i += 16 {
		seen[string(g.mem[i:i+16])] = true
	}
	if len(seen) != 256 {
		t.Errorf("W11: %d different blocks of 256", len(seen))
	}
}

func TestRandomSourceThatFails(t *testing.T) {
	t.Parallel()
	g := newGuest(t.Context(), 64)
	g.Rand = io.MultiReader(bytes.NewReader([]byte("four")), failingReader{})
	if got := g.call(t, "random_get", 0, 8); got == success {
		t.Error("half an answer passes for a whole one")
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("no entropy") }
