package result

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sandcheck/sandcheck/internal/strict"
)

// Widget is one thing to show on a screen. This package draws nothing; whoever
// does must escape HTML in every text.
//
// Known kinds, each with the shapes that are read and the one that Raw and
// MarshalJSON have, which is the one screens render:
//
//	kind          read                                              written
//	status_badge  label; status, or value; uptime                   status
//	stat_card     label; value; tone, or color                      tone
//	table         data (a map), or rows ([{key, value}, ...])       as read
//	markdown      content, data.markdown, or data.content           content
//	sparkline     data (a list), data.values, or values; numbers    data, a list
//	              may be texts, what is no number is left out       of numbers
type Widget struct {
	// Kind is the widget's name, "stat_card"; other kinds are kept as written.
	Kind string
	// Label is the caption.
	Label string
	// Tone is success, warning, error, info or neutral; "critical" is kept and
	// means error; any other tone reads as neutral. Empty when not given.
	Tone string
	// Layout is full or half, which is also what any other reads as. A parsed
	// widget of a known kind always has one.
	Layout string
	// Raw is the whole object. For a Widget built in Go it holds what the
	// other fields do not (value, data, content) and may be nil.
	Raw json.RawMessage
}

// Bounds of widgets.
const (
	maxWidgetText = 1024
	maxMarkdown   = 32 << 10
	maxRows       = 500
	maxColumns    = 16
	maxPoints     = 1024
)

var (
	widgetKinds   = []string{"status_badge", "stat_card", "table", "markdown", "sparkline"}
	widgetTones   = []string{"success", "warning", "error", "info", "neutral", "critical"}
	widgetLayouts = []string{"full", "half"}
)

// MarshalJSON writes Raw in the rendered shape, with Kind, Label, Tone and
// Layout in place of Raw's where they are set and differ.
func (w Widget) MarshalJSON() ([]byte, error) {
	merged, err := w.merge()
	if err != nil {
		return nil, err
	}
	return decodeWidget(merged).Raw, nil
}

// merge puts the typed fields into Raw.
func (w Widget) merge() ([]byte, error) {
	if len(w.Raw) > 0 && !isJSON(w.Raw) {
		return nil, fmt.Errorf("result: widget %q: Raw is not JSON", w.Kind)
	}
	was := decodeWidget(w.Raw).Widget
	if len(w.Raw) > 0 && strict.KindOf(w.Raw) != strict.Object {
		return w.Raw, nil // kept as it was read; there is nothing to merge with
	}
	var o object
	changed := len(w.Raw) == 0
	for _, f := range []struct{ name, now, was string }{
		{"widget", w.Kind, was.Kind}, {"label", w.Label, was.Label},
		{"tone", w.Tone, was.Tone}, {"layout", w.Layout, was.Layout},
	} {
		if f.now != "" && f.now != f.was {
			o.text(f.name, f.now)
			changed = true
		}
	}
	if !changed {
		return w.Raw, nil
	}
	for name, value := range strict.Fields(w.Raw) {
		o.raw(name, value)
	}
	return o.bytes()
}

// UnmarshalJSON reads any of the shapes under the rules of Parse.
func (w *Widget) UnmarshalJSON(doc []byte) error {
	if err := strict.Check(doc, strict.Options{AnyRoot: true}); err != nil {
		return fmt.Errorf("result: widget: %w", err)
	}
	*w = decodeWidget(bytes.Clone(doc)).Widget
	return nil
}

// decodedWidget is a Widget and what was odd about its document. Pointers are
// relative to the widget.
type decodedWidget struct {
	Widget
	issues []Issue
	fields []Field // of Raw, on the way to the rendered shape
	edited bool
}

func decodeWidget(raw []byte) *decodedWidget {
	d := &decodedWidget{Widget: Widget{Raw: raw}}
	for name, value := range strict.Fields(raw) {
		d.fields = append(d.fields, Field{name, value})
	}
	d.Kind = strict.Unquote(d.get("widget"))
	if !slices.Contains(widgetKinds, d.Kind) {
		d.Label = head(strict.Unquote(d.get("label")), maxWidgetText)
		kind, _ := cut(d.Kind, 64)
		d.issue("unsupported_widget", "", fmt.Sprintf("kept as written: %q is not a widget known here", kind))
		return d
	}
	d.shape()
	d.bounded("label", maxWidgetText)
	d.bounded("value", maxWidgetText)
	d.Label = strict.Unquote(d.get("label"))
	d.Tone = d.word("tone", widgetTones, "", "neutral")
	d.Layout = d.word("layout", widgetLayouts, "half", "half")
	if d.edited {
		d.Raw = join(d.fields)
	}
	return d
}

// shape turns the accepted shapes of a kind into the rendered one.
func (d *decodedWidget) shape() {
	switch d.Kind {
	case "status_badge":
		d.rename("value", "status")
		d.bounded("status", maxWidgetText)
	case "stat_card":
		d.rename("color", "tone")
	case "markdown":
		d.lift("markdown", "content")
		d.lift("content", "content")
		d.bounded("content", maxMarkdown)
	case "sparkline":
		d.rename("values", "data")
		d.lift("values", "data")
		d.series()
	case "table":
		d.table()
	}
}

func (d *decodedWidget) issue(code, pointer, message string) {
	d.issues = append(d.issues, Issue{code, pointer, message})
}

func (d *decodedWidget) find(name string) int {
	return slices.IndexFunc(d.fields, func(f Field) bool { return f.Name == name })
}

func (d *decodedWidget) get(name string) []byte {
	if i := d.find(name); i >= 0 {
		return d.fields[i].Value
	}
	return nil
}

// has reports whether the field is there and says something.
func (d *decodedWidget) has(name string) bool {
	k := strict.KindOf(d.get(name))
	return k != strict.Invalid && k != strict.Null
}

func (d *decodedWidget) set(name string, value []byte) {
	d.edited = true
	if i := d.find(name); i >= 0 {
		d.fields[i].Value = value
		return
	}
	d.fields = append(d.fields, Field{name, value})
}

func (d *decodedWidget) remove(name string) {
	if i := d.find(name); i >= 0 {
		d.edited = true
		d.fields = slices.Delete(d.fields, i, i+1)
	}
}

// rename moves a field to the name under which it is rendered, unless that has
// a value.
func (d *decodedWidget) rename(from, to string) {
	if !d.has(from) || d.has(to) {
		return
	}
	d.remove(to) // a null
	d.edited = true
	d.fields[d.find(from)].Name = to
}

// lift moves data.from to the field to, unless that has a value; what else
// data holds stays.
func (d *decodedWidget) lift(from, to string) {
	data := d.get("data")
	if strict.KindOf(data) != strict.Object || to != "data" && d.has(to) {
		return
	}
	var value []byte
	var rest object
	for name, v := range strict.Fields(data) {
		if name == from {
			value = v
		} else {
			rest.raw(name, v)
		}
	}
	switch k := strict.KindOf(value); {
	case k == strict.Invalid, k == strict.Null, to == "data" && k != strict.Array:
		return
	}
	if left, err := rest.bytes(); to != "data" && err == nil && string(left) != "{}" {
		d.set("data", left)
	} else if to != "data" {
		d.remove("data")
	}
	d.set(to, value)
}

func (d *decodedWidget) bounded(name string, most int) {
	value := d.get(name)
	if strict.KindOf(value) != strict.Text || len(value) <= most {
		return
	}
	if text, shortened := cut(strict.Unquote(value), most); shortened {
		d.issue("text_truncated", "/"+name, fmt.Sprintf("cut to %d bytes", most))
		d.set(name, quote(text))
	}
}

// word reads a field that has a fixed set of values. The document keeps an
// unknown one, readers of the Widget need not know it.
func (d *decodedWidget) word(name string, known []string, absent, unknown string) string {
	if !d.has(name) {
		return absent
	}
	value := d.get(name)
	if strict.KindOf(value) != strict.Text {
		d.issue("type_mismatch", "/"+name, "ignored: not a text")
		return absent
	}
	text := strict.Unquote(value)
	if slices.Contains(known, text) {
		return text
	}
	shown, _ := cut(text, 64)
	d.issue(name+"_unknown", "/"+name, fmt.Sprintf("%q reads as %q", shown, unknown))
	return unknown
}

// series makes data a list of numbers.
func (d *decodedWidget) series() {
	data := d.get("data")
	if strict.KindOf(data) != strict.Array {
		return
	}
	list, n, changed := bytes.NewBufferString("["), 0, false
	for _, value := range strict.Elements(data) {
		v, kind := number(value)
		switch {
		case kind != isNumber && kind != isNumberText:
			changed = true
			continue
		case n == maxPoints:
			d.issue("count_truncated", "/data", fmt.Sprintf("only the first %d points are kept", maxPoints))
			changed = true
		default:
			if n++; n > 1 {
				list.WriteByte(',')
			}
			if kind == isNumber {
				list.Write(value)
			} else {
				changed = true
				list.WriteString(plain(v))
			}
			continue
		}
		break
	}
	if changed {
		list.WriteByte(']')
		d.set("data", list.Bytes())
	}
}

// table bounds the rows, and the columns of each.
func (d *decodedWidget) table() {
	for _, name := range []string{"data", "rows"} {
		value := d.get(name)
		if strict.KindOf(value) == strict.Object {
			d.setShort(name, "/"+name, value, maxRows)
			continue
		}
		if short, cutAny := d.rows("/"+name, value); cutAny {
			d.set(name, short)
		}
	}
	if columns := d.get("columns"); strict.KindOf(columns) == strict.Array {
		d.setShort("columns", "/columns", columns, maxColumns)
	}
}

func (d *decodedWidget) setShort(name, pointer string, value []byte, most int) {
	if short, cutAny := d.firstOf(pointer, value, most); cutAny {
		d.set(name, short)
	}
}

func (d *decodedWidget) rows(pointer string, value []byte) (short []byte, cutAny bool) {
	list, n := bytes.NewBufferString("["), 0
	for i, row := range strict.Elements(value) {
		if i == maxRows {
			d.issue("count_truncated", pointer, fmt.Sprintf("only the first %d rows are kept", maxRows))
			cutAny = true
			break
		}
		row, cutRow := d.firstOf(strict.Index(pointer, i), row, maxColumns)
		cutAny = cutAny || cutRow
		if n++; n > 1 {
			list.WriteByte(',')
		}
		list.Write(row)
	}
	list.WriteByte(']')
	return list.Bytes(), cutAny
}

// firstOf keeps the first most members of an object or a list.
func (d *decodedWidget) firstOf(pointer string, value []byte, most int) (short []byte, cutAny bool) {
	n := 0
	for range strict.Fields(value) {
		n++
	}
	for range strict.Elements(value) {
		n++
	}
	if n <= most {
		return value, false
	}
	d.issue("count_truncated", pointer, fmt.Sprintf("only the first %d are kept", most))
	if strict.KindOf(value) == strict.Object {
		fields := make([]Field, 0, most)
		for name, v := range strict.Fields(value) {
			if len(fields) < most {
				fields = append(fields, Field{name, v})
			}
		}
		return join(fields), true
	}
	list := bytes.NewBufferString("[")
	for i, v := range strict.Elements(value) {
		if i == most {
			break
		}
		if i > 0 {
			list.WriteByte(',')
		}
		list.Write(v)
	}
	list.WriteByte(']')
	return list.Bytes(), true
}
