package result

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// WriteOpenMetrics writes one OpenMetrics 1.0.0 exposition of all results:
//
//	checker_status                    0 to 3, as ExitCode
//	checker_result_timestamp_seconds  ObservedAt, unless zero
//	checker_<name>[_<unit>]           each of Points in its base unit, "_ratio"
//	                                  for percent, "_total" for counters
//
// Labels of a result become labels of its samples, unless they are empty; a
// unit that Normalize does not know becomes the label "unit". What a name cannot
// hold becomes "_", and different names that become one get a number ("_2").
// Unknown values have no sample. Of two samples with one name and equal labels
// the last stands, so results need labels that tell them apart. Nil results are
// passed over.
func WriteOpenMetrics(w io.Writer, rs ...*Result) error {
	e := newExposition()
	for _, r := range rs {
		if r != nil {
			e.add(r)
		}
	}
	b := bufio.NewWriter(w)
	for _, f := range e.families {
		f.write(b)
	}
	b.WriteString("# EOF\n") // bufio keeps the first error for Flush
	return b.Flush()
}

// exposition collects samples by family: those of one family stand together.
type exposition struct {
	families []*family
	byKey    map[familyKey]*family
	taken    map[string]bool
}

// familyKey is what makes two points samples of one family.
type familyKey struct{ label, unit string }

type family struct {
	name, unit, help string
	counter          bool
	labels, values   []string // of the samples
	byLabels         map[string]int
}

func newExposition() *exposition {
	e := &exposition{byKey: map[familyKey]*family{}, taken: map[string]bool{"checker_run_duration_seconds": true}}
	e.family(familyKey{}, &family{name: "checker_status", help: "Outcome of the check: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."})
	e.family(familyKey{unit: "seconds"}, &family{name: "checker_result_timestamp_seconds", unit: "seconds", help: "When the result was observed, in Unix time."})
	return e
}

func (e *exposition) family(key familyKey, f *family) *family {
	f.byLabels = map[string]int{}
	e.byKey[key] = f
	e.families = append(e.families, f)
	e.taken[f.name] = true
	if f.counter { // a counter may have both, and no other family may look like them
		e.taken[f.name+"_total"], e.taken[f.name+"_created"] = true, true
	}
	return f
}

func (e *exposition) add(r *Result) {
	labels := newLabelSet(r.Labels)
	plainLabels := labels.String()
	// A point always has a label, so the keys of the host's own families are free.
	e.byKey[familyKey{}].sample(plainLabels, strconv.Itoa(r.Status.ExitCode()))
	if at := r.ObservedAt; !at.IsZero() {
		text := strconv.FormatInt(at.Unix(), 10)
		if ns := at.Nanosecond(); ns != 0 && at.Unix() >= 0 {
			text += strings.TrimRight(fmt.Sprintf(".%09d", ns), "0")
		}
		e.byKey[familyKey{unit: "seconds"}].sample(plainLabels, text)
	}
	for _, p := range r.Points() {
		value, unit := p.Normalize()
		if !finite(value) || p.Label == "" {
			continue
		}
		sampleLabels := plainLabels
		if unit == "" && p.Unit != "" {
			sampleLabels = labels.with("unit", p.Unit)
		}
		text := plain(value)
		if value == p.Value {
			text = p.number()
		}
		e.of(p.Label, unit, value < 0).sample(sampleLabels, text)
	}
}

// of returns the family of a point. A counter below zero is not one.
func (e *exposition) of(label, unit string, negative bool) *family {
	if unit == "counter" && negative {
		unit = ""
	}
	key := familyKey{label, unit}
	if f := e.byKey[key]; f != nil {
		return f
	}
	f := &family{counter: unit == "counter"}
	suffix := "_total" // not part of the name of a counter's family
	if !f.counter {
		f.unit = metricName(unit)
		suffix = "_" + f.unit
	}
	base := "checker_" + metricName(label)
	if len(suffix) > 1 {
		base = strings.TrimSuffix(base, suffix)
	}
	if f.unit == "" {
		suffix = ""
	}
	f.name = base + suffix
	for n := 2; e.taken[f.name] || f.counter && (e.taken[f.name+"_total"] || e.taken[f.name+"_created"]); n++ {
		f.name = base + "_" + strconv.Itoa(n) + suffix
	}
	return e.family(key, f)
}

func (f *family) sample(labels, value string) {
	if i, ok := f.byLabels[labels]; ok {
		f.values[i] = value
		return
	}
	f.byLabels[labels] = len(f.values)
	f.labels = append(f.labels, labels)
	f.values = append(f.values, value)
}

func (f *family) write(b *bufio.Writer) {
	if len(f.values) == 0 {
		return
	}
	kind, suffix := "gauge", ""
	if f.counter {
		kind, suffix = "counter", "_total"
	}
	fmt.Fprintf(b, "# TYPE %s %s\n", f.name, kind)
	if f.unit != "" {
		fmt.Fprintf(b, "# UNIT %s %s\n", f.name, f.unit)
	}
	if f.help != "" {
		fmt.Fprintf(b, "# HELP %s %s\n", f.name, f.help)
	}
	for i, value := range f.values {
		fmt.Fprintf(b, "%s%s%s %s\n", f.name, suffix, f.labels[i], value)
	}
}

// labelSet is the labels of a result, with names that are valid and distinct.
type labelSet struct {
	pairs []string
	taken map[string]bool
}

func newLabelSet(labels map[string]string) *labelSet {
	s := &labelSet{taken: map[string]bool{}}
	for _, key := range sortedKeys(labels) {
		s.add(key, labels[key])
	}
	return s
}

func (s *labelSet) add(key, value string) {
	text := labelValue(value)
	if text == "" { // means the same as no label, but looks like another series
		return
	}
	base := labelName(key)
	name := base
	for n := 2; s.taken[name]; n++ {
		name = strings.TrimSuffix(base, "_") + "_" + strconv.Itoa(n) // "_" must not become "__2"
	}
	s.taken[name] = true
	s.pairs = append(s.pairs, name+`="`+text+`"`)
}

// with is String with one label more.
func (s *labelSet) with(key, value string) string {
	text := labelValue(value)
	if text == "" {
		return s.String()
	}
	name := key
	for n := 2; s.taken[name]; n++ {
		name = key + "_" + strconv.Itoa(n)
	}
	more := labelSet{pairs: append(s.pairs[:len(s.pairs):len(s.pairs)], name+`="`+text+`"`)}
	return more.String()
}

// String is {a="b",c="d"}, or nothing without labels.
func (s *labelSet) String() string {
	if len(s.pairs) == 0 {
		return ""
	}
	return "{" + strings.Join(s.pairs, ",") + "}"
}

// metricName keeps letters, digits, "_" and ":".
func metricName(s string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (r == ':' || isWord(byte(r))) {
			return r
		}
		return '_'
	}, s)
}

// labelName keeps letters, digits and "_"; it starts with no digit, and not
// with "__", which scrapers keep for themselves.
func labelName(s string) string {
	s = strings.ReplaceAll(metricName(s), ":", "_")
	if s == "" || '0' <= s[0] && s[0] <= '9' {
		s = "_" + s
	}
	if strings.HasPrefix(s, "__") {
		s = "_" + strings.TrimLeft(s, "_")
	}
	return s
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func labelValue(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(lines(s))
}
