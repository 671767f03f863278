package main

import (
	"strings"
	"testing"
)

const someGrant = `capabilities: [http_request, udp_sendto]
permissions:
  allowed_domains: [api.example.com, "*.example.org"]
  allowed_networks: [10.1.0.0/16]
  allowed_ports: [443, "8000-8100"]
`

func TestExplain(t *testing.T) {
	t.Parallel()
	grant := file(t, "grant.yaml", someGrant)
	for _, tt := range []struct {
		name, to, resolve string
		code              int
		want              []string
	}{
		{"public name", "https://api.example.com/path?secret=1", "93.184.215.14", 0, []string{"allowed: http_request https://api.example.com:443\n", "  addresses    93.184.215.14:443\n"}},
		{"some addresses are shut", "https://api.example.com", "93.184.215.14,192.168.0.1", 0, []string{"  addresses    93.184.215.14:443\n", "  shut         192.168.0.1 (private)\n"}},
		{"private name in a granted network", "http://a.example.org:8000", "10.1.2.3", 0, []string{"  addresses    10.1.2.3:8000\n"}},
		{"private name", "https://api.example.com", "10.2.0.7", 2, []string{"refused: http_request https://api.example.com:443: address_not_allowed\n", "  hint         to allow it, ", "10.2.0.7/32"}},
		{"metadata", "https://api.example.com", "169.254.169.254", 2, []string{"address_not_allowed", "  shut         169.254.169.254 (link-local)\n"}},
		{"another name", "https://example.net", "93.184.215.14", 2, []string{": domain_not_allowed\n", `allowed_domains: ["example.net"]`}},
		{"another port", "http://api.example.com", "93.184.215.14", 2, []string{": port_not_allowed\n", "allowed_ports: [80]"}},
		{"address", "udp://10.1.2.3:8000", "", 0, []string{"allowed: udp_sendto udp://10.1.2.3:8000\n", "  addresses    10.1.2.3:8000\n"}},
		{"IPv6 address", "udp://[fd00::1]:8000", "", 2, []string{"refused: udp_sendto udp://[fd00::1]:8000: "}},
		{"capability", "tcp://api.example.com:443", "93.184.215.14", 2, []string{"refused: tcp_connect tcp://api.example.com:443: capability_not_granted\n", "in both plugin.yaml and the grant: capabilities: [tcp_connect]\n"}},
		{"websocket", "wss://api.example.com", "93.184.215.14", 2, []string{"refused: websocket_connect wss://api.example.com:443: capability_not_granted\n"}},
		{"no usable address", "https://api.example.com", "fe80::1%eth0", 3, []string{"open: http_request https://api.example.com:443: the rules allow the name, but it has no address"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := []string{"explain", "--grant", grant}
			if tt.resolve != "" {
				args = append(args, "--resolve", tt.resolve)
			}
			got := invoke(t, append(args, tt.to)...)
			got.wantCode(t, tt.code)
			wantIn(t, "stdout", got.out, tt.want...)
			asJSON := invoke(t, append(args, "--format", "json", tt.to)...)
			asJSON.wantCode(t, tt.code)
			var doc explainedJSON
			decode(t, asJSON.out, &doc)
			if d := doc.Decision; d.Allowed != (tt.code != 2) || d.Func == "" || d.Target.Host == "" || !strings.Contains(got.out, string(d.Reason)) && !d.Allowed {
				t.Errorf("got %+v", d)
			}
			wantHarmless(t, got.out+asJSON.out)
			if strings.Contains(got.out+asJSON.out, "secret") {
				t.Error("the query is shown")
			}
		})
	}
}

// TestExplainWithPackage agrees with what run would do.
func TestExplainWithPackage(t *testing.T) {
	t.Parallel()
	grant := file(t, "grant.yaml", someGrant)
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"all that is asked for", []string{"--resolve", "127.0.0.1", "http://localhost"}, 0, "allowed: http_request http://localhost:80\n"},
		{"not asked for", []string{"--resolve", "93.184.215.14", "https://example.net"}, 2, "domain_not_allowed"},
		{"asked for and not granted", []string{"--grant", grant, "--resolve", "93.184.215.14", "https://a.example.com"}, 2, "domain_not_allowed"},
		{"asked for and granted", []string{"--grant", grant, "--resolve", "93.184.215.14", "https://api.example.com"}, 0, "allowed: "},
		{"where the operator lets names lead", []string{"--grant", grant, "--resolve", "10.1.2.3", "https://api.example.com"}, 0, "allowed: "},
		{"granted and not asked for", []string{"--grant", grant, "udp://10.1.2.3:8000"}, 2, "capability_not_granted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := invoke(t, append(append([]string{"explain"}, tt.args...), shared("http-check"))...)
			got.wantCode(t, tt.code)
			wantIn(t, "stdout", got.out, tt.want)
		})
	}
}

func TestExplainMistakes(t *testing.T) {
	t.Parallel()
	grant := file(t, "grant.yaml", someGrant)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "explain: 0 arguments are given"},
		{[]string{"https://a.test"}, "explain: whose rules are meant?"},
		{[]string{"--grant", grant, "a.test:80"}, `"a.test:80" is no destination`},
		{[]string{"--grant", grant, "ftp://a.test"}, "scheme"},
		{[]string{"--grant", grant, "tcp://a.test"}, `"a.test" has no port`},
		{[]string{"--grant", grant, "tcp://a.test:0"}, `"0" is no port`},
		{[]string{"--grant", grant, "tcp://a.test:65536"}, `"65536" is no port`},
		{[]string{"--grant", grant, "tcp://a.test:80/path"}, `"80/path" is no port`},
		{[]string{"--grant", grant, "udp://a b:80"}, "host"},
		{[]string{"--grant", grant, "https://user:secret@a.test"}, "user information"},
		{[]string{"--grant", grant, "--resolve", "", "https://a.test"}, `"" is no address`},
		{[]string{"--grant", "no-such-file", "https://a.test"}, "--grant: open no-such-file"},
		{[]string{"https://a.test", "no-such-package"}, "package: stat no-such-package"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			t.Parallel()
			got := invoke(t, append([]string{"explain"}, tt.args...)...)
			got.wantCode(t, 3)
			wantIn(t, "stderr", got.err, tt.want)
			if got.out != "" || strings.Contains(got.err, "secret") {
				t.Errorf("stdout is %q, stderr %q", got.out, got.err)
			}
		})
	}
}

func FuzzParseAim(f *testing.F) {
	for _, seed := range []string{"https://a.test:1/", "tcp://[::1]:80", "udp://:1", "ws://x", "tcp://a:0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if a, err := parseAim(text); err == nil && (a.port == 0 || a.network == "" || a.capability == "") {
			t.Errorf("%q is read as %+v", text, a)
		}
	})
}
