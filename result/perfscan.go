package result

import (
	"errors"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// space separates items; no other white space does.
const space = " \t\r\n\v\f"

// ParsePerfdata reads items such as
//
//	time=0.25s;1;2;0;10 'disk used'=94%;80;90
//
// and keeps every item that can be understood. err is nil or joins a
// *PerfdataError for each problem in the order of the text, so a lenient caller
// uses the items and a strict one refuses them when err is not nil. At most
// 65,536 bytes and 1,024 items are read. The empty text holds no items.
func ParsePerfdata(s string) ([]Perfdata, error) {
	items, problems := scanPerfdata(s)
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
	}
	return items, errors.Join(errs...)
}

func scanPerfdata(s string) ([]Perfdata, []*PerfdataError) {
	p := perfScanner{s: s, labels: map[string]bool{}}
	if len(s) > maxPerfdata {
		p.problem("too_long", 0, s)
		return nil, p.problems
	}
	p.skipSpace()
	if strings.HasPrefix(s[p.pos:], "|") {
		p.problem("leading_pipe", p.pos, "|")
		p.pos++
	}
	for p.item() {
	}
	return p.items, p.problems
}

// perfScanner reads perfdata from left to right. Its position only grows, and
// the next "=" is searched for once, so the cost is linear in the text.
type perfScanner struct {
	s        string
	pos      int
	equals   int // a known "=" at or after pos, or -1; stale when below pos
	searched bool
	items    []Perfdata
	labels   map[string]bool
	problems []*PerfdataError
}

func (p *perfScanner) problem(code string, offset int, token string) {
	p.problems = append(p.problems, &PerfdataError{Code: code, Token: head(token, maxToken), Offset: offset})
}

func (p *perfScanner) skipSpace() {
	for p.pos < len(p.s) && strings.IndexByte(space, p.s[p.pos]) >= 0 {
		p.pos++
	}
}

// word returns the text from pos to the next white space and passes it.
func (p *perfScanner) word() string {
	rest := p.s[p.pos:]
	if end := strings.IndexAny(rest, space); end >= 0 {
		rest = rest[:end]
	}
	p.pos += len(rest)
	return rest
}

// nextEquals returns the offset of the first "=" at or after pos, or -1.
func (p *perfScanner) nextEquals() int {
	if !p.searched || p.equals >= 0 && p.equals < p.pos {
		p.searched = true
		if p.equals = strings.IndexByte(p.s[p.pos:], '='); p.equals >= 0 {
			p.equals += p.pos
		}
	}
	return p.equals
}

// item reads one item and reports whether there may be a next one.
func (p *perfScanner) item() bool {
	p.skipSpace()
	if p.pos == len(p.s) {
		return false
	}
	start := p.pos
	if len(p.items) == maxItems {
		p.problem("too_many_items", start, p.s[start:])
		return false
	}
	quoted := p.s[start] == '\''
	label, found, more := "", false, false
	if quoted {
		label, found, more = p.quoted()
	} else {
		label, found, more = p.unquoted()
	}
	if !found {
		return more
	}
	p.pos++ // the "="
	at := p.pos
	value := p.word()
	switch {
	case label == "":
		p.problem("label_empty", start, p.s[start:p.pos])
	case len(label) > maxLabel:
		p.problem("label_too_long", start, label)
	default:
		p.flagLabel(label, quoted, start, p.s[start:at-1])
		p.value(label, start, value, at)
	}
	return true
}

// quoted reads 'label' and leaves pos at the "=" after it.
func (p *perfScanner) quoted() (label string, found, more bool) {
	start := p.pos
	var b strings.Builder
	for i := start + 1; ; {
		n := strings.IndexByte(p.s[i:], '\'')
		if n < 0 {
			p.problem("label_unterminated_quote", start, p.s[start:])
			return "", false, false
		}
		b.WriteString(p.s[i : i+n])
		i += n + 1
		if !strings.HasPrefix(p.s[i:], "'") {
			p.pos = i
			break
		}
		b.WriteByte('\'')
		i++
	}
	if !strings.HasPrefix(p.s[p.pos:], "=") {
		p.word()
		p.problem("label_after_quote", start, p.s[start:p.pos])
		return "", false, true
	}
	return toRunes(b.String()), true, true
}

// unquoted takes everything up to the next "=", blanks included, unless a
// quoted item starts before it.
func (p *perfScanner) unquoted() (label string, found, more bool) {
	start, end := p.pos, p.nextEquals()
	if end < 0 {
		p.problem("missing_equals", start, p.s[start:])
		return "", false, false
	}
	text := p.s[start:end]
	for i := 1; i < len(text); i++ {
		if text[i] == '\'' && strings.IndexByte(space, text[i-1]) >= 0 {
			p.problem("missing_equals", start, text[:i])
			p.pos += i
			return "", false, true
		}
	}
	p.pos = end
	return toRunes(strings.TrimRight(text, space)), true, true
}

// toRunes replaces each invalid byte by U+FFFD.
func toRunes(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// flagLabel reports what is odd about a label that is kept.
func (p *perfScanner) flagLabel(label string, quoted bool, at int, raw string) {
	if !quoted {
		if strings.ContainsAny(raw, space) {
			p.problem("label_unquoted_space", at, raw)
		}
		if strings.Contains(label, "'") {
			p.problem("label_quote", at, raw)
		}
	}
	if strings.Contains(label, "=") {
		p.problem("label_equals", at, raw)
	}
	if strings.ContainsFunc(label, func(r rune) bool { return r == '|' || unicode.IsControl(r) }) {
		p.problem("label_char", at, raw)
	}
	if !utf8.ValidString(raw) {
		p.problem("invalid_utf8", at, toRunes(raw))
	}
}

// value reads "value;warn;crit;min;max" and keeps the item if the value is good.
func (p *perfScanner) value(label string, start int, text string, at int) {
	fields := strings.Split(text, ";")
	item := Perfdata{Label: label}
	if code := readValue(fields[0], &item); code != "" {
		p.problem(code, at, toRunes(fields[0]))
		return
	}
	if !utf8.ValidString(fields[0]) {
		p.problem("invalid_utf8", at, toRunes(fields[0]))
	}
	if p.labels[label] {
		p.problem("duplicate_label", start, label)
	}
	p.labels[label] = true
	for i, field := range fields[1:] {
		at += len(fields[i]) + 1
		if code := readField(i, field, &item); code != "" {
			p.problem(code, at, toRunes(field))
			if code == "too_many_fields" {
				break
			}
		}
	}
	p.items = append(p.items, item)
}

// readValue reads the value and its unit into item.
func readValue(text string, item *Perfdata) (code string) {
	if text == "U" {
		item.Text, item.Value = text, math.NaN()
		return ""
	}
	n := numberEnd(text)
	unit := text[n:]
	switch {
	case text == "":
		return "value_empty"
	case strings.HasPrefix(unit, ","):
		return "value_comma"
	case n == 0 && isNotFinite(text):
		return "value_not_finite"
	case n == 0 || strings.ContainsRune(".+-", rune((unit + " ")[0])):
		return "value_invalid"
	}
	v, ok := parseNumber(text[:n])
	if !ok {
		return "value_overflow"
	}
	if unit = toRunes(unit); !unitValid(unit) {
		return "uom_invalid"
	}
	item.Text, item.Value, item.Unit = text[:n], v, unit
	return ""
}

// isNotFinite knows the words that other languages print for NaN and infinity,
// also before a unit ("nan%").
func isNotFinite(text string) bool {
	if text != "" && (text[0] == '+' || text[0] == '-') {
		text = text[1:]
	}
	text = strings.ToLower(text)
	for _, w := range []string{"nan", "infinity", "inf"} {
		if unit, ok := strings.CutPrefix(text, w); ok {
			name, _ := baseUnit(unit)
			return unit == "" || name != ""
		}
	}
	return false
}

// readField reads the ith field after the value into item.
func readField(i int, text string, item *Perfdata) (code string) {
	if text == "" || text == "U" && i < 4 {
		return ""
	}
	switch i {
	case 0, 1:
		r, bad := parseRange(text)
		switch {
		case bad != "":
			return []string{"warn_invalid", "crit_invalid"}[i]
		case i == 0:
			item.Warn = &r
		default:
			item.Crit = &r
		}
	case 2, 3:
		v, ok := parseNumber(text)
		switch {
		case !ok:
			return []string{"min_invalid", "max_invalid"}[i-2]
		case i == 2:
			item.Min = &v
		default:
			item.Max = &v
		}
	default:
		return "too_many_fields"
	}
	return ""
}
