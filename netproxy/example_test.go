package netproxy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

func Example() {
	var network netproxytest.Network // a real program leaves this out
	defer network.Close()
	network.HandleTCP("db.example.com:5432", func(c net.Conn) { fmt.Fprint(c, "ready") })

	var rules netproxy.Rules
	if err := json.Unmarshal([]byte(`{"allowed_domains": ["db.example.com"], "allowed_ports": [5432]}`), &rules); err != nil {
		fmt.Println(err)
		return
	}
	guard, err := netproxy.New(rules, network.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()

	c, err := guard.DialContext(context.Background(), "tcp", "DB.example.com.:5432")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	greeting := make([]byte, 5)
	c.Read(greeting)
	fmt.Printf("%s\n", greeting)

	_, err = guard.DialContext(context.Background(), "tcp", "169.254.169.254:80")
	fmt.Println(err)
	var denied *netproxy.DeniedError
	if errors.As(err, &denied) {
		fmt.Println(denied.Decision.Reason, "-", denied.Decision.Hint)
	}
	// Output:
	// ready
	// netproxy: denied
	// port_not_allowed - allowed_ports: [80]
}

func ExampleRules_Explain() {
	rules := netproxy.Rules{Domains: []netproxy.Domain{"*.corp.example"}, Ports: netproxy.Ports(5432)}
	target := netproxy.Target{Network: "tcp", Host: "db.corp.example", Port: 5432}
	d := rules.Explain(netproxy.Config{}, target, []netip.Addr{netip.MustParseAddr("10.0.0.7")})
	fmt.Println(d.Allowed, d.Reason)
	fmt.Println(d.Hint)
	// Output:
	// false address_not_allowed
	// allowed_networks: ["10.0.0.7/32"]
}

func ExampleRules_GrantedBy() {
	asked := netproxy.Rules{Domains: []netproxy.Domain{"*"}, Ports: netproxy.Ports(443)}
	given := netproxy.Rules{Domains: []netproxy.Domain{"*"}, Ports: netproxy.AnyPort(), Networks: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}}
	effective := asked.GrantedBy(given)
	for _, host := range []string{"10.20.0.9", "10.30.0.9"} {
		d := effective.Explain(netproxy.Config{}, netproxy.Target{Host: host, Port: 443}, nil)
		fmt.Println(host, d.Allowed)
	}
	// Output:
	// 10.20.0.9 true
	// 10.30.0.9 false
}
