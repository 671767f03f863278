package wasi_test

import (
	"strings"
	"testing"
)

func TestFdWrite(t *testing.T) {
	t.Parallel()
	const kept = 64 << 10
	for _, tt := range []struct {
		name    string
		fd      uint64
		vectors [][2]uint32 // pointer and length; memory holds letters
		err     uint32
		want    string
		dropped int64
	}{
		{"nothing", 1, nil, success, "", 0},
		{"stdout", 1, [][2]uint32{{0, 3}, {24, 2}}, success, "abcyz", 0},
		{"stderr", 2, [][2]uint32{{0, 3}}, success, "abc", 0},
		{"stdin", 0, [][2]uint32{{0, 3}}, badf, "", 0},
		{"another", 3, [][2]uint32{{0, 3}}, badf, "", 0},
		{"largest", 1<<32 - 1, [][2]uint32{{0, 3}}, badf, "", 0},
		{"empty buffers anywhere", 1, [][2]uint32{{1<<32 - 1, 0}, {0, 1}, {size, 0}}, success, "a", 0},
		{"last byte", 1, [][2]uint32{{size - 1, 1}}, success, "r", 0},
		{"one past the end", 1, [][2]uint32{{0, 3}, {size - 1, 2}}, fault, "", 0},
		{"wraps", 1, [][2]uint32{{1<<32 - 8, 16}}, fault, "", 0},
		{"1,024 buffers", 1, repeat(1024, 0, 1), success, strings.Repeat("a", 1024), 0},
		{"1,025 buffers", 1, repeat(1025, 0, 1), inval, "", 0},
		{"one byte below what is kept", 1, [][2]uint32{{0, kept - 1}}, success, letters(kept - 1), 0},
		{"what is kept", 1, [][2]uint32{{0, kept}}, success, letters(kept), 0},
		{"one byte above", 1, [][2]uint32{{0, kept + 1}}, success, letters(kept + 1)[1:], 1},
		{"the same memory again and again", 1, append(repeat(1000, 0, 1<<20), [2]uint32{0, 26}), success,
			letters(1 << 20)[1<<20-kept+26:] + letters(26), 1000<<20 - kept + 26},
		{"most that can be told", 1, append(repeat(1023, 0, 1<<21), [2]uint32{0, 1<<21 - 1}), success, letters(1<<21 - 1)[1<<21-1-kept:], 1<<31 - 1 - kept},
		{"one byte more than can be told", 1, repeat(1024, 0, 1<<21), inval, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t.Context(), size+16<<10)
			copy(g.mem, letters(size))
			// The list stands behind the letters, for which memory ends.
			list := size
			g.put32(list, 0)
			total := uint32(0)
			for i, v := range tt.vectors {
				g.put32(list+8*i, v[0], v[1])
				total += v[1]
			}
			bound := g.mem
			if tt.err == fault || tt.name == "last byte" { // for which memory ends behind the letters
				copy(bound[1024:], bound[list:list+64])
				g.mem, list = bound[:size:size], 1024
			}
			got := g.call(t, "fd_write", tt.fd, uint64(list), uint64(len(tt.vectors)), 512)
			if got != tt.err {
				t.Fatalf("fd_write = %d, want %d", got, tt.err)
			}
			tail, other := g.Stdout, g.Stderr
			if tt.fd == 2 {
				tail, other = other, tail
			}
			if text := tail.String(); text != tt.want || tail.Dropped() != tt.dropped {
				t.Errorf("kept %d bytes and dropped %d, want %d and %d", len(text), tail.Dropped(), len(tt.want), tt.dropped)
			}
			if other.String() != "" {
				t.Error("the other stream has text")
			}
			if told := g.u32(512); (told == total) != (got == success) {
				t.Errorf("told %d written, want %d", told, total)
			}
		})
	}
}

// size is 2 MiB of letters.
const size = 2 << 20

func letters(n int) string {
	return strings.Repeat("abcdefghijklmnopqrstuvwxyz", n/26+1)[:n]
}

func repeat(n int, ptr, length uint32) [][2]uint32 {
	var all [][2]uint32
	for range n {
		all = append(all, [2]uint32{ptr, length})
	}
	return all
}

func TestFdRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fd    uint64
		count uint64
		err   uint32
	}{
		{"stdin is at its end", 0, 2, success},
		{"no buffers", 0, 0, success},
		{"1,024 buffers", 0, 1024, success},
		{"1,025 buffers", 0, 1025, inval},
		{"stdout", 1, 2, badf},
		{"another", 3, 2, badf},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t.Context(), 16<<10)
			for i := range 1025 {
				g.put32(1024+8*i, 256, 16)
			}
			if got := g.call(t, "fd_read", tt.fd, 1024, tt.count, 8); got != tt.err {
				t.Errorf("fd_read = %d, want %d", got, tt.err)
			}
			if tt.err == success && g.u32(8) != 0 {
				t.Errorf("told %d read", g.u32(8))
			}
			if g.touched([2]int{8, 12}, [2]int{1024, 1024 + 8*1025}) {
				t.Error("something was read")
			}
		})
	}
	g := newGuest(t.Context(), 64)
	g.put32(0, 60, 8)
	if got := g.call(t, "fd_read", 0, 0, 1, 16); got != fault {
		t.Errorf("fd_read into a buffer outside memory = %d, want %d", got, fault)
	}
}

func TestFdStat(t *testing.T) {
	t.Parallel()
	for fd, want := range map[uint64]uint32{0: success, 1: success, 2: success, 3: badf, 1<<32 - 1: badf} {
		g := newGuest(t.Context(), 128)
		if got := g.call(t, "fd_fdstat_get", fd, 8); got != want {
			t.Errorf("fd_fdstat_get(%d) = %d, want %d", fd, got, want)
		}
		if want == success && (g.mem[8] != 2 || g.touched([2]int{8, 32})) || want != success && g.touched() {
			t.Errorf("fd_fdstat_get(%d) wrote %x", fd, g.mem[:40])
		}
		g = newGuest(t.Context(), 128)
		if got := g.call(t, "fd_filestat_get", fd, 8); got != want {
			t.Errorf("fd_filestat_get(%d) = %d, want %d", fd, got, want)
		}
		if want == success && (g.mem[8+16] != 2 || g.touched([2]int{8, 72})) || want != success && g.touched() {
			t.Errorf("fd_filestat_get(%d) wrote %x", fd, g.mem[:80])
		}
	}
}
