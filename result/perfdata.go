package result

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of perfdata, read and written.
const (
	maxPerfdata  = 65_536 // bytes of the whole text
	maxItems     = 1024
	maxLabel     = 255 // bytes
	maxUnit      = 32  // characters
	maxToken     = 64  // bytes of the offending text in a PerfdataError
	exactInteger = 1 << 53
)

// Perfdata is one measured value as classic checks write it.
type Perfdata struct {
	// Label names the value. Case matters, quotes around it do not.
	Label string
	// Unit is the unit as written; Normalize says what it means.
	Unit string
	// Text is the number as written, "" for a value that was never text. It is
	// exact where float64 is not.
	Text string
	// Value is NaN for "U", the value that could not be determined.
	Value float64
	// Warn and Crit are thresholds, nil where none is given. A plain number n
	// is the range 0 to n: below 0 alerts as well.
	Warn, Crit *Range
	// Min and Max are the ends of the scale, nil where not given. Min may lie
	// above Max: it is kept as written.
	Min, Max *float64
}

// PerfdataError is one problem of perfdata or of a range.
type PerfdataError struct {
	// Code is a stable word such as "value_comma".
	Code string
	// Token is the offending text, at most 64 bytes of it.
	Token string
	// Offset is where it stands: in bytes from the start of the text that was
	// parsed, or the index of the item that was to be written.
	Offset int
}

// Error names the code, the text and the place.
func (e *PerfdataError) Error() string {
	return fmt.Sprintf("%s: %q at %d", e.Code, e.Token, e.Offset)
}

// FormatPerfdata writes items separated by blanks. Labels are quoted only where
// they need it; what a reader could trip over (= ' " | and control characters)
// becomes "_". Numbers have no exponent. A NaN or infinite value is "U". What
// cannot be written is left out and reported: the error joins a *PerfdataError
// for each (label_empty, label_too_long, uom_invalid, warn_invalid,
// crit_invalid, too_many_items, too_long), and the text holds all other items.
func FormatPerfdata(items ...Perfdata) (string, error) {
	var errs []error
	var b strings.Builder
	written := 0
	for i, p := range items {
		text, problems := p.format(i)
		for _, e := range problems {
			errs = append(errs, e)
		}
		if text == "" {
			continue
		}
		if written == maxItems {
			errs = append(errs, &PerfdataError{"too_many_items", head(p.Label, maxToken), i})
			break
		}
		if b.Len()+1+len(text) > maxPerfdata {
			errs = append(errs, &PerfdataError{"too_long", head(p.Label, maxToken), i})
			break
		}
		if written > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(text)
		written++
	}
	return b.String(), errors.Join(errs...)
}

// format writes one item; it is empty if the item cannot be written at all.
func (p Perfdata) format(i int) (text string, problems []*PerfdataError) {
	label := safeLabel(p.Label)
	switch {
	case label == "":
		return "", []*PerfdataError{{"label_empty", head(p.Label, maxToken), i}}
	case len(label) > maxLabel:
		return "", []*PerfdataError{{"label_too_long", head(p.Label, maxToken), i}}
	case !unitFits(p.Unit):
		return "", []*PerfdataError{{"uom_invalid", head(p.Unit, maxToken), i}}
	}
	fields := []string{quoteLabel(label) + "=" + p.number() + p.Unit, "", "", bound(p.Min), bound(p.Max)}
	if !finite(p.Value) {
		fields[0] = quoteLabel(label) + "=U"
	}
	for n, r := range []*Range{p.Warn, p.Crit} {
		if r == nil {
			continue
		}
		if fields[n+1] = r.String(); fields[n+1] == "" {
			problems = append(problems, &PerfdataError{[]string{"warn_invalid", "crit_invalid"}[n], fmt.Sprint(*r), i})
		}
	}
	return strings.TrimRight(strings.Join(fields, ";"), ";"), problems
}

// number is the shortest text for the value, except that an integer which
// float64 cannot hold keeps its digits.
func (p Perfdata) number() string {
	digits := strings.TrimPrefix(p.Text, "-")
	if math.Abs(p.Value) >= exactInteger && len(digits) <= maxToken && digits != "" && strings.Trim(digits, "0123456789") == "" {
		if v, ok := parseNumber(p.Text); ok && v == p.Value {
			return p.Text
		}
	}
	return plain(p.Value)
}

func bound(v *float64) string {
	if v == nil || !finite(*v) {
		return ""
	}
	return plain(*v)
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// safeLabel is s with everything replaced that a reader could take for
// structure, here or in the line of output around it.
func safeLabel(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || strings.ContainsRune(`='"|`, r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	return strings.TrimSpace(s)
}

func quoteLabel(label string) string {
	for _, r := range label {
		switch {
		case 'A' <= r && r <= 'Z', 'a' <= r && r <= 'z', '0' <= r && r <= '9', strings.ContainsRune("_.:/@%+-", r):
		default:
			return "'" + label + "'"
		}
	}
	return label
}

// unitFits reports whether uom can follow a number. What could be read as a
// part of the number cannot.
func unitFits(uom string) bool {
	if !unitValid(uom) || !utf8.ValidString(uom) {
		return false
	}
	return uom == "" || !strings.ContainsRune(".+-", rune(uom[0]))
}

// unitValid reports whether uom is a unit when read after a number.
func unitValid(uom string) bool {
	if utf8.RuneCountInString(uom) > maxUnit {
		return false
	}
	for _, r := range uom {
		if unicode.IsDigit(r) || unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`;'"=|,`, r) {
			return false
		}
	}
	return true
}
