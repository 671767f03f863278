package netproxy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// policy is Rules and the deciding half of a Config, checked and copied. It is
// immutable, and nothing can be put in its place.
type policy struct {
	rules      Rules
	entries    []netip.Prefix // networks and IP entries, in that order
	star       bool
	explicit   bool
	nat64      []netip.Prefix
	denyNets   []netip.Prefix
	denyAddrs  []netip.AddrPort
	strict     bool
	opaque     bool
	directed   func() map[netip.Addr]bool // directed broadcast of this host, read once; nil: none
	identities []identity
}

// compile checks everything and reports all mistakes at once.
func compile(r Rules, c Config) (*policy, error) {
	rules, err := r.canonical()
	errs := []error{err}
	p := &policy{rules: rules, strict: c.StrictAnswers, opaque: c.OpaqueWildcardDNS}
	p.entries = rules.literalEntries()
	p.star = slices.Contains(rules.Domains, "*")
	p.explicit = explicit(rules.Ports)
	for i, n := range c.NAT64Prefixes {
		if !n.IsValid() || !n.Addr().Is6() || n.Addr().Is4In6() || !slices.Contains([]int{32, 40, 48, 56, 64, 96}, n.Bits()) {
			errs = append(errs, fmt.Errorf("NAT64Prefixes[%d]: %q is not an IPv6 prefix of length 32, 40, 48, 56, 64 or 96", i, n))
			continue
		}
		p.nat64 = append(p.nat64, n.Masked())
	}
	for i, n := range c.DenyNetworks {
		d, err := canonicalPrefix(n)
		if err != nil {
			errs = append(errs, fmt.Errorf("DenyNetworks[%d]: %w", i, err))
			continue
		}
		p.denyNets = append(p.denyNets, d)
	}
	for i, a := range c.DenyAddrs {
		if !a.IsValid() || a.Addr().Zone() != "" {
			errs = append(errs, fmt.Errorf("DenyAddrs[%d]: %q is not an address and a port", i, a))
			continue
		}
		p.denyAddrs = append(p.denyAddrs, netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
	}
	ids, err := compileIdentities(c.Identities)
	errs = append(errs, err)
	p.identities = ids
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

// literalEntries are the entries that open addresses: networks, and the
// addresses among the domains.
func (r Rules) literalEntries() []netip.Prefix {
	out := slices.Clone(r.Networks)
	for _, d := range r.Domains {
		if a, ok := d.addr(); ok {
			out = append(out, single(a))
		}
	}
	return out
}

// destination is what an attempt aims at, in canonical form.
type destination struct {
	network string // "tcp" or "udp"
	host    canonHost
	port    uint16
}

func (d destination) udp() bool { return d.network == "udp" }

// verdict is one step of a decision.
type verdict struct {
	ok     bool
	reason Reason
	rule   string
	hint   string
}

// beforeLookup judges all that needs no lookup: the port, the name, and the
// class of an address written as such.
func (p *policy) beforeLookup(d destination) verdict {
	if _, ok := portEntry(p.rules.Ports, d.port); !ok {
		return verdict{reason: BadPort, hint: fmt.Sprintf("%s: [%d]", keyPorts, d.port)}
	}
	if d.host.addr.IsValid() {
		j := p.judge(netip.AddrPortFrom(d.host.addr, d.port), d.udp(), false)
		return verdict{ok: j.ok, reason: j.reason, rule: j.rule, hint: j.hint(d.port)}
	}
	entry, ok := p.domainEntry(d.host)
	if !ok {
		return verdict{reason: BadDomain, hint: fmt.Sprintf("%s: [%q]", keyDomains, d.host.name)}
	}
	return verdict{ok: true, reason: Granted, rule: string(entry)}
}

// domainEntry is the entry that covers a name, the narrowest kind first.
func (p *policy) domainEntry(h canonHost) (Domain, bool) {
	var best Domain
	for _, d := range p.rules.Domains {
		if d.covers(h) && (best == "" || len(d) > len(best)) {
			best = d
		}
	}
	if i := slices.Index(p.rules.Domains, Domain(h.name)); i >= 0 {
		best = p.rules.Domains[i]
	}
	return best, best != ""
}

// onlyWildcard reports a name that is granted by no entry of its own.
func (p *policy) onlyWildcard(h canonHost) bool {
	return !slices.Contains(p.rules.Domains, Domain(h.name))
}

// afterLookup judges the answers for a granted name one by one.
func (p *policy) afterLookup(d destination, entry string, answers []netip.Addr) (permitted, dropped []netip.Addr, v verdict) {
	v = verdict{ok: true, reason: Granted, rule: entry}
	var refused []judgement
	for _, a := range answers {
		j := p.judge(netip.AddrPortFrom(a, d.port), d.udp(), true)
		if !j.ok {
			dropped = append(dropped, a)
			refused = append(refused, j)
			continue
		}
		permitted = append(permitted, a)
		if j.rule != "" && !strings.Contains(v.rule, j.rule) {
			v.rule += " " + j.rule
		}
	}
	if len(refused) == 0 || len(permitted) > 0 && !p.strict {
		return permitted, dropped, v
	}
	v = verdict{reason: refused[0].reason}
	if p.strict {
		all := judgement{reason: BadAddress}
		for _, j := range refused {
			all = all.and(j)
		}
		v.reason, v.hint = all.reason, all.hint(d.port)
		return nil, dropped, v
	}
	for _, j := range refused { // the first answer that could be opened
		if hint := j.hint(d.port); hint != "" {
			v.reason, v.hint = j.reason, hint
			break
		}
	}
	return nil, dropped, v
}

// judgement is the verdict on one address, with what is missing to open it.
type judgement struct {
	ok       bool
	reason   Reason
	rule     string
	missing  []netip.Prefix
	unlisted bool // an explicit port list is missing
	hopeless bool // nothing opens it
}

func (j judgement) and(o judgement) judgement {
	if o.reason == HostDenied {
		j.reason = HostDenied
	}
	j.missing = append(j.missing, o.missing...)
	j.unlisted = j.unlisted || o.unlisted
	j.hopeless = j.hopeless || o.hopeless
	return j
}

// hint is the line that brings the address one step nearer.
func (j judgement) hint(port uint16) string {
	switch {
	case j.ok || j.hopeless:
		return ""
	case len(j.missing) > 0:
		var quoted []string
		for _, p := range j.missing {
			quoted = append(quoted, fmt.Sprintf("%q", p.String()))
		}
		return fmt.Sprintf("%s: [%s]", keyNetworks, strings.Join(quoted, ", "))
	case j.unlisted:
		return fmt.Sprintf("%s: [%d] instead of *", keyPorts, port)
	default:
		return ""
	}
}

// How an address came to be judged as another one.
type reading struct {
	addr netip.Addr
	via  via
}

type via uint8

const (
	direct    via = iota
	wellKnown     // 64:ff9b::/96: only public addresses pass
	site          // a declared translator: public and opened private ones pass
)

// readings lists what a stands for. Every one must pass: two translators may
// read one address differently, and which of them carries the packet is not
// ours to know.
func (p *policy) readings(a netip.Addr) []reading {
	var out []reading
	for _, n := range p.nat64 {
		if n.Contains(a) {
			out = append(out, reading{embedded(a, n.Bits()), site})
		}
	}
	if wellKnownNAT64.Contains(a) {
		out = append(out, reading{embedded(a, 96), wellKnown})
	}
	if len(out) == 0 {
		out = append(out, reading{a, direct})
	}
	return out
}

// judge says whether an address may be reached: as a literal, or as the answer
// for a granted name.
func (p *policy) judge(ap netip.AddrPort, udp, byName bool) judgement {
	a := ap.Addr().Unmap()
	readings := p.readings(a)
	if rule := p.denied(a, ap.Port()); rule != "" {
		return judgement{reason: HostDenied, rule: rule, hopeless: true}
	}
	for _, r := range readings {
		if rule := p.denied(r.addr, ap.Port()); rule != "" {
			return judgement{reason: HostDenied, rule: rule, hopeless: true}
		}
	}
	if udp && p.directed != nil && p.directed()[a] {
		return judgement{reason: BadAddress, hopeless: true}
	}
	out := judgement{ok: true, reason: Granted}
	for _, r := range readings {
		j := p.judgeReading(r, udp, byName)
		if j.ok {
			out.rule = j.rule
			continue
		}
		out.ok, out.reason = false, BadAddress
		out = out.and(j)
	}
	if !out.ok {
		out.rule = ""
	}
	return out
}

func (p *policy) denied(a netip.Addr, port uint16) string {
	for _, n := range p.denyNets {
		if n.Contains(a) {
			return n.String()
		}
	}
	if ap := netip.AddrPortFrom(a, port); slices.Contains(p.denyAddrs, ap) {
		return ap.String()
	}
	return ""
}

func (p *policy) judgeReading(r reading, udp, byName bool) judgement {
	b := lookupBlock(r.addr)
	c := b.forTransport(udp)
	passes := r.via == direct || c == public || r.via == site && c == private
	if !passes || c == never || c == translated {
		return judgement{hopeless: true}
	}
	switch c {
	case public:
		if byName {
			return judgement{ok: true}
		}
		if p.star {
			return judgement{ok: true, rule: "*"}
		}
		return p.opened(r.addr, byName, func(netip.Prefix) bool { return true })
	case private:
		return p.opened(r.addr, byName, b.holds)
	case loopback:
		return p.listed(p.opened(r.addr, byName, b.holds))
	default: // exact
		return p.listed(p.opened(r.addr, byName, netip.Prefix.IsSingleIP))
	}
}

// holds reports an entry that lies inside the block: who writes 0.0.0.0/0 means
// the internet, not the private networks of this site.
func (b block) holds(entry netip.Prefix) bool {
	return entry.Bits() >= b.prefix.Bits() && b.prefix.Contains(entry.Addr())
}

// opened looks for a fitting entry that contains a.
func (p *policy) opened(a netip.Addr, byName bool, fits func(netip.Prefix) bool) judgement {
	for _, e := range p.entries {
		if e.Contains(a) && fits(e) {
			return judgement{ok: true, rule: e.String()}
		}
	}
	if byName {
		for _, e := range p.rules.Answers {
			if e.Contains(a) && fits(e) {
				return judgement{ok: true, rule: e.String()}
			}
		}
	}
	return judgement{missing: []netip.Prefix{single(a)}}
}

// listed adds the demand for an explicit port list.
func (p *policy) listed(j judgement) judgement {
	if !p.explicit {
		j.ok, j.unlisted = false, true
	}
	return j
}
