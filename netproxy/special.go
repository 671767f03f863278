package netproxy

import "net/netip"

//go:generate go run ./internal/gen

// class says how an address is opened. The zero value is shut.
type class uint8

const (
	never      class = iota // nothing opens it
	exact                   // a single-address entry, under an explicit port list
	loopback                // an entry in the block, under an explicit port list
	private                 // an entry in the block
	public                  // a granted name, "*", or any entry that holds it
	multicast               // exact for UDP, never for the rest
	translated              // judged by the IPv4 address it carries, which must be public
)

// block is one row of the generated table.
type block struct {
	prefix netip.Prefix
	class  class
	kind   string
}

// lookupBlock is the most specific row that holds a, which is unmapped.
func lookupBlock(a netip.Addr) block {
	table := special6
	if a.Is4() {
		table = special4
	}
	for _, b := range table { // longest prefix first
		if b.prefix.Contains(a) {
			return b
		}
	}
	return block{} // the invalid address, and one with a zone
}

// forTransport settles multicast.
func (b block) forTransport(udp bool) class {
	switch {
	case b.class != multicast:
		return b.class
	case udp:
		return exact
	default:
		return never
	}
}

// Special reports whether a is an address that no grant of a name opens, and
// what it is, in a word: loopback, private, link-local, metadata, shared,
// documentation, translated, multicast and so on. A mapped address is its IPv4
// address; a translated one is special unless it carries a public address. The
// zero Addr and one with a zone are special.
func Special(a netip.Addr) (block string, special bool) {
	b := lookupBlock(a.Unmap())
	switch {
	case b.class == public:
		return "", false
	case b.class == translated && lookupBlock(embedded(a, 96)).class == public:
		return "", false
	case b.kind == "":
		return "invalid", true
	default:
		return b.kind, true
	}
}

// embedded is the IPv4 address that an address carries behind a translation
// prefix of that length (RFC 6052). Byte 8 is skipped.
func embedded(a netip.Addr, bits int) netip.Addr {
	b := a.As16()
	var v4 [4]byte
	for i, at := 0, bits/8; i < 4; at++ {
		if at == 8 {
			continue
		}
		v4[i] = b[at]
		i++
	}
	return netip.AddrFrom4(v4)
}

var wellKnownNAT64 = netip.MustParsePrefix("64:ff9b::/96")
