package strict

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// text reads one string, quotes included. broken says that it holds invalid
// UTF-8 or half of a surrogate pair.
func (s *scanner) text() (raw []byte, broken, ok bool) {
	start := s.pos
	s.pos++
	for s.pos < len(s.doc) {
		switch c := s.doc[s.pos]; {
		case c == '"':
			s.pos++
			return s.doc[start:s.pos], broken, true
		case c == '\\':
			n, _, good := escape(s.doc[s.pos:])
			if n == 0 {
				return nil, false, s.syntax("an escape sequence")
			}
			broken = broken || !good
			s.pos += n
		case c < ' ':
			return nil, false, s.syntax("text without control characters")
		case c < utf8.RuneSelf:
			s.pos++
		default:
			r, n := utf8.DecodeRune(s.doc[s.pos:])
			broken = broken || r == utf8.RuneError && n == 1
			s.pos += n
		}
	}
	return nil, false, s.syntax("the end of the text")
}

// escape reads the escape sequence at the start of b: its length (0 if it is
// none), the character, and whether that is whole. A surrogate pair is one
// sequence; half of one is U+FFFD and not whole.
func escape(b []byte) (n int, r rune, whole bool) {
	if len(b) < 2 {
		return 0, 0, false
	}
	switch b[1] {
	case '"', '\\', '/':
		return 2, rune(b[1]), true
	case 'b':
		return 2, '\b', true
	case 'f':
		return 2, '\f', true
	case 'n':
		return 2, '\n', true
	case 'r':
		return 2, '\r', true
	case 't':
		return 2, '\t', true
	}
	first, ok := unit(b)
	if !ok {
		return 0, 0, false
	}
	if !utf16.IsSurrogate(first) {
		return 6, first, true
	}
	if second, ok := unit(b[6:]); ok {
		if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
			return 12, r, true
		}
	}
	return 6, utf8.RuneError, false
}

// unit reads "\uXXXX".
func unit(b []byte) (r rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unquote returns what the string literal raw says. Broken text becomes
// U+FFFD; what is not a string literal becomes empty.
func unquote(raw []byte) string {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return ""
	}
	raw = raw[1 : len(raw)-1]
	if bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return string(raw)
	}
	out := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		if raw[0] == '\\' {
			n, r, _ := escape(raw)
			if n == 0 {
				return ""
			}
			out, raw = utf8.AppendRune(out, r), raw[n:]
			continue
		}
		r, n := utf8.DecodeRune(raw)
		out, raw = utf8.AppendRune(out, r), raw[n:]
	}
	return string(out)
}

// repair replaces broken text in a document whose structure is sound, where a
// backslash and a byte above 127 stand inside of strings only.
func repair(doc []byte) []byte {
	out := make([]byte, 0, len(doc)+64)
	for i := 0; i < len(doc); {
		n := 1
		switch c := doc[i]; {
		case c == '\\':
			var whole bool
			if n, _, whole = escape(doc[i:]); n == 0 {
				n, whole = 1, true
			}
			if !whole {
				out = append(out, `\ufffd`...)
				i += n
				continue
			}
		case c >= utf8.RuneSelf:
			var r rune
			if r, n = utf8.DecodeRune(doc[i:]); r == utf8.RuneError && n == 1 {
				out = append(out, "\ufffd"...)
				i++
				continue
			}
		}
		out = append(out, doc[i:i+n]...)
		i += n
	}
	return out
}

// few is the number of keys that are compared one by one: nearly every object
// has fewer, and a map for each would cost more than the comparisons.
const few = 16

// keySet finds the key that stands twice in one object.
type keySet struct {
	first [few][]byte
	n     int
	rest  map[string]struct{}
}

// add reports whether the key written as raw was there already.
func (k *keySet) add(raw []byte) (again bool) {
	key := raw[1 : len(raw)-1]
	if bytes.IndexByte(key, '\\') >= 0 || !utf8.Valid(key) {
		key = []byte(unquote(raw)) // "a" and "\u0061" are one key
	}
	for _, old := range k.first[:min(k.n, few)] {
		if bytes.Equal(old, key) {
			return true
		}
	}
	if k.n < few {
		k.first[k.n] = key
		k.n++
		return false
	}
	if _, again = k.rest[string(key)]; again {
		return true
	}
	if k.rest == nil {
		k.rest = make(map[string]struct{})
	}
	k.rest[string(key)] = struct{}{}
	return false
}
