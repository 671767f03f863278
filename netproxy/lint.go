package netproxy

import (
	"fmt"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// Lint returns notes for a reviewer about what is legal and perhaps not meant:
// text that was changed on the way to canonical form, networks wider than a
// special block (which then stays shut), wildcards over a whole public suffix,
// entries that no port makes reachable, loopback or single addresses opened,
// any port. It returns nothing for malformed rules; Validate does.
func (r Rules) Lint() []string {
	c, err := r.canonical()
	if err != nil {
		return nil
	}
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	for i, d := range c.Domains {
		path := index(keyDomains, i)
		if r.Domains[i] != d {
			note("%s: %s is read as %q", path, quote(string(r.Domains[i])), d)
		} else if strings.Contains(string(d), "xn--") {
			if shown, err := idna.Display.ToUnicode(strings.TrimPrefix(string(d), "*.")); err == nil {
				note("%s: %q is the ASCII form of %q", path, d, shown)
			}
		}
		if base, ok := d.base(); ok {
			if suffix, _ := publicsuffix.PublicSuffix(base); suffix == base {
				note("%s: %q covers a whole public suffix, where anybody may register names", path, d)
			}
		}
		if a, ok := d.addr(); ok {
			c.lintNetwork(path, single(a).String(), enclosing(single(a)), note)
		}
	}
	for i, p := range c.Networks {
		path := index(keyNetworks, i)
		if r.Networks[i] != p {
			note("%s: %q is read as %q", path, r.Networks[i], p)
		}
		c.lintNetwork(path, p.String(), enclosing(p), note)
		for _, table := range [][]block{special4, special6} {
			for _, b := range table {
				if b.kind != "" && b.class != never && p.Bits() < b.prefix.Bits() && p.Contains(b.prefix.Addr()) && enclosing(p).prefix != b.prefix {
					note("%s: %q does not open %s (%s) inside it; list that by its own network", path, p, b.prefix, b.kind)
				}
			}
		}
	}
	if len(c.Ports) == 0 && len(c.Domains)+len(c.Networks) > 0 {
		note("%s: no port is listed, so nothing can be reached", keyPorts)
	}
	if len(c.Ports) > 0 && !explicit(c.Ports) {
		note("%s: every port is open", keyPorts)
	}
	return notes
}

func (r Rules) lintNetwork(path, text string, b block, note func(string, ...any)) {
	switch b.class {
	case loopback, exact, multicast:
		if !explicit(r.Ports) {
			note("%s: %q stays shut (%s) until the ports are listed one by one", path, text, b.kind)
		} else {
			note("%s: %q opens %s addresses", path, text, b.kind)
		}
	case never, translated:
		note("%s: %q opens nothing (%s)", path, text, b.kind)
	}
}
