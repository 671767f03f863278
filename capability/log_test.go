package capability_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
)

// lines collects what a guest logs, as "LEVEL text".
type lines struct {
	mu   sync.Mutex
	kept []string
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lines) WithGroup(string) slog.Handler            { return l }
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, r.Level.String()+" "+r.Message)
	return nil
}

func logging(l limits.Limits) (*capability.Session, *lines) {
	var got lines
	return &capability.Session{Log: slog.New(&got), Limits: l}, &got
}

func TestLog(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 8191)
	for _, tt := range []struct {
		name  string
		level int
		text  string
		want  []string
	}{
		{"debug", 0, "a", []string{"DEBUG a"}},
		{"info", 1, "a", []string{"INFO a"}},
		{"warn", 2, "a", []string{"WARN a"}},
		{"error", 3, "a", []string{"ERROR a"}},
		{"anything else is an error", -1, "a", []string{"ERROR a"}},
		{"trimmed", 1, " \t\r\n a b \n", []string{"INFO a b"}},
		{"empty", 1, "", nil},
		{"only blanks", 1, " \r\n\t ", nil},
		{"W54: no line of its own", 1, "a\nFAKE\r\nb", []string{"INFO a FAKE b"}},
		{"W54: no terminal sequence", 1, "a\x1b[31mred\x1b]0;t\ab\x00\u202ec", []string{"INFO a\ufffdred\ufffdb\ufffd\ufffdc"}},
		{"invalid UTF-8", 1, "a\xffb", []string{"INFO a\ufffdb"}},
		{"one byte below the cut", 1, long, []string{"INFO " + long}},
		{"at the cut", 1, long + "y", []string{"INFO " + long + "y"}},
		{"one byte above", 1, long + "yz", []string{"INFO " + long + "y"}},
		{"the cut is on a rune boundary", 1, long + "ü", []string{"INFO " + long}},
		{"a megabyte", 1, strings.Repeat("m", 1<<20), []string{"INFO " + strings.Repeat("m", 8192)}},
		{"replacing does not pass the cap", 1, strings.Repeat("\x01", 8192), []string{"INFO " + strings.Repeat("\ufffd", 8192/3)}},
		{"cut first, trimmed then", 1, strings.Repeat(" ", 8192) + "late", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, got := logging(limits.Limits{})
			if code := invoke(t, t.Context(), s, "log", tt.level, tt.text); code != 0 {
				t.Errorf("log answered %d", code)
			}
			if !slices.Equal(got.kept, tt.want) {
				t.Errorf("log(%d, %.60q) = %.90q, want %.90q", tt.level, tt.text, got.kept, tt.want)
			}
			if n := s.Usage().LogDropped; n != 0 {
				t.Errorf("%d lines are counted as dropped", n)
			}
		})
	}
}

func TestLogWithoutALogger(t *testing.T) {
	t.Parallel()
	if code := invoke(t, t.Context(), &capability.Session{}, "log", 1, "a"); code != 0 {
		t.Errorf("log answered %d", code)
	}
}

func TestLogBounds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		limits  limits.Limits
		calls   int
		text    string
		kept    int
		dropped int64
	}{
		{"one line below", limits.Limits{}, 999, "x", 999, 0},
		{"all lines", limits.Limits{}, 1000, "x", 1000, 0},
		{"one line above", limits.Limits{}, 1001, "x", 1000, 1},
		{"W54: 100,000 lines", limits.Limits{}, 100_000, "x", 1000, 99_000},
		{"one byte below", limits.Limits{Log: 101}, 10, "0123456789", 10, 0},
		{"all bytes", limits.Limits{Log: 100}, 10, "0123456789", 10, 0},
		{"one byte above", limits.Limits{Log: 99}, 10, "0123456789", 9, 1},
		{"1 MiB", limits.Limits{}, 129, strings.Repeat("x", 8192), 128, 1},
		{"empty lines are no lines", limits.Limits{LogLines: 1}, 9, " ", 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, got := logging(tt.limits)
			for range tt.calls {
				invoke(t, t.Context(), s, "log", 1, tt.text)
			}
			if len(got.kept) != tt.kept || s.Usage().LogDropped != tt.dropped {
				t.Errorf("%d calls: %d lines and %d dropped, want %d and %d", tt.calls, len(got.kept), s.Usage().LogDropped, tt.kept, tt.dropped)
			}
		})
	}
}

// FuzzLog holds every line to one clean line of at most 8,192 bytes.
func FuzzLog(f *testing.F) {
	f.Add("plain")
	f.Add(" \x1b[31m\r\n\u009b1m\xc2\u2028end ")
	f.Fuzz(func(t *testing.T, text string) {
		s, got := logging(limits.Limits{})
		invoke(t, context.Background(), s, "log", 1, text)
		for _, line := range got.kept {
			line = strings.TrimPrefix(line, "INFO ")
			if len(line) > 8192 || line == "" || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x9b }) {
				t.Errorf("log(%q) = %q", text, line)
			}
		}
	})
}
