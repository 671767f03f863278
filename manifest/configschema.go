package manifest

import (
	"bytes"
	"errors"
	"regexp"

	"github.com/sandcheck/sandcheck/internal/strict"
	"github.com/sandcheck/sandcheck/limits"
)

// maxConfig bounds a config before and after defaults are added to it.
const maxConfig = 2 * limits.MiB

// A ConfigSchema says what config a plugin takes: config.schema.json, compiled.
// It fills in defaults and refuses a config before anything is executed. It is
// immutable and safe for concurrent use. A nil *ConfigSchema, as in a package
// without that file, accepts every JSON value.
type ConfigSchema struct {
	root     *schema // nil for the empty schema, which accepts every value
	warnings []Error
}

// schema is one schema of the document, with what its keywords say.
type schema struct {
	kind                 string
	properties           []property
	byName               map[string]*schema
	siblings             map[string]bool // clear-text neighbours of secret references
	required             []string
	closed               bool // additionalProperties false
	items                *schema
	enum                 []tree
	fallback             []byte // the default, with the defaults inside it; nil for none
	minimum, maximum     *string
	minLength, maxLength *int
	pattern              *regexp.Regexp
	format               string
	secret               bool
}

type property struct {
	name   string
	schema *schema
}

// ParseConfigSchema reads config.schema.json. It accepts a small subset of JSON
// Schema and refuses every keyword outside it, so that no rule of an author is
// dropped in silence: type (one of string, integer, number, boolean, array,
// object; required, and object at the root), title, description, properties,
// required, additionalProperties (a boolean), items, enum, default, minimum,
// maximum, minLength, maxLength, pattern (RE2), format (uri, email), secretRef,
// and $schema at the root. The object without members accepts every config.
//
// The error joins one *Error per problem, at most 50; Path is a JSON pointer.
// Nothing is ever fetched. doc is not kept.
func ParseConfigSchema(doc []byte) (*ConfigSchema, error) {
	c := &compiler{problems: problems{file: schemaFile}, warnings: problems{file: schemaFile}, doc: bytes.Clone(doc)}
	if err := strict.Check(c.doc, strict.Options{Bytes: int(maxSchema)}); err != nil {
		strictProblems(&c.problems, c.doc, "schema-json", err, true)
		return nil, c.err()
	}
	t, err := growTree(c.doc)
	if err != nil {
		c.add(mark{}, "", "schema-json", "%v", err)
		return nil, c.err()
	}
	root := c.root(t)
	if err := c.err(); err != nil {
		return nil, err
	}
	return &ConfigSchema{root: root, warnings: c.warnings.sorted()}, nil
}

// Warnings lists keywords that have no effect and required names that are not
// declared, by position, at most 50.
func (s *ConfigSchema) Warnings() []Error {
	if s == nil {
		return nil
	}
	return append([]Error(nil), s.warnings...)
}

// Apply makes a config complete and checks it: absent members are filled in
// with their defaults, then the document is validated. It returns cfg itself if
// nothing was missing, else cfg with members appended; all that cfg holds stays
// as it is written. An empty cfg means no config: it is treated as {} and comes
// back as nil if nothing was added.
//
// The error joins one *Error per problem, at most 50. Path is the JSON pointer
// of the value, of the member that is too much, or of the object that lacks
// one; Rule is config-json, config-size, config-type, config-required,
// config-extra, config-enum, config-range, config-length, config-pattern or
// config-format. No error repeats a value of the config, so secrets stay out
// of logs.
func (s *ConfigSchema) Apply(cfg []byte) ([]byte, error) {
	p := &problems{}
	none := len(cfg) == 0
	if none {
		if s == nil || s.root == nil {
			return nil, nil
		}
		cfg = []byte("{}")
	}
	t := readConfig(p, cfg)
	if t == nil || s == nil || s.root == nil {
		return cfg, p.err()
	}
	var e edits
	if !s.root.fill(&e, t, int(maxConfig)-len(cfg)) {
		p.add(mark{}, "", "config-size", "with its defaults the config would have more than %v", maxConfig)
		return nil, p.err()
	}
	full := e.apply(cfg)
	if len(e.list) > 0 {
		if t = readConfig(p, full); t == nil {
			return nil, p.err()
		}
	}
	v := validator{problems: p}
	v.value(s.root, t, "")
	if err := p.err(); err != nil {
		return nil, err
	}
	if none && len(e.list) == 0 {
		return nil, nil
	}
	return full, nil
}

// readConfig checks that cfg is one JSON value that every reader understands
// alike.
func readConfig(p *problems, cfg []byte) *tree {
	if err := strict.Check(cfg, strict.Options{Bytes: int(maxConfig), AnyRoot: true}); err != nil {
		rule := "config-json"
		var first *strict.Error
		if errors.As(err, &first) && first.Code == strict.TooLarge {
			rule = "config-size"
		}
		strictProblems(p, cfg, rule, err, false)
		return nil
	}
	t, err := growTree(cfg)
	if err != nil {
		p.add(mark{}, "", "config-json", "%v", err)
		return nil
	}
	return t
}
