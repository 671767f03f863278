package manifest_test

import (
	"strings"
	"testing"

	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy"
)

func TestWarnings(t *testing.T) {
	t.Parallel()
	http := strings.Replace(goodYAML, "[get_config]", "[get_config, http_request]", 1)
	for _, tt := range []struct {
		name, doc string
		want      []string // path [rule] part of the message
	}{
		{"nothing odd", goodYAML, nil},
		{"blocks and private keys", goodYAML + "x-a: 1\nactions: [a]\n", []string{"x-a [manifest-extension] not read", "actions [manifest-extension] not read"}},
		{"newer", goodYAML + "schema_version: 3\n", []string{"schema_version [manifest-schema-version] version 3"}},
		{"every host", http + "permissions: {allowed_domains: [a.example, \"*\"], allowed_ports: [443]}\n", []string{"permissions.allowed_domains[1] [manifest-permission] every host"}},
		{"bare addresses", http + "permissions: {allowed_networks: [10.0.0.5, \"2001:db8::1\"], allowed_ports: [1]}\n", []string{
			"permissions.allowed_networks[0] [manifest-permission] 10.0.0.5/32", "permissions.allowed_networks[1] [manifest-permission] 2001:db8::1/128"}},
		{"host bits", http + "permissions: {allowed_networks: [10.1.2.3/24, 10.1.2.0/24], allowed_ports: [1]}\n", []string{"permissions.allowed_networks[0] [manifest-permission] 10.1.2.0/24"}},
		{"unused", goodYAML + "permissions: {allow_insecure_tls: true}\n", []string{"permissions [manifest-permission] nothing uses"}},
		{"used by an embedder's own", strings.Replace(goodYAML, "[get_config]", "[snmp_get]", 1) + "permissions: {allowed_ports: [161]}\n", nil},
		{"key that signs in two ways", goodYAML + "x-a: {\"a&b\": 1}\n", []string{"x-a [manifest-extension] not read", `x-a.a&b [manifest-sign] signs as "a\u0026b" in`}},
		{"value without JSON", goodYAML + "x-a: .inf\n", []string{"x-a [manifest-extension] not read", "x-a [manifest-sign] cannot be signed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := manifest.Parse([]byte(tt.doc))
			if err != nil {
				t.Fatal(err)
			}
			got := m.Warnings()
			if len(got) != len(tt.want) {
				t.Fatalf("got %v, want %q", got, tt.want)
			}
			for i, want := range tt.want {
				part := strings.SplitN(want, " ", 3)
				if e := got[i]; e.Path+" ["+e.Rule+"]" != part[0]+" "+part[1] || !strings.Contains(e.Message, part[2]) || e.Line == 0 {
					t.Errorf("got %v, want %s", e, want)
				}
			}
		})
	}
}

func TestWarningsAreBounded(t *testing.T) {
	m, err := manifest.Parse([]byte(goodYAML + "x-a: [" + strings.Repeat("1.0,", 9_000) + "]\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []manifest.Error
	took, allocated := measure(func() { got = m.Warnings() })
	if len(got) != 50 || allocated > 16<<20 {
		t.Errorf("%d warnings in %v and %d KiB", len(got), took, allocated>>10)
	}
}

func TestWarningsOfALiteral(t *testing.T) {
	t.Parallel()
	m := manifest.Manifest{Capabilities: []string{"http_request"}, Permissions: netproxy.Rules{Domains: []netproxy.Domain{"*"}}}
	if got := m.Warnings(); len(got) != 1 || got[0].Path != "permissions.allowed_domains[0]" || got[0].Line != 0 {
		t.Errorf("got %v", got)
	}
}
