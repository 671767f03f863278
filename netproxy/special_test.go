package netproxy_test

import (
	"net/netip"
	"os"
	"os/exec"
	"testing"

	"github.com/sandcheck/sandcheck/netproxy"
)

// class says how an address opens, found out through the public API.
func classOf(a netip.Addr, network string) string {
	allowed := func(r netproxy.Rules) bool {
		return r.Explain(netproxy.Config{}, netproxy.Target{Network: network, Host: a.String(), Port: 7}, nil).Allowed
	}
	one := netip.PrefixFrom(a, a.BitLen())
	switch {
	case allowed(netproxy.Rules{Domains: []netproxy.Domain{"*"}, Ports: netproxy.AnyPort()}):
		return "public"
	case allowed(netproxy.Rules{Networks: []netip.Prefix{one}, Ports: netproxy.AnyPort()}):
		return "private"
	case !allowed(netproxy.Rules{Networks: []netip.Prefix{one}, Ports: netproxy.Ports(7)}):
		return "never"
	}
	pair := netip.PrefixFrom(a, a.BitLen()-1).Masked()
	if allowed(netproxy.Rules{Networks: []netip.Prefix{pair}, Ports: netproxy.Ports(7)}) {
		return "loopback"
	}
	return "exact"
}

func TestClasses(t *testing.T) {
	t.Parallel()
	// First and last of each block, and the neighbours outside.
	for _, tt := range []struct{ block, class, below, above string }{
		{"0.0.0.0/8", "never", "", "public"},
		{"10.0.0.0/8", "private", "public", "public"},
		{"100.64.0.0/10", "private", "public", "public"},
		{"100.100.100.200/32", "exact", "private", "private"},
		{"127.0.0.0/8", "loopback", "public", "public"},
		{"168.63.129.16/32", "exact", "public", "public"},
		{"169.254.0.0/16", "exact", "public", "public"},
		{"172.16.0.0/12", "private", "public", "public"},
		{"192.0.0.0/24", "exact", "public", "public"},
		{"192.0.2.0/24", "private", "public", "public"},
		{"192.31.196.0/24", "public", "public", "public"},
		{"192.52.193.0/24", "public", "public", "public"},
		{"192.88.99.0/24", "never", "public", "public"},
		{"192.168.0.0/16", "private", "public", "public"},
		{"192.175.48.0/24", "public", "public", "public"},
		{"198.18.0.0/15", "private", "public", "public"},
		{"198.51.100.0/24", "private", "public", "public"},
		{"203.0.113.0/24", "private", "public", "public"},
		{"224.0.0.0/4", "never", "public", "private"},
		{"240.0.0.0/4", "private", "never", ""},
		{"255.255.255.255/32", "never", "private", ""},
		{"::/128", "never", "", "exact"},
		{"::1/128", "exact", "never", "never"}, // loopback; a block of one,
		{"::/96", "never", "", "never"},
		{"::ffff:0:0:0/96", "never", "never", "never"},
		{"64:ff9b:1::/48", "never", "never", "never"},
		{"100::/64", "never", "never", "never"},
		{"100:0:0:1::/64", "never", "never", "never"},
		{"2000::/16", "public", "never", "never"},
		{"2001::/23", "never", "public", "public"},
		{"2001:db8::/32", "private", "public", "public"},
		{"2002::/16", "never", "public", "public"},
		{"2620:4f:8000::/48", "public", "public", "public"},
		{"3fff::/20", "private", "public", "public"},
		{"3fff:1000::/20", "public", "private", "public"},
		{"4000::/3", "never", "public", "never"},
		{"5f00::/16", "never", "never", "never"},
		{"fc00::/7", "private", "never", "never"},
		{"fd00:ec2::/32", "exact", "private", "private"},
		{"fd20:ce::/64", "exact", "private", "private"},
		{"fe80::/10", "never", "never", "never"},
		{"fec0::/10", "never", "never", "never"},
		{"ff00::/8", "never", "never", ""},
	} {
		p := netip.MustParsePrefix(tt.block)
		first, last := p.Addr(), lastOf(p)
		check := func(a netip.Addr, want string) {
			if !a.IsValid() || want == "" {
				return
			}
			if got := classOf(a, "tcp"); got != want {
				t.Errorf("%v (%s) = %s, want %s", a, tt.block, got, want)
			}
		}
		if tt.block == "::/96" { // holds two rows of its own at its start
			first = netip.MustParseAddr("::2")
		}
		if tt.block == "240.0.0.0/4" {
			last = last.Prev()
		}
		check(first, tt.class)
		check(last, tt.class)
		if tt.block != "::/96" && tt.block != "240.0.0.0/4" {
			check(p.Addr().Prev(), tt.below)
		}
		check(lastOf(p).Next(), tt.above)
	}
	for _, m := range []string{"224.0.0.0", "239.255.255.255", "ff00::", "ff02::1"} {
		if got := classOf(netip.MustParseAddr(m), "udp"); got != "exact" {
			t.Errorf("%s over UDP = %s, want exact", m, got)
		}
	}
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func TestSpecial(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"8.8.8.8": "", "2606:4700::1": "", "64:ff9b::808:808": "", "192.31.196.1": "",
		"127.0.0.1": "loopback", "::ffff:127.0.0.1": "loopback", "10.0.0.1": "private", "169.254.169.254": "link-local",
		"168.63.129.16": "metadata", "fd00:ec2::254": "metadata", "64:ff9b::7f00:1": "translated", "224.0.0.1": "multicast",
		"fe80::1%eth0": "invalid", "0.1.2.3": "this-network", "fec0::1": "site-local", "4000::": "unallocated",
	} {
		block, special := netproxy.Special(netip.MustParseAddr(text))
		if block != want || special != (want != "") {
			t.Errorf("Special(%s) = %q, %v; want %q", text, block, special, want)
		}
	}
	if _, special := netproxy.Special(netip.Addr{}); !special {
		t.Error("the zero Addr is not special")
	}
}

// The table in the tree is what the registries beside its generator say.
func TestTableIsGenerated(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("special_table.go")
	if err != nil {
		t.Fatal(err)
	}
	gobin, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(gobin, "run", "./internal/gen", "-print")
	got, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	if string(got) != string(want) {
		t.Error("special_table.go is not up to date: run go generate")
	}
}

func TestNAT64Readings(t *testing.T) {
	t.Parallel()
	// One address, 192.0.2.33, behind each prefix length of RFC 6052.
	for _, tt := range []struct{ prefix, addr string }{
		{"2001:db8::/32", "2001:db8:c000:221::"},
		{"2001:db8:100::/40", "2001:db8:1c0:2:21::"},
		{"2001:db8:122::/48", "2001:db8:122:c000:2:2100::"},
		{"2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"},
		{"2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100:0"},
		{"2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"},
	} {
		cfg := netproxy.Config{NAT64Prefixes: []netip.Prefix{netip.MustParsePrefix(tt.prefix)}}
		target := netproxy.Target{Host: tt.addr, Port: 80}
		for network, want := range map[string]bool{"192.0.2.33/32": true, "192.0.2.0/24": true, "192.0.2.32/32": false, tt.prefix: false} {
			r := netproxy.Rules{Networks: []netip.Prefix{netip.MustParsePrefix(network)}, Ports: netproxy.AnyPort()}
			if got := r.Explain(cfg, target, nil); got.Allowed != want {
				t.Errorf("%s under %s with %s: %+v, want %v", tt.addr, tt.prefix, network, got, want)
			}
		}
		deny := cfg
		deny.DenyNetworks = []netip.Prefix{netip.MustParsePrefix("192.0.2.33/32")}
		r := netproxy.Rules{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Ports: netproxy.AnyPort()}
		if got := r.Explain(deny, target, nil); got.Reason != netproxy.HostDenied || got.Hint != "" {
			t.Errorf("a denied reading: %+v", got)
		}
		deny.DenyNetworks = []netip.Prefix{netip.MustParsePrefix(tt.addr + "/128")}
		if got := r.Explain(deny, target, nil); got.Reason != netproxy.HostDenied {
			t.Errorf("a denied translated address: %+v", got)
		}
	}
	bad := netproxy.Config{NAT64Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8::/33"), netip.MustParsePrefix("10.0.0.0/32"), {}}}
	if _, err := netproxy.New(netproxy.Rules{}, bad); err == nil {
		t.Error("prefixes of other lengths were accepted")
	}
}
