package result

import (
	"math"
	"strconv"
	"strings"
)

// Range is a threshold as classic checks write it. A value outside of Start to
// End alerts; with Inside a value within them does. Both ends belong to the
// range. An open start is math.Inf(-1), an open end math.Inf(1). The zero
// value is "0": everything but 0 alerts.
type Range struct {
	Start, End float64
	Inside     bool
}

// ParseRange reads "10" (0 to 10), "10:" (10 and more), "~:10" (10 and less),
// "10:20", and each of them after "@", which sets Inside. Numbers are decimal.
// The error is a *PerfdataError with the code range_empty, range_syntax,
// range_number or range_order.
func ParseRange(s string) (Range, error) {
	r, code := parseRange(s)
	if code != "" {
		token, _ := cut(s, maxToken)
		return Range{}, &PerfdataError{Code: code, Token: token}
	}
	return r, nil
}

func parseRange(s string) (r Range, code string) {
	body, inside := strings.CutPrefix(s, "@")
	start, end, colon := strings.Cut(body, ":")
	switch {
	case body == "" || body == ":":
		return r, "range_empty"
	case strings.Contains(end, ":"):
		return r, "range_syntax"
	case !colon:
		start, end = "", body
	}
	r = Range{Start: 0, End: math.Inf(1), Inside: inside}
	ok := true
	switch start {
	case "":
	case "~":
		r.Start = math.Inf(-1)
	default:
		r.Start, ok = parseNumber(start)
	}
	if ok && end != "" {
		r.End, ok = parseNumber(end)
	}
	switch {
	case !ok:
		return Range{}, "range_number"
	case r.Start > r.End:
		return Range{}, "range_order"
	}
	return r, ""
}

// Alerts reports whether v is a reason to alert. NaN, the unknown value, never
// is.
func (r Range) Alerts(v float64) bool {
	if r.Inside {
		return r.Start <= v && v <= r.End
	}
	return v < r.Start || v > r.End
}

// String is the shortest text that ParseRange reads back as r. A range that
// cannot be written, because an end is NaN or the start lies above the end, is
// "".
func (r Range) String() string {
	if !(r.Start <= r.End) || math.IsInf(r.Start, 1) || math.IsInf(r.End, -1) {
		return ""
	}
	var b strings.Builder
	if r.Inside {
		b.WriteByte('@')
	}
	switch {
	case math.IsInf(r.Start, -1):
		b.WriteString("~:")
	case r.Start != 0 || math.IsInf(r.End, 1):
		b.WriteString(plain(r.Start) + ":")
	}
	if !math.IsInf(r.End, 1) {
		b.WriteString(plain(r.End))
	}
	return b.String()
}

// MarshalText writes String and fails where that is empty.
func (r Range) MarshalText() ([]byte, error) {
	text := r.String()
	if text == "" {
		return nil, &PerfdataError{Code: "range_order", Token: plain(r.Start) + ":" + plain(r.End)}
	}
	return []byte(text), nil
}

// UnmarshalText reads what ParseRange reads.
func (r *Range) UnmarshalText(text []byte) error {
	parsed, err := ParseRange(string(text))
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}

// plain writes v without an exponent, as short as it can be read back.
func plain(v float64) string {
	if v == 0 {
		return "0" // also for -0
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// parseNumber reads all of s as a decimal number within float64.
func parseNumber(s string) (float64, bool) {
	if n := numberEnd(s); n == 0 || n != len(s) {
		return 0, false
	}
	v, err := strconv.ParseFloat(s, 64)
	if v == 0 {
		v = 0 // -0 is 0
	}
	return v, err == nil
}

// numberEnd returns the length of the decimal number at the start of s, 0 if
// there is none. An "e" without digits after it is left for the unit.
func numberEnd(s string) int {
	i := 0
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		i++
	}
	whole := span(s, i, '0', '9')
	digits := whole - i
	i = whole
	if i < len(s) && s[i] == '.' {
		end := span(s, i+1, '0', '9')
		digits += end - i - 1
		i = end
	}
	if digits == 0 {
		return 0
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		e := i + 1
		if e < len(s) && (s[e] == '+' || s[e] == '-') {
			e++
		}
		if end := span(s, e, '0', '9'); end > e {
			return end
		}
	}
	return i
}
