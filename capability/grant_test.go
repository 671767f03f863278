package capability_test

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
)

func TestGrantIntersect(t *testing.T) {
	t.Parallel()
	wide := capability.Grant{
		Capabilities: []string{"log", "http_request", "log"},
		Permissions:  netproxy.Rules{Domains: []netproxy.Domain{"*.example.com"}, Ports: netproxy.Ports(80, 443)},
		Limits:       limits.Limits{Memory: 64 * limits.MiB, Wall: time.Second},
	}
	narrow := capability.Grant{
		Capabilities: []string{"http_request", "tcp_connect"},
		Permissions:  netproxy.Rules{Domains: []netproxy.Domain{"api.example.com"}, Ports: netproxy.Ports(443)},
		Limits:       limits.Limits{Memory: 32 * limits.MiB, CPU: time.Second},
	}
	got := wide.Intersect(narrow)
	if d := cmp.Diff(got.Capabilities, []string{"http_request"}); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(got.Permissions.Domains, narrow.Permissions.Domains); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(got.Limits, limits.Limits{Memory: 32 * limits.MiB, Wall: time.Second, CPU: time.Second}); d != "" {
		t.Error(d)
	}
	if zero := wide.Intersect(capability.Grant{}); len(zero.Capabilities) != 0 || len(zero.Permissions.Domains) != 0 {
		t.Errorf("the zero Grant leaves %+v", zero)
	}
	if all := (capability.Grant{Capabilities: []string{"log", "log"}}).Intersect(wide); len(all.Capabilities) != 1 {
		t.Errorf("a name stays twice: %v", all.Capabilities)
	}
}

func TestGrantValidateReportsEverything(t *testing.T) {
	t.Parallel()
	if err := (capability.Grant{}).Validate(); err != nil {
		t.Errorf("the zero Grant: %v", err)
	}
	g := capability.Grant{
		Capabilities: []string{"log", "", " log"},
		Permissions:  netproxy.Rules{Domains: []netproxy.Domain{"a b"}, Networks: []netip.Prefix{{}}},
		Limits:       limits.Limits{Memory: 4097 * limits.MiB, CallRate: math.NaN()},
	}
	err := g.Validate()
	if err == nil {
		t.Fatal("valid")
	}
	for _, want := range []string{`capabilities[1]: ""`, `capabilities[2]: " log"`, "a b", "Memory", "CallRate"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	requested := capability.Grant{
		Capabilities: []string{"log", "http_request"},
		Permissions: netproxy.Rules{
			Domains:  []netproxy.Domain{"a.example.com", "b.example.com"},
			Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Ports: netproxy.Ports(80, 443), AllowInsecureTLS: true,
		},
		Limits: limits.Limits{Memory: 64 * limits.MiB, Connections: 2},
	}
	granted := capability.Grant{
		Capabilities: []string{"log"},
		Permissions: netproxy.Rules{
			Domains: []netproxy.Domain{"b.example.com"}, Ports: netproxy.Ports(443),
			Answers: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")},
		},
		Limits: limits.Limits{Memory: 32 * limits.MiB, Wall: time.Second},
	}
	want := []capability.Change{
		{Path: "capabilities", Requested: "http_request"},
		{Path: "permissions.allowed_domains", Requested: "a.example.com"},
		{Path: "permissions.allowed_networks", Requested: "10.0.0.0/8"},
		{Path: "permissions.allowed_networks", Granted: "192.168.0.0/16"},
		{Path: "permissions.allowed_ports", Requested: "80"},
		{Path: "permissions.allow_insecure_tls", Requested: "true", Granted: "false"},
		{Path: "limits.memory_mb", Requested: "64 MiB", Granted: "32 MiB"},
		{Path: "limits.wall_ms", Granted: "1s"},
	}
	if d := cmp.Diff(capability.Diff(requested, granted), want); d != "" {
		t.Errorf("Diff (-got +want):\n%s", d)
	}
	if same := capability.Diff(requested, requested); len(same) != 0 {
		t.Errorf("Diff with itself: %v", same)
	}
}
