package abi_test

import (
	"strings"
	"testing"

	"github.com/sandcheck/sandcheck/internal/abi"
)

func TestTail(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		most    int
		writes  []string
		want    string
		dropped int64
	}{
		{"nothing", 4, nil, "", 0},
		{"one below", 4, []string{"abc"}, "abc", 0},
		{"full", 4, []string{"abcd"}, "abcd", 0},
		{"one above", 4, []string{"abcde"}, "bcde", 1},
		{"one above in pieces", 4, []string{"abc", "de"}, "bcde", 1},
		{"round and round", 4, []string{"ab", "cde", "", "f", "ghi"}, "fghi", 5},
		{"far too much", 4, []string{strings.Repeat("x", 99) + "abcd"}, "abcd", 99},
		{"keeps nothing", 0, []string{"abc"}, "", 3},
		{"negative keeps nothing", -1, []string{"abc"}, "", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tail := abi.NewTail(tt.most)
			for _, w := range tt.writes {
				if n, err := tail.Write([]byte(w)); n != len(w) || err != nil {
					t.Errorf("Write(%q) = %d, %v", w, n, err)
				}
			}
			if got := tail.String(); got != tt.want || tail.Dropped() != tt.dropped {
				t.Errorf("%q: %q and %d dropped, want %q and %d", tt.writes, got, tail.Dropped(), tt.want, tt.dropped)
			}
		})
	}
	var none *abi.Tail
	if none.String() != "" || none.Dropped() != 0 {
		t.Error("a nil Tail holds something")
	}
}

// FuzzTail compares with keeping everything.
func FuzzTail(f *testing.F) {
	f.Add(uint8(4), "ab\ncde\n\nf")
	f.Add(uint8(0), "x")
	f.Add(uint8(255), strings.Repeat("0123456789\n", 60))
	f.Fuzz(func(t *testing.T, most uint8, text string) {
		text = text[:min(len(text), 2000)]
		tail, all := abi.NewTail(int(most)), ""
		for w := range strings.SplitAfterSeq(text, "\n") {
			if _, err := tail.Write([]byte(w)); err != nil {
				t.Fatal(err)
			}
			all += w
			want := all[max(0, len(all)-int(most)):]
			if got := tail.String(); got != want || tail.Dropped() != int64(len(all)-len(want)) {
				t.Fatalf("most %d, after %q: %q and %d dropped, want %q", most, all, got, tail.Dropped(), want)
			}
		}
	})
}
