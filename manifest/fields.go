package manifest

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// A section is one map of a manifest whose keys are fields.
type section struct {
	*reader
	path   string // of the map, "" for the root
	at     mark
	names  []string // as written, in order
	fields map[string]field
}

type field struct {
	key, value *yaml.Node
	path       string
}

// A reader takes fields out of a document by the kind of their values and
// remembers where they stand. What it cannot take it reports, and lists as
// failed so that no second rule judges a value that is not there.
type reader struct {
	*problems
	doc    *document
	failed map[string]bool
}

// open makes a section of a map node.
func (r *reader) open(n *yaml.Node, path string, at mark) *section {
	s := &section{reader: r, path: path, at: at, fields: map[string]field{}}
	r.doc.at[path] = at
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if r.doc.bad[key] {
			continue // reported: not a text, or set before
		}
		f := field{key: key, value: value, path: join(path, keyPath(key))}
		r.doc.at[f.path] = markOf(key)
		s.names = append(s.names, key.Value)
		s.fields[key.Value] = f
	}
	return s
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (r *reader) fail(f field, rule, format string, args ...any) {
	r.failed[f.path] = true
	r.add(markOf(f.key), f.path, rule, format, args...)
}

// get finds a field with a value. null counts as missing.
func (s *section) get(name string, required bool) (field, bool) {
	f, ok := s.fields[name]
	if ok && s.doc.bad[f.value] {
		s.failed[f.path] = true // reported by the walk
		return f, false
	}
	if ok && !(f.value.Kind == yaml.ScalarNode && f.value.ShortTag() == "!!null") {
		return f, true
	}
	if required {
		path := join(s.path, name)
		s.failed[path] = true
		at := s.at
		if ok {
			at = markOf(f.key)
		}
		s.add(at, path, "manifest-required", "is missing")
	}
	return f, false
}

// text is a field that holds text. Space around it is dropped.
func (s *section) text(name string, required bool) string {
	f, ok := s.get(name, required)
	if !ok {
		return ""
	}
	if f.value.Kind != yaml.ScalarNode || f.value.ShortTag() != "!!str" {
		s.fail(f, "manifest-type", "must be text, got %s%s", kindOf(f.value), quoteIt(f.value))
		return ""
	}
	return strings.TrimSpace(f.value.Value)
}

func quoteIt(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return ""
	}
	return "; quote it"
}

// plainInt is the only spelling of a whole number that every reader of YAML
// understands alike.
var plainInt = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

func isPlainInt(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Style == 0 && plainInt.MatchString(n.Value)
}

// integer is a field that holds a whole number between least and most, 0 where
// there is none.
func (s *section) integer(name string, required bool, rule string, least, most int64) int64 {
	f, ok := s.get(name, required)
	if !ok {
		return 0
	}
	if !isPlainInt(f.value) {
		s.fail(f, "manifest-int", "must be a whole number %s, got %s", atLeast(least), intProblem(f.value))
		return 0
	}
	n, err := strconv.ParseInt(f.value.Value, 10, 64)
	if err != nil || n < least || n > most {
		s.fail(f, rule, "must be %s, got %s", between(least, most), strings.Trim(clip(f.value.Value), `"`))
		return 0
	}
	return n
}

func atLeast(least int64) string {
	if least == 1 {
		return "> 0"
	}
	return fmt.Sprintf(">= %d", least)
}

func between(least, most int64) string {
	if most == math.MaxInt32 {
		return "at least " + strconv.FormatInt(least, 10)
	}
	return fmt.Sprintf("between %d and %d", least, most)
}

func intProblem(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode {
		return kindOf(n)
	}
	if plainInt.MatchString(n.Value) && n.Style != 0 {
		return clip(n.Value) + " in quotes; remove them"
	}
	return clip(n.Value)
}

// boolean is a field that holds true or false; absent is false.
func (s *section) boolean(name string) bool {
	f, ok := s.get(name, false)
	if !ok {
		return false
	}
	if f.value.Kind != yaml.ScalarNode || f.value.Style != 0 || f.value.Value != "true" && f.value.Value != "false" {
		got := kindOf(f.value)
		if f.value.Kind == yaml.ScalarNode {
			got = clip(f.value.Value)
		}
		s.fail(f, "manifest-type", "must be true or false, got %s", got)
		return false
	}
	return f.value.Value == "true"
}

// section is a field that holds a map.
func (s *section) section(name string, required bool) *section {
	f, ok := s.get(name, required)
	if !ok {
		return nil
	}
	if f.value.Kind != yaml.MappingNode {
		s.fail(f, "manifest-type", "must be a map, got %s", kindOf(f.value))
		return nil
	}
	return s.open(f.value, f.path, markOf(f.key))
}

// An item is one entry of a list.
type item struct {
	node *yaml.Node
	path string
}

// items is a field that holds a list; its entries are of a kind that accept
// names, such as "text". ok is false where there is no list at all.
func (s *section) items(name string, required bool, want string, accept func(*yaml.Node) bool) (items []item, ok bool) {
	f, ok := s.get(name, required)
	if !ok {
		return nil, false
	}
	if f.value.Kind != yaml.SequenceNode {
		s.fail(f, "manifest-type", "must be a list, got %s", kindOf(f.value))
		return nil, false
	}
	for i, n := range f.value.Content {
		it := item{node: n, path: f.path + "[" + strconv.Itoa(i) + "]"}
		s.doc.at[it.path] = markOf(n)
		switch {
		case s.doc.bad[n]:
			s.failed[it.path] = true
		case !accept(n):
			s.failed[it.path] = true
			s.add(markOf(n), it.path, "manifest-type", "must be %s, got %s%s", want, kindOf(n), quoteIt(n))
		}
		items = append(items, it)
	}
	return items, true
}

func isText(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" }

// texts is a list of text, "" in place of an entry that failed.
func (s *section) texts(name string, required bool) []string {
	items, _ := s.items(name, required, "text", isText)
	var out []string
	for _, it := range items {
		text := ""
		if !s.failed[it.path] {
			text = strings.TrimSpace(it.node.Value)
		}
		out = append(out, text)
	}
	return out
}

// unknown reports every key that is not among known.
func (s *section) unknown(known []string) {
	for _, name := range s.names {
		if !slices.Contains(known, name) {
			s.fail(s.fields[name], "manifest-unknown-key", "is not a field%s%s", inside(s.path), suggestion(name, known))
		}
	}
}

func inside(path string) string {
	if path == "" {
		return " of a manifest"
	}
	return " of " + path
}
