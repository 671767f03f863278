package netproxy_test

import (
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/sandcheck/sandcheck/netproxy"
)

// Go sets SO_BROADCAST on every UDP socket; a plugin's must not have it.
func TestBroadcastOptionIsCleared(t *testing.T) {
	t.Parallel()
	option := -1
	g, err := netproxy.New(rules(t, `{"allowed_networks":["127.0.0.0/8"],"allowed_ports":[9]}`), netproxy.Config{
		Dialer: &net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
			return raw.Control(func(fd uintptr) {
				option, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_BROADCAST)
			})
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	c, err := g.DialContext(t.Context(), "udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if option != 0 {
		t.Errorf("SO_BROADCAST = %d", option)
	}
}

// The broadcast addresses of this host's own networks are refused by rule.
func TestDirectedBroadcastIsRefused(t *testing.T) {
	t.Parallel()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, a := range addrs {
		ipnet, ok := a.(*net.IPNet)
		if !ok || ipnet.IP.To4() == nil {
			continue
		}
		ip, _ := netip.AddrFromSlice(ipnet.IP.To4())
		ones, _ := ipnet.Mask.Size()
		if ones > 30 {
			continue
		}
		network := netip.PrefixFrom(ip, ones).Masked()
		last := lastOf(network)
		g, err := netproxy.New(netproxy.Rules{Networks: []netip.Prefix{network}, Ports: netproxy.Ports(9)}, netproxy.Config{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = g.DialContext(t.Context(), "udp", last.String()+":9")
		wantReason(t, err, netproxy.BadAddress)
		g.Close()
		tried++
	}
	if tried == 0 {
		t.Log("this host has no IPv4 network to try")
	}
}
