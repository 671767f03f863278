package result_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sandcheck/sandcheck/result"
)

func checkmk(t *testing.T, r *result.Result, service string) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteCheckmk(&b, service); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWriteCheckmk(t *testing.T) {
	t.Parallel()
	golden(t, "checkmk.golden", checkmk(t, disk(), "disk of web-1"))
	for _, tt := range []struct {
		name string
		r    result.Result
		want string
	}{
		{"bare", result.Result{Status: result.OK, Summary: "fine"}, `0 "s" - fine`},
		{"zero value", result.Result{}, `3 "s" - UNKNOWN`},
		{"unknown status", result.Result{Status: 99, Summary: "x"}, `3 "s" - x`},
		{"critical", result.Result{Status: result.Critical, Summary: "down", Perfdata: "a=1 b=2"}, `2 "s" a=1|b=2 down`},
		{"units and names", result.Result{Status: result.OK, Summary: "x", Perfdata: "'free  space'=8.5GB ö=1s"}, `0 "s" free__space=8.5|ö=1 x`},
		{"one name after mending", result.Result{Status: result.OK, Summary: "x", Perfdata: "'a b'=1 a_b=2"}, `0 "s" a_b=2 x`},
		{"no-break blank in a name", result.Result{Status: result.OK, Summary: "x", Metrics: []result.Metric{{Name: "a\u00a0b;c", Value: 1}}}, `0 "s" a_b_c=1 x`},
		{"no value", result.Result{Status: result.OK, Summary: "x", Perfdata: "a=U", Metrics: []result.Metric{{Name: "b", Value: math.Inf(1)}, {Name: "\n'|", Value: 1}, {Name: " "}}}, `0 "s" ___=1 x`},
		{"ranges", result.Result{Status: result.OK, Summary: "x", Perfdata: "a=5;1:7;@2:8;0;9"}, `0 "s" a=5;1:7;;0;9 x`},
		{"line ends", result.Result{Status: result.OK, Summary: "a\r\nb\nc", Details: "\nd\r\n\ne\n"}, `0 "s" - a b c\nd\n\ne`},
		{"written line ends", result.Result{Status: result.OK, Summary: `C:\new \\n`, Details: `d:\n`}, `0 "s" - C:/new \/n\nd:/n`},
		{"backslash before a line end", result.Result{Status: result.OK, Summary: `a\`, Details: "n"}, `0 "s" - a\\nn`},
		{"a section of its own", result.Result{Status: result.OK, Summary: "\n<<<local>>>\n0 own - x", Details: "\n<<<check_mk>>>"}, `0 "s" - <<<local>>> 0 own - x\n<<<check_mk>>>`},
		{"quotes and pipes", result.Result{Status: result.OK, Summary: `say "hi" | a=1`}, `0 "s" - say "hi" / a=1`},
		{"terminal", result.Result{Status: result.OK, Summary: "a\x1b[31mb\xff", Details: "\x1b]0;t\ac"}, "0 \"s\" - ab\ufffd\\nc"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := checkmk(t, &tt.r, "s"); got != tt.want+"\n" {
				t.Errorf("WriteCheckmk of %+v\ngot  %q\nwant %q", tt.r, got, tt.want+"\n")
			}
		})
	}
}

func TestCheckmkService(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, service string
		ok            bool
	}{
		{"blanks inside", "disk of web-1 'x' ö", true},
		{"the longest", strings.Repeat("s", 255), true},
		{"too long", strings.Repeat("s", 256), false},
		{"empty", "", false},
		{"blank", " \t", false},
		{"quote", `a" - x`, false},
		{"line end", "a\nb", false},
		{"escape", "a\x1b[31m", false},
		{"not UTF-8", "a\xff", false},
	} {
		var b strings.Builder
		err := disk().WriteCheckmk(&b, tt.service)
		if (err == nil) != tt.ok || (b.Len() > 0) != tt.ok {
			t.Errorf("%s: service %q: %v, wrote %q", tt.name, tt.service, err, b.String())
		}
	}
	if err := disk().WriteCheckmk(failingWriter{}, "s"); !errors.Is(err, errFull) {
		t.Errorf("WriteCheckmk: %v", err)
	}
}

func TestWriteCheckmkIsBounded(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 100, 2000} {
		r := &result.Result{Status: result.OK, Summary: strings.Repeat("é", 5000), Details: strings.Repeat("ü|\n", 9000)}
		for i := range n {
			r.Metrics = append(r.Metrics, result.Metric{Name: fmt.Sprintf("metric %d", i), Value: float64(i)})
		}
		out := checkmk(t, r, strings.Repeat("s", 255))
		if len(out) > 8192 || len(out) < 8100 || !utf8.ValidString(out) || strings.Count(out, "\n") != 1 {
			t.Errorf("%d metrics: %d bytes, ends in %q", n, len(out), out[len(out)-5:])
		}
		fields := strings.SplitN(out, " ", 4)
		if n > 0 && strings.Count(fields[2], "|") < n/2 && strings.Count(fields[2], "|") < 300 || !strings.HasPrefix(fields[3], "éé") {
			t.Errorf("%d metrics: perfdata %.60q, text %.60q", n, fields[2], fields[3])
		}
	}
}
