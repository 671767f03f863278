package manifest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/sandcheck/sandcheck/internal/strict"
)

// A tree is a value of a JSON document that passed strict.Check, with the place
// where it is written: what is not changed is copied byte for byte.
type tree struct {
	doc        []byte // the whole document
	kind       strict.Kind
	start, end int
	text       string // a text, unquoted; a number, as written
	truth      bool
	members    []member // of an object, in order
	items      []tree   // of an array
}

type member struct {
	name  string
	at    int // where the name is written
	value tree
}

// get finds a member.
func (t *tree) get(name string) (*tree, bool) {
	i := slices.IndexFunc(t.members, func(m member) bool { return m.name == name })
	if i < 0 {
		return nil, false
	}
	return &t.members[i].value, true
}

// names is the set of the members of an object.
func (t *tree) names() map[string]bool {
	set := make(map[string]bool, len(t.members))
	for _, m := range t.members {
		set[m.name] = true
	}
	return set
}

// growTree reads a document that passed strict.Check.
func growTree(doc []byte) (*tree, error) {
	g := grower{doc: doc, dec: json.NewDecoder(bytes.NewReader(doc))}
	g.dec.UseNumber()
	t, err := g.value()
	if err != nil {
		return nil, err
	}
	return &t, nil
}

type grower struct {
	doc []byte
	dec *json.Decoder
}

// token reads the next token and says where it begins.
func (g *grower) token() (json.Token, int, error) {
	start := int(g.dec.InputOffset())
	for start < len(g.doc) && strings.IndexByte(" \t\r\n,:", g.doc[start]) >= 0 {
		start++
	}
	tok, err := g.dec.Token()
	return tok, start, err
}

func (g *grower) value() (t tree, err error) {
	tok, start, err := g.token()
	if err != nil {
		return t, err
	}
	t = tree{doc: g.doc, start: start}
	switch v := tok.(type) {
	case json.Delim:
		if v == '{' {
			t.kind = strict.Object
			err = g.object(&t)
		} else {
			t.kind = strict.Array
			err = g.array(&t)
		}
	case string:
		t.kind, t.text = strict.Text, v
	case json.Number:
		t.kind, t.text = strict.Number, v.String()
	case bool:
		t.kind, t.truth = strict.Bool, v
	default:
		t.kind = strict.Null
	}
	t.end = int(g.dec.InputOffset())
	return t, err
}

func (g *grower) object(t *tree) error {
	for g.dec.More() {
		tok, at, err := g.token()
		if err != nil {
			return err
		}
		name, ok := tok.(string)
		if !ok {
			return errors.New("a name is not a text")
		}
		value, err := g.value()
		if err != nil {
			return err
		}
		t.members = append(t.members, member{name: name, at: at, value: value})
	}
	_, err := g.dec.Token()
	return err
}

func (g *grower) array(t *tree) error {
	for g.dec.More() {
		value, err := g.value()
		if err != nil {
			return err
		}
		t.items = append(t.items, value)
	}
	_, err := g.dec.Token()
	return err
}

// raw is the value as it is written.
func (t *tree) raw() []byte { return t.doc[t.start:t.end] }

// equal compares values: numbers by what they are worth, objects in any order.
func (t *tree) equal(o *tree) bool {
	switch {
	case t.kind != o.kind:
		return false
	case t.kind == strict.Number:
		return compareDecimals(t.text, o.text) == 0
	case t.kind == strict.Array:
		return slices.EqualFunc(t.items, o.items, func(a, b tree) bool { return a.equal(&b) })
	case t.kind == strict.Object:
		return len(t.members) == len(o.members) && !slices.ContainsFunc(t.members, func(m member) bool {
			other, ok := o.get(m.name)
			return !ok || !m.value.equal(other)
		})
	default:
		return t.text == o.text && t.truth == o.truth
	}
}

// isInteger reports whether a number has no fraction; 1.0 and 1e2 have none.
func isInteger(text string) bool {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	if !strings.Contains(mantissa, ".") && !strings.HasPrefix(exponent, "-") {
		return true // the rest would write out hundreds of digits
	}
	return decimal(text).IsInt()
}

// compareDecimals compares two JSON numbers exactly. Their length and exponent
// are bounded by strict.Check. Rounding keeps their order, so only those that
// round to the same are written out.
func compareDecimals(a, b string) int {
	x, _ := strconv.ParseFloat(a, 64) // out of range is infinite, which is right here
	y, _ := strconv.ParseFloat(b, 64)
	if x != y {
		return cmp.Compare(x, y)
	}
	return decimal(a).Cmp(decimal(b))
}

func decimal(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return new(big.Rat) // not a JSON number, which strict.Check refused
	}
	return r
}

// An edit puts text in place of doc[start:end].
type edit struct {
	start, end int
	text       []byte
}

// edits are changes of one document in the order of their places.
type edits struct {
	list []edit
	size int // of all texts
}

func (e *edits) add(start, end int, text []byte) {
	e.list = append(e.list, edit{start, end, text})
	e.size += len(text)
}

// apply returns doc with the changes, or doc itself where there are none.
func (e *edits) apply(doc []byte) []byte {
	if len(e.list) == 0 {
		return doc
	}
	out := make([]byte, 0, len(doc)+e.size)
	from := 0
	for _, c := range e.list {
		out = append(append(out, doc[from:c.start]...), c.text...)
		from = c.end
	}
	return append(out, doc[from:]...)
}

// kindName says what a value is, for messages that must not show it.
func kindName(k strict.Kind) string {
	switch k {
	case strict.Object:
		return "an object"
	case strict.Array:
		return "an array"
	case strict.Text:
		return "a string"
	case strict.Number:
		return "a number"
	case strict.Bool:
		return "a boolean"
	default:
		return "null"
	}
}

// strictProblems turns what strict.Check found into Errors of one rule.
func strictProblems(p *problems, doc []byte, rule string, err error, positions bool) {
	var found strict.Errors
	if !errors.As(err, &found) {
		p.add(mark{}, "", rule, "%v", err)
		return
	}
	for _, e := range found {
		at := mark{}
		if positions && e.Offset <= len(doc) && len(doc) <= int(maxSchema) {
			at = position(doc, e.Offset)
		}
		p.add(at, e.Pointer, rule, "%s", fmt.Sprintf("%s (%s)", e.Message, e.Code))
	}
}
