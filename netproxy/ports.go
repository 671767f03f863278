package netproxy

import (
	"slices"
	"strconv"
)

// A PortRange is the ports from First to Last, both included. A single port has
// First and Last equal. The zero value is malformed.
type PortRange struct{ First, Last uint16 }

var anyPort = PortRange{1, 65535}

// Ports lists single ports: Ports(80, 443).
func Ports(ports ...uint16) []PortRange {
	var out []PortRange
	for _, p := range ports {
		out = append(out, PortRange{p, p})
	}
	return out
}

// AnyPort is the list that holds every port, "*" in a document. Loopback,
// link-local and metadata addresses stay shut under it.
func AnyPort() []PortRange { return []PortRange{anyPort} }

// String writes the range as a document does: "443", "8000-8100" or "*".
func (p PortRange) String() string {
	switch {
	case p == anyPort:
		return "*"
	case p.First == p.Last:
		return strconv.Itoa(int(p.First))
	default:
		return strconv.Itoa(int(p.First)) + "-" + strconv.Itoa(int(p.Last))
	}
}

func (p PortRange) holds(port uint16) bool { return p.First <= port && port <= p.Last }

// portEntry is the first entry that holds port.
func portEntry(list []PortRange, port uint16) (PortRange, bool) {
	i := slices.IndexFunc(list, func(p PortRange) bool { return p.holds(port) })
	if i < 0 {
		return PortRange{}, false
	}
	return list[i], true
}

// union sorts and merges a list.
func union(list []PortRange) []PortRange {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b PortRange) int { return int(a.First) - int(b.First) })
	var out []PortRange
	for _, p := range list {
		if n := len(out); n > 0 && int(p.First) <= int(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, p.Last)
			continue
		}
		out = append(out, p)
	}
	return out
}

// explicit reports a list that names its ports. A list that comes to every port
// is not one, however it is spelled.
func explicit(list []PortRange) bool {
	u := union(list)
	return len(u) > 0 && u[0] != anyPort
}

func intersectPorts(a, b []PortRange) []PortRange {
	var out []PortRange
	for _, p := range union(a) {
		for _, q := range union(b) {
			if lo, hi := max(p.First, q.First), min(p.Last, q.Last); lo <= hi {
				out = append(out, PortRange{lo, hi})
			}
		}
	}
	return out
}
