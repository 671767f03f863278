package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// maxProblems bounds what one file reports: enough to repair it at once.
const maxProblems = 50

// yamlError is one problem of a grant or trust file.
type yamlError struct {
	File    string
	Line    int // from 1; 0 for the whole file
	Path    string
	Message string
}

// Error is "FILE:LINE: PATH: MESSAGE" without the parts that are not known.
func (e *yamlError) Error() string {
	text := e.File + ":"
	if e.Line > 0 {
		text += strconv.Itoa(e.Line) + ":"
	}
	if e.Path != "" {
		text += " " + e.Path + ":"
	}
	return text + " " + e.Message
}

// yamlReader reads a grant or trust file node by node and collects what is wrong. The
// YAML library's own decoding into structs is lenient where this must not be: it
// rounds numbers, follows aliases and merges maps.
type yamlReader struct {
	file     string
	problems []*yamlError
	reported map[*yaml.Node]bool
}

func (r *yamlReader) add(n *yaml.Node, path, format string, args ...any) {
	e := &yamlError{File: r.file, Path: path, Message: fmt.Sprintf(format, args...)}
	if n != nil {
		e.Line = n.Line
		if r.reported == nil {
			r.reported = map[*yaml.Node]bool{}
		}
		r.reported[n] = true
	}
	r.problems = append(r.problems, e)
}

func (r *yamlReader) err() error {
	slices.SortStableFunc(r.problems, func(a, b *yamlError) int { return cmp.Compare(a.Line, b.Line) })
	var errs []error
	for _, p := range r.problems[:min(len(r.problems), maxProblems)] {
		errs = append(errs, p)
	}
	if more := len(r.problems) - maxProblems; more > 0 {
		errs = append(errs, &yamlError{File: r.file, Message: fmt.Sprintf("%d more problems", more)})
	}
	return errors.Join(errs...)
}

// document returns the root of the only document in text, nil if that is no map.
func (r *yamlReader) document(text []byte) *yaml.Node {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		r.add(nil, "", "is not UTF-8 text")
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	doc, err := nextDocument(dec)
	switch {
	case errors.Is(err, io.EOF):
		r.add(nil, "", "is empty: to say nothing, write {}")
		return nil
	case err != nil:
		r.syntax(text, err)
		return nil
	}
	if second, err := nextDocument(dec); err == nil {
		r.add(second, "", "a second document starts here: a file is one document")
	} else if !errors.Is(err, io.EOF) {
		r.syntax(text, err)
	}
	return doc
}

// nextDocument returns the root of the next document. The YAML library reports
// some faults by panicking.
func nextDocument(dec *yaml.Decoder) (root *yaml.Node, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			root, err = nil, fmt.Errorf("the YAML reader failed: %v", fault)
		}
	}()
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, errors.New("the YAML reader returned no document")
	}
	return doc.Content[0], nil
}

// syntax reports an error of the YAML library, which names at most a line: none
// for the first one and for an alias.
func (r *yamlReader) syntax(doc []byte, err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	at := &yaml.Node{Line: 1}
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		if number, rest, ok := strings.Cut(rest, ": "); ok {
			if line, err := strconv.Atoi(number); err == nil {
				at, message = &yaml.Node{Line: line}, rest
			}
		}
	}
	if rest, ok := strings.CutPrefix(message, "unknown anchor '"); ok {
		name, _, _ := strings.Cut(rest, "'")
		if i := bytes.Index(doc, []byte("*"+name)); i >= 0 {
			at = &yaml.Node{Line: 1 + bytes.Count(doc[:i], []byte("\n"))}
		}
	}
	if strings.Contains(message, "alphabetic or numeric character") || strings.Contains(message, "unknown anchor") {
		message += `; quote texts that begin with * or &, as in "*"`
	}
	r.add(at, "", "is not YAML: %s", cut(oneLine(message), 200))
}

// entry is one key of a map with its value.
type entry struct {
	key         string
	name, value *yaml.Node
}

// entries returns those of known that n has, each once.
func (r *yamlReader) entries(n *yaml.Node, path string, known ...string) []entry {
	if !r.plain(n, path) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.add(n, path, "must be a map with any of %s, got %s", strings.Join(known, ", "), kindOf(n))
		return nil
	}
	var all []entry
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		switch first := lines[name.Value]; {
		case !r.plain(name, path):
		case !isText(name):
			r.add(name, path, "a key must be text, got %s", kindOf(name))
		case first > 0:
			r.add(name, under(path, cut(name.Value, maxShown)), "is set twice, first in line %d", first)
		case !slices.Contains(known, name.Value):
			lines[name.Value] = name.Line
			r.add(name, under(path, cut(name.Value, maxShown)), "unknown key; known are %s", strings.Join(known, ", "))
		default:
			lines[name.Value] = name.Line
			all = append(all, entry{name.Value, name, value})
		}
	}
	return all
}

func under(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// items returns the items of a list.
func (r *yamlReader) items(n *yaml.Node, path, want string) []*yaml.Node {
	if !r.plain(n, path) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.add(n, path, "must be %s, got %s", want, kindOf(n))
		return nil
	}
	return n.Content
}

// whole returns a whole number between 1 and most, zero where n is none.
func (r *yamlReader) whole(n *yaml.Node, path string, most int) int {
	if !r.plain(n, path) {
		return 0
	}
	if i, err := strconv.Atoi(n.Value); isDecimal(n) && err == nil && 1 <= i && i <= most {
		return i
	}
	r.add(n, path, "must be a whole number between 1 and %d, got %s", most, kindOf(n))
	return 0
}

// plain refuses what makes a value other than it reads: aliases, anchors and
// tags.
func (r *yamlReader) plain(n *yaml.Node, path string) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		r.add(n, path, `aliases are not allowed: write the value out, or quote text that begins with "*"`)
	case n.Anchor != "":
		r.add(n, path, `anchors are not allowed: leave it out, or quote text that begins with "&"`)
	case n.Style&yaml.TaggedStyle != 0:
		r.add(n, path, "tags such as %s are not allowed", quoted(n.Tag))
	default:
		return true
	}
	return false
}

func isText(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" }

// isDecimal accepts whole numbers as people write them: no 0x10, 010 or 1_000.
func isDecimal(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" &&
		strings.Trim(n.Value, "0123456789") == "" && (n.Value == "0" || n.Value[0] != '0')
}

// maxShown is how much of an offending value a message repeats.
const maxShown = 64

func quoted(s string) string { return strconv.Quote(cut(s, maxShown)) }

// kindOf names what n is, for messages.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a map"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == "!!null":
		return "nothing"
	case isText(n):
		return "the text " + quoted(n.Value)
	default:
		return cut(n.Value, maxShown)
	}
}
