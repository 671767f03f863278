package strict

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// scanner checks one document in one pass. Its methods report false once a
// problem has ended the scan.
type scanner struct {
	doc    []byte
	pos    int
	o      Options
	tokens int
	path   []step
	found  Errors // what makes the document unacceptable
	broken Errors // broken text in values
}

// step is one level of the path to where the scanner stands.
type step struct {
	object bool
	key    []byte // of an object: as written, quotes included; nil before the first
	index  int    // of an array
}

func scan(doc []byte, o Options) *scanner {
	s := &scanner{doc: doc, o: o.filled()}
	if s.preamble() {
		s.root()
	}
	return s
}

// preamble judges what needs no parsing.
func (s *scanner) preamble() bool {
	switch {
	case len(s.doc) > s.o.Bytes:
		return s.fail(TooLarge, 0, fmt.Sprintf("%d bytes, at most %d are accepted", len(s.doc), s.o.Bytes))
	case len(s.doc) == 0:
		return s.fail(Empty, 0, "there is no document")
	case bytes.HasPrefix(s.doc, []byte("\xef\xbb\xbf")), bytes.HasPrefix(s.doc, []byte("\xfe\xff")), bytes.HasPrefix(s.doc, []byte("\xff\xfe")):
		return s.fail(BOM, 0, "starts with a byte order mark; write UTF-8 without one")
	default:
		return true
	}
}

func (s *scanner) root() {
	s.space()
	start := s.pos
	if !s.value() {
		return
	}
	if s.doc[start] != '{' && !s.o.AnyRoot {
		s.note(NotObject, start, "the root must be an object")
	}
	s.space()
	if s.pos < len(s.doc) {
		s.note(Trailing, s.pos, fmt.Sprintf("%s after the end of the document", s.here()))
	}
}

func (s *scanner) value() bool {
	s.space()
	if !s.token() {
		return false
	}
	if s.pos == len(s.doc) {
		return s.syntax("a value")
	}
	switch c := s.doc[s.pos]; {
	case c == '{':
		return s.object()
	case c == '[':
		return s.array()
	case c == '"':
		return s.textValue()
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	default:
		return s.word()
	}
}

func (s *scanner) object() bool {
	if !s.enter(true) {
		return false
	}
	var seen keySet
	for n := 0; ; n++ {
		s.space()
		if n == 0 && s.eat('}') {
			return s.leave()
		}
		if !s.key(&seen, n) {
			return false
		}
		s.space()
		if !s.eat(':') {
			return s.syntax(`":"`)
		}
		if !s.value() {
			return false
		}
		s.space()
		if s.eat('}') {
			return s.leave()
		}
		if !s.eat(',') {
			return s.syntax(`"," or "}"`)
		}
	}
}

// key reads the nth key of an object and makes it the end of the path.
func (s *scanner) key(seen *keySet, n int) bool {
	start := s.pos
	s.path[len(s.path)-1].key = nil
	if start == len(s.doc) || s.doc[start] != '"' {
		return s.syntax("a key")
	}
	if !s.token() {
		return false
	}
	raw, broken, ok := s.text()
	if !ok {
		return false
	}
	if n >= s.o.Keys {
		return s.fail(TooManyKeys, start, fmt.Sprintf("more than %d keys in one object", s.o.Keys))
	}
	s.path[len(s.path)-1].key = raw
	if broken {
		s.note(KeyText, start, "the key is not valid UTF-8")
	}
	if seen.add(raw) {
		s.note(Duplicate, start, "the same key stands twice in one object")
	}
	return true
}

func (s *scanner) array() bool {
	if !s.enter(false) {
		return false
	}
	for n := 0; ; n++ {
		s.space()
		if n == 0 && s.eat(']') {
			return s.leave()
		}
		s.path[len(s.path)-1].index = n
		if !s.value() {
			return false
		}
		s.space()
		if s.eat(']') {
			return s.leave()
		}
		if !s.eat(',') {
			return s.syntax(`"," or "]"`)
		}
	}
}

func (s *scanner) enter(object bool) bool {
	if len(s.path) >= s.o.Depth {
		return s.fail(TooDeep, s.pos, fmt.Sprintf("nested more than %d deep", s.o.Depth))
	}
	s.pos++
	s.path = append(s.path, step{object: object})
	return true
}

func (s *scanner) leave() bool {
	s.path = s.path[:len(s.path)-1]
	return s.token()
}

func (s *scanner) textValue() bool {
	start := s.pos
	_, broken, ok := s.text()
	if broken && ok && len(s.broken) < maxErrors {
		s.broken = append(s.broken, &Error{Code: BadText, Pointer: s.pointer(), Message: "the text is not valid UTF-8", Offset: start})
	}
	return ok
}

func (s *scanner) word() bool {
	for _, w := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(s.doc[s.pos:], []byte(w)) {
			s.pos += len(w)
			return true
		}
	}
	return s.syntax("a value")
}

func (s *scanner) space() {
	for s.pos < len(s.doc) {
		switch s.doc[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) eat(c byte) bool {
	if s.pos < len(s.doc) && s.doc[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) token() bool {
	if s.tokens++; s.tokens > s.o.Tokens {
		return s.fail(TooManyToks, s.pos, fmt.Sprintf("more than %d keys, values and brackets", s.o.Tokens))
	}
	return true
}

// note reports a problem and goes on.
func (s *scanner) note(code string, offset int, message string) {
	if len(s.found) < maxErrors {
		s.found = append(s.found, &Error{Code: code, Pointer: s.pointer(), Message: message, Offset: offset})
	}
}

// fail reports a problem that ends the scan.
func (s *scanner) fail(code string, offset int, message string) bool {
	s.note(code, offset, message)
	return false
}

func (s *scanner) syntax(want string) bool {
	return s.fail(NotJSON, s.pos, fmt.Sprintf("expected %s, found %s", want, s.here()))
}

// here names what stands at the scanner's position.
func (s *scanner) here() string {
	if s.pos == len(s.doc) {
		return "the end"
	}
	r, n := utf8.DecodeRune(s.doc[s.pos:])
	if r == utf8.RuneError && n == 1 {
		return fmt.Sprintf("byte 0x%02x", s.doc[s.pos])
	}
	return fmt.Sprintf("%q", r)
}

// pointer is built only for a problem: a scan without one allocates no text.
func (s *scanner) pointer() string {
	p := ""
	for _, st := range s.path {
		switch {
		case !st.object:
			p = Index(p, st.index)
		case st.key != nil:
			p = Join(p, unquote(st.key))
		}
	}
	return p
}
