package result

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// cut shortens s to at most most bytes, "..." included, between two characters.
func cut(s string, most int) (text string, shortened bool) {
	if len(s) <= most {
		return s, false
	}
	return head(s, most-len("...")) + "...", true
}

// head returns the longest start of s of at most most bytes that ends between
// two characters.
func head(s string, most int) string {
	if len(s) <= most {
		return s
	}
	end := max(most, 0)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// oneLine makes s fit for a terminal and for one line: line ends and tabs
// become blanks, other control characters and escape sequences go.
func oneLine(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return clean(strings.NewReplacer("\r", " ", "\n", " ", "\t", " ").Replace(s))
}

// lines is oneLine for text that may have several.
func lines(s string) string {
	all := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i, l := range all {
		all[i] = oneLine(l)
	}
	return strings.Join(all, "\n")
}

// clean removes control characters (C0, DEL, C1) and whole escape sequences:
// a plugin must not be able to colour, clear or retitle the terminal of whoever
// reads its result. Invalid UTF-8 becomes U+FFFD.
func clean(s string) string {
	if strings.IndexFunc(s, unicode.IsControl) < 0 && utf8.ValidString(s) {
		return s
	}
	var out strings.Builder
	out.Grow(len(s))
	closed := true // a string sequence that starts further on may have an end
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if !unicode.IsControl(r) {
			out.WriteRune(r)
			s = s[n:]
			continue
		}
		s = s[n:]
		introducer := r
		if r == '\x1b' && s != "" && '@' <= s[0] && s[0] <= '_' {
			introducer, s = rune(s[0])+0x40, s[1:] // ESC [ is the two-byte form of U+009B
		}
		switch introducer {
		case '\x1b':
			s = afterEscape(s)
		case 0x9b: // CSI
			s = afterControl(s)
		case 0x90, 0x98, 0x9d, 0x9e, 0x9f: // DCS, SOS, OSC, PM, APC
			if closed {
				s, closed = afterString(s)
			}
		}
	}
	return out.String()
}

// afterEscape passes intermediate bytes and the final one.
func afterEscape(s string) string {
	i := span(s, 0, ' ', '/')
	if i < len(s) && '0' <= s[i] && s[i] <= '~' {
		i++
	}
	return s[i:]
}

// afterControl passes parameters, intermediate bytes and the final one.
func afterControl(s string) string {
	i := span(s, span(s, 0, '0', '?'), ' ', '/')
	if i < len(s) && '@' <= s[i] && s[i] <= '~' {
		i++
	}
	return s[i:]
}

// afterString passes text up to BEL or ST. Without an end only the introducer
// goes, so that an attacker cannot hide what follows.
func afterString(s string) (rest string, closed bool) {
	for i, r := range s {
		switch {
		case r == '\a':
			return s[i+1:], true
		case r == 0x9c:
			return s[i+2:], true
		case r == '\x1b' && strings.HasPrefix(s[i+1:], `\`):
			return s[i+2:], true
		}
	}
	return s, false
}

// span returns the end of the run of bytes between lo and hi that starts at i.
func span(s string, i int, lo, hi byte) int {
	for i < len(s) && lo <= s[i] && s[i] <= hi {
		i++
	}
	return i
}
