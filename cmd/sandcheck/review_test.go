package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy"
)

func TestReviewText(t *testing.T) {
	t.Parallel()
	got := invoke(t, "review", shared("http-check"))
	got.wantCode(t, 0)
	wantIn(t, "stdout", got.out,
		"http-check 1.0.0 would load\n", "\nrequests\n", "  http_request  asked for: make an HTTP request\n", "  tcp_connect   not asked for: ",
		"\nrisks\n  permissions.allowed_domains *.example.com\n      every name below example.com: ",
		"  permissions.allowed_networks 127.0.0.1/32\n      loopback: ", "  permissions.allowed_ports 1024-65535\n      64512 ports at once\n",
		"  signatures\n      the package is not signed: ")
	quiet := invoke(t, "review", shared("alive"))
	if strings.Contains(quiet.out, "permissions.") {
		t.Errorf("alive asks for no network: %s", quiet.out)
	}
}

func TestReviewUnderAGrant(t *testing.T) {
	t.Parallel()
	grant := file(t, "grant.yaml", `capabilities: [http_request]
permissions:
  allowed_domains: [api.example.com]
  allowed_networks: [10.1.0.0/16, 127.0.0.1/32]
  allowed_ports: [443]
limits: {wall_ms: 5000, cpu_ms: 500}
`)
	got := invoke(t, "review", "--grant", grant, shared("http-check"))
	got.wantCode(t, 0)
	wantIn(t, "stdout", got.out,
		"\nunder the grant\n  - permissions.allowed_domains localhost is not granted\n",
		"\n  permissions.allowed_domains narrowed to api.example.com\n",
		"\n  + permissions.allowed_networks 10.1.0.0/16 is your own addition: where granted names may lead; private: ",
		"\n  ~ limits.cpu_ms 500ms, asked for are 1s\n  ~ limits.wall_ms 5s\n")
	if strings.Contains(got.out, "127.0.0.1/32 is your own") {
		t.Error("what the plugin asks for is called an addition of the operator")
	}
	asJSON := invoke(t, "review", "--format", "json", "--grant", grant, shared("http-check"))
	var doc reviewJSON
	decode(t, asJSON.out, &doc)
	kinds := map[string]int{}
	for _, n := range doc.Granted {
		kinds[n.Kind]++
	}
	if kinds["operator_adds"] != 1 || kinds["limit"] != 2 || kinds["narrowed_to"] != 1 || kinds["left_out"] != 4 {
		t.Errorf("got %v of %+v", kinds, doc.Granted)
	}
}

func TestReviewOfAnUpdate(t *testing.T) {
	t.Parallel()
	old := changed(t, "http-check", "1.0.0", "0.9.0", `"localhost", `, "", "cpu_ms: 1000", "cpu_ms: 500", "  max_open_connections: 1\n", "", "HTTP check", "Old check")
	up := invoke(t, "review", "--old", old, shared("http-check"))
	up.wantCode(t, 0)
	wantIn(t, "stdout", up.out, "\nchanges since 0.9.0\n  ~ name Old check -> HTTP check\n  ~ version 0.9.0 -> 1.0.0\n",
		"  + permissions.allowed_domains localhost\n", "  ~ limits.cpu_ms 500ms -> 1s\n", "  + limits.max_open_connections 1\n")
	down := invoke(t, "review", "--old", shared("http-check"), old)
	wantIn(t, "stdout", down.out, "  version 0.9.0\n      older than 1.0.0: ", "  - permissions.allowed_domains localhost\n", "  - limits.max_open_connections 1\n")
	same := invoke(t, "review", "--old", shared("http-check"), shared("http-check"))
	wantIn(t, "stdout", same.out, "\nchanges since 1.0.0\n  none\n")
	other := invoke(t, "review", "--old", shared("alive"), shared("http-check"))
	wantIn(t, "stdout", other.out, `another plugin than "alive"`, "  + imports env.http_request\n", "  ~ plugin.wasm sha256:", "  + config.schema.json sha256:", "  + capabilities http_request\n")
}

func TestReviewOfTheOrigin(t *testing.T) {
	t.Parallel()
	trust, prefix := key(t, "ops")
	zip := bundle(t, "http-check")
	nobody := invoke(t, "review", "--trust", trust, "--approve", filepath.Join(t.TempDir(), "g"), zip)
	nobody.wantCode(t, 2)
	wantIn(t, "stdout", nobody.out, "does not load", "nobody vouches for the package", "\nnot approved\n")
	invoke(t, "sign", "--key", prefix+".key", "--id", "ops", "--profile", "serviceradar-tool", zip).wantCode(t, 0)
	wantIn(t, "stdout", invoke(t, "review", zip).out, "the signatures were not judged")
	got := invoke(t, "review", "--trust", trust, zip)
	got.wantCode(t, 0)
	wantIn(t, "stdout", got.out, "\nvouched for\n  key          ops\n", "  signatures config.schema.json\n      not covered by the signature: ")
}

func TestRisks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rules netproxy.Rules
		want  string // "" for none
	}{
		{netproxy.Rules{Domains: []netproxy.Domain{"a.test"}, Ports: netproxy.Ports(443)}, ""},
		{netproxy.Rules{Domains: []netproxy.Domain{"*"}}, "every name: "},
		{netproxy.Rules{Domains: []netproxy.Domain{"*.a.test"}}, "every name below a.test"},
		{netproxy.Rules{Domains: []netproxy.Domain{"10.0.0.1"}}, "private: "},
		{netproxy.Rules{Networks: prefixes("0.0.0.0/0")}, "every public address"},
		{netproxy.Rules{Networks: prefixes("192.168.0.0/24")}, "private: "},
		{netproxy.Rules{Networks: prefixes("fd00::/8")}, "private: "},
		{netproxy.Rules{Networks: prefixes("127.0.0.1/32")}, "loopback: "},
		{netproxy.Rules{Networks: prefixes("::1/128")}, "loopback: "},
		{netproxy.Rules{Networks: prefixes("169.254.169.254/32")}, "metadata: "},
		{netproxy.Rules{Networks: prefixes("169.254.0.0/16")}, "link-local: "},
		{netproxy.Rules{Networks: prefixes("93.184.215.0/24")}, ""},
		{netproxy.Rules{Ports: netproxy.AnyPort()}, "every port"},
		{netproxy.Rules{Ports: []netproxy.PortRange{{First: 1, Last: 1023}}}, ""},
		{netproxy.Rules{Ports: []netproxy.PortRange{{First: 1, Last: 1024}}}, "1024 ports"},
		{netproxy.Rules{AllowInsecureTLS: true}, "certificates may go unverified"},
	} {
		got := risksOf(tt.rules)
		if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0].Why, tt.want)) {
			t.Errorf("risks of %+v are %v, want %q", tt.rules, got, tt.want)
		}
	}
}

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// TestApproveSaysJustThis approves manifests under grants and reads the files
// back: they give neither more nor less.
func TestApproveSaysJustThis(t *testing.T) {
	t.Parallel()
	rules := []string{
		"{}", `{allowed_domains: ["*"], allowed_ports: ["*"]}`,
		`{allowed_domains: ["*", 10.0.0.1], allowed_networks: [10.0.0.0/8, 127.0.0.0/8], allowed_ports: [1-65535], allow_insecure_tls: true}`,
		`{allowed_domains: ["*.example.com", 127.0.0.1], allowed_networks: [0.0.0.0/0, "fd00::/8"], allowed_ports: [80, 443]}`,
		`{allowed_domains: [a.example.com], allowed_networks: [169.254.169.254/32, 10.1.0.0/16], allowed_ports: [443, 8000-8100]}`,
		`{allowed_networks: [127.0.0.1/32], allowed_ports: [8080, 443]}`,
	}
	for i, asked := range rules {
		dir := changed(t, "http-check")
		path := filepath.Join(dir, "plugin.yaml")
		doc, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(doc), "permissions:")
		if err := os.WriteFile(path, []byte(head+"permissions: "+asked+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		pkg, err := manifest.ReadPackage(os.DirFS(dir))
		if err != nil {
			t.Fatal(err)
		}
		requested := host.Requested(pkg.Manifest)
		for j, given := range append(rules, "") {
			t.Run(fmt.Sprint(i, j), func(t *testing.T) {
				t.Parallel()
				grant := requested
				out := filepath.Join(t.TempDir(), "grant.yaml")
				args := []string{"review", "--approve", out, dir}
				if given != "" {
					text := "capabilities: [http_request]\nlimits: {wall_ms: 100, memory_mb: 12}\npermissions: " + given + "\n"
					args = append(args, "--grant", file(t, "g.yaml", text))
					var err error
					if grant, err = parseGrant("g", []byte(text)); err != nil {
						t.Fatal(err)
					}
				}
				invoke(t, args...).wantCode(t, 0)
				back, err := readGrant(t.Context(), out)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := grantedBy(requested, back), grantedBy(requested, grant); !sameGrant(got, want) {
					t.Errorf("%s under %s gives %+v, want %+v", asked, given, got, want)
				}
			})
		}
	}
}

func TestApproveWritesOverNothing(t *testing.T) {
	t.Parallel()
	path := file(t, "grant.yaml", "{}")
	got := invoke(t, "review", "--approve", path, shared("alive"))
	got.wantCode(t, 3)
	wantIn(t, "stderr", got.err, "--approve: ", "is not written over")
	if text, err := os.ReadFile(path); err != nil || string(text) != "{}" {
		t.Errorf("the file holds %q, %v", text, err)
	}
	none := filepath.Join(t.TempDir(), "grant.yaml")
	refused := invoke(t, "review", "--approve", none, shared("import-memory"))
	refused.wantCode(t, 2)
	if _, err := os.Stat(none); err == nil {
		t.Error("a package that does not load was approved")
	}
}

func TestReviewMistakes(t *testing.T) {
	t.Parallel()
	got := invoke(t, "review", "--grant", "no-grant", "--old", "no-old", "--trust", "no-trust", "no-package")
	got.wantCode(t, 3)
	wantIn(t, "stderr", got.err, "package: stat no-package", "--grant: open no-grant", "package: stat no-old", "--trust: open no-trust")
	hostile := invoke(t, "review", own("hostile"))
	wantHarmless(t, hostile.out+hostile.err)
}
