package manifest

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sandcheck/sandcheck/internal/strict"
)

// hostMembers may stand in every config at the top: a control plane adds them.
var hostMembers = []string{"relay", "action_invocation", "_serviceradar_run_overrides"}

// fill collects the members that t lacks and s has a default for. It reports
// false once they have more than room bytes.
func (s *schema) fill(e *edits, t *tree, room int) bool {
	switch {
	case t.kind == strict.Array && s.kind == "array":
		for i := range t.items {
			if !s.items.fill(e, &t.items[i], room) {
				return false
			}
		}
	case t.kind == strict.Object && s.kind == "object":
		present := t.names()
		for i := range t.members {
			if sub, ok := s.byName[t.members[i].name]; ok && !sub.fill(e, &t.members[i].value, room) {
				return false
			}
		}
		comma := len(t.members) > 0
		for _, p := range s.properties {
			if present[p.name] || p.schema.fallback == nil {
				continue
			}
			e.add(t.end-1, t.end-1, appendMember(nil, comma, p.name, p.schema.fallback))
			comma = true
			if e.size > room {
				return false
			}
		}
	}
	return true
}

func appendMember(b []byte, comma bool, name string, value []byte) []byte {
	if comma {
		b = append(b, ',')
	}
	b = append(appendControlText(b, name), ':')
	return append(b, value...)
}

// A validator judges values. Its messages never hold a value.
type validator struct {
	*problems
	anyEnum bool // leave enum aside: the entries of an enum are judged
}

func (v *validator) bad(pointer, rule, format string, args ...any) {
	v.add(mark{}, pointer, rule, format, args...)
}

func (v *validator) value(s *schema, t *tree, pointer string) {
	if len(v.list) >= maxProblems {
		return
	}
	if !fits(s.kind, t) {
		v.bad(pointer, "config-type", "must be %s, got %s", article(s.kind), kindName(t.kind))
		return
	}
	if len(s.enum) > 0 && !v.anyEnum && !slices.ContainsFunc(s.enum, func(e tree) bool { return e.equal(t) }) {
		v.bad(pointer, "config-enum", "must be one of %s", enumText(s))
	}
	switch s.kind {
	case "object":
		v.object(s, t, pointer)
	case "array":
		for i := range t.items {
			v.value(s.items, &t.items[i], strict.Index(pointer, i))
		}
	case "string":
		v.text(s, t.text, pointer)
	case "integer", "number":
		v.number(s, t.text, pointer)
	}
}

func fits(kind string, t *tree) bool {
	switch kind {
	case "object":
		return t.kind == strict.Object
	case "array":
		return t.kind == strict.Array
	case "string":
		return t.kind == strict.Text
	case "boolean":
		return t.kind == strict.Bool
	case "number":
		return t.kind == strict.Number
	default:
		return t.kind == strict.Number && isInteger(t.text)
	}
}

func article(kind string) string {
	if strings.ContainsAny(kind[:1], "aio") {
		return "an " + kind
	}
	return "a " + kind
}

func (v *validator) object(s *schema, t *tree, pointer string) {
	present := t.names()
	for _, name := range s.required {
		if !present[name] {
			v.bad(pointer, "config-required", "member %s is missing", clip(name))
		}
	}
	for i := range t.members {
		m := &t.members[i]
		at := strict.Join(pointer, m.name)
		sub, known := s.byName[m.name]
		switch {
		case known:
			v.value(sub, &m.value, at)
		case s.siblings[m.name]:
			if m.value.kind != strict.Text {
				v.bad(at, "config-type", "must be a string, got %s", kindName(m.value.kind))
			}
		case pointer == "" && slices.Contains(hostMembers, m.name):
		case s.closed:
			v.bad(at, "config-extra", "is not a member that this config has%s", suggestion(m.name, s.names()))
		}
	}
}

func (s *schema) names() []string {
	var names []string
	for _, p := range s.properties {
		names = append(names, p.name)
	}
	return names
}

func (v *validator) text(s *schema, text, pointer string) {
	n := utf8.RuneCountInString(text)
	if s.minLength != nil && n < *s.minLength {
		v.bad(pointer, "config-length", "must have at least %d characters", *s.minLength)
	}
	if s.maxLength != nil && n > *s.maxLength {
		v.bad(pointer, "config-length", "must have at most %d characters", *s.maxLength)
	}
	if s.pattern != nil && !s.pattern.MatchString(text) {
		v.bad(pointer, "config-pattern", "must match %s", clip(s.pattern.String()))
	}
	if s.format == "uri" && !isURI(text) {
		v.bad(pointer, "config-format", "must be an absolute URI such as https://example.com/")
	}
	if s.format == "email" && !isEmail(text) {
		v.bad(pointer, "config-format", "must be an email address")
	}
}

func (v *validator) number(s *schema, text, pointer string) {
	if s.minimum != nil && compareDecimals(text, *s.minimum) < 0 {
		v.bad(pointer, "config-range", "must be at least %s", *s.minimum)
	}
	if s.maximum != nil && compareDecimals(text, *s.maximum) > 0 {
		v.bad(pointer, "config-range", "must be at most %s", *s.maximum)
	}
}

// enumText lists what an author allows; not for secrets, of which one may be
// right.
func enumText(s *schema) string {
	if s.secret {
		return strconv.Itoa(len(s.enum)) + " values"
	}
	const most = 10
	var parts []string
	for i := range s.enum[:min(len(s.enum), most)] {
		parts = append(parts, bare(s.enum[i].raw()))
	}
	if len(s.enum) > most {
		parts = append(parts, "...")
	}
	return strings.Join(parts, ", ")
}

// CoerceStrings prepares a config that a form made of texts: where the schema
// wants an integer, a number or a boolean and cfg has a text that is one, the
// text becomes that value; where it wants an array, a text is split at commas
// and line breaks. Everything else stays as it is written, also what does not
// fit, which Apply then reports. It is meant to be called before Apply and
// fails only where cfg is not JSON.
func (s *ConfigSchema) CoerceStrings(cfg []byte) ([]byte, error) {
	if s == nil || s.root == nil || len(cfg) == 0 {
		return cfg, nil
	}
	p := &problems{}
	t := readConfig(p, cfg)
	if t == nil {
		return nil, p.err()
	}
	var e edits
	s.root.coerce(&e, t)
	return e.apply(cfg), nil
}

func (s *schema) coerce(e *edits, t *tree) {
	switch {
	case t.kind == strict.Object && s.kind == "object":
		for i := range t.members {
			if sub, ok := s.byName[t.members[i].name]; ok {
				sub.coerce(e, &t.members[i].value)
			}
		}
	case t.kind == strict.Array && s.kind == "array":
		for i := range t.items {
			s.items.coerce(e, &t.items[i])
		}
	case t.kind == strict.Text:
		if text, ok := s.fromText(t.text); ok {
			e.add(t.start, t.end, text)
		}
	}
}

// fromText is a text as a value of s, if it is one and not a text anyway.
func (s *schema) fromText(text string) ([]byte, bool) {
	trimmed := strings.TrimSpace(text)
	switch s.kind {
	case "boolean":
		word := strings.ToLower(trimmed)
		return []byte(word), word == "true" || word == "false"
	case "integer", "number":
		number := []byte(trimmed)
		ok := strict.KindOf(number) == strict.Number && strict.Check(number, strict.Options{AnyRoot: true}) == nil
		return number, ok && (s.kind == "number" || isInteger(trimmed))
	case "array":
		return s.splitText(text), true
	default:
		return nil, false
	}
}

func (s *schema) splitText(text string) []byte {
	b := []byte{'['}
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		if value, ok := s.items.fromText(part); ok {
			b = append(b, value...)
		} else {
			b = appendControlText(b, part)
		}
	}
	return append(b, ']')
}
