package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// A dialect is one way to write a manifest as canonical JSON: keys sorted by
// bytes at every level, no blanks, lists in order. Two programs sign manifests,
// and some values come out differently; each dialect reproduces one of them.
type dialect struct {
	text   func(b []byte, s string) []byte
	scalar func(b []byte, n *yaml.Node) ([]byte, error)
	empty  string // an empty list
}

var (
	// toolDialect is what Go's encoding/json makes of values that yaml.v3
	// decoded.
	toolDialect = dialect{text: appendToolText, scalar: appendToolScalar, empty: "[]"}
	// controlDialect reads scalars by the core schema of YAML 1.2 and escapes
	// only what JSON requires.
	controlDialect = dialect{text: appendControlText, scalar: appendControlScalar, empty: "{}"}
)

// appendNode writes n, which stands in a document that passed the structural
// rules: depth and size are bounded and every key is text.
func (d *dialect) appendNode(b []byte, n *yaml.Node) ([]byte, error) {
	switch n.Kind {
	case yaml.MappingNode:
		return d.appendMap(b, n)
	case yaml.SequenceNode:
		return d.appendList(b, n)
	case yaml.ScalarNode:
		if n.ShortTag() == "!!str" {
			return d.text(b, n.Value), nil
		}
		return d.scalar(b, n)
	default:
		return b, fmt.Errorf("a node of kind %d has no value", n.Kind)
	}
}

func (d *dialect) appendList(b []byte, n *yaml.Node) (_ []byte, err error) {
	if len(n.Content) == 0 {
		return append(b, d.empty...), nil
	}
	for i, item := range n.Content {
		b = append(b, ",["[btoi(i == 0)])
		if b, err = d.appendNode(b, item); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

func (d *dialect) appendMap(b []byte, n *yaml.Node) (_ []byte, err error) {
	type pair struct{ key, value *yaml.Node }
	var pairs []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		pairs = append(pairs, pair{n.Content[i], n.Content[i+1]})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return strings.Compare(a.key.Value, b.key.Value) })
	b = append(b, '{')
	for i, p := range pairs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(d.text(b, p.key.Value), ':')
		if b, err = d.appendNode(b, p.value); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// appendToolText escapes what may not stand in HTML as well.
func appendToolText(b []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		return b // a string always has a JSON form
	}
	return append(b, text...)
}

func appendToolScalar(b []byte, n *yaml.Node) ([]byte, error) {
	var v any
	if err := n.Decode(&v); err != nil {
		return b, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	text, err := json.Marshal(v)
	if err != nil {
		return b, fmt.Errorf("%s has no form in JSON", clip(n.Value))
	}
	return append(b, text...), nil
}

func appendControlText(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch short := strings.IndexRune("\b\f\n\r\t", r); {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case short >= 0:
			b = append(b, '\\', "bfnrt"[short])
		case r < ' ':
			b = fmt.Appendf(b, `\u%04X`, r)
		default:
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return append(b, '"')
}

var (
	coreInt   = regexp.MustCompile(`^[-+]?[0-9]+$`)
	coreOctal = regexp.MustCompile(`^0o[0-7]+$`)
	coreHex   = regexp.MustCompile(`^0x[0-9a-fA-F]+$`)
	coreFloat = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
)

func appendControlScalar(b []byte, n *yaml.Node) ([]byte, error) {
	s := n.Value
	switch tag := n.ShortTag(); {
	case tag == "!!null":
		return append(b, "null"...), nil
	case tag == "!!bool":
		return append(b, strings.ToLower(s)...), nil
	case coreInt.MatchString(s):
		sign := ""
		if s[0] == '-' {
			sign = "-"
		}
		digits := strings.TrimLeft(s, "+-0")
		if digits == "" {
			return append(b, '0'), nil
		}
		return append(append(b, sign...), digits...), nil
	case coreOctal.MatchString(s) || coreHex.MatchString(s):
		v, err := strconv.ParseUint(s, 0, 64)
		if err != nil {
			return b, fmt.Errorf("%s has no form in JSON", clip(s))
		}
		return strconv.AppendUint(b, v, 10), nil
	case coreFloat.MatchString(s):
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return b, fmt.Errorf("%s has no form in JSON", clip(s))
		}
		return append(b, shortFloat(v)...), nil
	case tag == "!!float":
		return b, fmt.Errorf("%s has no form in JSON", clip(s))
	default:
		return appendControlText(b, s), nil
	}
}

// shortFloat writes the fewest digits that read back equal, always with a
// decimal point, and an exponent only where that is shorter.
func shortFloat(v float64) string {
	if v == 0 {
		if math.Signbit(v) {
			return "-0.0"
		}
		return "0.0"
	}
	sign := ""
	if v < 0 {
		sign, v = "-", -v
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'e', -1, 64), "e")
	digits := strings.Replace(mantissa, ".", "", 1)
	power, _ := strconv.Atoi(exponent) // FormatFloat writes a number there
	return sign + placePoint(digits, power+1)
}

// placePoint puts the decimal point after the first place digits.
func placePoint(digits string, place int) string {
	if 0 < place && place < len(digits) {
		return digits[:place] + "." + digits[place:]
	}
	if place == 0 {
		return "0." + digits
	}
	scientific := digits[:1] + "." + digits[1:]
	if len(digits) == 1 {
		scientific += "0"
	}
	scientific += "e" + strconv.Itoa(place-1)
	cost := len(scientific) - len(digits)
	if place < 0 {
		if 2-place <= cost {
			return "0." + strings.Repeat("0", -place) + digits
		}
		return scientific
	}
	if place-len(digits)+2 <= cost {
		return digits + strings.Repeat("0", place-len(digits)) + ".0"
	}
	return scientific
}

// jsonOf writes a value of a manifest as JSON for programs that show it. What
// JSON cannot say becomes text as it is written.
func jsonOf(n *yaml.Node) json.RawMessage {
	d := dialect{text: appendToolText, empty: "[]", scalar: func(b []byte, n *yaml.Node) ([]byte, error) {
		if tag := n.ShortTag(); tag != "!!timestamp" {
			if out, err := appendToolScalar(b, n); err == nil {
				return out, nil
			}
		}
		return appendToolText(b, n.Value), nil
	}}
	b, err := d.appendNode(nil, n)
	if err != nil {
		return nil // a node that is reported as an error elsewhere
	}
	return b
}
