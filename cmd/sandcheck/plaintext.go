package main

import (
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// plainWriter lets only plain text through, so that no field of a report can be
// forgotten. It wants whole texts: each Write is cleaned by itself.
type plainWriter struct{ w io.Writer }

func (p plainWriter) Write(b []byte) (int, error) {
	if _, err := io.WriteString(p.w, clean(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// sequences are terminal sequences, with ESC or as their C1 characters. A string
// sequence counts only with its end, so that nothing is hidden by a start alone,
// and its text stops at any control character, which keeps the search linear.
var sequences = regexp.MustCompile(
	`(?:\x1b\[|\x{9b})[0-?]*[ -/]*[@-~]?` +
		`|(?:\x1b[\]PX^_]|[\x{90}\x{98}\x{9d}-\x{9f}])(?:[^\x00-\x1f\x7f-\x{9f}]*(?:\x07|\x1b\\|\x{9c}))?` +
		`|\x1b[ -/]*[0-~]?`)

// clean removes terminal sequences and the characters that act instead of being
// shown. Line feeds and tabs stay.
func clean(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !shown(r) }) < 0 && utf8.ValidString(s) {
		return s
	}
	s = strings.ToValidUTF8(s, "\ufffd")
	s = sequences.ReplaceAllLiteralString(s, "")
	return strings.Map(func(r rune) rune {
		if !shown(r) {
			return -1
		}
		return r
	}, s)
}

// shown refuses control characters, and the invisible ones that reorder or hide
// the text around them.
func shown(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return true
	case r < utf8.RuneSelf:
		return r >= ' ' && r != 0x7f
	}
	return !unicode.IsControl(r) && !unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) && r != 0xfeff
}

// oneLine is clean for text that must not start a line of its own.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == '\t' || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(clean(s))
}

// cut shortens s to about most bytes, between two characters.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "..."
}

// encodeJSON writes v as one line of JSON whose text says the same as that of
// encoding/json, but holds no character that acts on a terminal.
func encodeJSON(v any) ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return escapeJSON(b.String()), nil
}

// escapeJSON escapes what encoding/json leaves as it is: C1 controls, DEL and
// characters that reorder text. They can only stand inside strings.
func escapeJSON(doc string) []byte {
	out := make([]byte, 0, len(doc))
	for _, r := range doc { // a byte that is no UTF-8 is read as U+FFFD
		if shown(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			const hex = "0123456789abcdef"
			out = append(out, '\\', 'u', hex[unit>>12], hex[unit>>8&15], hex[unit>>4&15], hex[unit&15])
		}
	}
	return out
}
