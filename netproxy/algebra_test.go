package netproxy_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sandcheck/sandcheck/netproxy"
)

// The pools are small, so that random rules and targets meet.
var (
	poolDomains = []netproxy.Domain{"*", "a.example", "*.example", "*.a.example", "b.a.example", "other.test", "10.0.0.7", "8.8.8.8", "127.0.0.1", "169.254.169.254", "2606:4700::1", "::1"}
	poolNets    = []string{"0.0.0.0/0", "::/0", "10.0.0.0/7", "10.0.0.0/8", "10.0.0.0/16", "10.0.0.7/32", "127.0.0.0/8", "127.0.0.1/32", "169.254.0.0/16", "169.254.169.254/32",
		"8.0.0.0/8", "8.8.8.8/32", "168.63.0.0/16", "168.63.129.16/32", "100.64.0.0/10", "100.100.100.200/32", "224.0.0.0/4", "224.0.0.251/32", "fc00::/7", "fd00:ec2::/32", "fd00:ec2::254/128", "fd12::/16",
		"2606:4700::/32", "::1/128", "2002::/16", "240.0.0.0/4", "192.31.196.0/24", "192.0.0.0/8"}
	poolPorts = []netproxy.PortRange{{First: 80, Last: 80}, {First: 443, Last: 443}, {First: 1, Last: 65535}, {First: 1, Last: 442}, {First: 443, Last: 65535}, {First: 80, Last: 90}}
	poolHosts = []string{"a.example", "b.a.example", "c.b.a.example", "x.example", "example", "other.test", "10.0.0.7", "10.9.9.9", "11.1.1.1", "127.0.0.1", "127.9.9.9", "169.254.169.254", "169.254.1.1", "8.8.8.8", "9.9.9.9",
		"168.63.129.16", "100.100.100.200", "100.64.0.1", "224.0.0.251", "224.0.0.1", "fd00:ec2::254", "fd12::1", "2606:4700::1", "::1", "2002::1", "255.255.255.255", "240.0.0.1", "192.31.196.1", "64:ff9b::808:808", "64:ff9b::a00:7"}
	poolAnswers = poolHosts[6:]
)

type random struct{ *rand.Rand }

func (r random) rules() netproxy.Rules {
	var out netproxy.Rules
	for range r.IntN(4) {
		out.Domains = append(out.Domains, poolDomains[r.IntN(len(poolDomains))])
	}
	for range r.IntN(4) {
		out.Networks = append(out.Networks, netip.MustParsePrefix(poolNets[r.IntN(len(poolNets))]))
	}
	for range r.IntN(3) {
		out.Ports = append(out.Ports, poolPorts[r.IntN(len(poolPorts))])
	}
	out.AllowInsecureTLS = r.IntN(2) == 0
	return out
}

func (r random) target() (netproxy.Target, []netip.Addr) {
	t := netproxy.Target{Network: []string{"tcp", "udp"}[r.IntN(2)], Host: poolHosts[r.IntN(len(poolHosts))], Port: []uint16{80, 443, 85, 9}[r.IntN(4)]}
	answers := []netip.Addr{netip.MustParseAddr(poolAnswers[r.IntN(len(poolAnswers))])}
	if r.IntN(4) == 0 {
		answers = append(answers, netip.MustParseAddr(poolAnswers[r.IntN(len(poolAnswers))]))
	}
	return t, answers
}

func literal(t netproxy.Target) bool {
	_, err := netip.ParseAddr(t.Host)
	return err == nil
}

// addrs are the addresses that rules let a target reach: the whole verdict.
func addrs(r netproxy.Rules, cfg netproxy.Config, t netproxy.Target, answers []netip.Addr) []netip.AddrPort {
	d := r.Explain(cfg, t, answers)
	if !d.Allowed {
		return nil
	}
	return d.Target.Addrs
}

func both(a, b []netip.AddrPort) []netip.AddrPort {
	return slices.DeleteFunc(slices.Clone(a), func(x netip.AddrPort) bool { return !slices.Contains(b, x) })
}

func subset(a, b []netip.AddrPort) bool { return len(both(a, b)) == len(a) }

func checkAlgebra(t *testing.T, seed uint64) {
	t.Helper()
	r := random{rand.New(rand.NewPCG(seed, 1))}
	a, b := r.rules(), r.rules()
	if r.IntN(4) == 0 { // Answers exist only where GrantedBy made them
		a = a.GrantedBy(r.rules())
	}
	target, answers := r.target()
	cfg := netproxy.Config{}
	inA, inB := addrs(a, cfg, target, answers), addrs(b, cfg, target, answers)
	show := func() string {
		doc := func(x netproxy.Rules) string {
			text, _ := json.Marshal(x)
			return fmt.Sprintf("%s + answers %v", text, x.Answers)
		}
		return fmt.Sprintf("seed %d: %+v %v\na = %s\nb = %s\na∩b = %s\na by b = %s", seed, target, answers, doc(a), doc(b), doc(a.Intersect(b)), doc(a.GrantedBy(b)))
	}
	ab, ba := a.Intersect(b), b.Intersect(a)
	if got, want := addrs(ab, cfg, target, answers), both(inA, inB); !slices.Equal(got, want) {
		t.Fatalf("the intersection reaches %v, want %v\n%s", got, want, show())
	}
	if !slices.Equal(addrs(ba, cfg, target, answers), addrs(ab, cfg, target, answers)) {
		t.Fatalf("not commutative\n%s", show())
	}
	if !slices.Equal(addrs(a.Intersect(a), cfg, target, answers), inA) {
		t.Fatalf("not idempotent\n%s", show())
	}
	if ab.AllowInsecureTLS != (a.AllowInsecureTLS && b.AllowInsecureTLS) || ab.Validate() != nil {
		t.Fatalf("malformed or widened\n%s", show())
	}
	checkGranted(t, a, b, target, answers, inA, inB, addrs(ab, cfg, target, answers), show)
}

func checkGranted(t *testing.T, a, b netproxy.Rules, target netproxy.Target, answers []netip.Addr, inA, inB, inBoth []netip.AddrPort, show func() string) {
	t.Helper()
	cfg := netproxy.Config{}
	granted := addrs(a.GrantedBy(b), cfg, target, answers)
	star := slices.Contains(a.Domains, "*")
	if !subset(inBoth, granted) {
		t.Fatalf("GrantedBy reaches %v, less than the intersection %v\n%s", granted, inBoth, show())
	}
	if !subset(granted, inB) {
		t.Fatalf("GrantedBy reaches %v, more than was given: %v\n%s", granted, inB, show())
	}
	port := slices.ContainsFunc(a.Ports, func(p netproxy.PortRange) bool { return p.First <= target.Port && target.Port <= p.Last })
	if !port && len(granted) > 0 {
		t.Fatalf("GrantedBy opens a port that was not asked for\n%s", show())
	}
	if literal(target) && !star && !subset(granted, inA) {
		t.Fatalf("GrantedBy opens a literal that was not asked for\n%s", show())
	}
	if literal(target) && star && port && !slices.Equal(granted, inB) {
		t.Fatalf("* asks for any address that the operator opens: %v, want %v\n%s", granted, inB, show())
	}
	asked := slices.ContainsFunc(a.Domains, func(d netproxy.Domain) bool { return d.Match(target.Host) })
	if !literal(target) && asked && port && !slices.Equal(granted, inB) {
		t.Fatalf("a name leads where the operator says: %v, want %v\n%s", granted, inB, show())
	}
	if len(a.Answers) == 0 && !slices.Equal(addrs(a.GrantedBy(a), cfg, target, answers), inA) {
		t.Fatalf("a.GrantedBy(a) reaches %v, want %v\n%s", addrs(a.GrantedBy(a), cfg, target, answers), inA, show())
	}
}

func TestAlgebra(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20_000) {
		checkAlgebra(t, seed)
	}
}

// Adding an entry never takes anything away.
func TestEntriesAreMonotone(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8_000) {
		r := random{rand.New(rand.NewPCG(seed, 2))}
		a := r.rules()
		more := a
		more.Domains = append(slices.Clone(a.Domains), poolDomains[r.IntN(len(poolDomains))])
		more.Networks = append(slices.Clone(a.Networks), netip.MustParsePrefix(poolNets[r.IntN(len(poolNets))]))
		target, answers := r.target()
		if !subset(addrs(a, netproxy.Config{}, target, answers), addrs(more, netproxy.Config{}, target, answers)) {
			t.Fatalf("seed %d: %+v %v: %+v opens less than %+v", seed, target, answers, more, a)
		}
	}
}

// apply edits rules as a hint says. It understands nothing but hints.
func apply(t *testing.T, r netproxy.Rules, hint string) netproxy.Rules {
	t.Helper()
	line, instead := strings.CutSuffix(hint, " instead of *")
	key, list, ok := strings.Cut(line, ": ")
	var more netproxy.Rules
	if !ok || json.Unmarshal([]byte(fmt.Sprintf("{%q: %s}", key, list)), &more) != nil {
		t.Fatalf("hint %q cannot be pasted", hint)
	}
	if instead {
		r.Ports = nil
	}
	r.Domains = append(slices.Clone(r.Domains), more.Domains...)
	r.Networks = append(slices.Clone(r.Networks), more.Networks...)
	r.Ports = append(slices.Clone(r.Ports), more.Ports...)
	for _, p := range more.Networks {
		if !p.IsSingleIP() {
			t.Fatalf("hint %q is wider than one address", hint)
		}
	}
	if slices.Contains(more.Domains, "*") || len(more.Ports) > 1 || len(more.Ports) == 1 && more.Ports[0].First != more.Ports[0].Last {
		t.Fatalf("hint %q is wider than needed", hint)
	}
	return r
}

func checkHints(t *testing.T, seed uint64) {
	t.Helper()
	r := random{rand.New(rand.NewPCG(seed, 3))}
	rules := r.rules()
	target, answers := r.target()
	cfg := netproxy.Config{DenyNetworks: []netip.Prefix{netip.MustParsePrefix("9.9.9.0/24")}}
	if r.IntN(2) == 0 {
		cfg.NAT64Prefixes = []netip.Prefix{netip.MustParsePrefix("2606:4700::/32"), netip.MustParsePrefix("2606:4700::/96")}
	}
	cfg.StrictAnswers = r.IntN(3) == 0
	now := rules
	for range 4 {
		d := now.Explain(cfg, target, answers)
		if d.Allowed {
			if d.Hint != "" {
				t.Fatalf("seed %d: a hint on an allowed attempt: %+v", seed, d)
			}
			return
		}
		if d.Hint == "" {
			everything := netproxy.Rules{Domains: []netproxy.Domain{"*"}, Ports: netproxy.Ports(target.Port)}
			for _, a := range append(answers, netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("0.0.0.1")) {
				everything.Networks = append(everything.Networks, netip.PrefixFrom(a, a.BitLen()))
			}
			if a, err := netip.ParseAddr(target.Host); err == nil {
				everything.Networks = append(everything.Networks, netip.PrefixFrom(a, a.BitLen()))
			}
			if everything.Explain(cfg, target, answers).Allowed {
				t.Fatalf("seed %d: no hint, although it can be opened: %+v\nrules %+v answers %v", seed, d, now, answers)
			}
			return
		}
		now = apply(t, now, d.Hint)
	}
	t.Fatalf("seed %d: the hints lead nowhere: %+v for %+v, answers %v, now %+v", seed, rules, target, answers, now)
}

func TestHintsAreSound(t *testing.T) {
	t.Parallel()
	for seed := range uint64(15_000) {
		checkHints(t, seed)
	}
}

func FuzzAlgebra(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		checkAlgebra(t, seed)
		checkHints(t, seed)
	})
}

// The example of the two networks of an operator.
func TestGrantedByExample(t *testing.T) {
	t.Parallel()
	asked := rules(t, `{"allowed_domains":["*"],"allowed_ports":[443]}`)
	given := rules(t, `{"allowed_domains":["*"],"allowed_networks":["10.20.0.0/16"],"allowed_ports":[443]}`)
	got := asked.GrantedBy(given)
	for addr, want := range map[string]bool{"10.20.1.1": true, "10.21.1.1": false, "127.0.0.1": false, "8.8.8.8": true} {
		for _, host := range []string{addr, "cam.corp.example"} {
			d := got.Explain(netproxy.Config{}, netproxy.Target{Host: host, Port: 443}, []netip.Addr{netip.MustParseAddr(addr)})
			if d.Allowed != want {
				t.Errorf("%s -> %s: %+v, want %v", host, addr, d, want)
			}
		}
	}
	text, err := json.Marshal(got)
	if err != nil || strings.Contains(string(text), "nswers") {
		t.Errorf("%s, %v", text, err)
	}
}
