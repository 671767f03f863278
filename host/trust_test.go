package host_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"sync"
	"testing"

	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/manifest"
)

// ruleOf is the rule of the first *manifest.Error in err.
func ruleOf(err error) string {
	var e *manifest.Error
	if errors.As(err, &e) {
		return e.Rule
	}
	return ""
}

func readPackage(t *testing.T, name string) *manifest.Package {
	t.Helper()
	pkg, err := manifest.ReadPackage(os.DirFS("../testdata/packages/" + name))
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}

func TestNobodyVouches(t *testing.T) {
	t.Parallel()
	rt, err := host.New()
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close(context.Background())
	if _, err := rt.Load(t.Context(), packageOf(wasmgen.Silent(), "submit_result")); !errors.Is(err, host.ErrUnverified) {
		t.Errorf("err = %v, want ErrUnverified", err)
	}
}

func TestVerifier(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	keyring, err := manifest.NewKeyring(manifest.Trust{Keys: []manifest.Key{{ID: "k1", Public: public, Plugins: []string{"alive"}}}})
	if err != nil {
		t.Fatal(err)
	}
	rt, err := host.New(host.WithVerifier(keyring))
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close(context.Background())
	pkg := readPackage(t, "alive")
	if _, err := rt.Load(t.Context(), pkg); !errors.Is(err, host.ErrUnverified) || ruleOf(err) != "signature_missing" {
		t.Errorf("unsigned: %v", err)
	}
	doc, err := manifest.Sign(pkg, manifest.BundleV2, "k1", private)
	if err != nil {
		t.Fatal(err)
	}
	pkg.Signatures = [][]byte{doc}
	p, err := rt.Load(t.Context(), pkg)
	if err != nil {
		t.Fatalf("signed: %v", err)
	}
	if v := p.Inspection().Verdict; v == nil || v.KeyID != "k1" || len(v.Covered) == 0 {
		t.Errorf("verdict %+v", v)
	}
	for name, rule := range map[string]string{"plugin.wasm": "digest_mismatch", "plugin.yaml": "signature_invalid"} {
		tampered := readPackage(t, "alive")
		tampered.Signatures = pkg.Signatures
		tampered.Files[name] = append(append([]byte(nil), tampered.Files[name]...), '\n')
		tampered.Wasm = tampered.Files["plugin.wasm"]
		if _, err := rt.Load(t.Context(), tampered); !errors.Is(err, host.ErrUnverified) || ruleOf(err) != rule {
			t.Errorf("tampered %s: %v", name, err)
		}
	}
	if _, err := host.New(host.WithVerifier(keyring), host.WithUnsigned()); err == nil {
		t.Error("WithUnsigned beside WithVerifier was accepted")
	}
}

func TestExpected(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	pkg := packageOf(wasmgen.Silent(), "submit_result")
	for _, tt := range []struct {
		name string
		pin  host.Expected
		rule string
	}{
		{"nothing pinned", host.Expected{}, ""},
		{"all right", host.Expected{ID: "test-plugin", Version: "1.0.0", Digest: pkg.Digest()}, ""},
		{"other id", host.Expected{ID: "x"}, "identity_mismatch"},
		{"other version", host.Expected{Version: "1.0.1"}, "identity_mismatch"},
		{"other bytes", host.Expected{Digest: manifest.Digest{1}}, "digest_mismatch"},
	} {
		if _, err := rt.Load(t.Context(), pkg, host.WithExpected(tt.pin)); ruleOf(err) != tt.rule || (err != nil) != (tt.rule != "") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// versions is a VersionStore in memory.
type versions struct {
	mu   sync.Mutex
	seen map[string]struct {
		version string
		digest  manifest.Digest
	}
	err error
}

func (v *versions) Seen(_ context.Context, id string) (string, manifest.Digest, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.seen[id]
	return s.version, s.digest, v.err
}

func (v *versions) Remember(_ context.Context, id, version string, d manifest.Digest) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.seen == nil {
		v.seen = map[string]struct {
			version string
			digest  manifest.Digest
		}{}
	}
	v.seen[id] = struct {
		version string
		digest  manifest.Digest
	}{version, d}
	return nil
}

func TestVersionStore(t *testing.T) {
	t.Parallel()
	store := &versions{}
	rt := newRuntime(t, host.WithVersionStore(store))
	at := func(version string, wasm []byte) *manifest.Package {
		pkg := packageOf(wasm, "submit_result")
		pkg.Manifest.Version = version
		return pkg
	}
	broken := at("9.0.0", wasmgen.Proxy(wasmgen.Script{Entrypoint: "other"}))
	for _, tt := range []struct {
		name string
		pkg  *manifest.Package
		rule string
		ok   bool
	}{
		{"first", at("1.2.0", wasmgen.Silent()), "", true},
		{"again", at("1.2.0", wasmgen.Silent()), "", true},
		{"older", at("1.1.9", wasmgen.Silent()), "version_rollback", false},
		{"other bytes", at("1.2.0", wasmgen.Traps()), "version_conflict", false},
		{"a newer one that does not load is not remembered", broken, "", false},
		{"newer", at("1.10.0", wasmgen.Traps()), "", true},
		{"older now", at("1.2.0", wasmgen.Silent()), "version_rollback", false},
	} {
		if _, err := rt.Load(t.Context(), tt.pkg); (err == nil) != tt.ok || ruleOf(err) != tt.rule {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	store.err = errors.New("disk on fire")
	if _, err := rt.Load(t.Context(), at("2.0.0", wasmgen.Silent())); !errors.Is(err, store.err) {
		t.Errorf("a store that fails: %v", err)
	}
}

func TestLoadRef(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t, host.WithStore(manifest.StoreFunc(func(_ context.Context, ref string) (*manifest.Package, error) {
		if ref != "silent" {
			return nil, fs.ErrNotExist
		}
		return packageOf(wasmgen.Silent(), "submit_result"), nil
	})))
	if _, err := rt.LoadRef(t.Context(), "silent"); err != nil {
		t.Error(err)
	}
	if _, err := rt.LoadRef(t.Context(), "other"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unknown ref: %v", err)
	}
	if _, err := newRuntime(t).LoadRef(t.Context(), "silent"); err == nil {
		t.Error("without a store")
	}
}
