package result

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/sandcheck/sandcheck/internal/strict"
)

// Validate reports everything that a reader of this Result would refuse, cut
// or drop, for results built in Go. The error joins an *Issue for each, with
// the codes of Parse and these of its own: invalid_utf8, not_finite,
// extra_invalid, duplicate_key, widget_invalid. What a reader merely notes,
// such as a widget that this package does not know, is no error; neither are
// the entries of Issues, which tell of the past.
func (r *Result) Validate() error {
	var v validator
	v.text(r)
	v.numbers(r)
	v.raw(r)
	if len(v.found) == 0 {
		v.reread(r)
	}
	if len(v.found) == 0 {
		return nil
	}
	errs := make([]error, len(v.found))
	for i := range v.found {
		errs[i] = &v.found[i]
	}
	return fmt.Errorf("result: %w", errors.Join(errs...))
}

type validator struct{ found []Issue }

func (v *validator) add(code, pointer, message string) {
	v.found = append(v.found, Issue{code, pointer, message})
}

// text finds what JSON would replace in silence.
func (v *validator) text(r *Result) {
	check := func(pointer, s string) {
		if !utf8.ValidString(s) {
			v.add("invalid_utf8", pointer, "the text is not valid UTF-8")
		}
	}
	check("/summary", r.Summary)
	check("/details", r.Details)
	check("/perfdata", r.Perfdata)
	check("/condition_id", r.ConditionID)
	for i, m := range r.Metrics {
		check(strict.Index("/metrics", i)+"/name", m.Name)
		check(strict.Index("/metrics", i)+"/unit", m.Unit)
	}
	for _, key := range sortedKeys(r.Labels) {
		check("/labels", key)
		check(strict.Join("/labels", key), r.Labels[key])
	}
	for i, w := range r.Display {
		for _, s := range []string{w.Kind, w.Label, w.Tone, w.Layout} {
			check(strict.Index("/display", i), s)
		}
	}
}

// numbers finds what JSON cannot hold.
func (v *validator) numbers(r *Result) {
	if r.Status > Critical {
		v.add("status_value", "/status", fmt.Sprintf("Status(%d) is none of the four", r.Status))
	}
	if r.SchemaVersion < 0 {
		v.add("type_mismatch", "/schema_version", "must be at least 1, or 0 for 1")
	}
	if !r.ObservedAt.IsZero() {
		if _, err := r.ObservedAt.UTC().MarshalText(); err != nil {
			v.add("observed_at_invalid", "/observed_at", fmt.Sprintf("%s cannot be written", r.ObservedAt.UTC().Format(time.ANSIC)))
		}
	}
	for i, m := range r.Metrics {
		at := strict.Index("/metrics", i)
		for _, f := range []struct {
			name  string
			value *float64
		}{{"value", &m.Value}, {"warn", m.Warn}, {"crit", m.Crit}, {"min", m.Min}, {"max", m.Max}} {
			if f.value != nil && !finite(*f.value) {
				v.add("not_finite", at+"/"+f.name, fmt.Sprintf("%v is not a number that JSON can hold", *f.value))
			}
		}
	}
}

// raw checks the parts that are JSON already.
func (v *validator) raw(r *Result) {
	for i, w := range r.Display {
		at := strict.Index("/display", i)
		merged, err := w.merge()
		if err != nil {
			v.add("widget_invalid", at, "Raw is not JSON")
			continue
		}
		for _, found := range decodeWidget(merged).issues {
			v.note(at, found)
		}
	}
	for i, e := range r.Events {
		if !isJSON(e) {
			v.add("event_invalid", strict.Index("/events", i), errNotJSON.Error())
		}
	}
	seen := map[string]bool{}
	for _, f := range r.Extra {
		at := strict.Join("", f.Name)
		switch {
		case !utf8.ValidString(f.Name):
			v.add("key_utf8", at, "the name is not valid UTF-8")
		case !isJSON(f.Value):
			v.add("extra_invalid", at, errNotJSON.Error())
		case seen[f.Name] || slices.Contains(rootFields[:2], f.Name):
			v.add("duplicate_key", at, "the field is there already")
		}
		seen[f.Name] = true
	}
}

// reread parses what would be written and takes over what Parse says.
func (v *validator) reread(r *Result) {
	doc, err := r.MarshalJSON()
	if err != nil {
		v.add("not_json", "", err.Error())
		return
	}
	parsed, err := Parse(doc)
	if err != nil {
		v.found = append(v.found, issuesOf(err)...)
		return
	}
	for _, found := range parsed.Issues {
		v.note("", found)
	}
}

// note takes over an issue unless it is one that a reader lives with.
func (v *validator) note(at string, found Issue) {
	switch found.Code {
	case "unsupported_widget", "schema_version_newer", "case_mismatch":
	default:
		found.Pointer = at + found.Pointer
		v.found = append(v.found, found)
	}
}

// issuesOf lists every *Issue that err joins.
func issuesOf(err error) []Issue {
	switch e := err.(type) { //nolint:errorlint // the walk below is what errors.As does, for all of them
	case *Issue:
		return []Issue{*e}
	case interface{ Unwrap() []error }:
		var all []Issue
		for _, one := range e.Unwrap() {
			all = append(all, issuesOf(one)...)
		}
		return all
	case interface{ Unwrap() error }:
		return issuesOf(e.Unwrap())
	}
	return nil
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
