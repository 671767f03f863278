package manifest_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/sandcheck/sandcheck/manifest"
)

// testKey is the key of a seed of 32 equal bytes.
func testKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func public(seed byte) ed25519.PublicKey { return testKey(seed).Public().(ed25519.PublicKey) }

func signedPackage(t *testing.T, fsys fstest.MapFS, f manifest.Profile, id string, seed byte) *manifest.Package {
	t.Helper()
	p := mustRead(t, fsys)
	doc, err := manifest.Sign(p, f, id, testKey(seed))
	if err != nil {
		t.Fatal(err)
	}
	p.Signatures = [][]byte{doc}
	return p
}

func mustKeyring(t *testing.T, trust manifest.Trust) *manifest.Keyring {
	t.Helper()
	k, err := manifest.NewKeyring(trust)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var (
	allProfiles = []manifest.Profile{manifest.ToolV1, manifest.ControlPlaneV1, manifest.BundleV2}
	keyOne      = manifest.Key{ID: "one", Public: public(1)}
	keyTwo      = manifest.Key{ID: "two", Public: public(2)}
)

func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	for _, f := range allProfiles {
		p := signedPackage(t, goodFiles(), f, "one", 1)
		v, err := mustKeyring(t, manifest.Trust{Keys: []manifest.Key{keyOne, keyTwo}, Profiles: allProfiles}).Verify(context.Background(), p)
		if err != nil {
			t.Errorf("%v: %v", f, err)
			continue
		}
		// A manifest without odd values is the same in both v1 profiles, of
		// which the first that fits is named.
		want := f
		if f == manifest.ControlPlaneV1 {
			want = manifest.ToolV1
		}
		if v.Profile != want || v.KeyID != "one" || time.Since(v.At) > time.Minute {
			t.Errorf("%v: verdict %+v", f, v)
		}
	}
}

// TestW79: a signature of v1 says nothing about the schema, one of bundle-v2
// does.
func TestW79(t *testing.T) {
	t.Parallel()
	ring := mustKeyring(t, manifest.Trust{Keys: []manifest.Key{keyOne}})
	for _, tt := range []struct {
		profile manifest.Profile
		covered []string
		swapped string // rule after config.schema.json is another
	}{
		{manifest.ToolV1, []string{"plugin.wasm", "plugin.yaml"}, ""},
		{manifest.BundleV2, []string{"config.schema.json", "display_contract.json", "plugin.wasm", "plugin.yaml"}, "signature_invalid"},
	} {
		p := signedPackage(t, goodFiles(), tt.profile, "one", 1)
		v, err := ring.Verify(context.Background(), p)
		if err != nil || !slices.Equal(v.Covered, tt.covered) {
			t.Errorf("%v: %+v, %v, want %v covered", tt.profile, v, err, tt.covered)
		}
		other := goodFiles()
		other["config.schema.json"] = &fstest.MapFile{Data: []byte(`{"type":"object","additionalProperties":false}`)}
		q := mustRead(t, other)
		q.Signatures = p.Signatures
		if _, err := ring.Verify(context.Background(), q); firstRule(err) != tt.swapped {
			t.Errorf("%v with another schema: %v, want %q", tt.profile, err, tt.swapped)
		}
	}
}

// TestW61: a signature does not speak for other bytes, even where the document
// names their hash.
func TestW61(t *testing.T) {
	t.Parallel()
	ring := mustKeyring(t, manifest.Trust{Keys: []manifest.Key{keyOne}})
	old := signedPackage(t, goodFiles(), manifest.ToolV1, "one", 1)
	fsys := goodFiles()
	fsys["plugin.wasm"] = &fstest.MapFile{Data: []byte(goodWasm + "\x00\x01\x00")}
	p := mustRead(t, fsys)
	p.Signatures = old.Signatures
	if _, err := ring.Verify(context.Background(), p); firstRule(err) != "digest_mismatch" {
		t.Errorf("old signature: %v", err)
	}
	p.Signatures = [][]byte{bytes.ReplaceAll(old.Signatures[0], []byte(old.Digest().String()), []byte(p.Digest().String()))}
	if _, err := ring.Verify(context.Background(), p); firstRule(err) != "signature_invalid" {
		t.Errorf("old signature with the new hash: %v", err)
	}
}

// TestW78: the tool profile verifies what the tool signs, whatever the manifest
// holds, and every value that the other program would write differently is
// warned of.
func TestW78(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, value, tool, control string }{
		{"angle brackets and ampersand", `"a<b>&c"`, `"a\u003cb\u003e\u0026c"`, `"a<b>&c"`},
		{"line separators", `"a\Lb\Pc"`, `"a\u2028b\u2029c"`, "\"a\u2028b\u2029c\""},
		{"empty list", `[]`, `[]`, `{}`},
		{"empty list in a list", `[[]]`, `[[]]`, `[{}]`},
		{"float", `1.0`, `1`, `1.0`},
		{"float with a zero", `1.50`, `1.5`, `1.5`},
		{"exponent", `1e3`, `1000`, `1.0e3`},
		{"small float", `0.00001`, `0.00001`, `1.0e-5`},
		{"hundred", `100.0`, `100`, `100.0`},
		{"date", `2026-01-01`, `"2026-01-01T00:00:00Z"`, `"2026-01-01"`},
		{"leading zero", `0123456`, `42798`, `123456`},
		{"short escapes", `"\b\f\n\r\t"`, `"\b\f\n\r\t"`, `"\b\f\n\r\t"`},
		{"control characters", `"\x01\x1f"`, `"\u0001\u001f"`, `"\u0001\u001F"`},
		{"delete", `"\x7f"`, "\"\x7f\"", "\"\x7f\""},
		{"quotes", `'"\'`, `"\"\\"`, `"\"\\"`},
		{"plain text", `abc`, `"abc"`, `"abc"`},
		{"quoted digits", `"0123"`, `"0123"`, `"0123"`},
		{"null", `~`, `null`, `null`},
		{"true", `True`, `true`, `true`},
		{"yes", `yes`, `"yes"`, `"yes"`},
		{"hex", `0x1F`, `31`, `31`},
		{"underscores", `1_000`, `1000`, `"1_000"`},
		{"negative zero", `-0`, `0`, `0`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fsys := goodFiles()
			fsys["plugin.yaml"] = &fstest.MapFile{Data: []byte(goodYAML + "x-v: " + tt.value + "\n")}
			p := signedPackage(t, fsys, manifest.ToolV1, "one", 1)
			if _, err := mustKeyring(t, manifest.Trust{Keys: []manifest.Key{keyOne}, Profiles: []manifest.Profile{manifest.ToolV1}}).Verify(context.Background(), p); err != nil {
				t.Error(err)
			}
			for f, want := range map[manifest.Profile]string{manifest.ToolV1: tt.tool, manifest.ControlPlaneV1: tt.control} {
				payload, err := manifest.SigningPayload(p, f)
				if err != nil || !strings.HasSuffix(string(payload), `"x-v":`+want+`}}`) {
					t.Errorf("%v: payload %s, %v\nwant x-v to be %s", f, payload, err, want)
				}
			}
			warned := slices.ContainsFunc(p.Manifest.Warnings(), func(e manifest.Error) bool { return e.Rule == "manifest-sign" })
			if want := tt.tool != tt.control; warned != want {
				t.Errorf("warned = %v, want %v: %v", warned, want, p.Manifest.Warnings())
			}
		})
	}
}

func TestUnsignableManifest(t *testing.T) {
	t.Parallel()
	fsys := goodFiles()
	fsys["plugin.yaml"] = &fstest.MapFile{Data: []byte(goodYAML + "x-v: .nan\n")}
	p := mustRead(t, fsys)
	for _, f := range []manifest.Profile{manifest.ToolV1, manifest.ControlPlaneV1} {
		if _, err := manifest.SigningPayload(p, f); firstRule(err) != "manifest_invalid" {
			t.Errorf("%v: %v", f, err)
		}
	}
	// Other profiles still prove it.
	p = signedPackage(t, fsys, manifest.BundleV2, "one", 1)
	if _, err := mustKeyring(t, manifest.Trust{Keys: []manifest.Key{keyOne}}).Verify(context.Background(), p); err != nil {
		t.Error(err)
	}
}

func TestKeyRules(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, tt := range []struct {
		name string
		key  manifest.Key
		want string
	}{
		{"good", keyOne, ""},
		{"other id", manifest.Key{ID: "One", Public: public(1)}, "key_untrusted"},
		{"other key under the id", manifest.Key{ID: "one", Public: public(2)}, "signature_invalid"},
		{"revoked", manifest.Key{ID: "one", Public: public(1), Revoked: true}, "key_revoked"},
		{"revoked beats its time", manifest.Key{ID: "one", Public: public(1), Revoked: true, NotAfter: now.Add(-time.Hour)}, "key_revoked"},
		{"too early", manifest.Key{ID: "one", Public: public(1), NotBefore: now.Add(time.Hour)}, "key_out_of_window"},
		{"too late", manifest.Key{ID: "one", Public: public(1), NotAfter: now.Add(-time.Hour)}, "key_out_of_window"},
		{"in time", manifest.Key{ID: "one", Public: public(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}, ""},
		{"for this plugin", manifest.Key{ID: "one", Public: public(1), Plugins: []string{"other", "http-*"}}, ""},
		{"for other plugins", manifest.Key{ID: "one", Public: public(1), Plugins: []string{"other", "http"}}, "key_untrusted"},
		{"for other plugins, and revoked", manifest.Key{ID: "one", Public: public(1), Plugins: []string{"other"}, Revoked: true}, "key_untrusted"},
	} {
		p := signedPackage(t, goodFiles(), manifest.BundleV2, " one ", 1)
		if _, err := mustKeyring(t, manifest.Trust{Keys: []manifest.Key{tt.key}}).Verify(context.Background(), p); firstRule(err) != tt.want {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// Both ends of a window count.
func TestWindowEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		p := signedPackage(t, goodFiles(), manifest.BundleV2, "one", 1)
		for _, tt := range []struct {
			before, after time.Duration
			want          string
		}{{0, 0, ""}, {1, 1, "key_out_of_window"}, {-1, -1, "key_out_of_window"}} {
			ring := mustKeyring(t, manifest.Trust{Keys: []manifest.Key{{ID: "one", Public: public(1), NotBefore: now.Add(tt.before), NotAfter: now.Add(tt.after)}}})
			if v, err := ring.Verify(t.Context(), p); firstRule(err) != tt.want || err == nil && !v.At.Equal(now) {
				t.Errorf("window %v to %v: %+v, %v, want %q", tt.before, tt.after, v, err, tt.want)
			}
		}
	})
}

func TestNewKeyringRefuses(t *testing.T) {
	t.Parallel()
	noncanonical := bytes.Repeat([]byte{0xff}, 32)
	noncanonical[31] = 0x7f
	notOnCurve := make([]byte, 32)
	notOnCurve[0] = 2
	for _, tt := range []struct {
		name string
		keys []manifest.Key
	}{
		{"no id", []manifest.Key{{ID: " ", Public: public(1)}}},
		{"31 bytes", []manifest.Key{{ID: "a", Public: public(1)[:31]}}},
		{"no key", []manifest.Key{{ID: "a"}}},
		{"twice", []manifest.Key{keyOne, keyOne}},
		{"ends before it begins", []manifest.Key{{ID: "a", Public: public(1), NotBefore: time.Unix(2, 0), NotAfter: time.Unix(1, 0)}}},
		{"bad pattern", []manifest.Key{{ID: "a", Public: public(1), Plugins: []string{"["}}}},
		{"second form of a number", []manifest.Key{{ID: "a", Public: noncanonical}}},
		{"not on the curve", []manifest.Key{{ID: "a", Public: notOnCurve}}},
	} {
		if _, err := manifest.NewKeyring(manifest.Trust{Keys: tt.keys}); firstRule(err) != "key_invalid" {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := manifest.NewKeyring(manifest.Trust{Profiles: []manifest.Profile{0}}); err == nil {
		t.Error("a profile that does not exist is accepted")
	}
}

// The standard library accepts a forged signature under each of these keys.
func TestSmallOrderKeysAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		key, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := manifest.NewKeyring(manifest.Trust{Keys: []manifest.Key{{ID: "a", Public: key}}}); firstRule(err) != "key_invalid" {
			t.Errorf("%s: %v", text, err)
		}
	}
	for seed := range 50 {
		if _, err := manifest.ParsePublicKey(hex.EncodeToString(public(byte(seed)))); err != nil {
			t.Errorf("the key of seed %d is refused: %v", seed, err)
		}
	}
}

func TestSignatureDocuments(t *testing.T) {
	t.Parallel()
	ring := mustKeyring(t, manifest.Trust{Keys: []manifest.Key{keyOne, keyTwo}})
	p := mustRead(t, goodFiles())
	good, err := manifest.Sign(p, manifest.BundleV2, "one", testKey(1))
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(good, &fields); err != nil {
		t.Fatal(err)
	}
	edited := func(key string, value any) string {
		doc := map[string]any{}
		for k, v := range fields {
			doc[k] = v
		}
		doc[key] = value
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	raw, _ := base64.StdEncoding.DecodeString(fields["signature"].(string)) // made by Sign
	list := func(docs ...string) string { return `{"signatures":[` + strings.Join(docs, ",") + `]}` }
	untrusted := edited("key_id", "nobody")
	for _, tt := range []struct {
		name string
		docs []string
		want string
	}{
		{"good", []string{string(good)}, ""},
		{"none", nil, "signature_missing"},
		{"a list", []string{list(string(good))}, ""},
		{"one of a list", []string{list(untrusted, string(good))}, ""},
		{"none of a list: the first error", []string{list(untrusted, edited("algorithm", "none"))}, "key_untrusted"},
		{"second document", []string{untrusted, string(good)}, ""},
		{"8 in a list", []string{list(slices.Concat(slices.Repeat([]string{untrusted}, 7), []string{string(good)})...)}, ""},
		{"9 in a list", []string{list(slices.Concat(slices.Repeat([]string{untrusted}, 8), []string{string(good)})...)}, "signature_syntax"},
		{"empty list", []string{list()}, "signature_syntax"},
		{"list of lists", []string{list(list(string(good)))}, "signature_syntax"},
		{"not an object", []string{"[]"}, "signature_syntax"},
		{"nothing", []string{""}, "signature_syntax"},
		{"64 KiB", []string{string(good) + strings.Repeat(" ", 64<<10-len(good))}, ""},
		{"more than 64 KiB", []string{string(good) + strings.Repeat(" ", 64<<10-len(good)+1)}, "signature_syntax"},
		{"blank key id", []string{edited("key_id", " ")}, "signature_syntax"},
		{"algorithm is no text", []string{edited("algorithm", 1)}, "signature_syntax"},
		{"no signature", []string{edited("signature", nil)}, "signature_syntax"},
		{"algorithm in other case", []string{edited("algorithm", " Ed25519\n")}, ""},
		{"no hash", []string{edited("content_hash", nil)}, ""},
		{"hash is no text", []string{edited("content_hash", 1)}, "signature_syntax"},
		{"blank hash", []string{edited("content_hash", " ")}, "digest_syntax"},
		{"hash of another algorithm", []string{edited("content_hash", "md5:beef")}, "digest_algorithm"},
		{"hash of another file", []string{edited("content_hash", strings.Repeat("ab", 32))}, "digest_mismatch"},
		{"hex", []string{edited("signature", hex.EncodeToString(raw))}, ""},
		{"upper-case hex", []string{edited("signature", strings.ToUpper(hex.EncodeToString(raw)))}, ""},
		{"raw URL base64 with space", []string{edited("signature", "\n"+base64.RawURLEncoding.EncodeToString(raw)+" ")}, ""},
		{"line break inside", []string{edited("signature", fields["signature"].(string)[:20]+"\n"+fields["signature"].(string)[20:])}, "signature_encoding"},
		{"65 bytes", []string{edited("signature", hex.EncodeToString(append(raw, 0)))}, "signature_length"},
		{"signer is any text", []string{edited("signer", "me")}, ""},
	} {
		q := *p
		q.Signatures = nil
		for _, doc := range tt.docs {
			q.Signatures = append(q.Signatures, []byte(doc))
		}
		if _, err := ring.Verify(context.Background(), &q); firstRule(err) != tt.want || (err == nil) != (tt.want == "") {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// A package that was changed in memory is not what the signature speaks for.
func TestVerifyNoticesChanges(t *testing.T) {
	t.Parallel()
	ring := mustKeyring(t, manifest.Trust{Keys: []manifest.Key{keyOne}})
	for name, edit := range map[string]func(*manifest.Package){
		"capability":  func(p *manifest.Package) { p.Manifest.Capabilities = append(p.Manifest.Capabilities, "log") },
		"wasm":        func(p *manifest.Package) { p.Wasm = append(bytes.Clone(p.Wasm), 0) },
		"no manifest": func(p *manifest.Package) { p.Manifest = nil },
	} {
		p := signedPackage(t, goodFiles(), manifest.BundleV2, "one", 1)
		edit(p)
		if _, err := ring.Verify(context.Background(), p); firstRule(err) != "signature_invalid" {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := manifest.Sign(p, manifest.BundleV2, "one", testKey(1)); err == nil {
			t.Errorf("%s: signed all the same", name)
		}
	}
	p := signedPackage(t, goodFiles(), manifest.BundleV2, "one", 1)
	p.Files = nil
	if _, err := ring.Verify(context.Background(), p); err == nil {
		t.Error("without files: verified all the same")
	}
}

func TestReplace(t *testing.T) {
	t.Parallel()
	ring := mustKeyring(t, manifest.Trust{Keys: []manifest.Key{keyOne}})
	p := signedPackage(t, goodFiles(), manifest.BundleV2, "two", 2)
	if _, err := ring.Verify(context.Background(), p); firstRule(err) != "key_untrusted" {
		t.Errorf("before: %v", err)
	}
	if err := ring.Replace(manifest.Trust{Keys: []manifest.Key{{ID: "two"}}}); err == nil {
		t.Error("a bad trust set replaced the good one")
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { _, _ = ring.Verify(context.Background(), p) }) // either answer is right while keys change
	}
	if err := ring.Replace(manifest.Trust{Keys: []manifest.Key{keyTwo}}); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if _, err := ring.Verify(context.Background(), p); err != nil {
		t.Errorf("after: %v", err)
	}
}

type verifierFunc func(context.Context, *manifest.Package) (*manifest.Verdict, error)

func (f verifierFunc) Verify(ctx context.Context, p *manifest.Package) (*manifest.Verdict, error) {
	return f(ctx, p)
}

func TestAllOfAndAnyOf(t *testing.T) {
	t.Parallel()
	broken := errors.New("no")
	no := verifierFunc(func(context.Context, *manifest.Package) (*manifest.Verdict, error) { return nil, broken })
	silent := verifierFunc(func(context.Context, *manifest.Package) (*manifest.Verdict, error) { return nil, nil })
	says := func(id string, files ...string) manifest.Verifier {
		return verifierFunc(func(context.Context, *manifest.Package) (*manifest.Verdict, error) {
			return &manifest.Verdict{KeyID: id, Covered: files}, nil
		})
	}
	for _, tt := range []struct {
		name     string
		verifier manifest.Verifier
		want     string // key and files, "" for an error
	}{
		{"all", manifest.AllOf(says("a", "x", "y"), says("b", "w", "x")), "a w x y"},
		{"all but one", manifest.AllOf(says("a"), no), ""},
		{"all of none", manifest.AllOf(), ""},
		{"all of nothing", manifest.AllOf(nil), ""},
		{"all, one silent", manifest.AllOf(says("a"), silent), ""},
		{"any", manifest.AnyOf(no, silent, nil, says("b", "x")), "b x"},
		{"any: the first", manifest.AnyOf(says("a"), says("b")), "a"},
		{"any of refusals", manifest.AnyOf(no, no), ""},
		{"any of none", manifest.AnyOf(), ""},
	} {
		v, err := tt.verifier.Verify(context.Background(), &manifest.Package{})
		got := ""
		if v != nil {
			got = strings.Join(append([]string{v.KeyID}, v.Covered...), " ")
		}
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
	if _, err := manifest.AnyOf(no).Verify(context.Background(), nil); !errors.Is(err, broken) {
		t.Errorf("AnyOf hides %v: %v", broken, err)
	}
}

func TestKeyTexts(t *testing.T) {
	t.Parallel()
	seed := bytes.Repeat([]byte{7}, 32)
	key := ed25519.NewKeyFromSeed(seed)
	for _, text := range []string{
		hex.EncodeToString(seed), base64.StdEncoding.EncodeToString(seed), base64.RawURLEncoding.EncodeToString(seed),
		hex.EncodeToString(key), base64.StdEncoding.EncodeToString(key) + "\n",
	} {
		if got, err := manifest.ParsePrivateKey(text); err != nil || !got.Equal(key) {
			t.Errorf("%q: %v", text, err)
		}
	}
	mixed := append(bytes.Clone(seed), public(1)...)
	for _, text := range []string{"", "secret!", hex.EncodeToString(seed[:31]), hex.EncodeToString(mixed)} {
		_, err := manifest.ParsePrivateKey(text)
		if firstRule(err) != "key_invalid" || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := manifest.Sign(mustRead(t, goodFiles()), manifest.BundleV2, "k", key[:40]); err == nil {
		t.Error("a key of 40 bytes signed")
	}
	if _, err := manifest.Sign(mustRead(t, goodFiles()), manifest.BundleV2, " ", key); err == nil {
		t.Error("a key without a name signed")
	}
	a, errA := manifest.Sign(mustRead(t, goodFiles()), manifest.BundleV2, "k", seed)
	b, errB := manifest.Sign(mustRead(t, goodFiles()), manifest.BundleV2, "k", key)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("seed and key sign differently: %s, %s, %v, %v", a, b, errA, errB)
	}
}

func TestCompareVersions(t *testing.T) {
	t.Parallel()
	// The example of the specification, oldest first, and some more.
	order := []string{
		"0.0.0-0", "0.0.0", "0.9.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
		"1.0.0-rc.1", "1.0.0", "1.2.0", "1.10.0", "2.0.0-1", "2.0.0-a", "2.0.0", "99999999999999999999999.0.0",
	}
	for i, a := range order {
		for j, b := range order {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got, err := manifest.CompareVersions(a+"+x", b); err != nil || got != want {
				t.Errorf("CompareVersions(%s, %s) = %d, %v, want %d", a, b, got, err, want)
			}
		}
	}
	for _, bad := range []string{"", "1", "1.0", "1.0.0.0", "v1.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "1.0.0-a..b", "1.0.0+", "1.0.0+a+b", "1.0.0-ü", " 1.0.0", "1.0.0\n", strings.Repeat("1", 300) + ".0.0"} {
		if _, err := manifest.CompareVersions(bad, "1.0.0"); err == nil {
			t.Errorf("CompareVersions(%q) is accepted", bad)
		}
	}
}

func FuzzSignature(f *testing.F) {
	f.Add(`{"algorithm":"ed25519","key_id":"one","signature":"AA=="}`)
	f.Add(`{"signatures":[{"algorithm":"ed25519","key_id":"one","signature":"00"}]}`)
	p, err := manifest.ReadPackage(goodFiles())
	if err != nil {
		f.Fatal(err)
	}
	ring, err := manifest.NewKeyring(manifest.Trust{Keys: []manifest.Key{keyOne}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		q := *p
		q.Signatures = [][]byte{[]byte(doc)}
		if v, err := ring.Verify(context.Background(), &q); err == nil || v != nil {
			t.Errorf("%q verified: %+v, %v", doc, v, err)
		}
	})
}
