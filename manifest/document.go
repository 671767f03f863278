package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/sandcheck/sandcheck/internal/plain"
)

// Bounds of a YAML document. Without them a small document costs a large
// multiple of its size in whatever reads it next.
const (
	maxDepth   = 32     // maps and lists within each other; the root is 1
	maxNodes   = 10_000 // maps, lists, keys and values
	maxMapKeys = 256    // of one map
)

// mark is a place in a file, counted from 1; the zero mark is nowhere.
type mark struct{ line, column int }

func markOf(n *yaml.Node) mark { return mark{n.Line, n.Column} }

// A document is a YAML file that passed the structural rules: one map, no
// aliases, no custom tags, every key a text and used once, within the bounds.
type document struct {
	root *yaml.Node
	at   map[string]mark     // of the fields that a rule can point at
	bad  map[*yaml.Node]bool // nodes that are reported already
}

// find is the place of path, or of the nearest thing around it.
func (d *document) find(path string) mark {
	for path != "" {
		if at, ok := d.at[path]; ok {
			return at
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return markOf(d.root)
}

// readDocument decodes text by node. It returns nil where nothing can be said
// about fields; problems then say why.
func readDocument(text []byte, p *problems) *document {
	text = decodable(text, p)
	if text == nil {
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	first, err := nextNode(dec)
	switch {
	case errors.Is(err, io.EOF):
		p.add(mark{}, "", "manifest-document", "the file is empty: expected a map of fields such as id and name")
		return nil
	case err != nil:
		addSyntax(p, text, err)
		return nil
	}
	if second, err := nextNode(dec); err == nil {
		p.add(markOf(second), "", "manifest-document", "a second document starts here: a manifest is one document")
	} else if !errors.Is(err, io.EOF) {
		addSyntax(p, text, err)
	}
	root := first.Content[0]
	if root.Kind != yaml.MappingNode {
		p.add(markOf(root), "", "manifest-document", "must be a map of fields such as id and name, got %s", kindOf(root))
		return nil
	}
	d := &document{root: root, at: map[string]mark{}, bad: map[*yaml.Node]bool{}}
	w := walker{problems: p, doc: d, limit: len(p.list) + maxProblems}
	w.walk(root, markOf(root))
	if w.stopped {
		return nil
	}
	return d
}

// decodable checks what must hold before a YAML reader sees text. It drops one
// leading byte order mark.
func decodable(text []byte, p *problems) []byte {
	if len(text) > int(maxManifest) {
		p.add(mark{}, "", "manifest-size", "%d bytes are more than the %d that a manifest may have", len(text), int(maxManifest))
		return nil
	}
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		p.add(mark{}, "", "manifest-encoding", "is UTF-16: save it as UTF-8")
		return nil
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if bytes.HasPrefix(text, []byte("\ufeff")) { // the YAML reader would drop this one too
		p.add(position(text, 0), "", "manifest-encoding", "starts with a second byte order mark")
		return nil
	}
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			p.add(position(text, i), "", "manifest-encoding", "byte 0x%02x is not UTF-8: save the file as UTF-8", text[i])
			return nil
		case r == 0:
			p.add(position(text, i), "", "manifest-encoding", "holds a NUL character")
			return nil
		}
		i += n
	}
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(trimmed) {
		return jsonAsYAML(text)
	}
	return append([]byte{}, text...)
}

// jsonAsYAML rewrites the two escapes of JSON that the YAML reader does not
// know, and leaves every line and nearly every column where it was.
func jsonAsYAML(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		rest := text[i:]
		switch {
		case rest[0] != '\\':
			out = append(out, rest[0])
			i++
		case rest[1] == '/':
			out = append(out, '/')
			i += 2
		case rest[1] == 'u':
			r, n := unescape(rest)
			switch {
			case n == 12 || r == utf8.RuneError:
				out = utf8.AppendRune(out, r)
			default:
				out = append(out, rest[:n]...)
			}
			i += n
		default:
			out = append(out, rest[:2]...)
			i += 2
		}
	}
	return out
}

// unescape reads the \uXXXX that valid JSON starts with, or the two of a pair
// of surrogates. One without the other becomes U+FFFD, as in encoding/json.
func unescape(text []byte) (r rune, n int) {
	unit := func(at int) rune {
		if len(text) < at+6 || text[at] != '\\' || text[at+1] != 'u' {
			return -1
		}
		v, _ := strconv.ParseUint(string(text[at+2:at+6]), 16, 16) // valid JSON has four digits there
		return rune(v)
	}
	r = unit(0)
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if pair := utf16.DecodeRune(r, unit(6)); pair != utf8.RuneError {
		return pair, 12
	}
	return utf8.RuneError, 6
}

// position is the place of a byte offset.
func position(text []byte, offset int) mark {
	before := text[:offset]
	line := bytes.Count(before, []byte("\n")) + 1
	return mark{line, utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1}
}

// nextNode decodes the next document. The YAML library reports some faults by
// panicking; none of them may reach the caller's process.
func nextNode(dec *yaml.Decoder) (n *yaml.Node, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			n, err = nil, fmt.Errorf("the YAML reader failed: %v", fault)
		}
	}()
	n = new(yaml.Node)
	if err := dec.Decode(n); err != nil {
		return nil, err
	}
	if n.Kind != yaml.DocumentNode || len(n.Content) != 1 {
		return nil, errors.New("the YAML reader returned no document")
	}
	return n, nil
}

// addSyntax reports an error of the YAML library, which names at most a line.
func addSyntax(p *problems, text []byte, err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	if name, ok := cutAround(message, "unknown anchor '", "' referenced"); ok {
		at := mark{}
		if i := bytes.Index(text, []byte("*"+name)); i >= 0 {
			at = position(text, i)
		}
		p.add(at, "", "manifest-alias", "alias %s: aliases are not allowed; quote the value if it is text", clip("*"+name))
		return
	}
	at := mark{}
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		if number, rest, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				at.line, message = n, rest
			}
		}
	}
	p.add(at, "", "manifest-yaml", "not readable as YAML: %s", plain.Cut(plain.Line(message), 200))
}

func cutAround(s, before, after string) (string, bool) {
	s, ok := strings.CutPrefix(s, before)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(s, after)
}

// A walker checks the structure of a document, whatever its fields mean.
type walker struct {
	*problems
	doc     *document
	limit   int // of problems
	nodes   int
	path    []string // of the node at hand, for messages
	stopped bool     // the document is too large to look at further
}

// walk checks n and what it holds; at is where its path points.
func (w *walker) walk(n *yaml.Node, at mark) {
	w.nodes++
	if w.nodes > maxNodes {
		w.stop(at, "has more than %d values", maxNodes)
	}
	if w.stopped || !w.plain(n, at) || n.Kind == yaml.ScalarNode {
		return
	}
	if len(w.path) >= maxDepth {
		w.stop(at, "is nested deeper than %d levels", maxDepth)
		return
	}
	if n.Kind == yaml.MappingNode {
		w.walkMap(n)
		return
	}
	for i, item := range n.Content {
		w.path = append(w.path, "["+strconv.Itoa(i)+"]")
		w.walk(item, markOf(item))
		w.path = w.path[:len(w.path)-1]
	}
}

func (w *walker) walkMap(n *yaml.Node) {
	seen := make(map[string]int, min(len(n.Content)/2, maxMapKeys))
	for i := 0; i+1 < len(n.Content) && !w.stopped; i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if i/2 == maxMapKeys {
			w.stop(markOf(key), "has more than %d keys", maxMapKeys)
			return
		}
		w.nodes++
		w.path = append(w.path, keyPath(key))
		if w.key(key, seen) {
			w.walk(value, markOf(key))
		}
		w.path = w.path[:len(w.path)-1]
	}
}

// key checks one key of a map and reports whether it can be used.
func (w *walker) key(key *yaml.Node, seen map[string]int) bool {
	at := markOf(key)
	switch {
	case key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge":
		w.report(key, at, "manifest-alias", "merge keys are not allowed: write the fields out")
		return false
	case !w.plain(key, at):
		return false
	case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str":
		w.report(key, at, "manifest-key", "a key must be text, got %s%s", kindOf(key), quoteIt(key))
		return false
	}
	if first, twice := seen[key.Value]; twice {
		w.report(key, at, "manifest-key", "key %s is set twice, first in line %d", clip(key.Value), first)
		return false
	}
	seen[key.Value] = key.Line
	return true
}

// plain refuses what makes a document mean more than it shows.
func (w *walker) plain(n *yaml.Node, at mark) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		w.report(n, at, "manifest-alias", "alias %s: aliases are not allowed; write the value out, or quote it if it is text", clip("*"+n.Value))
	case n.Anchor != "":
		w.report(n, at, "manifest-alias", "anchor %s: anchors are not allowed; quote the value if it is text", clip("&"+n.Anchor))
	case n.Style&yaml.TaggedStyle != 0 && !standardTag(n):
		w.report(n, at, "manifest-alias", "tag %s: custom tags are not allowed", clip(n.Tag))
	default:
		return true
	}
	return false
}

// standardTag reports whether the tag that n is written with says no more than
// what the kind of value is.
func standardTag(n *yaml.Node) bool {
	switch n.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!null":
		return n.Kind == yaml.ScalarNode
	case "!!map":
		return n.Kind == yaml.MappingNode
	case "!!seq":
		return n.Kind == yaml.SequenceNode
	default:
		return false
	}
}

func (w *walker) report(n *yaml.Node, at mark, rule, format string, args ...any) {
	w.doc.bad[n] = true
	// The walk goes from first to last, so what comes beyond the limit could
	// not be among the problems that are reported.
	if len(w.list) < w.limit {
		w.add(at, w.at(), rule, format, args...)
	}
}

func (w *walker) stop(at mark, format string, args ...any) {
	if !w.stopped {
		w.stopped = true
		w.add(at, w.at(), "manifest-depth", format, args...)
	}
}

func (w *walker) at() string {
	var b strings.Builder
	for _, part := range w.path {
		if b.Len() > 0 && part[0] != '[' {
			b.WriteByte('.')
		}
		b.WriteString(part)
	}
	return b.String()
}

// keyPath is a key as an element of a path: as it is where that is readable,
// else quoted and clipped.
func keyPath(key *yaml.Node) string {
	if key.Kind != yaml.ScalarNode {
		return "?"
	}
	s := key.Value
	if s == "" || len(s) > maxShown || strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`.[]"\`, r)
	}) {
		return clip(s)
	}
	return s
}

// kindOf names what a node is, for messages.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!str":
		return clip(n.Value)
	case "!!bool":
		return "the yes-or-no value " + clip(n.Value)
	case "!!timestamp":
		return "the date " + clip(n.Value)
	default:
		return "the number " + clip(n.Value)
	}
}
