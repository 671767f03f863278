package result_test

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sandcheck/sandcheck/result"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run with -update and review\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

func ptr(v float64) *float64 { return &v }

func disk() *result.Result {
	return &result.Result{
		Status: result.Warning, Summary: "disk / is 91% full | see below",
		Details:  "/dev/sda1 91%\r\n\tmounted|on /\n\n\x1b[31mred\x1b[0m end\n",
		Perfdata: "/=91%;90;95;0;100 'free space'=8.5GB state=U a=1 a=2",
		Metrics: []result.Metric{
			{Name: "/", Value: 1},
			{Name: "inodes", Value: 12, Unit: "%", Warn: ptr(80), Crit: ptr(90)},
			{Name: "temp", Value: -3.5, Unit: "C", Warn: ptr(-1)},
			{Name: "rate", Value: 4, Unit: "req per s"},
			{Name: "written", Value: 18446744073709551615, Unit: "c"},
			{Name: "twice", Value: 1}, {Name: "twice", Value: 2},
			{Name: "bad=name|\n'x'", Value: 0.1},
		},
		Labels:     map[string]string{"plugin_id": "disk", "host name": "web\"1\"\\\n\x1b]0;owned\a!", "__meta": "m", "1st": "a", "a:b": "x", "a_b": "y", "unit": "u"},
		ObservedAt: time.Date(2025, 1, 1, 10, 0, 0, 250_000_000, time.UTC), SchemaVersion: 1,
	}
}

func TestWriteNagios(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := disk().WriteNagios(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "nagios.golden", b.String())
	summary, _, perf := result.SplitOutput(b.String())
	if summary != "WARNING: disk / is 91% full / see below" {
		t.Errorf("the summary reads back as %q", summary)
	}
	if items, err := result.ParsePerfdata(perf); err == nil || len(items) != 11 || strings.Join(codes(err), " ") != "duplicate_label" {
		t.Errorf("the perfdata %q reads back as %d items, %v; want 11 and one duplicate", perf, len(items), err)
	}
}

func TestWriteNagiosIsBounded(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 100, 2000} {
		r := &result.Result{Status: result.OK, Summary: strings.Repeat("é", 5000), Details: strings.Repeat("ü|\n", 9000)}
		for i := range n {
			r.Metrics = append(r.Metrics, result.Metric{Name: fmt.Sprintf("metric %d", i), Value: float64(i)})
		}
		var b strings.Builder
		if err := r.WriteNagios(&b); err != nil {
			t.Fatal(err)
		}
		out := b.String()
		if len(out) > 8192 || len(out) < 8000 || !utf8.ValidString(out) || !strings.HasSuffix(out, "\n") {
			t.Errorf("%d metrics: %d bytes, ends in %q", n, len(out), out[len(out)-5:])
		}
		_, _, perf := result.SplitOutput(out)
		if items, err := result.ParsePerfdata(perf); err != nil || len(items) == 0 && n > 0 {
			t.Errorf("%d metrics: %d items, %v", n, len(items), err)
		}
	}
}

type failingWriter struct{}

var errFull = errors.New("disk full")

func (failingWriter) Write([]byte) (int, error) { return 0, errFull }

func TestWritersReportTheWriter(t *testing.T) {
	t.Parallel()
	if err := disk().WriteNagios(failingWriter{}); !errors.Is(err, errFull) {
		t.Errorf("WriteNagios: %v", err)
	}
	if err := result.WriteOpenMetrics(failingWriter{}, disk()); !errors.Is(err, errFull) {
		t.Errorf("WriteOpenMetrics: %v", err)
	}
}

func TestWriteOpenMetrics(t *testing.T) {
	t.Parallel()
	second := &result.Result{
		Status: result.Critical, Summary: "x", Labels: map[string]string{"plugin_id": "other"},
		Perfdata: "/=50% 'free-space'=1B rtt=3ms latency_seconds=5s hits_total=3c status=1 back=-4c back=5c loss=U big=1e300GB q=5foo",
		Metrics:  []result.Metric{{Name: "nan", Value: math.NaN()}, {Value: 77}, {Value: 78, Unit: "s"}, {Name: "dBm level", Value: 2, Unit: "dBm"}},
	}
	var b strings.Builder
	if err := result.WriteOpenMetrics(&b, disk(), nil, second, &result.Result{Status: result.OK, Labels: second.Labels}); err != nil {
		t.Fatal(err)
	}
	golden(t, "openmetrics.golden", b.String())
	checkExposition(t, b.String())

	b.Reset()
	if err := result.WriteOpenMetrics(&b); err != nil || b.String() != "# EOF\n" {
		t.Errorf("no results: %q, %v", b.String(), err)
	}
}

// checkExposition holds the rules of the format that a golden cannot show.
func checkExposition(t *testing.T, text string) {
	t.Helper()
	if !strings.HasSuffix(text, "# EOF\n") || strings.Count(text, "# EOF") != 1 {
		t.Error("the exposition does not end with # EOF")
	}
	samples, families, current := map[string]bool{}, map[string]bool{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			current, _, _ = strings.Cut(rest, " ")
			if families[current] {
				t.Errorf("family %s stands twice", current)
			}
			families[current] = true
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		id := line[:strings.LastIndexByte(line, ' ')]
		if samples[id] {
			t.Errorf("sample %s stands twice", id)
		}
		samples[id] = true
		if name, _, _ := strings.Cut(id, "{"); name != current && name != current+"_total" {
			t.Errorf("sample %s stands in family %s", name, current)
		}
		if strings.ContainsFunc(line, unicode.IsControl) {
			t.Errorf("control character in %q", line)
		}
	}
}

// TestTerminalSafety prints results whose every text attacks the terminal.
func TestTerminalSafety(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, attack, want string }{
		{"colour", "a\x1b[1;31mb\x1b[0mc", "abc"},
		{"clear", "a\x1b[2J\x1b[Hb", "ab"},
		{"title", "a\x1b]0;title\ab", "ab"},
		{"title, string terminator", "a\x1b]0;title\x1b\\b", "ab"},
		{"hyperlink", "a\x1b]8;;http://x\x1b\\b\x1b]8;;\x1b\\c", "abc"},
		{"unterminated string hides nothing", "a\x1b]0;title", "a0;title"},
		{"device control", "a\x1bP1$r0m\x1b\\b", "ab"},
		{"reset", "a\x1bcb", "ab"},
		{"charset", "a\x1b(0b", "ab"},
		{"lone escape at the end", "a\x1b", "a"},
		{"escape before escape", "a\x1b\x1b[31mb", "ab"},
		{"nested", "a\x1b[\x1b[31mb", "ab"},
		{"eight-bit control sequence", "a\u009b31mb", "ab"},
		{"eight-bit title", "a\u009d0;x\u009cb", "ab"},
		{"other controls", "a\x00\x07\x08\x7f\u0085b", "ab"},
		{"tab", "a\tb", "a b"},
		{"line end", "a\r\nb\rc\nd", "a b c d"},
		{"broken text", "a\xffb", "a\ufffdb"},
		{"plain", "ä€😀 \u200d", "ä€😀 \u200d"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			r := &result.Result{Status: result.OK, Summary: tt.attack, Metrics: []result.Metric{{Name: "m" + tt.attack, Value: 1, Unit: tt.attack}}, Details: tt.attack}
			if err := r.WriteNagios(&b); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(b.String(), "OK: "+strings.TrimSpace(tt.want)+" | ") {
				t.Errorf("WriteNagios of %q = %q, want the summary %q", tt.attack, b.String(), tt.want)
			}
			checkPrintable(t, b.String())
			b.Reset()
			if err := result.WriteOpenMetrics(&b, &result.Result{Labels: map[string]string{"l": tt.attack, tt.attack: "x"}, Metrics: r.Metrics}); err != nil {
				t.Fatal(err)
			}
			checkPrintable(t, b.String())
			checkExposition(t, b.String())
			checkPrintable(t, result.FromError(errors.New(tt.attack)).Summary)
		})
	}
}

func checkPrintable(t *testing.T, out string) {
	t.Helper()
	if strings.ContainsFunc(strings.ReplaceAll(out, "\n", ""), unicode.IsControl) || !utf8.ValidString(out) {
		t.Errorf("not fit for a terminal: %q", out)
	}
}
