package netproxy

import (
	"errors"
	"fmt"
	"net/netip"
)

// Rules says what may be reached. The zero value reaches nothing, and an absent
// or empty list means none, never all.
//
// In JSON and YAML the keys are those of plugin.yaml: allowed_domains,
// allowed_networks, allowed_ports and allow_insecure_tls. Decoding is strict:
// one malformed entry refuses the whole set, and the error joins a *RuleError
// for every bad entry. Decoded rules are in canonical form. Rules are plain
// data: reading them from many goroutines is safe while nobody writes.
type Rules struct {
	// Domains are the names that may be looked up. A granted name opens its
	// public addresses; an address among them opens just that address.
	Domains []Domain
	// Networks are the addresses that may be reached. A private block opens
	// only by an entry lying inside it, loopback needs an explicit port list as
	// well, and link-local or metadata addresses a /32 or /128 entry on top.
	Networks []netip.Prefix
	// Ports are the remote ports, for every protocol. No entry, no port.
	Ports []PortRange
	// AllowInsecureTLS lets a request ask to skip certificate verification.
	AllowInsecureTLS bool
	// Answers are networks that only granted names may lead to, besides
	// Networks. GrantedBy makes them; no document can set them, and they are
	// left out when Rules are encoded.
	Answers []netip.Prefix
}

// maxEntries bounds each list of Rules, so that matching and intersecting what
// an author wrote stays cheap.
const maxEntries = 1024

// A RuleError is one malformed entry of Rules.
type RuleError struct {
	// Path names the entry, "allowed_networks[1]", or the unknown key.
	Path string
	// Message says what is wrong and what would be right.
	Message string
}

// Error is the path and the message.
func (e *RuleError) Error() string { return e.Path + ": " + e.Message }

// ruleErrors collects findings in the order of the document.
type ruleErrors []error

func (e *ruleErrors) add(path, format string, args ...any) {
	*e = append(*e, &RuleError{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (e ruleErrors) join() error { return errors.Join(e...) }

// Validate reports every malformed entry at once, each as a *RuleError. It is
// meant for Rules built in Go; decoding has validated already, and New does.
func (r Rules) Validate() error {
	_, err := r.canonical()
	return err
}

// canonical returns a deep copy of r in canonical form: names lower case,
// mapped addresses as IPv4, host bits masked.
func (r Rules) canonical() (Rules, error) {
	var errs ruleErrors
	out := Rules{AllowInsecureTLS: r.AllowInsecureTLS}
	for _, l := range []struct {
		key string
		n   int
	}{{keyDomains, len(r.Domains)}, {keyNetworks, len(r.Networks)}, {keyPorts, len(r.Ports)}, {"answers", len(r.Answers)}} {
		if l.n > maxEntries {
			errs.add(l.key, "%d entries; at most %d are allowed", l.n, maxEntries)
		}
	}
	if len(errs) > 0 {
		return Rules{}, errs.join()
	}
	for i, d := range r.Domains {
		c, err := parseDomain(string(d))
		if err != nil {
			errs.add(index(keyDomains, i), "%v", err)
			continue
		}
		out.Domains = append(out.Domains, c)
	}
	out.Networks = canonicalPrefixes(keyNetworks, r.Networks, &errs)
	for i, p := range r.Ports {
		if p.First == 0 || p.Last < p.First {
			errs.add(index(keyPorts, i), "%d-%d is not a range of ports between 1 and 65535", p.First, p.Last)
			continue
		}
		out.Ports = append(out.Ports, p)
	}
	out.Answers = canonicalPrefixes("answers", r.Answers, &errs)
	if len(errs) > 0 {
		return Rules{}, errs.join()
	}
	return out, nil
}

func canonicalPrefixes(key string, list []netip.Prefix, errs *ruleErrors) []netip.Prefix {
	var out []netip.Prefix
	for i, p := range list {
		c, err := canonicalPrefix(p)
		if err != nil {
			errs.add(index(key, i), "%v", err)
			continue
		}
		out = append(out, c)
	}
	return out
}

// canonicalPrefix masks host bits and turns a mapped prefix into the IPv4 one:
// left mapped it would match nothing, since addresses are compared unmapped.
func canonicalPrefix(p netip.Prefix) (netip.Prefix, error) {
	if !p.IsValid() {
		return netip.Prefix{}, errors.New("is not a network; write 10.1.0.0/16 or a bare address")
	}
	if p.Addr().Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q has a zone; leave it out", p)
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("%q is wider than the IPv4-mapped block; write the IPv4 network", p)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	p = p.Masked()
	// ::/0 to ::ffff:0:0/95 contain the mapped block without being in it; they
	// stay IPv6 and so never match an IPv4 address.
	return p, nil
}

// parseNetwork reads one entry of allowed_networks.
func parseNetwork(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return canonicalPrefix(p)
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%s is not a network; write 10.1.0.0/16 or a bare address", quote(text))
	}
	if a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%s has a zone; leave it out", quote(text))
	}
	return single(a), nil
}

// single is the /32 or /128 of an address.
func single(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen())
}

func index(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }

// quote shows text from a document, cut to what fits on a line.
func quote(text string) string {
	const most = 80
	if len(text) > most {
		return fmt.Sprintf("%q...", text[:most])
	}
	return fmt.Sprintf("%q", text)
}
