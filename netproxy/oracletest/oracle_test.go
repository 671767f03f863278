// Package oracletest is a test only: it compares the address classes of
// netproxy with an independent table, that of code.dny.dev/ssrf. What the other
// one denies by default must not be reachable here by a granted name alone.
package oracletest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"code.dny.dev/ssrf"

	"github.com/sandcheck/sandcheck/netproxy"
)

// exception is a block on which the two tables differ on purpose.
type exception struct {
	block string
	why   string
	used  bool
}

// openHere is denied by the oracle and public in netproxy.
func openHere() []*exception {
	return []*exception{
		{block: "192.31.196.0/24", why: "AS112 (RFC 7535): an anycast service of the public internet, globally reachable by the registry"},
		{block: "192.52.193.0/24", why: "AMT relays (RFC 7450): anycast on the public internet, globally reachable by the registry"},
		{block: "192.175.48.0/24", why: "AS112 by direct delegation (RFC 7534): as above"},
		{block: "2620:4f:8000::/48", why: "AS112 by direct delegation (RFC 7534): as above"},
		{block: "64:ff9b::/96", why: "NAT64: judged by the IPv4 address inside, which must be public; the oracle knows no way into it"},
		{block: "::ffff:0:0/96", why: "mapped IPv4: always unmapped first and judged as IPv4; the oracle refuses the spelling"},
	}
}

// shutHere is allowed by the oracle and special in netproxy.
func shutHere() []*exception {
	return []*exception{
		{block: "168.63.129.16/32", why: "the platform endpoint of a large cloud, on an address that the registry does not list"},
	}
}

func explained(list []*exception, a netip.Addr) bool {
	for _, e := range list {
		if contains(netip.MustParsePrefix(e.block), a) {
			e.used = true
			return true
		}
	}
	return false
}

// contains is Prefix.Contains, which never finds a mapped address in a prefix.
func contains(p netip.Prefix, a netip.Addr) bool {
	if p.Addr().Is4In6() && a.Is4In6() {
		return p.Bits() <= 96
	}
	return p.Contains(a)
}

// inside is the IPv4 address that a carries, where the oracle can judge only
// that.
func inside(a netip.Addr) (netip.Addr, bool) {
	switch {
	case a.Is4In6():
		return a.Unmap(), true
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a):
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:])), true
	default:
		return a, false
	}
}

func TestAgainstOracle(t *testing.T) {
	t.Parallel()
	oracle := ssrf.New()
	open, shut := openHere(), shutHere()
	n, wrong := 0, 0
	judge := func(a netip.Addr) {
		n++
		block, special := netproxy.Special(a)
		verdict := oracle.SafeAddr(a)
		agree := true
		switch {
		case verdict != nil && !special:
			agree = explained(open, a)
			if v4, carried := inside(a); carried && agree {
				agree = oracle.SafeAddr(v4) == nil || explained(open, v4)
			}
		case verdict == nil && special:
			agree = explained(shut, a)
		}
		if !agree {
			if wrong++; wrong <= 20 {
				t.Errorf("%v: netproxy says special=%v (%s), the oracle %v", a, special, block, verdict)
			}
		}
	}
	for _, a := range edges() {
		judge(a)
	}
	sweep4(judge)
	sweep6(judge)
	t.Logf("%d addresses, %d disagreements", n, wrong)
	for _, e := range append(open, shut...) {
		if !e.used {
			t.Errorf("the exception for %s is not needed: %s", e.block, e.why)
		}
	}
}

// The same question asked of whole rules: a wildcard grant, by name and by
// literal, over TCP and UDP, must not lead to what the oracle denies.
func TestWildcardAgainstOracle(t *testing.T) {
	t.Parallel()
	oracle := ssrf.New()
	rules := netproxy.Rules{Domains: []netproxy.Domain{"*"}, Ports: netproxy.Ports(443)}
	open := openHere()
	for _, a := range edges() {
		for _, network := range []string{"tcp", "udp"} {
			literal := rules.Explain(netproxy.Config{}, netproxy.Target{Network: network, Host: a.String(), Port: 443}, nil)
			named := rules.Explain(netproxy.Config{}, netproxy.Target{Network: network, Host: "rebound.example", Port: 443}, []netip.Addr{a})
			if literal.Allowed != named.Allowed {
				t.Errorf("%v over %s: literal %v, name %v", a, network, literal.Allowed, named.Allowed)
			}
			if _, special := netproxy.Special(a); literal.Allowed == special {
				t.Errorf("%v over %s: allowed %v, special %v", a, network, literal.Allowed, special)
			}
			if err := oracle.SafeAddr(a); err != nil && literal.Allowed && !explained(open, a) {
				t.Errorf("%v over %s is allowed, the oracle says %v", a, network, err)
			}
			for _, pinned := range named.Target.Addrs {
				if err := oracle.SafeAddr(pinned.Addr()); err != nil && !explained(open, pinned.Addr()) {
					t.Errorf("%v over %s would be dialled at %v, the oracle says %v", a, network, pinned, err)
				}
			}
		}
	}
}

// edges are the first and the last address of every block that either side
// names, and their neighbours outside.
func edges() []netip.Addr {
	blocks := append(slices.Clone(ssrf.IPv4DeniedPrefixes), ssrf.IPv6DeniedPrefixes...)
	blocks = append(blocks, ssrf.IPv6GlobalUnicast, ssrf.IPv6NAT64Prefix)
	for _, text := range []string{
		"255.255.255.255/32", "168.63.129.16/32", "100.100.100.200/32", "169.254.169.254/32", "1.1.1.1/32", "0.0.0.0/0",
		"::/128", "::1/128", "::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/32", "2001:20::/28",
		"4000::/3", "5f00::/16", "8000::/1", "fc00::/7", "fd00:ec2::/32", "fd20:ce::/64", "fe80::/10", "fec0::/10", "ff00::/8", "::/0",
	} {
		blocks = append(blocks, netip.MustParsePrefix(text))
	}
	var all []netip.Addr
	for _, p := range blocks {
		first, last := p.Masked().Addr(), lastOf(p)
		for _, a := range []netip.Addr{first, last, first.Prev(), last.Next()} {
			if !a.IsValid() {
				continue
			}
			all = append(all, a)
			if b := a.As16(); a.Is4() { // and what carries it
				all = append(all, netip.AddrFrom16(b), netip.MustParseAddr(fmt.Sprintf("64:ff9b::%02x%02x:%02x%02x", b[12], b[13], b[14], b[15])))
			}
		}
	}
	return all
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As16()
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	for i := bits; i < 128; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	if p.Addr().Is4() {
		return netip.AddrFrom16(b).Unmap()
	}
	return netip.AddrFrom16(b)
}

// sweep4 takes one address of every /20.
func sweep4(judge func(netip.Addr)) {
	r := rand.New(rand.NewPCG(1, 2))
	for block := range uint32(1 << 20) {
		v := block<<12 | r.Uint32()>>20
		judge(netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}))
	}
}

// sweep6 takes addresses of every /16, and more of those that hold special
// blocks.
func sweep6(judge func(netip.Addr)) {
	r := rand.New(rand.NewPCG(3, 4))
	for block := range 1 << 16 {
		n := 2
		switch block {
		case 0, 0x64, 0x100, 0x2001, 0x2002, 0x2620, 0x3fff, 0xfd00, 0xfd20:
			n = 20_000
		}
		for i := range n {
			var b [16]byte
			b[0], b[1] = byte(block>>8), byte(block)
			for j := 2; j < 16; j++ {
				if i%2 == 0 || r.IntN(3) == 0 { // half of them with many zeroes, as special blocks have
					b[j] = byte(r.Uint32())
				}
			}
			judge(netip.AddrFrom16(b))
		}
	}
}
