package manifest

import (
	"bytes"
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/sandcheck/sandcheck/internal/strict"
)

// Bounds of a config schema.
const (
	maxSchemaDepth   = 16
	maxProperties    = 1000 // in all objects together
	maxPattern       = 1024 // bytes
	maxPatternCost   = 50_000
	maxPatternsCost  = 300_000
	secretRefSuffix  = "_secret_ref"
	anyKind          = ""
	numericKinds     = "integer number"
	objectKind       = "object"
	arrayKind        = "array"
	stringKind       = "string"
	schemaKinds      = "string integer number boolean array object"
	supportedFormats = "uri email"
)

// keywords says which types each keyword has an effect on.
var keywords = map[string]string{
	"type": anyKind, "title": anyKind, "description": anyKind, "enum": anyKind, "default": anyKind, "format": anyKind,
	"properties": objectKind, "required": objectKind, "additionalProperties": objectKind,
	"items": arrayKind, "minimum": numericKinds, "maximum": numericKinds,
	"minLength": stringKind, "maxLength": stringKind, "pattern": stringKind, "secretRef": stringKind,
}

// A compiler turns a document into schemas and collects what is wrong with it.
type compiler struct {
	problems
	warnings   problems
	doc        []byte
	faults     int // reported or not
	properties int // declared so far
	cost       int // of all patterns so far
}

func (c *compiler) bad(offset int, pointer, rule, format string, args ...any) {
	c.faults++
	// Places are costly to find and problems come in order.
	if len(c.list) < maxProblems {
		c.add(position(c.doc, offset), pointer, rule, format, args...)
	}
}

func (c *compiler) warn(offset int, pointer, rule, format string, args ...any) {
	if len(c.warnings.list) < maxProblems {
		c.warnings.add(position(c.doc, offset), pointer, rule, format, args...)
	}
}

// root compiles the document; nil means that it accepts every value.
func (c *compiler) root(t *tree) *schema {
	t.members = slices.DeleteFunc(t.members, func(m member) bool {
		if m.name != "$schema" {
			return false
		}
		if m.value.kind != strict.Text {
			c.bad(m.at, "/$schema", "schema-value", "must be a string, got %s", kindName(m.value.kind))
		}
		return true
	})
	if len(t.members) == 0 {
		return nil
	}
	return c.schema(t, "", 1)
}

// schema compiles t. It returns nil after a problem that leaves nothing to
// judge by; every problem is reported either way.
func (c *compiler) schema(t *tree, pointer string, depth int) *schema {
	if t.kind != strict.Object {
		c.bad(t.start, pointer, "schema-value", "must be an object, got %s", kindName(t.kind))
		return nil
	}
	if depth > maxSchemaDepth {
		c.bad(t.start, pointer, "schema-depth", "is nested deeper than %d schemas", maxSchemaDepth)
		return nil
	}
	s := &schema{byName: map[string]*schema{}, siblings: map[string]bool{}}
	s.kind = c.kind(t, pointer)
	before := c.faults
	for i := range t.members {
		c.keyword(s, &t.members[i], strict.Join(pointer, t.members[i].name), depth)
	}
	c.together(s, t, pointer)
	if s.kind == "" || c.faults > before {
		return nil
	}
	c.values(s, t, pointer)
	return s
}

func (c *compiler) kind(t *tree, pointer string) string {
	v, ok := t.get("type")
	switch {
	case !ok:
		c.bad(t.start, pointer, "schema-type", "type is missing: expected one of %s", schemaKinds)
	case v.kind != strict.Text || !slices.Contains(strings.Fields(schemaKinds), v.text):
		c.bad(v.start, strict.Join(pointer, "type"), "schema-type", "must be one of %s", schemaKinds)
	case pointer == "" && v.text != objectKind:
		c.bad(v.start, "/type", "schema-type", "must be object at the root")
	default:
		return v.text
	}
	return ""
}

// keyword checks one member of a schema and keeps what it says.
func (c *compiler) keyword(s *schema, m *member, pointer string, depth int) {
	kinds, known := keywords[m.name]
	if !known {
		c.bad(m.at, pointer, "schema-keyword", "is not supported%s", suggestion(m.name, keywordNames()))
		return
	}
	if kinds != anyKind && s.kind != "" && !slices.Contains(strings.Fields(kinds), s.kind) {
		c.warn(m.at, pointer, "schema-no-effect", "has no effect on %s", article(s.kind))
	}
	v := &m.value
	switch m.name {
	case "title", "description":
		c.want(v, pointer, strict.Text)
	case "properties":
		c.propertiesOf(s, v, pointer, depth)
	case "required":
		c.required(s, v, pointer)
	case "additionalProperties":
		s.closed = c.want(v, pointer, strict.Bool) && !v.truth
	case "items":
		s.items = c.schema(v, pointer, depth+1)
	case "minimum":
		s.minimum = c.number(v, pointer)
	case "maximum":
		s.maximum = c.number(v, pointer)
	case "minLength":
		s.minLength = c.length(v, pointer)
	case "maxLength":
		s.maxLength = c.length(v, pointer)
	case "pattern":
		s.pattern = c.pattern(v, pointer)
	case "format":
		if c.want(v, pointer, strict.Text) && !slices.Contains(strings.Fields(supportedFormats), v.text) {
			c.bad(v.start, pointer, "schema-value", "must be one of %s", supportedFormats)
		}
		s.format = v.text
	case "secretRef":
		s.secret = c.want(v, pointer, strict.Bool) && v.truth
	case "enum", "default":
		if depth == 1 {
			c.bad(m.at, pointer, "schema-keyword", "is not supported at the root")
		}
	}
}

func keywordNames() []string {
	var names []string
	for name := range keywords {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (c *compiler) want(v *tree, pointer string, kind strict.Kind) bool {
	if v.kind == kind {
		return true
	}
	c.bad(v.start, pointer, "schema-value", "must be %s, got %s", kindName(kind), kindName(v.kind))
	return false
}

func (c *compiler) propertiesOf(s *schema, v *tree, pointer string, depth int) {
	if !c.want(v, pointer, strict.Object) {
		return
	}
	for i := range v.members {
		m := &v.members[i]
		if c.properties++; c.properties == maxProperties+1 {
			c.bad(m.at, pointer, "schema-size", "the schema has more than %d properties", maxProperties)
		}
		if c.properties > maxProperties {
			return
		}
		sub := c.schema(&m.value, strict.Join(pointer, m.name), depth+1)
		if sub == nil {
			sub = &schema{} // keeps the name declared while problems are collected
		}
		s.properties = append(s.properties, property{m.name, sub})
		s.byName[m.name] = sub
		if clear, ok := strings.CutSuffix(m.name, secretRefSuffix); ok && clear != "" && sub.secret {
			s.siblings[clear] = true
		}
	}
}

func (c *compiler) required(s *schema, v *tree, pointer string) {
	if !c.want(v, pointer, strict.Array) {
		return
	}
	seen := map[string]bool{}
	for i := range v.items {
		item := &v.items[i]
		at := strict.Index(pointer, i)
		switch {
		case !c.want(item, at, strict.Text):
		case seen[item.text]:
			c.bad(item.start, at, "schema-value", "%s is listed twice", clip(item.text))
		default:
			seen[item.text] = true
			s.required = append(s.required, item.text)
		}
	}
}

func (c *compiler) number(v *tree, pointer string) *string {
	if !c.want(v, pointer, strict.Number) {
		return nil
	}
	return &v.text
}

func (c *compiler) length(v *tree, pointer string) *int {
	if v.kind == strict.Number && isInteger(v.text) {
		if r := decimal(v.text); r.Sign() >= 0 && r.Num().IsInt64() && r.Num().Int64() <= math.MaxInt32 {
			n := int(r.Num().Int64())
			return &n
		}
	}
	c.bad(v.start, pointer, "schema-value", "must be a whole number between 0 and %d", math.MaxInt32)
	return nil
}

func (c *compiler) pattern(v *tree, pointer string) *regexp.Regexp {
	if !c.want(v, pointer, strict.Text) {
		return nil
	}
	if len(v.text) > maxPattern {
		c.bad(v.start, pointer, "schema-pattern", "has %d bytes: at most %d are allowed", len(v.text), maxPattern)
		return nil
	}
	cost, err := patternCost(v.text)
	if err != nil {
		c.bad(v.start, pointer, "schema-pattern", "does not compile as RE2: %v", err)
		return nil
	}
	if c.cost += cost; cost > maxPatternCost || c.cost > maxPatternsCost {
		c.bad(v.start, pointer, "schema-pattern", "repeats too much: it or all patterns together would take too much memory")
		return nil
	}
	re, err := regexp.Compile(v.text)
	if err != nil {
		c.bad(v.start, pointer, "schema-pattern", "does not compile as RE2: %v", err)
		return nil
	}
	return re
}

// together checks keywords that depend on each other.
func (c *compiler) together(s *schema, t *tree, pointer string) {
	if s.kind == arrayKind {
		if _, ok := t.get("items"); !ok {
			c.bad(t.start, pointer, "schema-value", "items is missing: an array says what it holds")
		}
	}
	if s.minimum != nil && s.maximum != nil && compareDecimals(*s.minimum, *s.maximum) > 0 {
		c.bad(t.start, pointer, "schema-value", "minimum is above maximum")
	}
	if s.minLength != nil && s.maxLength != nil && *s.minLength > *s.maxLength {
		c.bad(t.start, pointer, "schema-value", "minLength is above maxLength")
	}
	for _, name := range s.required {
		if s.byName[name] != nil || s.siblings[name] || pointer == "" && slices.Contains(hostMembers, name) {
			continue
		}
		list, _ := t.get("required")
		at := strict.Join(pointer, "required")
		if s.closed {
			c.bad(list.start, at, "schema-required", "%s is not declared, so no config could be valid%s", clip(name), suggestion(name, s.names()))
		} else {
			c.warn(list.start, at, "schema-required", "%s is not declared%s", clip(name), suggestion(name, s.names()))
		}
	}
}

// values checks enum and default by the finished schema.
func (c *compiler) values(s *schema, t *tree, pointer string) {
	if list, ok := t.get("enum"); ok {
		at := strict.Join(pointer, "enum")
		if c.want(list, at, strict.Array) && len(list.items) == 0 {
			c.bad(list.start, at, "schema-value", "must not be empty")
		}
		for i := range list.items {
			c.judge(s, &list.items[i], strict.Index(at, i), true)
		}
		s.enum = list.items
	}
	if v, ok := t.get("default"); ok && v.kind != strict.Null {
		s.fallback = c.fallback(s, v, strict.Join(pointer, "default"))
	}
}

// judge reports what is wrong with a value that the author wrote.
func (c *compiler) judge(s *schema, v *tree, pointer string, anyEnum bool) {
	check := validator{problems: &problems{}, anyEnum: anyEnum}
	check.value(s, v, pointer)
	for _, e := range check.list {
		c.bad(v.start, e.Path, "schema-value", "is not valid here: %s", e.Message)
	}
}

// fallback is a default as it is put into a config: without blanks, and with
// the defaults of what it contains.
func (c *compiler) fallback(s *schema, v *tree, pointer string) []byte {
	var e edits
	if !s.fill(&e, v, int(maxConfig)) {
		c.bad(v.start, pointer, "schema-size", "with the defaults inside it has more than %v", maxConfig)
		return nil
	}
	for i := range e.list {
		e.list[i].start -= v.start
		e.list[i].end -= v.start
	}
	var full bytes.Buffer
	if err := json.Compact(&full, e.apply(v.raw())); err != nil {
		c.bad(v.start, pointer, "schema-value", "%v", err)
		return nil
	}
	filled, err := growTree(full.Bytes())
	if err != nil {
		c.bad(v.start, pointer, "schema-value", "%v", err)
		return nil
	}
	filled.start = v.start // for the place of problems
	c.judge(s, filled, pointer, false)
	return full.Bytes()
}
