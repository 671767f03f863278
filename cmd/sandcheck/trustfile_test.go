package main

import (
	"strings"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/manifest"
)

const somePublic = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

func TestParseTrust(t *testing.T) {
	t.Parallel()
	got, err := parseTrust("t.yaml", []byte(`keys:
  - id: ops
    public: `+somePublic+`
    not_before: 2026-01-01
    not_after: 2026-12-31
    revoked: true
    plugins: ["acme-*", b]
  - {id: dev, public: `+somePublic+`, not_after: 2026-01-31T10:00:00+01:00}
profiles: [bundle-v2, serviceradar-control-plane]
`))
	if err != nil {
		t.Fatal(err)
	}
	ops, dev := got.Keys[0], got.Keys[1]
	if ops.ID != "ops" || !ops.Revoked || strings.Join(ops.Plugins, " ") != "acme-* b" || len(ops.Public) != 32 {
		t.Errorf("got %+v", ops)
	}
	if want := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); !ops.NotBefore.Equal(want) {
		t.Errorf("not before %v, want %v", ops.NotBefore, want)
	}
	if want := time.Date(2027, 1, 1, 0, 0, 0, -1, time.UTC); !ops.NotAfter.Equal(want) {
		t.Errorf("not after %v, want %v", ops.NotAfter, want)
	}
	if want := time.Date(2026, 1, 31, 9, 0, 0, 0, time.UTC); !dev.NotAfter.Equal(want) || dev.Revoked || dev.Plugins != nil {
		t.Errorf("got %+v, want not after %v", dev, want)
	}
	if len(got.Profiles) != 2 || got.Profiles[0] != manifest.BundleV2 || got.Profiles[1] != manifest.ControlPlaneV1 {
		t.Errorf("got profiles %v", got.Profiles)
	}
}

func TestParseTrustRefuses(t *testing.T) {
	t.Parallel()
	const good = "keys:\n  - id: ops\n    public: " + somePublic + "\n"
	for _, tt := range []struct{ name, doc, want string }{
		{"empty", "", "t.yaml: is empty"},
		{"nobody", "{}", "t.yaml:1: keys: nobody is trusted"},
		{"an empty list", "keys: []", "t.yaml:1: keys: nobody is trusted"},
		{"unknown key", good + "trusted: all", "t.yaml:4: trusted: unknown key; known are keys, profiles"},
		{"unknown key of a key", good + "    expires: 2026-01-01", "t.yaml:4: keys[0].expires: unknown key"},
		{"no id", "keys: [{public: " + somePublic + "}]", "t.yaml:1: keys[0].id: is missing"},
		{"no public", "keys: [{id: a}]", "t.yaml:1: keys[0].public: is missing"},
		{"public of no key", "keys: [{id: a, public: abc}]", "t.yaml:1: keys[0].public: "},
		{"public of small order", "keys: [{id: a, public: '" + strings.Repeat("0", 64) + "'}]", "t.yaml:1: keys[0].public: the public key has a small order"},
		{"a number as id", "keys: [{id: 1, public: " + somePublic + "}]", "t.yaml:1: keys[0].id: must be text, got 1"},
		{"no time", good + "    not_after: soon", `t.yaml:4: keys[0].not_after: must be a time such as`},
		{"no truth", good + "    revoked: yes", `t.yaml:4: keys[0].revoked: must be true or false, got`},
		{"revoked as text", good + `    revoked: "false"`, `t.yaml:4: keys[0].revoked: must be true or false`},
		{"no pattern", good + `    plugins: ["[a"]`, `t.yaml:4: keys[0].plugins[0]: "[a" is not a pattern`},
		{"no patterns", good + `    plugins: []`, `t.yaml:4: keys[0].plugins: is empty`},
		{"plugins as null", good + `    plugins:`, `t.yaml:4: keys[0].plugins: must be a list of patterns`},
		{"unknown profile", good + `profiles: [v3]`, `t.yaml:4: profiles[0]: "v3" is none of bundle-v2,`},
		{"no profiles", good + `profiles: []`, `t.yaml:4: profiles: is empty`},
		{"an alias", "keys: &k [*k]", "t.yaml:1: keys: anchors are not allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseTrust("t.yaml", []byte(tt.doc))
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || len(got.Keys) > 0 {
				t.Errorf("got %+v, %v of %q, want %q", got, err, tt.doc, tt.want)
			}
		})
	}
	twice := file(t, "t.yaml", good+strings.TrimPrefix(good, "keys:\n"))
	_, err := readTrust(t.Context(), twice)
	if err == nil || !strings.Contains(err.Error(), `"ops" is listed twice`) {
		t.Errorf("got %v", err)
	}
}

func FuzzParseTrust(f *testing.F) {
	f.Add([]byte("keys:\n  - id: ops\n    public: " + somePublic + "\n    plugins: [a]\nprofiles: [bundle-v2]\n"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		got, err := parseTrust("t.yaml", doc)
		if err == nil && len(got.Keys) == 0 {
			t.Errorf("nobody is trusted by %q, and nothing is wrong with it", doc)
		}
	})
}
