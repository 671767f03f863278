package oracletest_test

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/sandcheck/sandcheck/result"
)

// A wanted family is worked out from the results, without the writer: which
// point goes where, and what has to be read back.
type wanted struct {
	name    *regexp.Regexp
	kind    string
	unit    string
	samples []wantedSample
}

type wantedSample struct {
	id     string
	labels []string // values, sorted; names are checked apart
	value  float64
}

// want is the families of results whose texts have no control character but
// line feeds, in their order. Prometheus does not tell an empty label from none.
func want(rs ...*result.Result) []wanted {
	var all []*wanted
	byKey := map[[2]string]*wanted{}
	add := func(key [2]string, f wanted) *wanted {
		if byKey[key] == nil {
			byKey[key] = &f
			all = append(all, &f)
		}
		return byKey[key]
	}
	status := add([2]string{"", "status"}, wanted{name: regexp.MustCompile(`^checker_status$`), kind: "gauge"})
	observed := add([2]string{"", "time"}, wanted{name: regexp.MustCompile(`^checker_result_timestamp_seconds$`), kind: "gauge", unit: "seconds"})
	for _, r := range rs {
		status.set(r.Labels, "", float64(r.Status.ExitCode()))
		if !r.ObservedAt.IsZero() {
			observed.set(r.Labels, "", unixTime(r.ObservedAt))
		}
		for _, p := range r.Points() {
			value, unit := p.Normalize()
			if value-value != 0 || p.Label == "" { // not finite
				continue
			}
			known := unit != ""
			if unit == "counter" && value < 0 {
				unit = ""
			}
			extra := ""
			if !known {
				extra = p.Unit
			}
			add([2]string{p.Label, unit}, familyOf(p.Label, unit)).set(r.Labels, extra, value)
		}
	}
	var found []wanted
	for _, f := range all {
		if len(f.samples) > 0 {
			found = append(found, *f)
		}
	}
	return found
}

var notInName = regexp.MustCompile(`[^a-zA-Z0-9_:]`)

func familyOf(label, unit string) wanted {
	f := wanted{kind: "gauge", unit: notInName.ReplaceAllString(unit, "_")}
	suffix := ""
	switch {
	case unit == "counter":
		f.kind, f.unit = "counter", ""
		suffix = "_total"
	case unit != "":
		suffix = "_" + f.unit
	}
	base := "checker_" + notInName.ReplaceAllString(label, "_")
	if suffix != "" {
		base = strings.TrimSuffix(base, suffix)
	}
	if unit == "counter" {
		suffix = "" // of its samples, not of the family
	}
	f.name = regexp.MustCompile("^" + base + `(_\d+)?` + suffix + "$")
	return f
}

func (f *wanted) set(named map[string]string, unit string, value float64) {
	s := wantedSample{value: value}
	for _, v := range named {
		if v != "" {
			s.labels = append(s.labels, v)
		}
	}
	if unit != "" {
		s.labels = append(s.labels, unit)
	}
	slices.Sort(s.labels)
	s.id = fmt.Sprintf("%q %q", named, unit) // fmt sorts maps
	if i := slices.IndexFunc(f.samples, func(o wantedSample) bool { return o.id == s.id }); i >= 0 {
		f.samples[i] = s
		return
	}
	f.samples = append(f.samples, s)
}

// unixTime is exact until it becomes a float64. Before 1970 a fraction is left
// out.
func unixTime(at time.Time) float64 {
	seconds := new(big.Rat).SetInt64(at.Unix())
	if at.Unix() >= 0 {
		seconds.Add(seconds, big.NewRat(int64(at.Nanosecond()), 1e9))
	}
	value, _ := seconds.Float64()
	return value
}

// compare reads what WriteOpenMetrics makes of results.
func compare(t *testing.T, rs ...*result.Result) {
	t.Helper()
	text := write(t, rs...)
	got, want := read(t, text), want(rs...)
	if len(got) != len(want) {
		t.Fatalf("%d families, want %d, in:\n%s", len(got), len(want), text)
	}
	for i, w := range want {
		g := got[i]
		if !w.name.MatchString(g.name) || g.kind != w.kind || g.unit != w.unit || len(g.samples) != len(w.samples) {
			t.Errorf("%s %s with unit %q and %d samples, want %s %s, %q, %d, in:\n%s", g.kind, g.name, g.unit, len(g.samples), w.kind, w.name, w.unit, len(w.samples), text)
			continue
		}
		for j, s := range w.samples {
			if values := valuesOf(g.samples[j].labels); g.samples[j].value != s.value || !slices.Equal(values, s.labels) {
				t.Errorf("%s has labels %q and value %v, want %q, %v, in:\n%s", g.name, values, g.samples[j].value, s.labels, s.value, text)
			}
		}
	}
}

func valuesOf(l labels.Labels) (values []string) {
	l.Range(func(l labels.Label) { values = append(values, l.Value) })
	slices.Sort(values)
	return values
}
