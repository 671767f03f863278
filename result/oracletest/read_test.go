package oracletest_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/sandcheck/sandcheck/result"
)

// A family is what a parser understood, in the order of the exposition.
type family struct {
	name, kind, unit string
	samples          []sample
}

type sample struct {
	name   string
	labels labels.Labels // without the name
	value  float64
}

func write(t *testing.T, rs ...*result.Result) string {
	t.Helper()
	var b strings.Builder
	if err := result.WriteOpenMetrics(&b, rs...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// read parses an exposition as a scrape does, checks the rules that the parser
// leaves to its callers, and that the other parsers understand the same.
func read(t *testing.T, text string) []family {
	t.Helper()
	families, err := openMetrics(text)
	if err == nil {
		err = errors.Join(wellFormed(families), othersAgree(text, families))
	}
	if err != nil {
		t.Fatalf("%v\nin:\n%s", err, text)
	}
	return families
}

// openMetrics is what Prometheus does with an OpenMetrics scrape.
func openMetrics(text string) ([]family, error) {
	p, err := textparse.New([]byte(text), "application/openmetrics-text; version=1.0.0; charset=utf-8", labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		return nil, err
	}
	var families []family
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return families, nil
		}
		if err != nil {
			return nil, err
		}
		last := len(families) - 1
		switch entry {
		case textparse.EntryType:
			name, kind := p.Type()
			families = append(families, family{name: string(name), kind: string(kind)})
			continue
		case textparse.EntryUnit:
			name, unit := p.Unit()
			if last < 0 || families[last].name != string(name) || len(families[last].samples) > 0 || families[last].unit != "" {
				return nil, fmt.Errorf("a UNIT of %s is out of place", name)
			}
			families[last].unit = string(unit)
		case textparse.EntryHelp:
			if name, _ := p.Help(); last < 0 || families[last].name != string(name) || len(families[last].samples) > 0 {
				return nil, fmt.Errorf("a HELP of %s is out of place", name)
			}
		case textparse.EntrySeries:
			if last < 0 {
				return nil, errors.New("a sample stands before the first TYPE")
			}
			series, at, value := p.Series()
			if at != nil {
				return nil, fmt.Errorf("%s has a time", series)
			}
			families[last].samples = append(families[last].samples, sampleOf(p, value))
		default:
			return nil, fmt.Errorf("entry %v is not expected", entry)
		}
	}
}

func sampleOf(p textparse.Parser, value float64) sample {
	var all labels.Labels
	p.Labels(&all)
	s := sample{name: all.Get(model.MetricNameLabel), value: value}
	s.labels = labels.NewBuilder(all).Del(model.MetricNameLabel).Labels()
	return s
}

var (
	metricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	labelName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// wellFormed holds what the format asks for beyond what the parser checks.
func wellFormed(families []family) error {
	owners, series := map[string]string{}, map[string]bool{}
	var errs []error
	refuse := func(format string, args ...any) {
		if len(errs) < 20 { // enough to see what it is
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	claim := func(name, owner string) {
		if other, ok := owners[name]; ok && other != owner {
			refuse("%s belongs to the families %s and %s", name, other, owner)
		}
		owners[name] = owner
	}
	for i, f := range families {
		owner := fmt.Sprintf("%s (%d)", f.name, i) // a family that stands twice claims twice
		claim(f.name, owner)
		sampleName := f.name
		switch f.kind {
		case "counter":
			sampleName += "_total"
			claim(sampleName, owner)
			claim(f.name+"_created", owner) // which a counter may have
		case "gauge":
		default:
			refuse("family %s is a %s", f.name, f.kind)
		}
		if !metricName.MatchString(f.name) || len(f.samples) == 0 || f.unit != "" && !strings.HasSuffix(f.name, "_"+f.unit) {
			refuse("family %q with unit %q and %d samples", f.name, f.unit, len(f.samples))
		}
		for _, s := range f.samples {
			id := s.name + s.labels.String()
			if s.name != sampleName || series[id] || math.IsNaN(s.value) || math.IsInf(s.value, 0) || f.kind == "counter" && s.value < 0 {
				refuse("sample %s %v of the %s %s; stands twice: %v", id, s.value, f.kind, f.name, series[id])
			}
			series[id] = true
			s.labels.Range(func(l labels.Label) {
				if !labelName.MatchString(l.Name) || strings.HasPrefix(l.Name, "__") {
					refuse("%s has the label %q, which is no name or kept for scrapers", s.name, l.Name)
				}
			})
		}
	}
	return errors.Join(errs...)
}

// othersAgree reads the text with the parsers of the classic text format, which
// take the lines of OpenMetrics that they do not know for comments.
func othersAgree(text string, families []family) error {
	want := map[string]float64{}
	for _, f := range families {
		for _, s := range f.samples {
			want[s.name+s.labels.String()] = s.value
		}
	}
	var errs []error
	for name, parse := range map[string]func(string) (map[string]float64, error){"textparse": classic, "expfmt": common} {
		got, err := parse(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		if len(got) != len(want) {
			errs = append(errs, fmt.Errorf("%s reads %d samples, want %d", name, len(got), len(want)))
		}
		for id, value := range want {
			if other, ok := got[id]; !ok || other != value {
				errs = append(errs, fmt.Errorf("%s reads %s as %v, %v, want %v", name, id, other, ok, value))
			}
		}
	}
	return errors.Join(errs...)
}

func classic(text string) (map[string]float64, error) {
	p := textparse.NewPromParser([]byte(text), labels.NewSymbolTable(), false)
	found := map[string]float64{}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if entry == textparse.EntrySeries {
			_, _, value := p.Series()
			s := sampleOf(p, value)
			found[s.name+s.labels.String()] = value
		}
	}
}

func common(text string) (map[string]float64, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	found := map[string]float64{}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			b := labels.NewScratchBuilder(len(m.GetLabel()))
			for _, l := range m.GetLabel() {
				if l.GetValue() != "" { // as if it were not there, to Prometheus
					b.Add(l.GetName(), l.GetValue())
				}
			}
			b.Sort()
			found[name+b.Labels().String()] = valueOf(m)
		}
	}
	return found, nil
}

func valueOf(m *dto.Metric) float64 {
	switch {
	case m.GetGauge() != nil:
		return m.GetGauge().GetValue()
	case m.GetCounter() != nil:
		return m.GetCounter().GetValue()
	}
	return m.GetUntyped().GetValue()
}
