package result

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/sandcheck/sandcheck/internal/strict"
)

// Metric is one number by name. Warn and Crit mean "alert at this value and
// above", unlike the ranges of Perfdata.
type Metric struct {
	// Name is required, at most 255 bytes. Unit has at most 32.
	Name, Unit string
	// Value must be finite.
	Value float64
	// Warn, Crit, Min and Max are nil where not given.
	Warn, Crit, Min, Max *float64

	// raw is the object that was parsed, where the fields above do not say all
	// of it: unknown fields and digits beyond float64 are written back. It is a
	// string so that a Metric can be compared.
	raw string
}

// Equal reports whether m and o say the same; bounds are compared by value.
func (m Metric) Equal(o Metric) bool {
	return m.Name == o.Name && m.Unit == o.Unit && m.Value == o.Value &&
		same(m.Warn, o.Warn) && same(m.Crit, o.Crit) && same(m.Min, o.Min) && same(m.Max, o.Max)
}

func same(a, b *float64) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// MarshalJSON writes the metric. A parsed one keeps its unknown fields, and
// the text of each number that was not changed since. A value that is not
// finite is an error.
func (m Metric) MarshalJSON() ([]byte, error) {
	raw := []byte(m.raw)
	was := decodeMetric(raw).Metric
	o := object{}
	for name, value := range strict.Fields(raw) {
		switch {
		case !isMetricField(name):
			o.raw(name, value)
		case m.keeps(&was, name) && !repairedOnReading(name, value):
			o.raw(name, value)
		default:
			m.write(&o, name)
		}
	}
	for _, name := range metricFields {
		m.write(&o, name)
	}
	return o.bytes()
}

// UnmarshalJSON reads a metric under the rules of Parse; one that Parse would
// drop is an error.
func (m *Metric) UnmarshalJSON(doc []byte) error {
	if err := strict.Check(doc, strict.Options{}); err != nil {
		return fmt.Errorf("result: metric: %w", err)
	}
	d := decodeMetric(doc)
	if d.dropped != nil {
		return fmt.Errorf("result: metric: %w", d.dropped)
	}
	*m = d.Metric
	return nil
}

var metricFields = [...]string{"name", "value", "unit", "warn", "crit", "min", "max"}

func isMetricField(name string) bool {
	for _, known := range metricFields {
		if name == known {
			return true
		}
	}
	return false
}

// repairedOnReading reports whether the field reads as something else than it
// says: a number written as text, a unit that was cut.
func repairedOnReading(name string, value []byte) bool {
	if name == "name" || strict.KindOf(value) != strict.Text {
		return false
	}
	if name == "unit" {
		return len(strict.Unquote(value)) > maxUnit
	}
	_, kind := number(value)
	return kind == isNumberText
}

// bound returns the field of an optional number.
func (m *Metric) bound(name string) **float64 {
	switch name {
	case "warn":
		return &m.Warn
	case "crit":
		return &m.Crit
	case "min":
		return &m.Min
	default:
		return &m.Max
	}
}

// keeps reports whether the named field still has the value it had.
func (m *Metric) keeps(was *Metric, name string) bool {
	switch name {
	case "name":
		return m.Name == was.Name
	case "unit":
		return m.Unit == was.Unit
	case "value":
		return m.Value == was.Value
	default:
		return same(*m.bound(name), *was.bound(name))
	}
}

// write adds the named field unless it is written already or has nothing to say.
func (m *Metric) write(o *object, name string) {
	switch name {
	case "name":
		o.text(name, m.Name)
	case "value":
		o.number(name, m.Value)
	case "unit":
		if m.Unit != "" {
			o.text(name, m.Unit)
		}
	default:
		if v := *m.bound(name); v != nil {
			o.number(name, *v)
		}
	}
}

// point returns the metric as perfdata.
func (m *Metric) point() Perfdata {
	p := Perfdata{Label: m.Name, Unit: m.Unit, Value: m.Value, Warn: above(m.Warn), Crit: above(m.Crit), Min: m.Min, Max: m.Max}
	for name, value := range strict.Fields([]byte(m.raw)) {
		if was, ok := number(value); ok == isNumber && name == "value" && was == m.Value {
			p.Text = string(value)
		}
	}
	return p
}

// above is the range that prints as the plain number, where there is one.
func above(bound *float64) *Range {
	switch {
	case bound == nil:
		return nil
	case *bound < 0:
		return &Range{Start: math.Inf(-1), End: *bound}
	default:
		return &Range{End: *bound}
	}
}

// decodedMetric is a Metric and what was odd about its document. Pointers are
// relative to the metric.
type decodedMetric struct {
	Metric
	issues  []Issue
	dropped *Issue // set: the metric cannot be kept
}

func decodeMetric(raw []byte) *decodedMetric {
	d := &decodedMetric{}
	if strict.KindOf(raw) != strict.Object {
		d.dropped = &Issue{Code: "metric_invalid", Message: "a metric must be an object"}
		return d
	}
	hasValue := false
	for name, value := range strict.Fields(raw) {
		switch name {
		case "name":
			d.Name = strict.Unquote(value)
		case "unit":
			d.unit(value)
		case "value":
			hasValue = d.value(value)
		case "warn", "crit", "min", "max":
			d.optional(name, value)
		default:
			if known := foldsTo(name, metricFields[:]); known != "" {
				d.issue("case_mismatch", name, fmt.Sprintf("kept as an unknown field; the field is called %q", known))
			}
		}
	}
	switch {
	case isBlank(d.Name) || len(d.Name) > maxLabel:
		d.dropped = &Issue{Code: "metric_invalid", Message: "dropped: a metric needs a name of 1 to 255 bytes"}
	case d.dropped == nil && !hasValue:
		d.dropped = &Issue{Code: "metric_invalid", Message: "dropped: a metric needs a value that is a number"}
	case d.dropped == nil && d.needsRaw(raw):
		d.raw = string(raw)
	}
	return d
}

// needsRaw reports whether writing m from its fields would lose a part of raw.
func (m *Metric) needsRaw(raw []byte) bool {
	for name, value := range strict.Fields(raw) {
		if !isMetricField(name) {
			return true
		}
		var o object
		m.write(&o, name)
		if text, err := o.bytes(); err != nil || !bytes.Equal(text, slices.Concat([]byte(`{"`+name+`":`), value, []byte("}"))) {
			return true
		}
	}
	return false
}

func (d *decodedMetric) issue(code, name, message string) {
	d.issues = append(d.issues, Issue{code, strict.Join("", name), message})
}

func (d *decodedMetric) unit(value []byte) {
	switch strict.KindOf(value) {
	case strict.Null:
	case strict.Text:
		text := strict.Unquote(value)
		if d.Unit = head(text, maxUnit); d.Unit != text {
			d.issue("text_truncated", "unit", fmt.Sprintf("cut to %d bytes", maxUnit))
		}
	default:
		d.issue("type_mismatch", "unit", "ignored: not a text")
	}
}

func (d *decodedMetric) value(value []byte) bool {
	v, kind := number(value)
	switch kind {
	case isNumber:
	case isNumberText:
		d.issue("metric_string", "value", "a number written as text was accepted")
	case isBeyond:
		d.dropped = &Issue{"metric_number", "/value", "dropped: the value is outside of float64"}
		return false
	default:
		return false
	}
	d.Value = v
	return true
}

func (d *decodedMetric) optional(name string, value []byte) {
	v, kind := number(value)
	switch kind {
	case isNumberText:
		d.issue("metric_string", name, "a number written as text was accepted")
	case isBeyond:
		d.issue("metric_number", name, "ignored: the number is outside of float64")
		return
	case isAbsent:
		return
	case isOther:
		d.issue("type_mismatch", name, "ignored: not a number")
		return
	}
	*d.bound(name) = &v
}

type numberKind uint8

const (
	isOther numberKind = iota
	isAbsent
	isNumber
	isNumberText // a text that is a finite decimal number as a whole
	isBeyond     // a number outside of float64
)

func number(value []byte) (float64, numberKind) {
	switch strict.KindOf(value) {
	case strict.Null:
		return 0, isAbsent
	case strict.Number:
		v, err := strconv.ParseFloat(string(value), 64)
		if err != nil {
			return 0, isBeyond
		}
		return v, isNumber
	case strict.Text:
		if text := strict.Unquote(value); len(text) <= 64 {
			if v, ok := parseNumber(text); ok {
				return v, isNumberText
			}
		}
	}
	return 0, isOther
}
