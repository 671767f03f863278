package result

import "strings"

// scale is a factor kept as a fraction: 94% is 94/100, which is the float64
// nearest to 0.94, while 94*0.01 is not.
type scale struct{ times, by float64 }

var one = scale{1, 1}

// Normalize returns the value in the base unit and the name of that unit:
// seconds, bytes, bits, ratio, counter, celsius, fahrenheit, kelvin, amperes,
// ohms, volts, watts, ampere-seconds, watt-hours, packets, grams,
// liters, lumens or decibel-milliwatts. For any other unit, and for none, the
// value is returned as it is with an empty name. "m" is minutes, "MB" is 10^6
// bytes, "MiB" is 2^20, "Mb" is bits, "c" is a counter and "C" is celsius.
func (p Perfdata) Normalize() (value float64, unit string) {
	unit, s := baseUnit(p.Unit)
	return p.Value * s.times / s.by, unit
}

func baseUnit(uom string) (string, scale) {
	switch uom {
	case "":
		return "", one
	case "ns":
		return "seconds", scale{1, 1e9}
	case "us":
		return "seconds", scale{1, 1e6}
	case "ms":
		return "seconds", scale{1, 1e3}
	case "s":
		return "seconds", one
	case "m":
		return "seconds", scale{60, 1}
	case "h":
		return "seconds", scale{3600, 1}
	case "d":
		return "seconds", scale{86400, 1}
	case "%":
		return "ratio", scale{1, 100}
	case "c":
		return "counter", one
	case "C":
		return "celsius", one
	case "F":
		return "fahrenheit", one
	case "K":
		return "kelvin", one
	case "packets":
		return "packets", one
	case "lm":
		return "lumens", one
	case "dBm":
		return "decibel-milliwatts", one
	}
	last := uom[len(uom)-1]
	if last == 'B' || last == 'b' {
		if s, ok := dataPrefix(uom[:len(uom)-1]); ok {
			return map[byte]string{'B': "bytes", 'b': "bits"}[last], s
		}
		return "", one
	}
	return physicalUnit(uom)
}

// dataPrefix reads the multiple of a byte or bit: "", "k", "Mi", in any case.
func dataPrefix(prefix string) (scale, bool) {
	prefix = strings.ToLower(prefix)
	base := 1000.0
	if p, binary := strings.CutSuffix(prefix, "i"); binary && p != "" {
		prefix, base = p, 1024
	}
	if prefix == "" {
		return one, true
	}
	steps := strings.Index("kmgtpe", prefix) + 1
	if len(prefix) != 1 || steps == 0 {
		return one, false
	}
	s := one
	for range steps {
		s.times *= base
	}
	return s, true
}

// physicalUnit reads units whose prefixes differ by case: m is milli, M mega.
func physicalUnit(uom string) (string, scale) {
	for _, u := range [...]struct {
		symbol, name string
		times        float64
	}{
		{"Ah", "ampere-seconds", 3600}, {"As", "ampere-seconds", 1}, {"Wh", "watt-hours", 1}, // before A and W
		{"A", "amperes", 1}, {"O", "ohms", 1}, {"V", "volts", 1}, {"W", "watts", 1},
		{"g", "grams", 1}, {"l", "liters", 1},
	} {
		if prefix, ok := strings.CutSuffix(uom, u.symbol); ok {
			if s, ok := siPrefix(prefix); ok {
				s.times *= u.times
				return u.name, s
			}
		}
	}
	return "", one
}

func siPrefix(prefix string) (scale, bool) {
	switch prefix {
	case "":
		return one, true
	case "p":
		return scale{1, 1e12}, true
	case "n":
		return scale{1, 1e9}, true
	case "u":
		return scale{1, 1e6}, true
	case "m":
		return scale{1, 1e3}, true
	case "c":
		return scale{1, 1e2}, true
	case "d":
		return scale{1, 10}, true
	case "h":
		return scale{1e2, 1}, true
	case "k":
		return scale{1e3, 1}, true
	case "M":
		return scale{1e6, 1}, true
	case "G":
		return scale{1e9, 1}, true
	case "T":
		return scale{1e12, 1}, true
	case "P":
		return scale{1e15, 1}, true
	case "E":
		return scale{1e18, 1}, true
	}
	return one, false
}
