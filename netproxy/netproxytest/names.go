package netproxytest

import (
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// autoAddr gives a name an address that depends on nothing but the name. The
// caller holds mu.
func (n *Network) autoAddr(name string) netip.Addr {
	if a, ok := n.auto[name]; ok {
		return a
	}
	if n.auto == nil {
		n.auto = map[string]netip.Addr{}
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	for sum := h.Sum32(); ; sum++ {
		a := netip.AddrFrom4([4]byte{45, byte(sum >> 16), byte(sum >> 8), byte(sum)})
		taken := false
		for _, b := range n.auto {
			taken = taken || a == b
		}
		if !taken {
			n.auto[name] = a
			return a
		}
	}
}

// addrsOf answers for a name. The caller holds mu.
func (n *Network) addrsOf(name string) (addrs []netip.Addr, known bool) {
	if addrs, ok := n.DNS[name]; ok {
		return addrs, true
	}
	if a, ok := n.auto[name]; ok {
		return []netip.Addr{a}, true
	}
	if n.declared(name) {
		return []netip.Addr{n.autoAddr(name)}, true
	}
	addrs, known = n.DNS["*"]
	return addrs, known
}

// declared reports a name that some handler serves. The caller holds mu.
func (n *Network) declared(name string) bool {
	for where := range n.HTTP {
		for _, e := range parseWhere(where) {
			if e.host == name {
				return true
			}
		}
	}
	for _, where := range n.hostPorts() {
		if host, _, _ := splitHostPort(where); host == name {
			return true
		}
	}
	return false
}

func (n *Network) hostPorts() []string {
	var out []string
	for where := range n.TCP {
		out = append(out, where)
	}
	for where := range n.UDP {
		out = append(out, where)
	}
	for where := range n.behaviours {
		out = append(out, where)
	}
	return out
}

// serves reports whether host, a name or address text, is at ip. The caller
// holds mu.
func (n *Network) serves(host string, ip netip.Addr) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap() == ip
	}
	addrs, _ := n.addrsOf(host)
	for _, list := range n.sequences[host] {
		addrs = append(slices.Clone(addrs), list...)
	}
	return slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Unmap() == ip })
}

type httpEnd struct {
	host   string
	port   uint16
	secure bool
}

// parseWhere reads the key of an HTTP server.
func parseWhere(where string) []httpEnd {
	if !strings.Contains(where, "://") {
		host, port, ok := splitHostPort(where)
		if ok {
			return []httpEnd{{host, port, false}, {host, port, true}}
		}
		host = canonical(where)
		return []httpEnd{{host, 80, false}, {host, 443, true}}
	}
	u, err := url.Parse(where)
	if err != nil {
		return nil
	}
	secure := u.Scheme == "https" || u.Scheme == "wss"
	port := uint16(80)
	if secure {
		port = 443
	}
	if p, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
		port = uint16(p)
	}
	return []httpEnd{{canonical(u.Hostname()), port, secure}}
}

// splitHostPort reads "host:port".
func splitHostPort(where string) (host string, port uint16, ok bool) {
	h, p, err := net.SplitHostPort(where)
	if err != nil {
		return "", 0, false
	}
	v, err := strconv.ParseUint(p, 10, 16)
	return canonical(h), uint16(v), err == nil
}

func canonical(host string) string {
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().String()
	}
	return host
}

func parseAddrs(texts []string) []netip.Addr {
	out := []netip.Addr{}
	for _, text := range texts {
		a, err := netip.ParseAddr(text)
		if err != nil {
			panic(fmt.Sprintf("netproxytest: %q is not an address", text))
		}
		out = append(out, a)
	}
	return out
}
