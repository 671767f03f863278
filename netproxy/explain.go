package netproxy

import "net/netip"

// Explain answers what a Guard with these rules and settings would decide for
// t, given the answers of the resolver. It is pure: no resolver, dialer, clock
// or limit. t needs Network ("tcp", or empty for it, or "udp"), Host and Port.
// answers are looked at only for a name; nil stands for a lookup that has not
// been made, and the verdict then goes as far as the lookup.
//
// An allowed Decision carries the permitted addresses in Target.Addrs and the
// others in Dropped. Malformed rules or settings refuse everything, with Err
// telling why.
func (r Rules) Explain(c Config, t Target, answers []netip.Addr) Decision {
	out := Decision{Plugin: c.Plugin, Run: c.Run, Target: Target{Network: t.Network, Host: t.Host, Port: t.Port, Hop: t.Hop}, Tunnel: c.Tunnel}
	p, err := compile(r, c)
	if err != nil {
		out.Reason, out.Err = HostDenied, err.Error()
		return out
	}
	network := t.Network
	if network == "" {
		network = "tcp"
	}
	d, err := parseDestination(network, t.Host, t.Port)
	if err != nil {
		out.Target.Host = ""
		out.Reason, out.Err = BadTarget, err.Error()
		return out
	}
	out.Target.Network, out.Target.Host = d.network, d.host.text()
	v := p.beforeLookup(d)
	out.Allowed, out.Reason, out.Rule, out.Hint = v.ok, v.reason, v.rule, v.hint
	if !v.ok {
		return out
	}
	if d.host.addr.IsValid() {
		out.Target.Addrs = []netip.AddrPort{netip.AddrPortFrom(d.host.addr, d.port)}
		return out
	}
	if answers == nil {
		return out
	}
	usable := usableAnswers(answers)
	if len(usable) == 0 {
		out.Err = "dns:no address"
		if p.opaque && p.onlyWildcard(d.host) {
			out.Allowed, out.Reason = false, BadAddress
		}
		return out
	}
	permitted, dropped, v := p.afterLookup(d, v.rule, usable)
	out.Allowed, out.Reason, out.Rule, out.Hint = v.ok, v.reason, v.rule, v.hint
	out.Target.Addrs, out.Dropped = candidates(permitted, d.port), dropped
	return out
}

// parseDestination reads what a caller aims at.
func parseDestination(network, host string, port uint16) (destination, error) {
	if network != "tcp" && network != "udp" {
		return destination{}, &invalidError{"network", quote(network) + " is neither tcp nor udp"}
	}
	h, err := parseHost(trimBlanks(host), inArgument)
	if err != nil {
		return destination{}, &invalidError{"host", err.Error()}
	}
	if port == 0 {
		return destination{}, &invalidError{"port", "must be between 1 and 65535"}
	}
	return destination{network, h, port}, nil
}

// maxAnswers is how many addresses of a name are considered.
const maxAnswers = 16

// usableAnswers unmaps, and drops duplicates and what has a zone: Go hands out
// IPv4 of the hosts file in 16 bytes, and a zone could choose an interface.
func usableAnswers(answers []netip.Addr) []netip.Addr {
	var out []netip.Addr
	seen := make(map[netip.Addr]bool, maxAnswers)
	for _, a := range answers {
		a = a.Unmap()
		if !a.IsValid() || a.Zone() != "" || seen[a] {
			continue
		}
		seen[a] = true
		if out = append(out, a); len(out) == maxAnswers {
			break
		}
	}
	return out
}

// candidates orders addresses for dialling: the families take turns, IPv6
// first, so that a broken family costs one stagger and not sixteen.
func candidates(addrs []netip.Addr, port uint16) []netip.AddrPort {
	var v6, v4, out []netip.AddrPort
	for _, a := range addrs {
		if ap := netip.AddrPortFrom(a, port); a.Is6() {
			v6 = append(v6, ap)
		} else {
			v4 = append(v4, ap)
		}
	}
	for i := range max(len(v6), len(v4)) {
		if i < len(v6) {
			out = append(out, v6[i])
		}
		if i < len(v4) {
			out = append(out, v4[i])
		}
	}
	return out
}
