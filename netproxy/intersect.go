package netproxy

import (
	"net/netip"
	"slices"
	"strings"
)

// Intersect returns the rules that allow exactly what both r and o allow.
// Networks are not cut as text, which would widen: 0.0.0.0/0 with 10.1.0.0/16
// keeps private space shut, as the first side does. Malformed rules on either
// side reach nothing.
func (r Rules) Intersect(o Rules) Rules {
	a, errA := r.canonical()
	b, errB := o.canonical()
	if errA != nil || errB != nil {
		return Rules{}
	}
	out := Rules{
		Domains:          intersectNames(a.Domains, b.Domains),
		Ports:            intersectPorts(a.Ports, b.Ports),
		AllowInsecureTLS: a.AllowInsecureTLS && b.AllowInsecureTLS,
	}
	listed := explicit(a.Ports) && explicit(b.Ports)
	literals := intersectNetworks(a.literalEntries(), b.literalEntries(), listed)
	if slices.Contains(a.Domains, "*") {
		literals = append(literals, publicOnly(b.literalEntries())...)
	}
	if slices.Contains(b.Domains, "*") {
		literals = append(literals, publicOnly(a.literalEntries())...)
	}
	answers := intersectNetworks(a.nameEntries(), b.nameEntries(), listed)
	out.place(literals, answers, append(slices.Clone(a.Domains), b.Domains...))
	return out
}

// GrantedBy returns what a plugin that asks for r may do when it is given o:
// the intersection, except that o alone decides to which private, loopback and
// single addresses a name may lead, since an author cannot know the operator's
// networks. For addresses as such r must ask as well, by a network, an address
// or "*", which stands for any address that o opens.
func (r Rules) GrantedBy(o Rules) Rules {
	asked, errA := r.canonical()
	given, errB := o.canonical()
	if errA != nil || errB != nil {
		return Rules{}
	}
	out := asked.Intersect(given)
	alone := explicit(given.Ports) // D13 by the operator's own list
	literals := out.literalEntries()
	if slices.Contains(asked.Domains, "*") {
		literals = append(literals, effective(given.literalEntries(), alone)...)
	}
	answers := effective(given.nameEntries(), alone)
	domains := append(slices.Clone(asked.Domains), given.Domains...)
	out.Domains = slices.DeleteFunc(out.Domains, func(d Domain) bool { _, ip := d.addr(); return ip })
	out.place(literals, answers, domains)
	return out
}

// place sorts networks into the lists of r: addresses that some side wrote
// among its domains go back there, and Answers hold what Networks do not.
func (r *Rules) place(literals, answers []netip.Prefix, domains []Domain) {
	r.Networks, r.Answers = nil, nil
	for _, p := range unique(literals) {
		if d := Domain(p.Addr().String()); p.IsSingleIP() && slices.Contains(domains, d) {
			r.Domains = append(r.Domains, d)
			continue
		}
		r.Networks = append(r.Networks, p)
	}
	if !slices.ContainsFunc(r.Domains, func(d Domain) bool { _, ip := d.addr(); return !ip }) {
		return // no name, no answers
	}
	for _, p := range unique(answers) {
		if !slices.Contains(literals, p) && enclosing(p).class != public {
			r.Answers = append(r.Answers, p)
		}
	}
}

// nameEntries are the entries that open the addresses of names.
func (r Rules) nameEntries() []netip.Prefix {
	return append(r.literalEntries(), r.Answers...)
}

func intersectNames(a, b []Domain) []Domain {
	var out []Domain
	keep := func(d Domain) {
		if !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	for _, x := range a {
		for _, y := range b {
			switch {
			case within(x, y):
				keep(x)
			case within(y, x):
				keep(y)
			}
		}
	}
	return out
}

// within reports names of which all that x covers is covered by y. Addresses
// are dealt with as networks.
func within(x, y Domain) bool {
	if _, ip := x.addr(); ip {
		return false
	}
	if _, ip := y.addr(); ip {
		return false
	}
	if y == "*" || x == y {
		return true
	}
	base, ok := y.base()
	if !ok || x == "*" {
		return false
	}
	name := strings.TrimPrefix(string(x), "*.")
	return name == base || strings.HasSuffix(name, "."+base)
}

// enclosing is the block that a network lies in, the most specific one that
// holds all of it.
func enclosing(p netip.Prefix) block {
	table := special6
	if p.Addr().Is4() {
		table = special4
	}
	for _, b := range table {
		if b.holds(p) {
			return b
		}
	}
	return block{}
}

// intersectNetworks keeps, of each two nested networks, the narrower one where
// both sides open it.
func intersectNetworks(a, b []netip.Prefix, listed bool) []netip.Prefix {
	var out []netip.Prefix
	for _, x := range a {
		for _, y := range b {
			narrow, wide := x, y
			if narrow.Bits() < wide.Bits() {
				narrow, wide = wide, narrow
			}
			if wide.Contains(narrow.Addr()) && opensSame(narrow, wide, listed) {
				out = append(out, narrow)
			}
		}
	}
	return out
}

// opensSame reports whether wide opens all that narrow does.
func opensSame(narrow, wide netip.Prefix, listed bool) bool {
	b := enclosing(narrow)
	switch b.class {
	case private:
		return b.holds(wide)
	case loopback:
		return listed && b.holds(wide)
	case exact, multicast:
		return listed && narrow == wide
	default: // opens public addresses only, or nothing
		return true
	}
}

// publicOnly are the networks that lie in no special block: what "*" on the
// other side agrees to.
func publicOnly(list []netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(list), func(p netip.Prefix) bool {
		c := enclosing(p).class
		return c == private || c == loopback || c == exact || c == multicast
	})
}

// effective drops what a port list that is not explicit keeps shut.
func effective(list []netip.Prefix, listed bool) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(list), func(p netip.Prefix) bool {
		c := enclosing(p).class
		return !listed && (c == loopback || c == exact || c == multicast)
	})
}

// unique keeps the first of equal networks, and drops those that lie in another
// of the list where that one opens the same.
func unique(list []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}
