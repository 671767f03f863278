package oracletest_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sandcheck/sandcheck/result"
)

func TestGoldens(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../testdata/openmetrics*.golden")
	if err != nil || len(files) == 0 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if families := read(t, string(text)); len(families) < 3 {
			t.Errorf("%s: %d families", file, len(families))
		}
	}
}

// The oracle itself must be able to say no.
func TestOracleRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no end":              "# TYPE a gauge\na 1\n",
		"text after the end":  "# TYPE a gauge\na 1\n# EOF\n# TYPE b gauge\n",
		"bare quote":          "# TYPE a gauge\na{l=\"x\"y\"} 1\n# EOF\n",
		"unknown unit":        "# TYPE a gauge\n# UNIT a seconds\na 1\n# EOF\n",
		"counter, no _total":  "# TYPE a counter\na 1\n# EOF\n",
		"negative counter":    "# TYPE a counter\na_total -1\n# EOF\n",
		"family stands twice": "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# TYPE a gauge\na{l=\"x\"} 1\n# EOF\n",
		"sample stands twice": "# TYPE a gauge\na{l=\"x\",m=\"y\"} 1\na{m=\"y\",l=\"x\"} 1\n# EOF\n",
		"two owners":          "# TYPE a counter\na_total 1\n# TYPE a_total gauge\na_total{l=\"x\"} 1\n# EOF\n",
		"name kept for one":   "# TYPE a counter\na_total 1\n# TYPE a_created gauge\na_created{l=\"x\"} 1\n# EOF\n",
		"no number":           "# TYPE a gauge\na NaN\n# EOF\n",
		"time":                "# TYPE a gauge\na 1 1\n# EOF\n",
		"kept label":          "# TYPE a gauge\na{__l=\"x\"} 1\n# EOF\n",
		"no samples":          "# TYPE a gauge\n# EOF\n",
		"name of others":      "# TYPE a gauge\nb 1\n# EOF\n",
	} {
		families, err := openMetrics(text)
		if err == nil {
			err = wellFormed(families)
		}
		if err == nil {
			t.Errorf("%s: read as %+v", name, families)
		}
	}
}

// Names, labels and units that could break out of their place.
var hostile = []string{
	"a", "A", "a b", "a_b", "a:b", "a.b", "a-b", "9", "_", "__", "__name__", "le", "quantile", "unit", "job", "", " ", "\n", "\\", "\\n", `"`, `\"`, `"} 1`, "}",
	"{", "=", ",", `x",y="z`, "# EOF", "\n# EOF\n", "\n# TYPE checker_status counter\n", "ä", "日本", "😀", "a\u0301", "\u2028", "\u200b", "é\n\"\\",
	"status", "result_timestamp", "result_timestamp_seconds", "run_duration", "run_duration_seconds", "total", "_total", "a_total", "a_total_total", "ratio", "a_ratio",
	"a_bytes", "seconds", "a_seconds", "a_2", "a_2_2", "a_created", "a_bucket", "a_sum", "a_count", "a_info", "counter", "NaN", "+Inf", "1e5", strings.Repeat("n", 300),
}

var numbers = []float64{
	0, math.Copysign(0, -1), 1, -1, 0.1, -0.1, 1.0 / 3, 94, 1e-9, 1e21, -1e21, 1e308, math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64,
	1 << 53, 1<<53 + 2, math.MaxInt64, math.MaxUint64, 123456789.123456789, math.Pi, math.NaN(), math.Inf(1), math.Inf(-1), 2.2250738585072014e-308,
}

var units = []string{
	"", "s", "ms", "us", "ns", "m", "h", "d", "%", "B", "kB", "KiB", "MB", "GiB", "EB", "b", "Mb", "c", "C", "F", "K", "A", "mA", "O", "V", "W", "kW", "Ah", "As", "Wh",
	"packets", "g", "kg", "l", "ml", "lm", "dBm", "foo", "req/s", `"`, `\`, "\n", "%%", "unit", "°C",
}

func TestHostileNames(t *testing.T) {
	t.Parallel()
	for _, text := range hostile {
		t.Run(fmt.Sprintf("%.20q", text), func(t *testing.T) {
			t.Parallel()
			r := &result.Result{Status: result.Critical, Summary: text, Labels: map[string]string{text: text, "x" + text: text + "y", "plugin_id": "p"}}
			for i, unit := range units {
				r.Metrics = append(r.Metrics, result.Metric{Name: text, Value: float64(i), Unit: unit}, result.Metric{Name: text + "x", Value: 1, Unit: text})
			}
			compare(t, r, &result.Result{Status: result.OK, Labels: map[string]string{"plugin_id": "q"}, Metrics: r.Metrics[:5]})
		})
	}
}

// All of them together: what becomes the same name stays apart.
func TestCollidingNames(t *testing.T) {
	t.Parallel()
	r := &result.Result{Status: result.Warning, Labels: map[string]string{}}
	for i, text := range hostile {
		r.Labels[text] = fmt.Sprint(i)
		for j, unit := range units {
			r.Metrics = append(r.Metrics, result.Metric{Name: text, Value: float64(i*1000 + j), Unit: unit})
		}
	}
	compare(t, r)
}

func TestNumbersAndTimes(t *testing.T) {
	t.Parallel()
	for _, n := range numbers {
		for _, unit := range units {
			compare(t, &result.Result{Metrics: []result.Metric{{Name: "n", Value: n, Unit: unit}, {Name: "n", Value: -n, Unit: unit}, {Name: "m", Value: n, Unit: unit}}})
		}
	}
	compare(t, &result.Result{Perfdata: "a=18446744073709551615 b=9007199254740993c c=0.1 d=1e-400 e=123456789012345678901234567890"})
	for _, at := range []time.Time{
		{}, time.Unix(0, 0), time.Unix(0, 1), time.Unix(1, 999_999_999), time.Unix(1_735_725_600, 123_456_789), time.Unix(-1, 0), time.Unix(-1, 5e8),
		time.Unix(1<<40, 0), time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.FixedZone("", -3600)),
	} {
		compare(t, &result.Result{ObservedAt: at}, &result.Result{ObservedAt: at, Labels: map[string]string{"a": "b"}})
	}
}

// A text of which nothing is left is no label: to Prometheus both are one series.
func TestEmptyLabels(t *testing.T) {
	t.Parallel()
	n := func(value float64, unit string) result.Metric {
		return result.Metric{Name: "n", Value: value, Unit: unit}
	}
	families := read(t, write(t,
		&result.Result{Metrics: []result.Metric{n(1, "\x01"), n(2, ""), n(3, "\x02")}},
		&result.Result{Status: result.Critical, Labels: map[string]string{"a": "", "b": "\x00"}},
	))
	if len(families) != 2 || families[0].samples[0].value != 2 || families[1].samples[0].value != 3 {
		t.Errorf("got %+v, want the last sample of each", families)
	}
}

// What is cleaned away must not leave something that no longer parses.
func TestControlCharacters(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		text := func() string { return randomText(r, "\x00\x01\x07\t\r\n\x1b[]m;\x7f\u0085\u009bab\"\\\xff\xc3") }
		one := &result.Result{Labels: map[string]string{"id": "1", text(): text(), text(): text()}}
		for i := range 5 {
			one.Metrics = append(one.Metrics, result.Metric{Name: text() + fmt.Sprint(i), Value: float64(i), Unit: text()})
		}
		read(t, write(t, one))
	}
}

func TestRandomResults(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	text := func() string {
		if r.IntN(2) == 0 {
			return pick(hostile)
		}
		return randomText(r, "ab_:.- 12\"\\\n{}=,#é世")
	}
	for range 500 {
		var rs []*result.Result
		for i := range 1 + r.IntN(3) {
			one := &result.Result{Status: result.Warning, Labels: map[string]string{"id": fmt.Sprint(i), text(): text(), text(): text()}, ObservedAt: time.Unix(r.Int64N(1<<33), r.Int64N(1e9))}
			for range r.IntN(12) {
				one.Metrics = append(one.Metrics, result.Metric{Name: text(), Value: randomNumber(r), Unit: pick(units)})
			}
			rs = append(rs, one)
		}
		compare(t, rs...)
	}
}

func randomText(r *rand.Rand, alphabet string) string {
	var b strings.Builder
	runes := []byte(alphabet)
	if utf8.ValidString(alphabet) {
		for range r.IntN(8) {
			b.WriteRune([]rune(alphabet)[r.IntN(utf8.RuneCountInString(alphabet))])
		}
		return b.String()
	}
	for range r.IntN(8) {
		b.WriteByte(runes[r.IntN(len(runes))])
	}
	return b.String()
}

func randomNumber(r *rand.Rand) float64 {
	switch r.IntN(3) {
	case 0:
		return numbers[r.IntN(len(numbers))]
	case 1:
		return float64(r.IntN(1000))
	}
	return math.Float64frombits(r.Uint64())
}

func FuzzWriteOpenMetrics(f *testing.F) {
	for i, text := range hostile {
		f.Add(text, units[i%len(units)], numbers[i%len(numbers)], text, text+"x")
	}
	f.Fuzz(func(t *testing.T, name, unit string, value float64, key, label string) {
		one := &result.Result{
			Labels:  map[string]string{key: label, "id": "1"},
			Metrics: []result.Metric{{Name: name, Unit: unit, Value: value}, {Name: name + "_total", Unit: "c", Value: 1}, {Name: "x", Unit: name}},
		}
		if isPlain(name) && isPlain(unit) && isPlain(key) && isPlain(label) && key != "id" {
			compare(t, one)
		}
		read(t, write(t, one))
	})
}
