package result_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sandcheck/sandcheck/result"
)

func TestParsePerfdataRecovery(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		labels   []string
		codes    []string
	}{
		{"blank before the equals sign", "a =1 b=2", []string{"a", "b"}, []string{"label_unquoted_space"}},
		{"several label problems", "x it's|b=1", []string{"x it's|b"}, []string{"label_unquoted_space", "label_quote", "label_char"}},
		{"label problem before value problem", "a b=x c=1", []string{"c"}, []string{"label_unquoted_space", "value_invalid"}},
		{"duplicate comes after the value", "a=1 a=2;x;y", []string{"a", "a"}, []string{"duplicate_label", "warn_invalid", "crit_invalid"}},
		{"a dropped item is no duplicate", "a=x a=2", []string{"a"}, []string{"value_invalid"}},
		{"stray quoted word", "x 'a' y 'b'=1", []string{"b"}, []string{"missing_equals", "label_after_quote", "missing_equals"}},
		{"no equals sign in the rest", "a=1 'b' c d", []string{"a"}, []string{"label_after_quote", "missing_equals"}},
		{"unterminated ends it", "a=1 'b c=2 d=3", []string{"a"}, []string{"label_unterminated_quote"}},
		{"vertical tab and form feed separate", "a=1\vb=2\fc=3", []string{"a", "b", "c"}, nil},
		{"no-break space does not", "a=1\u00a0b=2", nil, []string{"uom_invalid"}},
		{"two leading pipes", "|| a=1", []string{"| a"}, []string{"leading_pipe", "label_unquoted_space", "label_char"}},
		{"pipe between items", "a=1 | b=2", []string{"a", "| b"}, []string{"label_unquoted_space", "label_char"}},
		{"many extra fields", "a=1;;;;;6;7;8", []string{"a"}, []string{"too_many_fields"}},
		{"U after the fields", "a=1;;;;;U", []string{"a"}, []string{"too_many_fields"}},
		{"comma first", "a=,5", nil, []string{"value_comma"}},
		{"two signs", "a=--nan", nil, []string{"value_invalid"}},
		{"signed infinity", "a=-INF b=+Infinity c=-NaN d=nan%", nil, []string{"value_not_finite", "value_not_finite", "value_not_finite", "value_not_finite"}},
		{"words that only start alike", "a=info b=nano", nil, []string{"value_invalid", "value_invalid"}},
		{"sign without digits", "a=+ b=- c=+. d=e5", nil, []string{"value_invalid", "value_invalid", "value_invalid", "value_invalid"}},
		{"exponent without digits is a unit", "a=1e b=1e+ c=1e-x", []string{"a", "b", "c"}, nil},
		{"superscript unit", "a=5m² b=5٣", []string{"a"}, []string{"uom_invalid"}},
		{"broken unit", "a=1\xff", []string{"a"}, []string{"invalid_utf8"}},
		{"broken threshold", "a=1;\xff", []string{"a"}, []string{"warn_invalid"}},
		{"threshold overflow", "a=1;1e999;;1e999;", []string{"a"}, []string{"warn_invalid", "min_invalid"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			items, err := result.ParsePerfdata(tt.in)
			var labels []string
			for _, p := range items {
				labels = append(labels, p.Label)
			}
			if diff := cmp.Diff(tt.labels, labels); diff != "" {
				t.Errorf("ParsePerfdata(%q): labels (-want +got):\n%s", tt.in, diff)
			}
			if diff := cmp.Diff(tt.codes, codes(err)); diff != "" {
				t.Errorf("ParsePerfdata(%q): codes (-want +got):\n%s", tt.in, diff)
			}
		})
	}
}

func TestPerfdataBounds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		most int
		text func(n int) string
		code string
		kept int // items at and below the bound
		over int // items above it
	}{
		{"bytes", 65536, func(n int) string { return "a=1" + strings.Repeat(" ", n-3) }, "too_long", 1, 0},
		{"items", 1024, func(n int) string {
			return strings.ReplaceAll(list(n, func(i int) string { return "a" + strings.Repeat("b", i%7) + string(rune('A'+i%26)) + "=1" }), ",", " ")
		}, "too_many_items", -1, 1024},
		{"label", 255, func(n int) string { return text(n) + "=1" }, "label_too_long", 1, 0},
		{"quoted label", 255, func(n int) string { return "'" + strings.Repeat("''", n) + "'=1" }, "label_too_long", 1, 0},
		{"unit", 32, func(n int) string { return "a=1" + strings.Repeat("é", n) }, "uom_invalid", 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, n := range []int{tt.most - 1, tt.most, tt.most + 1} {
				items, err := result.ParsePerfdata(tt.text(n))
				want := tt.kept
				switch {
				case n > tt.most:
					want = tt.over
				case want < 0:
					want = n
				}
				if strings.Contains(strings.Join(codes(err), " "), tt.code) != (n > tt.most) || len(items) != want {
					t.Errorf("%d of at most %d: %d items, codes %v", n, tt.most, len(items), codes(err)[:min(3, len(codes(err)))])
				}
			}
		})
	}
}

func TestFormatPerfdata(t *testing.T) {
	t.Parallel()
	inf := math.Inf(1)
	for _, tt := range []struct {
		name  string
		items []result.Perfdata
		want  string
		codes []string
	}{
		{"nothing", nil, "", nil},
		{"several, one bad", []result.Perfdata{{Label: "a", Value: 1}, {Label: " ", Value: 1}, {Label: "c d", Value: 2, Unit: "ms"}}, "a=1 'c d'=2ms", []string{"label_empty"}},
		{"digits beyond float64", []result.Perfdata{{Label: "a", Value: 18446744073709551615, Text: "18446744073709551615", Unit: "c"}}, "a=18446744073709551615c", nil},
		{"digits of another value", []result.Perfdata{{Label: "a", Value: 5, Text: "18446744073709551615"}}, "a=5", nil},
		{"text is not copied", []result.Perfdata{{Label: "a", Value: 7, Text: "007 b=1"}}, "a=7", nil},
		{"infinite", []result.Perfdata{{Label: "a", Value: inf, Unit: "s"}}, "a=U", nil},
		{"infinite bounds", []result.Perfdata{{Label: "a", Value: 1, Min: &inf, Max: ptr(math.NaN())}}, "a=1", nil},
		{"bad ranges", []result.Perfdata{{Label: "a", Value: 1, Warn: &result.Range{Start: 2, End: 1}, Crit: &result.Range{Start: math.NaN()}, Max: ptr(3)}}, "a=1;;;;3", []string{"warn_invalid", "crit_invalid"}},
		{"unit that joins the number", []result.Perfdata{{Label: "a", Value: 1, Unit: ".5"}}, "", []string{"uom_invalid"}},
		{"label cut by nothing", []result.Perfdata{{Label: text(256), Value: 1}}, "", []string{"label_too_long"}},
		{"control characters", []result.Perfdata{{Label: "\x1b[31m\u009b", Value: 1}}, "'_[31m_'=1", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := result.FormatPerfdata(tt.items...)
			if diff := cmp.Diff(tt.codes, codes(err)); diff != "" || got != tt.want {
				t.Errorf("FormatPerfdata(%+v) = %q, want %q; codes (-want +got):\n%s", tt.items, got, tt.want, diff)
			}
		})
	}
}

func TestFormatPerfdataBounds(t *testing.T) {
	t.Parallel()
	many := make([]result.Perfdata, 1025)
	for i := range many {
		many[i] = result.Perfdata{Label: text(100), Value: 1}
	}
	if out, err := result.FormatPerfdata(many[:600]...); err != nil || len(out) != 600*103-1 {
		t.Errorf("600 items: %d bytes, %v", len(out), err)
	}
	if out, err := result.FormatPerfdata(many...); len(out) > 65536 || strings.Join(codes(err), " ") != "too_long" {
		t.Errorf("1,025 long items: %d bytes, %v", len(out), err)
	}
	for i := range many {
		many[i].Label = "a"
	}
	if out, err := result.FormatPerfdata(many[:1024]...); err != nil || strings.Count(out, "=") != 1024 {
		t.Errorf("1,024 items: %v", err)
	}
	if out, err := result.FormatPerfdata(many...); strings.Count(out, "=") != 1024 || strings.Join(codes(err), " ") != "too_many_items" {
		t.Errorf("1,025 items: %v", err)
	}
}

func TestNormalize(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		uom   string
		value float64
		want  float64
		unit  string
	}{
		{"ns", 5, 5e-9, "seconds"}, {"us", 5, 5e-6, "seconds"}, {"h", 2, 7200, "seconds"}, {"s", 2, 2, "seconds"},
		{"%", 94, 0.94, "ratio"}, {"%", 7, 0.07, "ratio"},
		{"B", 5, 5, "bytes"}, {"kB", 1, 1e3, "bytes"}, {"KIB", 1, 1024, "bytes"}, {"MiB", 2, 2 << 20, "bytes"}, {"eb", 1, 1e18, "bits"}, {"gib", 1, 1 << 30, "bits"}, {"PiB", 1, 1 << 50, "bytes"},
		{"iB", 1, 1, ""}, {"kkB", 1, 1, ""}, {"xB", 1, 1, ""}, {"mgB", 1, 1, ""},
		{"K", 3, 3, "kelvin"}, {"k", 3, 3, ""}, {"F", 3, 3, "fahrenheit"}, {"c", 3, 3, "counter"}, {"C", 3, 3, "celsius"},
		{"mA", 5, 0.005, "amperes"}, {"MW", 5, 5e6, "watts"}, {"mW", 5, 0.005, "watts"}, {"kWh", 5, 5e3, "watt-hours"}, {"mAh", 5, 18, "ampere-seconds"}, {"Ah", 3, 10_800, "ampere-seconds"}, {"As", 5, 5, "ampere-seconds"}, {"kO", 5, 5e3, "ohms"}, {"V", 5, 5, "volts"}, {"KW", 5, 5, ""},
		{"kg", 5, 5e3, "grams"}, {"ml", 5, 0.005, "liters"}, {"lm", 5, 5, "lumens"}, {"dBm", 5, 5, "decibel-milliwatts"}, {"packets", 5, 5, "packets"},
		{"", 5, 5, ""}, {"B/s", 5, 5, ""}, {"°C", 5, 5, ""}, {"é", 5, 5, ""},
	} {
		if value, unit := (result.Perfdata{Value: tt.value, Unit: tt.uom}).Normalize(); value != tt.want || unit != tt.unit {
			t.Errorf("Normalize(%v%s) = %v %q, want %v %q", tt.value, tt.uom, value, unit, tt.want, tt.unit)
		}
	}
	if v, _ := (result.Perfdata{Value: math.NaN(), Unit: "ms"}).Normalize(); !math.IsNaN(v) {
		t.Errorf("the unknown value became %v", v)
	}
}

func TestRangeText(t *testing.T) {
	t.Parallel()
	inf := math.Inf(1)
	for _, tt := range []struct {
		r    result.Range
		want string
	}{
		{result.Range{}, "0"}, {result.Range{Start: math.Copysign(0, -1), End: 10}, "10"}, {result.Range{End: inf}, "0:"}, {result.Range{Start: -inf, End: inf}, "~:"},
		{result.Range{Start: -inf, End: -5}, "~:-5"}, {result.Range{Start: 1e-7, End: 1e21, Inside: true}, "@0.0000001:1000000000000000000000"},
		{result.Range{Start: 2, End: 1}, ""}, {result.Range{Start: math.NaN()}, ""}, {result.Range{End: math.NaN()}, ""}, {result.Range{Start: inf, End: inf}, ""}, {result.Range{Start: -inf, End: -inf}, ""},
	} {
		if got := tt.r.String(); got != tt.want {
			t.Errorf("%#v.String() = %q, want %q", tt.r, got, tt.want)
		}
		text, err := tt.r.MarshalText()
		if (err == nil) != (tt.want != "") {
			t.Errorf("%#v.MarshalText() = %q, %v", tt.r, text, err)
			continue
		}
		var back result.Range
		if err == nil && (back.UnmarshalText(text) != nil || back != tt.r) {
			t.Errorf("%#v reads back as %#v", tt.r, back)
		}
	}
	if (result.Range{Start: 1, End: 2}).Alerts(math.NaN()) || (result.Range{Start: 1, End: 2, Inside: true}).Alerts(math.NaN()) {
		t.Error("an unknown value alerts")
	}
	if _, err := result.ParseRange(strings.Repeat("9", 1_000_000)); err == nil || len(err.Error()) > 200 {
		t.Errorf("a million digits: error of %d bytes", len(err.Error()))
	}
}

func FuzzParsePerfdata(f *testing.F) {
	for _, s := range []string{"time=0.25s;1;2;0;10 'disk used'=94%;80;90;", "'it''s'=1e5 b=U;@1:2;~:", "a=1 x 'y'=2", "| \xff=1,5", "a=1;x;y;z;w;v"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		items, err := result.ParsePerfdata(s)
		if len(items) > 1024 {
			t.Fatalf("%d items", len(items))
		}
		for _, p := range items {
			if p.Label == "" || math.IsInf(p.Value, 0) {
				t.Errorf("item %+v from %q", p, s)
			}
		}
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, one := range joined.Unwrap() {
				var e *result.PerfdataError
				if !errors.As(one, &e) || e.Offset < 0 || e.Offset > len(s) || len(e.Token) > 64 {
					t.Errorf("ParsePerfdata(%q) reports %v", s, one)
				}
			}
		}
		checkFormat(t, items)
	})
}

func FuzzFormatPerfdata(f *testing.F) {
	f.Add("disk used", "%", 94.0, 0.0, 90.0, true)
	f.Add("a=b'c|d", "e", 1e300, math.Inf(-1), math.Inf(1), false)
	f.Fuzz(func(t *testing.T, label, unit string, value, start, end float64, inside bool) {
		checkFormat(t, []result.Perfdata{{Label: label, Unit: unit, Value: value, Warn: &result.Range{Start: start, End: end, Inside: inside}, Min: &start, Max: &end}})
	})
}

// checkFormat holds that what was written reads back as it was meant.
func checkFormat(t *testing.T, items []result.Perfdata) {
	t.Helper()
	for _, p := range items {
		text, err := result.FormatPerfdata(p)
		if text == "" {
			if err == nil {
				t.Errorf("FormatPerfdata(%+v) wrote nothing and reports nothing", p)
			}
			continue
		}
		back, perr := result.ParsePerfdata(text)
		if perr != nil || len(back) != 1 {
			t.Errorf("FormatPerfdata(%+v) = %q, which reads as %v, %v", p, text, back, perr)
			continue
		}
		want := p
		want.Label, want.Text = back[0].Label, back[0].Text
		if math.IsInf(want.Value, 0) || math.IsNaN(want.Value) {
			want.Value, want.Unit = math.NaN(), ""
		}
		if len(codes(err)) > 0 {
			want.Warn, want.Crit = back[0].Warn, back[0].Crit
		}
		if want.Min != nil && (math.IsInf(*want.Min, 0) || math.IsNaN(*want.Min)) {
			want.Min = nil
		}
		if want.Max != nil && (math.IsInf(*want.Max, 0) || math.IsNaN(*want.Max)) {
			want.Max = nil
		}
		if diff := cmp.Diff(want, back[0], cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%q (-meant +read):\n%s", text, diff)
		}
		if again, err := result.FormatPerfdata(back[0]); err != nil || again != text {
			t.Errorf("%q is written again as %q, %v", text, again, err)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"10", "10:", "~:10", "@10:20", "1e3:2e+3", "@~:", ":"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := result.ParseRange(s)
		if err != nil {
			return
		}
		if back, err := result.ParseRange(r.String()); err != nil || back != r {
			t.Errorf("ParseRange(%q) = %+v, written %q, which reads as %+v, %v", s, r, r.String(), back, err)
		}
	})
}

func FuzzSplitOutput(f *testing.F) {
	f.Add("DISK OK | /=1MB\nmore\nlast | /boot=2MB\n/home=3MB")
	f.Fuzz(func(t *testing.T, s string) {
		summary, long, perf := result.SplitOutput(s)
		if strings.Contains(summary, "\n") || len(summary)+len(long)+len(perf) > len(s) {
			t.Errorf("SplitOutput(%q) = %q, %q, %q", s, summary, long, perf)
		}
	})
}
