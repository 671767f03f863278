// Package plain makes text from guests, authors and network peers fit for a
// person's screen or log: valid UTF-8, no control characters, no terminal
// escape sequences, and no longer than it may be.
package plain

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line returns s as one line: line breaks and tabs become a blank, escape
// sequences and other control or invisible formatting characters become U+FFFD,
// and so does invalid UTF-8.
func Line(s string) string { return clean(s, false) }

// Lines is Line for text of several lines: LF and tabs stay, CR LF becomes LF.
func Lines(s string) string { return clean(s, true) }

func clean(s string, multi bool) string {
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		if n := escape(s[i:]); n > 0 {
			b.WriteRune(utf8.RuneError)
			i += n
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\r' && strings.HasPrefix(s[i:], "\r\n"):
			// The line feed that follows speaks for both.
		case multi && (r == '\n' || r == '\t'):
			b.WriteRune(r)
		case r == '\n' || r == '\r' || r == '\t' || r == '\v' || r == '\f' || r == 0x85 || r == 0x2028 || r == 0x2029:
			b.WriteByte(' ')
		case !visible(r):
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// isPlain is the common case: printable ASCII.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// visible refuses control characters and the formatting characters that reorder
// or hide text around them.
func visible(r rune) bool {
	return !unicode.IsControl(r) && !unicode.Is(unicode.Bidi_Control, r) && r != 0xfeff
}

// escape returns the length of the terminal escape sequence that s starts with,
// 0 if there is none. Both the ESC forms and their single C1 characters count,
// so that what remains of a cut sequence is never left behind as text.
func escape(s string) int {
	var kind byte
	n := 0
	switch {
	case len(s) >= 2 && s[0] == 0x1b:
		kind, n = s[1], 2
	case len(s) >= 2 && s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f:
		kind, n = s[1]-0x40, 2
	default:
		return 0
	}
	switch kind {
	case '[': // control sequence: parameters, intermediates, one final byte
		for n < len(s) && s[n] >= 0x20 && s[n] <= 0x3f {
			n++
		}
		if n < len(s) && s[n] >= 0x40 && s[n] <= 0x7e {
			n++
		}
		return n
	case ']', 'P', 'X', '^', '_': // strings, ended by BEL or ST
		end := strings.IndexAny(s[n:], "\a\x1b\n\u009c")
		if end < 0 {
			return len(s)
		}
		n += end
		switch {
		case s[n] == '\a':
			n++
		case strings.HasPrefix(s[n:], "\x1b\\"), strings.HasPrefix(s[n:], "\u009c"):
			n += 2
		}
		return n
	}
	if s[0] == 0x1b && kind >= 0x20 && kind <= 0x7e {
		return n
	}
	return 0
}

// Cut shortens s to at most n bytes on a rune boundary, ending it with "..."
// where something was cut. Below three bytes there is no room for the dots.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	if n < 3 {
		return Prefix(s, n)
	}
	return Prefix(s, n-3) + "..."
}

// Prefix returns the longest prefix of s of at most n bytes that does not split
// a rune.
func Prefix(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n = max(n, 0)
	// Bytes that continue no rune are not worth searching for further back.
	for back := 0; n > 0 && back < utf8.UTFMax-1 && !utf8.RuneStart(s[n]); back++ {
		n--
	}
	return s[:n]
}
