package manifest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/sandcheck/sandcheck/internal/strict"
)

// A Profile says which bytes of a package a signature is made over.
type Profile uint8

// The profiles. The first two cover plugin.yaml and plugin.wasm, as two
// programs write them as JSON; some manifests come out differently, and
// Warnings lists where. BundleV2 covers the bytes of every file and is the one
// to choose.
const (
	ToolV1         Profile = iota + 1 // "serviceradar-tool"
	ControlPlaneV1                    // "serviceradar-control-plane"
	BundleV2                          // "bundle-v2"
)

// String is the name of the profile.
func (f Profile) String() string {
	switch f {
	case ToolV1:
		return "serviceradar-tool"
	case ControlPlaneV1:
		return "serviceradar-control-plane"
	case BundleV2:
		return "bundle-v2"
	default:
		return fmt.Sprintf("unknown profile %d", uint8(f))
	}
}

// covered lists the files that a signature of profile f vouches for.
func (f Profile) covered(p *Package) []string {
	if f == BundleV2 {
		return slices.Sorted(maps.Keys(p.Files))
	}
	return []string{wasmFile, manifestFile}
}

// SigningPayload returns the bytes that a signature of profile f is made over.
// It reads Files and fails where the package was changed after it was read,
// since a signature would then not speak for what runs.
func SigningPayload(p *Package, f Profile) ([]byte, error) {
	if err := p.unchanged(); err != nil {
		return nil, err
	}
	return signingPayload(p, f)
}

func signingPayload(p *Package, f Profile) ([]byte, error) {
	switch f {
	case ToolV1:
		return canonicalPayload(p, &toolDialect)
	case ControlPlaneV1:
		return canonicalPayload(p, &controlDialect)
	case BundleV2:
		return bundlePayload(p), nil
	default:
		return nil, fmt.Errorf("manifest: %v: expected ToolV1, ControlPlaneV1 or BundleV2", f)
	}
}

func canonicalPayload(p *Package, d *dialect) ([]byte, error) {
	found := &problems{file: manifestFile}
	doc := readDocument(p.Files[manifestFile], found)
	if err := found.err(); err != nil {
		return nil, refuseFile(manifestFile, "manifest_invalid", err)
	}
	b := fmt.Appendf(nil, `{"content_hash":"%s","manifest":`, p.Digest())
	b, err := d.appendNode(b, doc.root)
	if err != nil {
		return nil, refuseFile(manifestFile, "manifest_invalid", fmt.Errorf("cannot be signed: %w", err))
	}
	return append(b, '}'), nil
}

func bundlePayload(p *Package) []byte {
	b := []byte("wasm-checker-bundle-v2\n")
	for _, name := range slices.Sorted(maps.Keys(p.Files)) {
		b = fmt.Appendf(b, "%x %d %s\n", sha256.Sum256(p.Files[name]), len(p.Files[name]), name)
	}
	return b
}

// unchanged reports where a package no longer is what its Files say.
func (p *Package) unchanged() error {
	if p == nil || len(p.Files[manifestFile]) == 0 || len(p.Files[wasmFile]) == 0 {
		return missing(manifestFile)
	}
	for name := range p.Files {
		if _, known := fileLimit(name); !known {
			return unexpected(name)
		}
	}
	changed := func(file string) error {
		return &Error{File: file, Rule: "signature_invalid", Message: "the package was changed after it was read"}
	}
	if !bytes.Equal(p.Files[wasmFile], p.Wasm) {
		return changed(wasmFile)
	}
	m, err := Parse(p.Files[manifestFile])
	if err != nil {
		return refuseFile(manifestFile, "manifest_invalid", err)
	}
	if p.Manifest == nil || !m.same(p.Manifest) {
		return changed(manifestFile)
	}
	return nil
}

// same compares what two manifests say. Display may come from its own file.
func (m *Manifest) same(o *Manifest) bool {
	a, b := *m, *o
	a.doc, b.doc, a.Display, b.Display = nil, nil, nil, nil
	return reflect.DeepEqual(a, b)
}

// Sign makes the signature document that belongs beside p, as
// upload-signature.json or bundle-signature.json. keyID is the name under which
// verifiers know the key; key is an Ed25519 private key or its 32-byte seed.
func Sign(p *Package, f Profile, keyID string, key ed25519.PrivateKey) ([]byte, error) {
	keyID = strings.TrimSpace(keyID)
	if keyID == "" {
		return nil, errors.New("manifest: sign: the key id is empty: verifiers look keys up by it")
	}
	switch len(key) {
	case ed25519.SeedSize:
		key = ed25519.NewKeyFromSeed(key)
	case ed25519.PrivateKeySize:
	default:
		return nil, fmt.Errorf("manifest: sign: a key of %d bytes: expected a seed of 32 or a private key of 64", len(key))
	}
	payload, err := SigningPayload(p, f)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Algorithm   string `json:"algorithm"`
		ContentHash string `json:"content_hash"`
		KeyID       string `json:"key_id"`
		Signature   []byte `json:"signature"`
	}{"ed25519", p.Digest().String(), keyID, ed25519.Sign(key, payload)})
}

// ParsePublicKey reads an Ed25519 public key from a text such as a trust file
// holds: 32 bytes in hex or base64. A key that cannot be used is an *Error with
// rule key_invalid.
func ParsePublicKey(s string) (ed25519.PublicKey, error) {
	b, ok := decodeText(s, ed25519.PublicKeySize)
	if !ok {
		return nil, &Error{Rule: "key_invalid", Message: "a public key is neither hex nor base64"}
	}
	if err := checkPublicKey(b); err != nil {
		return nil, err
	}
	return b, nil
}

// ParsePrivateKey reads an Ed25519 private key from a text: its 32-byte seed or
// all 64 bytes, in hex or base64. The error never repeats the text.
func ParsePrivateKey(s string) (ed25519.PrivateKey, error) {
	if b, ok := decodeText(s, ed25519.SeedSize); ok && len(b) == ed25519.SeedSize {
		return ed25519.NewKeyFromSeed(b), nil
	}
	b, ok := decodeText(s, ed25519.PrivateKeySize)
	if !ok || len(b) != ed25519.PrivateKeySize {
		return nil, &Error{Rule: "key_invalid", Message: "a private key is 32 or 64 bytes in hex or base64"}
	}
	if !bytes.Equal(ed25519.NewKeyFromSeed(b[:ed25519.SeedSize]), b) {
		return nil, &Error{Rule: "key_invalid", Message: "the two halves of a private key do not belong together"}
	}
	return b, nil
}

// decodeText reads hex or any common form of base64 strictly. Where a text has
// several readings, the one with the wanted length is meant.
func decodeText(s string, want int) (first []byte, ok bool) {
	s = strings.TrimSpace(s)
	if strings.ContainsAny(s, "\r\n") {
		return nil, false // the decoders of base64 would skip them
	}
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString,
		base64.StdEncoding.Strict().DecodeString, base64.RawStdEncoding.Strict().DecodeString,
		base64.URLEncoding.Strict().DecodeString, base64.RawURLEncoding.Strict().DecodeString,
	} {
		b, err := decode(s)
		if err != nil {
			continue
		}
		if len(b) == want {
			return b, true
		}
		if !ok {
			first, ok = b, true
		}
	}
	return first, ok
}

// maxSignatures bounds the signatures that one package may bring.
const maxSignatures = 8

// A signed document is what somebody says in a signature file.
type signed struct {
	keyID, signer, signature string
	contentHash              *string
}

func syntaxError(format string, args ...any) error {
	return &Error{Rule: "signature_syntax", Message: fmt.Sprintf(format, args...)}
}

// readSigned reads one signature file: a document, or a list of them. It
// returns one of signed or error for each.
func readSigned(doc []byte) (out []signed, errs []error) {
	whole := func(err error) ([]signed, []error) { return []signed{{}}, []error{err} }
	if err := strict.Check(doc, strict.Options{Bytes: int(maxSignature)}); err != nil {
		return whole(syntaxError("the signature document is not acceptable JSON: %v", err))
	}
	t, err := growTree(doc)
	if err != nil {
		return whole(syntaxError("the signature document cannot be read: %v", err))
	}
	list, ok := t.get("signatures")
	if !ok {
		s, err := signedOf(t)
		return []signed{s}, []error{err}
	}
	if list.kind != strict.Array || len(list.items) == 0 || len(list.items) > maxSignatures {
		return whole(syntaxError("signatures must be a list of 1 to %d documents", maxSignatures))
	}
	for i := range list.items {
		s, err := signedOf(&list.items[i])
		out, errs = append(out, s), append(errs, err)
	}
	return out, errs
}

func signedOf(t *tree) (s signed, err error) {
	if t.kind != strict.Object {
		return s, syntaxError("a signature must be an object, got %s", kindName(t.kind))
	}
	var algorithm string
	for _, f := range []struct {
		name string
		into *string
	}{{"algorithm", &algorithm}, {"key_id", &s.keyID}, {"signature", &s.signature}} {
		v, ok := t.get(f.name)
		if !ok || v.kind != strict.Text || strings.TrimSpace(v.text) == "" {
			return s, syntaxError("%s is missing, blank or not a text", f.name)
		}
		*f.into = strings.TrimSpace(v.text)
	}
	if v, ok := t.get("signer"); ok && v.kind == strict.Text {
		s.signer = strings.TrimSpace(v.text)
	}
	if v, ok := t.get("content_hash"); ok && v.kind != strict.Null {
		if v.kind != strict.Text {
			return s, syntaxError("content_hash must be a text, got %s", kindName(v.kind))
		}
		s.contentHash = &v.text
	}
	if !strings.EqualFold(algorithm, "ed25519") {
		return s, &Error{Rule: "signature_algorithm", Message: fmt.Sprintf("%s is not a known algorithm: only ed25519 is", clip(algorithm))}
	}
	return s, nil
}
