package main

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
)

func TestGoodGrants(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, doc string
		want      capability.Grant
	}{
		{"nothing", "{}", capability.Grant{}},
		{"nothing, with a comment", "# none\n{}\n", capability.Grant{}},
		{"a byte order mark", "\ufeff{}", capability.Grant{}},
		{"empty lists", "capabilities: []\npermissions: {allowed_domains: []}\nlimits: {}", capability.Grant{}},
		{
			"everything",
			`capabilities: [http_request, "notify:v1"]
permissions:
  allowed_domains: [API.example.com, "*.example.org", "*", 192.0.2.7]
  allowed_networks: [10.1.0.0/16, "fd00::/8", 127.0.0.1]
  allowed_ports: [443, "8000-8100"]
  allow_insecure_tls: true
limits:
  memory_mb: 32
  cpu_ms: 500
  wall_ms: 20000
  max_open_connections: 2
`,
			capability.Grant{
				Capabilities: []string{"http_request", "notify:v1"},
				Permissions: netproxy.Rules{
					Domains:          []netproxy.Domain{"api.example.com", "*.example.org", "*", "192.0.2.7"},
					Networks:         []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("127.0.0.1/32")},
					Ports:            []netproxy.PortRange{{First: 443, Last: 443}, {First: 8000, Last: 8100}},
					AllowInsecureTLS: true,
				},
				Limits: limits.Limits{Memory: 32 * limits.MiB, CPU: 500 * time.Millisecond, Wall: 20 * time.Second, Connections: 2},
			},
		},
		{"JSON", `{"permissions": {"allowed_ports": ["*"]}}`, capability.Grant{Permissions: netproxy.Rules{Ports: netproxy.AnyPort()}}},
		{
			"the smallest limits", "limits: {memory_mb: 1, cpu_ms: 1, wall_ms: 1, max_open_connections: 1}",
			capability.Grant{Limits: limits.Limits{Memory: limits.MiB, CPU: time.Millisecond, Wall: time.Millisecond, Connections: 1}},
		},
		{
			"the largest limits", "limits: {memory_mb: 4096, cpu_ms: 3600000, wall_ms: 3600000, max_open_connections: 1024}",
			capability.Grant{Limits: limits.Limits{Memory: 4096 * limits.MiB, CPU: time.Hour, Wall: time.Hour, Connections: 1024}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseGrant("grant.yaml", []byte(tt.doc))
			if err != nil {
				t.Fatalf("%v\n%s", err, tt.doc)
			}
			if !reflect.DeepEqual(normal(got), normal(tt.want)) {
				t.Errorf("got %+v, want %+v\n%s", got, tt.want, tt.doc)
			}
		})
	}
}

// normal makes absent and empty lists the same.
func normal(g capability.Grant) string { return fmt.Sprintf("%v", g) }

func TestBadGrants(t *testing.T) {
	t.Parallel()
	const known = "known are capabilities, permissions, limits"
	for _, tt := range []struct {
		name, doc string
		want      []string
	}{
		{"empty", "", []string{"g.yaml: is empty: to say nothing, write {}"}},
		{"only a comment", "# nothing\n", []string{"g.yaml: is empty: to say nothing, write {}"}},
		{"null", "null", []string{"g.yaml:1: must be a map with any of capabilities, permissions, limits, got nothing"}},
		{"a list", "- a", []string{"g.yaml:1: must be a map with any of capabilities, permissions, limits, got a list"}},
		{"a text", "all", []string{`g.yaml:1: must be a map with any of capabilities, permissions, limits, got the text "all"`}},
		{"two documents", "{}\n---\n{}", []string{"g.yaml:3: a second document starts here: a file is one document"}},
		{"no YAML", "a: b: c", []string{"g.yaml:1: is not YAML: mapping values are not allowed in this context"}},
		{"no YAML further down", "limits: {}\na: b: c", []string{"g.yaml:2: is not YAML: mapping values are not allowed in this context"}},
		{"no UTF-8", "a: \xff", []string{"g.yaml: is not UTF-8 text"}},
		{"NUL", "a: \x00", []string{"g.yaml: is not UTF-8 text"}},
		{"unknown key", "limits: {}\ncapability: []", []string{"g.yaml:2: capability: unknown key; " + known}},
		{"key in capitals", "Limits: {}", []string{"g.yaml:1: Limits: unknown key; " + known}},
		{"key that is a number", "1: {}", []string{"g.yaml:1: a key must be text, got 1"}},
		{"key that is a list", "? [a]\n: b", []string{"g.yaml:1: a key must be text, got a list"}},
		{"key twice", "limits: {}\nlimits: {}", []string{"g.yaml:2: limits: is set twice, first in line 1"}},
		{"unknown key twice", "x: 1\nx: 2", []string{"g.yaml:1: x: unknown key; " + known, "g.yaml:2: x: is set twice, first in line 1"}},
		{"alias", "limits: &l {cpu_ms: 1}\npermissions: *l", []string{
			`g.yaml:1: limits: anchors are not allowed: leave it out, or quote text that begins with "&"`,
			`g.yaml:2: permissions: aliases are not allowed: write the value out, or quote text that begins with "*"`,
		}},
		{"star without quotes", "permissions:\n  allowed_domains: [*]", []string{`g.yaml:2: is not YAML: did not find expected alphabetic or numeric character; quote texts that begin with * or &, as in "*"`}},
		{"alias of nothing", "permissions:\n  allowed_domains: [*all]", []string{`g.yaml:2: is not YAML: unknown anchor 'all' referenced; quote texts that begin with * or &, as in "*"`}},
		{"merge key", "limits:\n  <<: {cpu_ms: 1}", []string{"g.yaml:2: limits: a key must be text, got <<"}},
		{"tag", "limits: {cpu_ms: !!int 5}\ncapabilities: !own [a]", []string{`g.yaml:1: limits.cpu_ms: tags such as "!!int" are not allowed`, `g.yaml:2: capabilities: tags such as "!own" are not allowed`}},
		{"capabilities as text", "capabilities: http_request", []string{`g.yaml:1: capabilities: must be a list of names such as http_request, got the text "http_request"`}},
		{"capabilities as nothing", "capabilities:", []string{`g.yaml:1: capabilities: must be a list of names such as http_request, got nothing`}},
		{"capability names", "capabilities:\n- Http\n- \"*\"\n- 5\n- \"\"\n- [a]\n- null\n- log\n- log\n- &a b", []string{
			`g.yaml:2: capabilities[0]: "Http" is not the name of a capability: those have lower-case letters, digits, _ and -`,
			`g.yaml:3: capabilities[1]: "*" is not the name of a capability: those have lower-case letters, digits, _ and -`,
			`g.yaml:4: capabilities[2]: must be a name such as http_request, got 5`,
			`g.yaml:5: capabilities[3]: "" is not the name of a capability: those have lower-case letters, digits, _ and -`,
			`g.yaml:6: capabilities[4]: must be a name such as http_request, got a list`,
			`g.yaml:7: capabilities[5]: must be a name such as http_request, got nothing`,
			`g.yaml:9: capabilities[7]: "log" is listed twice`,
			`g.yaml:10: capabilities[8]: anchors are not allowed: leave it out, or quote text that begins with "&"`,
		}},
		{"permissions as list", "permissions: []", []string{"g.yaml:1: permissions: must be a map with any of allowed_domains, allowed_networks, allowed_ports, allow_insecure_tls, got a list"}},
		{"permissions as nothing", "permissions:", []string{"g.yaml:1: permissions: must be a map with any of allowed_domains, allowed_networks, allowed_ports, allow_insecure_tls, got nothing"}},
		{"permission that is unknown", "permissions:\n  allowed_hosts: []", []string{"g.yaml:2: permissions.allowed_hosts: unknown key; known are allowed_domains, allowed_networks, allowed_ports, allow_insecure_tls"}},
		{"answers are no permission", "permissions:\n  answers: []", []string{"g.yaml:2: permissions.answers: unknown key; known are allowed_domains, allowed_networks, allowed_ports, allow_insecure_tls"}},
		{"permission twice", "permissions:\n  allowed_ports: [1]\n  allowed_ports: [2]", []string{"g.yaml:3: permissions.allowed_ports: is set twice, first in line 2"}},
		{"domains", "permissions:\n  allowed_domains:\n  - a b\n  - 0x1bb\n  - null", []string{
			`g.yaml:3: permissions.allowed_domains[0]: `,
			`g.yaml:4: permissions.allowed_domains[1]: must be a string: a name, *.suffix, * or an address`,
			`g.yaml:5: permissions.allowed_domains[2]: must be a string: a name, *.suffix, * or an address`,
		}},
		{"domains as text", "permissions:\n  allowed_domains: example.com", []string{`g.yaml:2: permissions.allowed_domains: must be a list`}},
		{"domains as nothing", "permissions:\n  allowed_domains:", []string{`g.yaml:2: permissions.allowed_domains: must be a list`}},
		{"networks", "permissions:\n  allowed_networks: [10.0.0.0/33, ten, 5, {a: b}]", []string{
			`g.yaml:2: permissions.allowed_networks[0]: "10.0.0.0/33" is not a network; write 10.1.0.0/16 or a bare address`,
			`g.yaml:2: permissions.allowed_networks[1]: "ten" is not a network; write 10.1.0.0/16 or a bare address`,
			`g.yaml:2: permissions.allowed_networks[2]: must be a string: 10.1.0.0/16 or a bare address`,
			`g.yaml:2: permissions.allowed_networks[3]: must be a string: 10.1.0.0/16 or a bare address`,
		}},
		{"ports", "permissions:\n  allowed_ports: [0, 65536, \"443\", 0x1bb, 1_000, 443.0, 9-8, null, true]", []string{
			`g.yaml:2: permissions.allowed_ports[0]: 0 is not a port`,
			`g.yaml:2: permissions.allowed_ports[1]: 65536 is not a port`,
			`g.yaml:2: permissions.allowed_ports[2]: "443" is not a port range`,
			`g.yaml:2: permissions.allowed_ports[3]: "0x1bb" is not a port range`,
			`g.yaml:2: permissions.allowed_ports[4]: "1_000" is not a port range`,
			`g.yaml:2: permissions.allowed_ports[5]: "443.0" is not a port range`,
			`g.yaml:2: permissions.allowed_ports[6]: "9-8" is not a port range`,
			`g.yaml:2: permissions.allowed_ports[7]: "null" is not a port range`,
			`g.yaml:2: permissions.allowed_ports[8]: true is not a port`,
		}},
		{"an alias among ports is told once", "permissions:\n  allowed_networks: [&n 10.0.0.0/8, *n]", []string{
			`g.yaml:2: permissions.allowed_networks[0]: anchors are not allowed`,
			`g.yaml:2: permissions.allowed_networks[1]: aliases are not allowed`,
		}},
		{"insecure tls", "permissions:\n  allow_insecure_tls: yes", []string{"g.yaml:2: permissions.allow_insecure_tls: must be true or false"}},
		{"insecure tls in capitals", "permissions:\n  allow_insecure_tls: TRUE", []string{"g.yaml:2: permissions.allow_insecure_tls: must be true or false"}},
		{"unknown limit", "limits: {memory: 1}", []string{"g.yaml:1: limits.memory: unknown key; known are memory_mb, cpu_ms, wall_ms, max_open_connections"}},
		{"limits below the least", "limits:\n  memory_mb: 0\n  cpu_ms: 0\n  wall_ms: 0\n  max_open_connections: 0", []string{
			"g.yaml:2: limits.memory_mb: must be a whole number between 1 and 4096, got 0",
			"g.yaml:3: limits.cpu_ms: must be a whole number between 1 and 3600000, got 0",
			"g.yaml:4: limits.wall_ms: must be a whole number between 1 and 3600000, got 0",
			"g.yaml:5: limits.max_open_connections: must be a whole number between 1 and 1024, got 0",
		}},
		{"limits above the most", "limits:\n  memory_mb: 4097\n  cpu_ms: 3600001\n  wall_ms: 3600001\n  max_open_connections: 1025", []string{
			"g.yaml:2: limits.memory_mb: must be a whole number between 1 and 4096, got 4097",
			"g.yaml:3: limits.cpu_ms: must be a whole number between 1 and 3600000, got 3600001",
			"g.yaml:4: limits.wall_ms: must be a whole number between 1 and 3600000, got 3600001",
			"g.yaml:5: limits.max_open_connections: must be a whole number between 1 and 1024, got 1025",
		}},
		{"limits of other types", "limits:\n  memory_mb: \"64\"\n  cpu_ms: 1.5\n  wall_ms: 0x10\n  max_open_connections:", []string{
			`g.yaml:2: limits.memory_mb: must be a whole number between 1 and 4096, got the text "64"`,
			"g.yaml:3: limits.cpu_ms: must be a whole number between 1 and 3600000, got 1.5",
			"g.yaml:4: limits.wall_ms: must be a whole number between 1 and 3600000, got 0x10",
			"g.yaml:5: limits.max_open_connections: must be a whole number between 1 and 1024, got nothing",
		}},
		{"odd numbers", "limits:\n  memory_mb: 1e3\n  cpu_ms: 1_000\n  wall_ms: 010\n  max_open_connections: -1", []string{
			"g.yaml:2: limits.memory_mb: must be a whole number between 1 and 4096, got 1e3",
			"g.yaml:3: limits.cpu_ms: must be a whole number between 1 and 3600000, got 1_000",
			"g.yaml:4: limits.wall_ms: must be a whole number between 1 and 3600000, got 010",
			"g.yaml:5: limits.max_open_connections: must be a whole number between 1 and 1024, got -1",
		}},
		{"a number without end", "limits: {memory_mb: " + strings.Repeat("9", 70) + "}", []string{
			"g.yaml:1: limits.memory_mb: must be a whole number between 1 and 4096, got " + strings.Repeat("9", maxShown) + "...",
		}},
		{"all at once, by line", "limits: {wall_ms: x}\ncapabilities: [A]\npermissions:\n  allowed_ports: [x]\n  b: 1\na: 1", []string{
			"g.yaml:1: limits.wall_ms", "g.yaml:2: capabilities[0]", "g.yaml:4: permissions.allowed_ports[0]", "g.yaml:5: permissions.b", "g.yaml:6: a",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseGrant("g.yaml", []byte(tt.doc))
			if err == nil {
				t.Fatalf("%q was taken as %+v", tt.doc, got)
			}
			if !reflect.DeepEqual(got, capability.Grant{}) {
				t.Errorf("%q grants %+v although it is refused", tt.doc, got)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tt.want) {
				t.Fatalf("got %d problems, want %d:\n%v\n%s", len(lines), len(tt.want), err, tt.doc)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("problem %d of %q:\n got %s\nwant %s", i, tt.doc, lines[i], want)
				}
			}
		})
	}
}

func TestGrantSize(t *testing.T) {
	t.Parallel()
	const most = 256 << 10
	for size, ok := range map[int]bool{most - 1: true, most: true, most + 1: false} {
		doc := "{} #" + strings.Repeat("x", size-4)
		_, err := readGrant(context.Background(), file(t, "g.yaml", doc))
		if (err == nil) != ok || !ok && !strings.HasSuffix(err.Error(), `g.yaml" is larger than 256 KiB, the most it may have`) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestGrantProblemsAreBounded(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{maxProblems - 1: maxProblems - 1, maxProblems: maxProblems, maxProblems + 1: maxProblems + 1, 5000: maxProblems + 1} {
		_, err := parseGrant("g.yaml", []byte("capabilities:"+strings.Repeat("\n- X", n)))
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != want {
			t.Errorf("%d problems are told in %d lines, want %d", n, len(lines), want)
		}
		if last := lines[len(lines)-1]; n > maxProblems && last != fmt.Sprintf("g.yaml: %d more problems", n-maxProblems) {
			t.Errorf("the last of %d problems is %q", n, last)
		}
	}
}

func TestGrantIsToldOnStderr(t *testing.T) {
	t.Parallel()
	path := file(t, "g.yaml", "capabilities: [A]\nlimits: {cpu_ms: \"\\e[31m\"}\n")
	got := invoke(t, "run", "--unsigned", "--grant", path, "no-such-package", "--config", "@no-such-file")
	got.wantUnknown(t)
	wantIn(t, "stdout", got.out, "UNKNOWN: package: stat no-such-package: ", " (and 3 more, on standard error)\n")
	wantIn(t, "stderr", got.err, "sandcheck: package: ", "sandcheck: "+path+":1: capabilities[0]: ", "sandcheck: "+path+":2: limits.cpu_ms: ", "sandcheck: --config: open no-such-file: ")
	wantHarmless(t, got.out+got.err)
}

func FuzzParseGrant(f *testing.F) {
	f.Add("capabilities: [http_request]\npermissions:\n  allowed_domains: [\"*\"]\n  allowed_networks: [10.0.0.0/8]\n  allowed_ports: [443, \"1-2\"]\nlimits: {memory_mb: 1}")
	f.Add("a: &b [*b]\n<<: *b\n? [x]\n: y\n---\n!!int 1")
	f.Fuzz(func(t *testing.T, doc string) {
		g, err := parseGrant("g.yaml", []byte(doc))
		if err != nil {
			return
		}
		if err := g.Validate(); err != nil {
			t.Errorf("%q was taken, and is invalid: %v", doc, err)
		}
	})
}
