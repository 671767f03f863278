package netproxy_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gopkg.in/yaml.v3"

	"github.com/sandcheck/sandcheck/netproxy"
)

var cmpRules = cmp.Options{cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty()}

func TestRulesDecode(t *testing.T) {
	t.Parallel()
	const doc = `{
		"allowed_domains": ["API.Example.com.", "*.Metrics.example.net", "*", "тест.example", "::ffff:10.0.0.1", "[2001:DB8::1]"],
		"allowed_networks": ["10.1.2.3/16", "192.168.1.9", "::ffff:10.0.0.0/104", "fd12::/16"],
		"allowed_ports": [443, "8000-8100", "*"],
		"allow_insecure_tls": true
	}`
	want := netproxy.Rules{
		Domains:  []netproxy.Domain{"api.example.com", "*.metrics.example.net", "*", "xn--e1aybc.example", "10.0.0.1", "2001:db8::1"},
		Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("192.168.1.9/32"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd12::/16")},
		Ports:    []netproxy.PortRange{{First: 443, Last: 443}, {First: 8000, Last: 8100}, {First: 1, Last: 65535}}, AllowInsecureTLS: true,
	}
	var fromJSON, fromYAML netproxy.Rules
	if err := json.Unmarshal([]byte(doc), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, fromJSON, cmpRules); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(doc, "\t", " ")), &fromYAML); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, fromYAML, cmpRules); diff != "" {
		t.Errorf("YAML (-want +got):\n%s", diff)
	}
	again, err := json.Marshal(fromJSON)
	if err != nil {
		t.Fatal(err)
	}
	var back netproxy.Rules
	if err := json.Unmarshal(again, &back); err != nil {
		t.Fatalf("%s: %v", again, err)
	}
	if diff := cmp.Diff(want, back, cmpRules); diff != "" {
		t.Errorf("through %s (-want +got):\n%s", again, diff)
	}
	text, err := yaml.Marshal(fromJSON)
	if err != nil {
		t.Fatal(err)
	}
	back = netproxy.Rules{}
	if err := yaml.Unmarshal(text, &back); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if diff := cmp.Diff(want, back, cmpRules); diff != "" {
		t.Errorf("through %s (-want +got):\n%s", text, diff)
	}
}

// paths lists the paths of all joined *RuleErrors.
func paths(err error) []string {
	var out []string
	if re, ok := err.(*netproxy.RuleError); ok { //nolint:errorlint // walks the tree itself
		return []string{re.Path}
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // as above
		for _, e := range j.Unwrap() {
			out = append(out, paths(e)...)
		}
		return out
	}
	if u := errors.Unwrap(err); u != nil {
		return paths(u)
	}
	return nil
}

func TestRulesDecodeRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, doc string
		want      []string // paths; "" for none
	}{
		{"every bad entry at once", `{"allowed_domains":["ok.example","a b","*.","u@h"],"allowed_networks":["x","10.0.0.0/8","10.0.0.0/33"],"allowed_ports":[0,1,65535,65536,"443","90-80","a-b",443.5,-1,null,"1-65536"],"allow_insecure_tls":"yes"}`,
			[]string{"allowed_domains[1]", "allowed_domains[2]", "allowed_domains[3]", "allowed_networks[0]", "allowed_networks[2]", "allowed_ports[0]", "allowed_ports[3]", "allowed_ports[4]", "allowed_ports[5]", "allowed_ports[6]", "allowed_ports[7]", "allowed_ports[8]", "allowed_ports[9]", "allowed_ports[10]", "allow_insecure_tls"}},
		{"unknown key", `{"allowed_host":["a"]}`, []string{"allowed_host"}},
		{"key in other case", `{"Allowed_Ports":[1]}`, []string{"Allowed_Ports"}},
		{"repeated key", `{"allowed_ports":[1],"allowed_ports":[2]}`, []string{"allowed_ports"}},
		{"list as string", `{"allowed_networks":"10.0.0.0/8"}`, []string{"allowed_networks"}},
		{"list as null", `{"allowed_networks":null}`, []string{"allowed_networks"}},
		{"entry of wrong type", `{"allowed_domains":[1,["a"],{}],"allowed_networks":[1]}`, []string{"allowed_domains[0]", "allowed_domains[1]", "allowed_domains[2]", "allowed_networks[0]"}},
		{"not an object", `[]`, []string{"permissions"}},
		{"zone in network", `{"allowed_networks":["fe80::1%eth0"]}`, []string{"allowed_networks[0]"}},
		{"mapped prefix too wide", `{"allowed_networks":["::ffff:0:0/95"]}`, []string{"allowed_networks[0]"}},
		{"answers cannot be written", `{"Answers":["10.0.0.0/8"]}`, []string{"Answers"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := netproxy.Rules{Ports: netproxy.Ports(1)}
			err := json.Unmarshal([]byte(tt.doc), &r)
			if got := paths(err); !slices.Equal(got, tt.want) {
				t.Errorf("Unmarshal(%s) paths = %q, want %q (%v)", tt.doc, got, tt.want, err)
			}
			if len(r.Ports) != 1 {
				t.Errorf("Unmarshal(%s) changed its target: %+v", tt.doc, r)
			}
		})
	}
}

func TestRulesValidate(t *testing.T) {
	t.Parallel()
	bad := netproxy.Rules{
		Domains:  []netproxy.Domain{"", "ok.example", "x..y"},
		Networks: []netip.Prefix{{}, netip.MustParsePrefix("10.0.0.0/8")},
		Ports:    []netproxy.PortRange{{}, {First: 2, Last: 1}, {First: 1, Last: 1}},
		Answers:  []netip.Prefix{{}},
	}
	want := []string{"allowed_domains[0]", "allowed_domains[2]", "allowed_networks[0]", "allowed_ports[0]", "allowed_ports[1]", "answers[0]"}
	if got := paths(bad.Validate()); !slices.Equal(got, want) {
		t.Errorf("paths = %q, want %q", got, want)
	}
	for n, want := range map[int]bool{1023: true, 1024: true, 1025: false} {
		r := netproxy.Rules{Ports: slices.Repeat(netproxy.Ports(80), n)}
		if got := r.Validate() == nil; got != want {
			t.Errorf("%d ports valid = %v, want %v", n, got, want)
		}
	}
}

func TestDomainMatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		domain netproxy.Domain
		host   string
		want   bool
	}{
		{"exact", "api.example.com", "api.example.com", true},
		{"case and final dot", "api.example.com", "API.example.com.", true},
		{"both sides are normalised", "API.Example.com.", "api.example.com", true},
		{"unicode", "xn--mnchen-3ya.example", "münchen.example", true},
		{"wildcard covers its apex", "*.example.com", "example.com", true},
		{"wildcard covers below", "*.example.com", "a.b.example.com", true},
		{"a suffix is not a label", "*.example.com", "badexample.com", false},
		{"a dash is not a label boundary", "*.example.com", "x-example.com", false},
		{"star covers names", "*", "a.example", true},
		{"star says nothing of addresses", "*", "8.8.8.8", false},
		{"address", "10.0.0.1", "::ffff:10.0.0.1", true},
		{"bracketed address", "2001:db8::1", "[2001:DB8::1]", true},
		{"wildcard never covers an address", "*.1", "10.0.0.1", false},
		{"zero value", "", "example.com", false},
		{"malformed host", "*", "a b", false},
		{"two root dots", "example.com", "example.com..", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.domain.Match(tt.host); got != tt.want {
				t.Errorf("Domain(%q).Match(%q) = %v, want %v", tt.domain, tt.host, got, tt.want)
			}
		})
	}
}
