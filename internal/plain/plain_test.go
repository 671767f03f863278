package plain_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sandcheck/sandcheck/internal/plain"
)

func TestLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"printable", "disk 80% full", "disk 80% full"},
		{"letters beyond ASCII", "größer 温度", "größer 温度"},
		{"line breaks", "a\nb\r\nc\rd\te", "a b c d e"},
		{"colour", "\x1b[31mred\x1b[0m", "\ufffdred\ufffd"},
		{"colour by C1", "\u009b31mred", "\ufffdred"},
		{"window title", "\x1b]0;owned\aafter", "\ufffdafter"},
		{"title ended by ST", "\x1b]0;owned\x1b\\after", "\ufffdafter"},
		{"unended string swallows its line only", "\x1bPq\nnext", "\ufffd next"},
		{"lone escape", "a\x1b", "a\ufffd"},
		{"two-byte escape", "a\x1bcb", "a\ufffdb"},
		{"NUL and BEL", "a\x00b\ac", "a\ufffdb\ufffdc"},
		{"invalid UTF-8", "a\xffb", "a\ufffdb"},
		{"right-to-left override", "a\u202eb", "a\ufffdb"},
		{"separators", "a\u2028b\u2029c\u0085d", "a b c d"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := plain.Line(tt.in); got != tt.want {
				t.Errorf("Line(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestLinesKeepsBreaks(t *testing.T) {
	t.Parallel()
	if got, want := plain.Lines("a\r\nb\tc\x1b[2J\n"), "a\nb\tc\ufffd\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   string
		n    int
		want string
	}{
		{"abcdef", 6, "abcdef"}, {"abcdef", 5, "ab..."}, {"éééé", 8, "éééé"}, {"éééé", 7, "éé..."},
		{"éééé", 6, "é..."}, {"abcdef", 2, "ab"}, {"é", 1, ""}, {"abc", 0, ""}, {"\x80\x80\x80\x80\x80\x80", 4, "..."},
	} {
		if got := plain.Cut(tt.in, tt.n); got != tt.want || len(got) > max(tt.n, 0) {
			t.Errorf("Cut(%q, %d) = %q, want %q", tt.in, tt.n, got, tt.want)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("\x1b]8;;http://x\x1b\\y")
	f.Add("\u009d0;t\u009c")
	f.Fuzz(func(t *testing.T, s string) {
		got := plain.Line(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || (r >= 0x7f && r < 0xa0) }) {
			t.Errorf("Line(%q) = %q holds control characters", s, got)
		}
		if again := plain.Line(got); again != got {
			t.Errorf("Line(%q) = %q, and again %q", s, got, again)
		}
		if cut := plain.Cut(got, 10); !utf8.ValidString(cut) || len(cut) > 10 {
			t.Errorf("Cut(%q, 10) = %q", got, cut)
		}
	})
}
