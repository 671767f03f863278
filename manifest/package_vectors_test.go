package manifest_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/sandcheck/sandcheck/manifest"
)

type packageCase struct {
	ID, Kind, Note, Source string
	In, Expect             json.RawMessage
}

// packageCases returns the cases of one kind, all of which must be understood.
func packageCases(t *testing.T, kind string) []packageCase {
	t.Helper()
	var out []packageCase
	for _, c := range vectors[[]packageCase](t, "package.json", "cases") {
		if c.Kind == kind {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		t.Fatalf("no cases of kind %q", kind)
	}
	return out
}

// understand decodes a part of a case and fails on any key that it lacks.
func understand(t *testing.T, raw json.RawMessage, into any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%v: %.300s", err, raw)
	}
}

func firstRule(err error) string {
	var e *manifest.Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Rule
}

func TestDigestVectors(t *testing.T) {
	t.Parallel()
	for _, tt := range packageCases(t, "digest") {
		t.Run(tt.ID, func(t *testing.T) {
			t.Parallel()
			var in struct{ Text string }
			var expect struct{ Hex, Error string }
			understand(t, tt.In, &in)
			understand(t, tt.Expect, &expect)
			checkDigest(t, in.Text, expect.Hex, expect.Error)
		})
	}
}

func TestBundleVectors(t *testing.T) {
	t.Parallel()
	for _, tt := range packageCases(t, "bundle") {
		t.Run(tt.ID, func(t *testing.T) {
			t.Parallel()
			var in struct {
				ZipBase64   *string `json:"zip_base64"`
				ZipGenerate *struct {
					DeclaredBytes     string `json:"declared_bytes"`
					Entry, Method     string
					FillByte          byte  `json:"fill_byte"`
					UncompressedBytes int64 `json:"uncompressed_bytes"`
				} `json:"zip_generate"`
			}
			var expect struct {
				OK    bool
				Error string
			}
			understand(t, tt.In, &in)
			understand(t, tt.Expect, &expect)
			var doc []byte
			switch {
			case in.ZipBase64 != nil:
				doc, _ = base64.StdEncoding.DecodeString(*in.ZipBase64)
			case in.ZipGenerate != nil && in.ZipGenerate.DeclaredBytes == "true size" && in.ZipGenerate.Method == "deflate":
				g := in.ZipGenerate
				files := map[string]io.Reader{"plugin.yaml": strings.NewReader(goodYAML), "plugin.wasm": strings.NewReader(goodWasm)}
				files[g.Entry] = io.LimitReader(fill(g.FillByte), g.UncompressedBytes)
				doc = zipOf(t, files)
			default:
				t.Fatalf("not understood: %s", tt.In)
			}
			_, err := manifest.ReadBundle(bytes.NewReader(doc), int64(len(doc)))
			if (err == nil) != expect.OK || firstRule(err) != expect.Error {
				t.Errorf("%s: got %v, want ok %v, rule %q", tt.Note, err, expect.OK, expect.Error)
			}
		})
	}
}

const (
	goodYAML = "id: http-check\nname: HTTP Check\nversion: 1.2.0\nentrypoint: run_check\noutputs: serviceradar.plugin_result.v1\n" +
		"capabilities: [get_config]\nresources: {requested_memory_mb: 16, requested_cpu_ms: 500}\n"
	goodWasm = "\x00asm\x01\x00\x00\x00"
)

type fill byte

func (f fill) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(f)
	}
	return len(p), nil
}

func zipOf(t testing.TB, files map[string]io.Reader) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(keys(files)) {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

type signatureIn struct {
	Files  map[string]string
	Policy struct {
		Trusted map[string]struct {
			Key       string
			Revoked   bool
			NotBefore *int64 `json:"not_before"`
			NotAfter  *int64 `json:"not_after"`
			Plugins   []string
		}
		RequireSignature   bool `json:"require_signature"`
		Profiles           []string
		Now                *int64
		ContentHashPin     *string `json:"content_hash_pin"`
		WantID             string  `json:"want_id"`
		WantVersion        string  `json:"want_version"`
		HighestSeenVersion string  `json:"highest_seen_version"`
		SeenHashForVersion string  `json:"seen_hash_for_version"`
	}
	UploadSignature *string `json:"upload_signature_json"`
}

func TestSignatureVectors(t *testing.T) {
	t.Parallel()
	for _, tt := range packageCases(t, "signature") {
		t.Run(tt.ID, func(t *testing.T) {
			t.Parallel()
			var in signatureIn
			var expect struct {
				OK            bool
				Error         string
				SignedPayload string `json:"signed_payload"`
			}
			understand(t, tt.In, &in)
			understand(t, tt.Expect, &expect)
			var p *manifest.Package
			var v *manifest.Verdict
			var err error
			// Time stands still in the bubble, so that a window may end now.
			synctest.Test(t, func(t *testing.T) { p, v, err = loadSigned(t, in) })
			if (err == nil) != expect.OK || firstRule(err) != expect.Error {
				t.Fatalf("%s: got %v, want ok %v, rule %q", tt.Note, err, expect.OK, expect.Error)
			}
			if expect.SignedPayload != "" {
				payload, err := manifest.SigningPayload(p, profileNames[in.Policy.Profiles[0]])
				if err != nil || string(payload) != expect.SignedPayload {
					t.Errorf("%s: payload\n%s\nwant\n%s\n%v", tt.Note, payload, expect.SignedPayload, err)
				}
			}
			if v != nil && v.Profile != manifest.BundleV2 && slices.Contains(v.Covered, "config.schema.json") {
				t.Errorf("%s: a v1 signature is said to cover the schema: %v", tt.Note, v.Covered)
			}
		})
	}
}

var profileNames = map[string]manifest.Profile{
	"serviceradar-tool": manifest.ToolV1, "serviceradar-control-plane": manifest.ControlPlaneV1, "bundle-v2": manifest.BundleV2,
}

// loadSigned does in order what a host does with a package and its policy.
func loadSigned(t *testing.T, in signatureIn) (*manifest.Package, *manifest.Verdict, error) {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range in.Files {
		if plain, ok := strings.CutSuffix(name, "_base64"); ok {
			b, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			name, text = plain, string(b)
		}
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	if in.UploadSignature != nil {
		fsys["upload-signature.json"] = &fstest.MapFile{Data: []byte(*in.UploadSignature)}
	}
	p, err := manifest.ReadPackage(fsys)
	if err != nil {
		return nil, nil, err
	}
	rule := func(rule string) error { return &manifest.Error{Rule: rule} }
	if pin := in.Policy.ContentHashPin; pin != nil {
		if d, err := manifest.ParseDigest(*pin); err != nil {
			return p, nil, err
		} else if d != p.Digest() {
			return p, nil, rule("digest_mismatch")
		}
	}
	if w := in.Policy.WantID; w != "" && w != p.Manifest.ID {
		return p, nil, rule("identity_mismatch")
	}
	if w := in.Policy.WantVersion; w != "" && w != p.Manifest.Version {
		return p, nil, rule("identity_mismatch")
	}
	if !in.Policy.RequireSignature {
		t.Fatal("not understood: a policy without a signature")
	}
	trust := manifest.Trust{}
	for _, name := range in.Policy.Profiles {
		f, ok := profileNames[name]
		if !ok {
			t.Fatalf("not understood: profile %q", name)
		}
		trust.Profiles = append(trust.Profiles, f)
	}
	// The clock of a case is moved to the clock of the test.
	clock := time.Now()
	at := func(seconds *int64) time.Time {
		if seconds == nil {
			return time.Time{}
		}
		now := clock.Unix()
		if in.Policy.Now != nil {
			now = *in.Policy.Now
		}
		return clock.Add(time.Duration(*seconds-now) * time.Second)
	}
	for id, k := range in.Policy.Trusted {
		public, err := manifest.ParsePublicKey(k.Key)
		if err != nil {
			return p, nil, err
		}
		trust.Keys = append(trust.Keys, manifest.Key{
			ID: id, Public: public, Revoked: k.Revoked, NotBefore: at(k.NotBefore), NotAfter: at(k.NotAfter), Plugins: k.Plugins,
		})
	}
	ring, err := manifest.NewKeyring(trust)
	if err != nil {
		return p, nil, err
	}
	v, err := ring.Verify(context.Background(), p)
	if err != nil {
		return p, nil, err
	}
	if seen := in.Policy.HighestSeenVersion; seen != "" {
		c, err := manifest.CompareVersions(p.Manifest.Version, seen)
		switch {
		case err != nil:
			t.Fatal(err)
		case c < 0:
			return p, nil, rule("version_rollback")
		case c == 0 && in.Policy.SeenHashForVersion != "" && in.Policy.SeenHashForVersion != p.Digest().String():
			return p, nil, rule("version_conflict")
		}
	}
	return p, v, nil
}

func TestWorkedSignature(t *testing.T) {
	t.Parallel()
	s := vectors[struct {
		Profile, Algorithm string
		KeyID              string `json:"key_id"`
		SeedHex            string `json:"seed_hex"`
		PublicKeyB64       string `json:"public_key_b64"`
		WasmHex            string `json:"wasm_hex"`
		ContentHash        string `json:"content_hash"`
		ManifestYAML       string `json:"manifest_yaml"`
		SignedBytes        string `json:"signed_bytes"`
		SignatureB64       string `json:"signature_b64"`
		Differences        []map[string]string
	}](t, "abi.json", "signature")
	seed, err := manifest.ParsePrivateKey(s.SeedHex)
	if err != nil {
		t.Fatal(err)
	}
	p, err := manifest.ReadPackage(fstest.MapFS{"plugin.yaml": {Data: []byte(s.ManifestYAML)}, "plugin.wasm": {Data: []byte(goodWasm)}})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Digest().String(); got != s.ContentHash || fmt.Sprintf("%x", goodWasm) != s.WasmHex {
		t.Errorf("digest %s, want %s", got, s.ContentHash)
	}
	f := profileNames[s.Profile]
	if payload, err := manifest.SigningPayload(p, f); err != nil || string(payload) != s.SignedBytes {
		t.Errorf("payload %s, %v\nwant %s", payload, err, s.SignedBytes)
	}
	doc, err := manifest.Sign(p, f, s.KeyID, seed)
	if err != nil || !strings.Contains(string(doc), s.SignatureB64) || !strings.Contains(string(doc), `"algorithm":"`+s.Algorithm+`"`) {
		t.Errorf("document %s, %v\nlacks %s", doc, err, s.SignatureB64)
	}
	public, err := manifest.ParsePublicKey(s.PublicKeyB64)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := manifest.NewKeyring(manifest.Trust{Keys: []manifest.Key{{ID: s.KeyID, Public: public}}})
	if err != nil {
		t.Fatal(err)
	}
	p.Signatures = [][]byte{doc}
	if v, err := ring.Verify(context.Background(), p); err != nil || v.KeyID != s.KeyID || v.Profile != f || len(v.Covered) != 2 {
		t.Errorf("verdict %+v, %v", v, err)
	}
	for _, d := range s.Differences {
		checkDifference(t, d)
	}
}

// checkDifference puts a value into a manifest and compares what both profiles
// sign for it.
func checkDifference(t *testing.T, d map[string]string) {
	t.Helper()
	doc := goodYAML + "x-v:\n  " + d["yaml"]
	p, err := manifest.ReadPackage(fstest.MapFS{"plugin.yaml": {Data: []byte(doc)}, "plugin.wasm": {Data: []byte(goodWasm)}})
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range profileNames {
		if f == manifest.BundleV2 {
			continue
		}
		if payload, err := manifest.SigningPayload(p, f); err != nil || !strings.Contains(string(payload), `"x-v":`+d[name]) {
			t.Errorf("%s: %s: payload %s, %v\nlacks %s", d["yaml"], name, payload, err, d[name])
		}
	}
	if !slices.ContainsFunc(p.Manifest.Warnings(), func(e manifest.Error) bool { return e.Rule == d["lint_warning"] }) {
		t.Errorf("%s: no warning [%s] in %v", d["yaml"], d["lint_warning"], p.Manifest.Warnings())
	}
}

// TestVectorsAreAllRun fails when the case file grows a kind or part that no
// test reads.
func TestVectorsAreAllRun(t *testing.T) {
	t.Parallel()
	known := []string{"digest", "bundle", "signature", "store", "download"}
	for _, c := range vectors[[]packageCase](t, "package.json", "cases") {
		if !slices.Contains(known, c.Kind) {
			t.Errorf("%s: nothing runs cases of kind %q", c.ID, c.Kind)
		}
	}
}
