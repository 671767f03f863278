package netproxy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// A Domain is one entry of Rules.Domains: an exact name ("api.example.com"), a
// name and all below it ("*.example.com", its apex included), every name ("*"),
// or one address ("192.0.2.7"). The zero value is malformed and matches nothing.
type Domain string

// Match reports whether d covers host, a name or an address. Both sides are
// compared in canonical form: case, one final dot and Unicode spelling do not
// matter. "*" matches every name and no address; which addresses it opens is a
// question of their class, answered by Rules.Explain. What does not parse never
// matches.
func (d Domain) Match(host string) bool {
	c, err := parseDomain(string(d))
	if err != nil {
		return false
	}
	h, err := parseHost(host, inArgument)
	if err != nil {
		return false
	}
	return c.covers(h)
}

// covers is Match for both sides in canonical form.
func (d Domain) covers(h canonHost) bool {
	if h.addr.IsValid() {
		return string(d) == h.text()
	}
	if d == "*" {
		return true
	}
	if base, ok := d.base(); ok {
		return h.name == base || strings.HasSuffix(h.name, "."+base)
	}
	return string(d) == h.name
}

// base is the name under a wildcard.
func (d Domain) base() (string, bool) { return strings.CutPrefix(string(d), "*.") }

// addr is the address of an IP entry.
func (d Domain) addr() (netip.Addr, bool) {
	a, err := netip.ParseAddr(string(d))
	return a, err == nil
}

// parseDomain reads one entry of allowed_domains into canonical form.
func parseDomain(text string) (Domain, error) {
	if text == "*" {
		return "*", nil
	}
	if base, ok := strings.CutPrefix(text, "*."); ok {
		h, err := parseHost(base, inGrant)
		if err != nil {
			return "", fmt.Errorf("%s: %w", quote(text), err)
		}
		if h.addr.IsValid() {
			return "", fmt.Errorf("%s: an address has nothing below it; list a network instead", quote(text))
		}
		return Domain("*." + h.name), nil
	}
	h, err := parseHost(text, inGrant)
	if err != nil {
		return "", fmt.Errorf("%s: %w", quote(text), err)
	}
	return Domain(h.text()), nil
}

// canonHost is a host that parseHost accepted: a name in canonical form or an
// unmapped address. Matching, looking up and dialling take nothing else.
type canonHost struct {
	name string
	addr netip.Addr
}

// text is the host as grants and decisions write it.
func (h canonHost) text() string {
	if h.addr.IsValid() {
		return h.addr.String()
	}
	return h.name
}

// inURL is the host as a URL and a Host header write it.
func (h canonHost) inURL() string {
	if h.addr.Is6() {
		return "[" + h.addr.String() + "]"
	}
	return h.text()
}

// Where a host stands decides one thing only: whether an IPv6 address may come
// without brackets.
type hostContext uint8

const (
	inGrant hostContext = iota
	inArgument
	inURL
)

// idnaProfile maps what browsers map, so that two spellings of a name are one.
var idnaProfile = idna.New(
	idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(),
	idna.StrictDomainName(false), idna.CheckHyphens(false), idna.VerifyDNSLength(true),
)

// parseHost is the one reading of host text, for grants, URLs and socket
// arguments alike: two readings that differ are how allow lists are walked
// around.
func parseHost(text string, where hostContext) (canonHost, error) {
	if err := hostBytes(text); err != nil {
		return canonHost{}, err
	}
	if text[0] == '[' {
		return bracketed(text)
	}
	if strings.Contains(text, ":") && where == inURL {
		return canonHost{}, errors.New("an IPv6 address needs brackets")
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return canonHost{addr: a.Unmap()}, nil
	}
	if strings.Contains(text, ":") {
		return canonHost{}, errors.New("is neither a name nor an IPv6 address; give no port, scheme or path")
	}
	return parseName(text)
}

func hostBytes(text string) error {
	if text == "" {
		return errors.New("is empty")
	}
	if len(text) > 4*253 { // 253 bytes of ASCII can come from longer Unicode
		return errors.New("is too long for a name")
	}
	if !utf8.ValidString(text) {
		return errors.New("is not UTF-8")
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c <= 0x20 || c == 0x7f:
			return errors.New("holds a blank or control character")
		case c == '%':
			return errors.New("holds %; zones and escapes are not allowed")
		}
	}
	return nil
}

func bracketed(text string) (canonHost, error) {
	inner, ok := strings.CutSuffix(text[1:], "]")
	a, err := netip.ParseAddr(inner)
	if !ok || err != nil || !a.Is6() || a.Zone() != "" {
		return canonHost{}, errors.New("brackets hold exactly one IPv6 address")
	}
	return canonHost{addr: a.Unmap()}, nil
}

func parseName(text string) (canonHost, error) {
	if strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) {
		ascii, err := idnaProfile.ToASCII(text)
		if err != nil {
			return canonHost{}, errors.New("is not an internationalised name")
		}
		text = ascii
	}
	name := strings.TrimSuffix(strings.ToLower(text), ".")
	if len(name) == 0 || len(name) > 253 {
		return canonHost{}, errors.New("is not a name of 1 to 253 bytes")
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if err := checkLabel(l); err != nil {
			return canonHost{}, err
		}
	}
	// Old resolvers read 127.1, 0x7f.1 and 2130706433 as addresses. Whether
	// this one does must not matter.
	if last := labels[len(labels)-1]; numeric(last) {
		return canonHost{}, errors.New("ends in a number but is not an address")
	}
	return canonHost{name: name}, nil
}

// checkLabel runs after the mapping, which can produce / ? # @ and :.
func checkLabel(l string) error {
	switch {
	case l == "" || len(l) > 63:
		return errors.New("has a label that is not 1 to 63 bytes long")
	case l[0] == '-' || l[len(l)-1] == '-':
		return errors.New("has a label with a hyphen at its edge")
	}
	for i := range len(l) {
		c := l[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return fmt.Errorf("holds %q, which no name does", rune(c))
		}
	}
	return nil
}

func numeric(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}
