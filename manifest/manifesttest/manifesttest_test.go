package manifesttest_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/manifest/manifesttest"
)

func TestPackage(t *testing.T) {
	t.Parallel()
	p := manifesttest.Package()
	if err := p.Manifest.Validate(); err != nil || len(p.Files) != 4 {
		t.Errorf("%v, %d files", err, len(p.Files))
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	if err := manifesttest.TestVersionStore(&manifesttest.Versions{}); err != nil {
		t.Error(err)
	}
}

// A store of one package that keeps every rule.
func goodStore(ctx context.Context, ref string) (*manifest.Package, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if ref != "tiny" {
		return nil, fs.ErrNotExist
	}
	return manifesttest.Package(), nil
}

func TestStoreFindsBrokenRules(t *testing.T) {
	t.Parallel()
	shared := manifesttest.Package()
	for _, tt := range []struct {
		name  string
		store manifest.StoreFunc
		want  string
	}{
		{"good", goodStore, ""},
		{"another error", func(ctx context.Context, ref string) (*manifest.Package, error) {
			if ref != "tiny" {
				return nil, errors.New("no")
			}
			return goodStore(ctx, ref)
		}, "rule 1"},
		{"one package for all", func(ctx context.Context, ref string) (*manifest.Package, error) {
			if _, err := goodStore(ctx, ref); err != nil {
				return nil, err
			}
			return shared, nil
		}, "rule 2"},
		{"deaf", func(_ context.Context, ref string) (*manifest.Package, error) {
			return goodStore(context.Background(), ref)
		}, "rule 4"},
		{"another package", func(ctx context.Context, ref string) (*manifest.Package, error) {
			p, err := goodStore(ctx, ref)
			if err == nil {
				p.Wasm = append(p.Wasm, 0)
			}
			return p, err
		}, "rule 5"},
	} {
		err := manifesttest.TestStore(tt.store, "tiny", manifesttest.Package())
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func signed(t *testing.T, f manifest.Profile) (*manifest.Keyring, *manifest.Package) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	p := manifesttest.Package()
	doc, err := manifest.Sign(p, f, "k", key)
	if err != nil {
		t.Fatal(err)
	}
	p.Signatures = [][]byte{doc}
	ring, err := manifest.NewKeyring(manifest.Trust{Keys: []manifest.Key{{ID: "k", Public: key.Public().(ed25519.PublicKey)}}})
	if err != nil {
		t.Fatal(err)
	}
	return ring, p
}

func TestVerifiersKeepTheRules(t *testing.T) {
	t.Parallel()
	for _, f := range []manifest.Profile{manifest.ToolV1, manifest.BundleV2} {
		ring, p := signed(t, f)
		for name, v := range map[string]manifest.Verifier{"keyring": ring, "all": manifest.AllOf(ring, ring), "any": manifest.AnyOf(ring)} {
			if err := manifesttest.TestVerifier(v, p); err != nil {
				t.Errorf("%v, %s: %v", f, name, err)
			}
		}
	}
}

type verifierFunc func(context.Context, *manifest.Package) (*manifest.Verdict, error)

func (f verifierFunc) Verify(ctx context.Context, p *manifest.Package) (*manifest.Verdict, error) {
	return f(ctx, p)
}

func TestVerifierFindsBrokenRules(t *testing.T) {
	t.Parallel()
	ring, p := signed(t, manifest.ToolV1)
	for _, tt := range []struct {
		name   string
		verify verifierFunc
		want   string
	}{
		{"vouches for everything", func(context.Context, *manifest.Package) (*manifest.Verdict, error) {
			return &manifest.Verdict{Covered: []string{"plugin.wasm"}}, nil
		}, "rule 1"},
		{"verdict beside an error", func(ctx context.Context, p *manifest.Package) (*manifest.Verdict, error) {
			v, err := ring.Verify(ctx, p)
			if err != nil {
				v = &manifest.Verdict{}
			}
			return v, err
		}, "rule 2"},
		{"covers too much", func(ctx context.Context, p *manifest.Package) (*manifest.Verdict, error) {
			v, err := ring.Verify(ctx, p)
			if err == nil {
				v.Covered = append([]string{"config.schema.json"}, v.Covered...)
			}
			return v, err
		}, "rule 3"},
		{"unsorted", func(ctx context.Context, p *manifest.Package) (*manifest.Verdict, error) {
			v, err := ring.Verify(ctx, p)
			if err == nil {
				slices.Reverse(v.Covered)
			}
			return v, err
		}, "rule 3"},
		{"changes the package", func(ctx context.Context, p *manifest.Package) (*manifest.Verdict, error) {
			v, err := ring.Verify(ctx, p)
			p.Wasm = nil
			return v, err
		}, "rule 4"},
	} {
		good := *p
		if err := manifesttest.TestVerifier(tt.verify, &good); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
