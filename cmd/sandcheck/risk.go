package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy"
)

// risk is one thing to think about before a package is let in, and why.
type risk struct {
	Path  string `json:"path"`
	Entry string `json:"entry"`
	Why   string `json:"why"`
}

// risksOf are the risks of what a plugin may reach.
func risksOf(r netproxy.Rules) []risk {
	risks := []risk{}
	add := func(key string, entry any, why string) {
		if why != "" {
			risks = append(risks, risk{"permissions." + key, fmt.Sprint(entry), why})
		}
	}
	for _, d := range r.Domains {
		add("allowed_domains", d, domainRisk(d))
	}
	for _, p := range r.Networks {
		add("allowed_networks", p, networkRisk(p))
	}
	for _, p := range r.Ports {
		add("allowed_ports", p, portRisk(p))
	}
	if r.AllowInsecureTLS {
		add("allow_insecure_tls", true, "certificates may go unverified: whoever is on the way can read and change what is sent")
	}
	return risks
}

func domainRisk(d netproxy.Domain) string {
	if d == "*" {
		return "every name: what the check knows can be sent to any public host"
	}
	if base, ok := strings.CutPrefix(string(d), "*."); ok {
		return fmt.Sprintf("every name below %s: whoever can make one decides where it leads", base)
	}
	if a, err := netip.ParseAddr(string(d)); err == nil {
		return networkRisk(netip.PrefixFrom(a, a.BitLen()))
	}
	return ""
}

// metadata are the addresses where clouds tell a machine its credentials.
var metadata = [...]string{"169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"}

func networkRisk(p netip.Prefix) string {
	if p.Bits() == 0 {
		return "every public address: names do not limit it any more"
	}
	for _, text := range metadata {
		if p.IsSingleIP() && p.Addr().String() == text { // a wider network does not open it
			return "metadata: where clouds hand out the credentials of the machine"
		}
	}
	switch kind, special := netproxy.Special(p.Addr()); {
	case !special:
		return ""
	case kind == "loopback":
		return "loopback: services of this machine that trust whoever is local"
	case kind == "private":
		return "private: machines inside your network"
	default:
		return kind + ": addresses that no name opens"
	}
}

// manyPorts is from where on a range hardly limits anything.
const manyPorts = 1024

func portRisk(p netproxy.PortRange) string {
	switch n := int(p.Last) - int(p.First) + 1; {
	case p.String() == "*":
		return "every port, those of administration included"
	case n >= manyPorts:
		return fmt.Sprintf("%d ports at once", n)
	default:
		return ""
	}
}

// originRisks tell which files nobody vouches for. v is nil where nobody does,
// or where nobody was asked.
func originRisks(pkg *manifest.Package, v *manifest.Verdict, asked bool) []risk {
	switch {
	case v == nil && asked:
		return []risk{{"signatures", "", "nobody vouches for the package: anybody may have made or changed it"}}
	case v == nil && len(pkg.Signatures) == 0:
		return []risk{{"signatures", "", "the package is not signed: anybody may have made or changed it"}}
	case v == nil:
		return []risk{{"signatures", "", "the signatures were not judged: name the keys that count with --trust"}}
	}
	var risks []risk
	for _, name := range uncovered(v, pkg) {
		risks = append(risks, risk{"signatures", name, "not covered by the signature: anybody may have changed it"})
	}
	return risks
}
