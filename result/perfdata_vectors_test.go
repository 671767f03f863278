package result_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sandcheck/sandcheck/result"
)

// readVectors decodes a case file; a key that the test does not know fails it.
func readVectors(t *testing.T, name string, into any) {
	t.Helper()
	doc, err := os.ReadFile("../testdata/vectors/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(doc, into); err != nil {
		t.Fatal(err)
	}
}

// strictly decodes raw and fails on a field that the test would overlook.
func strictly(t *testing.T, raw []byte, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
}

type perfdataCase struct {
	ID, Kind, Note, Source string
	In                     json.RawMessage
	InHex                  string `json:"in_hex"`
	InRepeat               *struct {
		Prefix, Text, Suffix string
		Count                int
	} `json:"in_repeat"`
	InSequence *struct {
		Template, Sep string
		Count         int
	} `json:"in_sequence"`
	Expect json.RawMessage
	Alerts [][]any
}

func (c *perfdataCase) text(t *testing.T) string {
	t.Helper()
	switch {
	case c.InHex != "":
		b, err := hex.DecodeString(c.InHex)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	case c.InRepeat != nil:
		return c.InRepeat.Prefix + strings.Repeat(c.InRepeat.Text, c.InRepeat.Count) + c.InRepeat.Suffix
	case c.InSequence != nil:
		parts := make([]string, c.InSequence.Count)
		for i := range parts {
			parts[i] = strings.ReplaceAll(c.InSequence.Template, "{i}", fmt.Sprint(i))
		}
		return strings.Join(parts, c.InSequence.Sep)
	}
	var s string
	strictly(t, c.In, &s)
	return s
}

type rangeJSON struct {
	Start, End *float64
	Inside     bool
}

func (r *rangeJSON) get() *result.Range {
	if r == nil {
		return nil
	}
	out := &result.Range{Start: math.Inf(-1), End: math.Inf(1), Inside: r.Inside}
	if r.Start != nil {
		out.Start = *r.Start
	}
	if r.End != nil {
		out.End = *r.End
	}
	return out
}

type itemJSON struct {
	Label, UOM string
	Value      *float64
	ValueText  string `json:"value_text"`
	Warn, Crit *rangeJSON
	Min, Max   *float64
}

func (i *itemJSON) get() result.Perfdata {
	p := result.Perfdata{Label: i.Label, Unit: i.UOM, Value: math.NaN(), Warn: i.Warn.get(), Crit: i.Crit.get(), Min: i.Min, Max: i.Max}
	if i.Value != nil {
		p.Value = *i.Value
	}
	return p
}

func TestPerfdataVectors(t *testing.T) {
	t.Parallel()
	var file struct{ Cases []json.RawMessage }
	readVectors(t, "perfdata.json", &file)
	if len(file.Cases) < 100 {
		t.Fatalf("only %d cases", len(file.Cases))
	}
	run := map[string]func(*testing.T, *perfdataCase){
		"perfdata": testPerfdataCase, "range": testRangeCase, "format": testFormatCase, "output": testOutputCase, "unit": testUnitCase,
	}
	for _, raw := range file.Cases {
		var c perfdataCase
		strictly(t, raw, &c)
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			test := run[c.Kind]
			if test == nil {
				t.Fatalf("unknown kind %q", c.Kind)
			}
			test(t, &c)
		})
	}
}

func testPerfdataCase(t *testing.T, c *perfdataCase) {
	var want struct {
		Items  json.RawMessage
		Errors []string
	}
	strictly(t, c.Expect, &want)
	got, err := result.ParsePerfdata(c.text(t))
	if diff := cmp.Diff(want.Errors, codes(err), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("ParsePerfdata(%.200q): codes (-want +got):\n%s", c.text(t), diff)
	}
	var items []result.Perfdata
	for i, item := range wantItems(t, want.Items) {
		items = append(items, item.get())
		if item.ValueText != "" && (i >= len(got) || got[i].Text != item.ValueText) {
			t.Errorf("item %d: text not kept, want %q", i, item.ValueText)
		}
	}
	for i := range got {
		got[i].Text = "" // compared above where the case has it
	}
	if diff := cmp.Diff(items, got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("ParsePerfdata(%.200q): items (-want +got):\n%s", c.text(t), diff)
	}
}

func wantItems(t *testing.T, raw []byte) []itemJSON {
	t.Helper()
	if raw[0] == '[' {
		var list []itemJSON
		strictly(t, raw, &list)
		return list
	}
	var seq struct {
		Sequence struct {
			itemJSON
			Count int
		}
	}
	strictly(t, raw, &seq)
	var list []itemJSON
	for i := range seq.Sequence.Count {
		item := seq.Sequence.itemJSON
		item.Label = strings.ReplaceAll(item.Label, "{i}", fmt.Sprint(i))
		list = append(list, item)
	}
	return list
}

// codes lists the codes of every *PerfdataError that err joins.
func codes(err error) []string {
	var e *result.PerfdataError
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []string
		for _, one := range joined.Unwrap() {
			all = append(all, codes(one)...)
		}
		return all
	}
	if errors.As(err, &e) {
		return []string{e.Code}
	}
	return nil
}

func testRangeCase(t *testing.T, c *perfdataCase) {
	var want struct {
		Range *rangeJSON
		Error string
	}
	strictly(t, c.Expect, &want)
	text := c.text(t)
	got, err := result.ParseRange(text)
	if want.Error != "" {
		if diff := cmp.Diff([]string{want.Error}, codes(err)); diff != "" {
			t.Errorf("ParseRange(%q) = %v, %v (-want +got):\n%s", text, got, err, diff)
		}
		return
	}
	if err != nil || got != *want.Range.get() {
		t.Fatalf("ParseRange(%q) = %+v, %v; want %+v", text, got, err, *want.Range.get())
	}
	if again, err := result.ParseRange(got.String()); err != nil || again != got {
		t.Errorf("ParseRange(%q).String() = %q, which reads as %+v, %v", text, got, again, err)
	}
	for _, a := range c.Alerts {
		v, alerts := a[0].(float64), a[1].(bool)
		if got.Alerts(v) != alerts {
			t.Errorf("ParseRange(%q).Alerts(%v) = %v, want %v", text, v, !alerts, alerts)
		}
	}
}

func testFormatCase(t *testing.T, c *perfdataCase) {
	var item itemJSON
	var want struct{ Text, Error string }
	strictly(t, c.In, &item)
	strictly(t, c.Expect, &want)
	got, err := result.FormatPerfdata(item.get())
	var wantCodes []string
	if want.Error != "" {
		wantCodes = []string{want.Error}
	}
	if diff := cmp.Diff(wantCodes, codes(err)); diff != "" || got != want.Text {
		t.Errorf("FormatPerfdata(%+v) = %q, %v; want %q %s", item.get(), got, err, want.Text, want.Error)
	}
}

func testOutputCase(t *testing.T, c *perfdataCase) {
	var want struct{ Summary, Long, Perfdata string }
	strictly(t, c.Expect, &want)
	got := want
	got.Summary, got.Long, got.Perfdata = result.SplitOutput(c.text(t))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("SplitOutput(%q) (-want +got):\n%s", c.text(t), diff)
	}
}

func testUnitCase(t *testing.T, c *perfdataCase) {
	var want struct {
		Unit  string
		Value float64
	}
	strictly(t, c.Expect, &want)
	items, err := result.ParsePerfdata("a=" + c.text(t))
	if err != nil || len(items) != 1 {
		t.Fatalf("ParsePerfdata(a=%s) = %v, %v", c.text(t), items, err)
	}
	if value, unit := items[0].Normalize(); value != want.Value || unit != want.Unit {
		t.Errorf("Normalize(%s) = %v %q, want %v %q", c.text(t), value, unit, want.Value, want.Unit)
	}
}
