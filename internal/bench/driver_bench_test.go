package bench_test

import (
	"flag"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rounds is how often a benchmark that counts by itself measures: n times, or
// as often as "-benchtime 3x" says.
func rounds(b *testing.B, n int) int {
	b.Helper()
	text, exact := strings.CutSuffix(flag.Lookup("test.benchtime").Value.String(), "x")
	if !exact {
		return n
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatalf("-benchtime %q: %v", text, err)
	}
	return n
}

// variant is one way of doing the same work. run does it once and answers how
// long that took.
type variant struct {
	name string
	run  func() time.Duration
}

// timed makes a variant of work whose whole time counts.
func timed(name string, work func()) variant {
	return variant{name, func() time.Duration {
		began := time.Now()
		work()
		return time.Since(began)
	}}
}

// leastRounds is how often the variants of a comparison run in turn, if they are
// so slow that -benchtime is over before.
const leastRounds = 11

// compare runs the variants in turn, so that a noisy minute is the same minute
// for all of them. It reports the median of each in the given unit ("us", "ms",
// or "ns") and that of its ratios to the first.
func compare(b *testing.B, unit string, variants ...variant) {
	b.Helper()
	all := make([]sample, len(variants))
	ratios := make([][]float64, len(variants))
	for b.Loop() {
		for range rounds(b, leastRounds) {
			for i, v := range variants {
				took := v.run()
				all[i] = append(all[i], took)
				base := all[0][len(all[0])-1]
				ratios[i] = append(ratios[i], float64(took)/float64(base))
			}
		}
	}
	b.ReportMetric(0, "ns/op") // of all variants together says nothing
	for i, v := range variants {
		b.ReportMetric(in(unit, all[i].at(0.5)), v.name+"-"+unit)
		if i > 0 {
			slices.Sort(ratios[i])
			b.ReportMetric(ratios[i][len(ratios[i])/2], v.name+"/"+variants[0].name)
		}
	}
}

// sample is a number of measured times.
type sample []time.Duration

// at is the smallest time that a share of p is not above.
func (s sample) at(p float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[max(0, int(math.Ceil(p*float64(len(sorted))))-1)]
}

// report tells median, 99th percentile and maximum, each under a name that
// begins with prefix, in the given unit.
func (s sample) report(b *testing.B, prefix, unit string) {
	b.Helper()
	for _, q := range []struct {
		name string
		p    float64
	}{{"p50", 0.5}, {"p99", 0.99}, {"max", 1}} {
		b.ReportMetric(in(unit, s.at(q.p)), prefix+q.name+"-"+unit)
	}
}

func in(unit string, d time.Duration) float64 {
	scale, ok := map[string]time.Duration{"ns": 1, "us": time.Microsecond, "ms": time.Millisecond}[unit]
	if !ok {
		panic(fmt.Sprintf("unit %q", unit))
	}
	return float64(d) / float64(scale)
}
