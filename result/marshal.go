package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sandcheck/sandcheck/internal/strict"
)

// MarshalJSON writes the document: the typed fields that say something, in the
// order of the package example, then Extra. Status, summary and schema_version
// are always there. Issues are not written. A number that is not finite, or an
// Extra, Widget or event that is not JSON, is an error. Called directly it
// keeps every value of Extra byte for byte; json.Marshal compacts them and
// escapes < > & as it always does.
func (r Result) MarshalJSON() ([]byte, error) {
	var o object
	o.text("status", r.Status.String())
	o.text("summary", r.Summary)
	for _, f := range []struct{ name, text string }{{"details", r.Details}, {"perfdata", r.Perfdata}} {
		if f.text != "" {
			o.text(f.name, f.text)
		}
	}
	writeList(&o, "metrics", r.Metrics, Metric.MarshalJSON)
	if len(r.Labels) > 0 {
		o.value("labels", r.Labels)
	}
	if !r.ObservedAt.IsZero() {
		o.time("observed_at", r.ObservedAt)
	}
	if r.SchemaVersion > 1 || !r.hasExtra("schema_version") { // an unreadable one is handed on
		o.value("schema_version", max(r.SchemaVersion, 1))
	}
	writeList(&o, "display", r.Display, Widget.MarshalJSON)
	writeList(&o, "events", r.Events, verbatim)
	if r.AlertHint {
		o.value("alert_hint", true)
	}
	if r.ConditionID != "" {
		o.text("condition_id", r.ConditionID)
	}
	for _, f := range r.Extra {
		text, err := verbatim(f.Value)
		if err != nil {
			o.fail(f.Name, err)
			continue
		}
		o.raw(f.Name, text)
	}
	doc, err := o.bytes()
	if err != nil {
		return nil, fmt.Errorf("result: %w", err)
	}
	return doc, nil
}

func (r *Result) hasExtra(name string) bool {
	return slices.ContainsFunc(r.Extra, func(f Field) bool { return f.Name == name })
}

// UnmarshalJSON reads what Parse reads.
func (r *Result) UnmarshalJSON(doc []byte) error {
	parsed, err := Parse(doc)
	if err != nil {
		return err
	}
	*r = *parsed
	return nil
}

var errNotJSON = errors.New("not one JSON value without duplicate keys, at most 32 deep")

func verbatim(raw json.RawMessage) ([]byte, error) {
	if !isJSON(raw) {
		return nil, errNotJSON
	}
	return raw, nil
}

func writeList[T any](o *object, name string, list []T, write func(T) ([]byte, error)) {
	if len(list) == 0 {
		return
	}
	text := []byte("[")
	for i, v := range list {
		one, err := write(v)
		if err != nil {
			o.errs = append(o.errs, fmt.Errorf("%s: %w", strict.Index("/"+name, i), err))
		}
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, one...)
	}
	o.raw(name, append(text, ']'))
}

func (o *object) time(name string, t time.Time) {
	text, err := t.UTC().MarshalText()
	if err != nil {
		o.fail(name, err)
		return
	}
	o.text(name, string(text))
}
