package manifest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Trust says which keys vouch for which plugins.
type Trust struct {
	Keys []Key
	// Profiles are the kinds of signature that count, tried in order. None
	// means ToolV1 and BundleV2.
	Profiles []Profile
}

// A Key is one trusted public key.
type Key struct {
	// ID is the name under which signatures refer to the key.
	ID     string
	Public ed25519.PublicKey
	// NotBefore and NotAfter bound, both included, the time in which the key
	// counts. Zero is no bound.
	NotBefore, NotAfter time.Time
	// Revoked keys never count, whatever the time.
	Revoked bool
	// Plugins are patterns of plugin ids, as of path.Match, that the key may
	// vouch for. None means every plugin.
	Plugins []string
}

// A Keyring is a Verifier of Ed25519 signatures by the keys of a Trust. It is
// safe for concurrent use.
//
// Errors are *Error with rule signature_missing, signature_syntax,
// signature_algorithm, key_untrusted, key_revoked, key_out_of_window,
// digest_syntax, digest_mismatch, signature_encoding, signature_length or
// signature_invalid.
type Keyring struct {
	trust atomic.Pointer[trusted]
}

type trusted struct {
	keys     map[string]Key
	profiles []Profile
}

// NewKeyring returns a Keyring of t. It reports every key that cannot be used,
// as an *Error with rule key_invalid. Without any key nothing verifies.
func NewKeyring(t Trust) (*Keyring, error) {
	k := &Keyring{}
	if err := k.Replace(t); err != nil {
		return nil, err
	}
	return k, nil
}

// Replace puts other keys in force: every Verify that begins later uses them.
// On error the old ones stay.
func (k *Keyring) Replace(t Trust) error {
	in := &trusted{keys: make(map[string]Key, len(t.Keys)), profiles: slices.Clone(t.Profiles)}
	if len(in.profiles) == 0 {
		in.profiles = []Profile{ToolV1, BundleV2}
	}
	var errs []error
	for _, f := range in.profiles {
		if f < ToolV1 || f > BundleV2 {
			errs = append(errs, fmt.Errorf("manifest: %v", f))
		}
	}
	for _, key := range t.Keys {
		key.ID = strings.TrimSpace(key.ID)
		if err := key.check(); err != nil {
			errs = append(errs, err)
		}
		if _, twice := in.keys[key.ID]; twice {
			errs = append(errs, keyInvalid("key %s is listed twice", clip(key.ID)))
		}
		key.Public, key.Plugins = slices.Clone(key.Public), slices.Clone(key.Plugins)
		in.keys[key.ID] = key
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	k.trust.Store(in)
	return nil
}

func keyInvalid(format string, args ...any) error {
	return &Error{Rule: "key_invalid", Message: fmt.Sprintf(format, args...)}
}

func (k *Key) check() error {
	if k.ID == "" {
		return keyInvalid("a key has no id")
	}
	if err := checkPublicKey(k.Public); err != nil {
		return keyInvalid("key %s: %s", clip(k.ID), err.(*Error).Message) //nolint:errorlint // made in this package
	}
	if !k.NotAfter.IsZero() && k.NotAfter.Before(k.NotBefore) {
		return keyInvalid("key %s: its time ends before it begins", clip(k.ID))
	}
	for _, glob := range k.Plugins {
		if _, err := path.Match(glob, ""); err != nil {
			return keyInvalid("key %s: %s is not a pattern: %v", clip(k.ID), clip(glob), err)
		}
	}
	return nil
}

// Verify finds a signature of p that a trusted key made. One is enough; where
// none is, the error is that of the first.
func (k *Keyring) Verify(ctx context.Context, p *Package) (*Verdict, error) {
	in := k.trust.Load()
	if p == nil || len(p.Signatures) == 0 {
		return nil, &Error{Rule: "signature_missing", Message: "the package brings no signature"}
	}
	if len(p.Signatures) > maxSignatures {
		return nil, syntaxError("%d signature documents: at most %d are allowed", len(p.Signatures), maxSignatures)
	}
	if err := p.unchanged(); err != nil {
		return nil, err
	}
	check := verification{trusted: in, p: p, digest: p.Digest(), now: time.Now(), payloads: map[Profile][]byte{}}
	var first error
	for _, doc := range p.Signatures {
		docs, errs := readSigned(doc)
		for i, s := range docs {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			err := errs[i]
			if err == nil {
				var v *Verdict
				if v, err = check.signature(s); err == nil {
					return v, nil
				}
			}
			if first == nil {
				first = err
			}
		}
	}
	return nil, first
}

// A verification judges the signatures of one package.
type verification struct {
	*trusted
	p        *Package
	digest   Digest
	now      time.Time
	payloads map[Profile][]byte
}

func (c *verification) signature(s signed) (*Verdict, error) {
	key, err := c.key(s.keyID)
	if err != nil {
		return nil, err
	}
	if s.contentHash != nil {
		switch d, err := ParseDigest(*s.contentHash); {
		case err != nil:
			return nil, err
		case d != c.digest:
			return nil, &Error{File: wasmFile, Rule: "digest_mismatch", Message: fmt.Sprintf("has the digest %s, the signature was made for %s", c.digest, d)}
		}
	}
	signature, ok := decodeText(s.signature, ed25519.SignatureSize)
	if !ok {
		return nil, &Error{Rule: "signature_encoding", Message: "the signature is neither hex nor base64"}
	}
	if len(signature) != ed25519.SignatureSize {
		return nil, &Error{Rule: "signature_length", Message: fmt.Sprintf("the signature has %d bytes, not %d", len(signature), ed25519.SignatureSize)}
	}
	var unsignable error
	for _, f := range c.profiles {
		payload, err := c.payload(f)
		if err != nil { // not every manifest has a form in every profile
			unsignable = err
			continue
		}
		if ed25519.Verify(key.Public, payload, signature) {
			return &Verdict{KeyID: key.ID, Signer: s.signer, Profile: f, Covered: f.covered(c.p), At: c.now}, nil
		}
	}
	if unsignable != nil {
		return nil, unsignable
	}
	return nil, &Error{Rule: "signature_invalid", Message: fmt.Sprintf("the signature by key %s was not made over this package (tried %s)", clip(key.ID), c.tried())}
}

// key finds the named key. Other keys are never tried: a signature under a
// name speaks for that name alone.
func (c *verification) key(id string) (Key, error) {
	key, ok := c.keys[id]
	bad := func(rule, why string) (Key, error) {
		return Key{}, &Error{Rule: rule, Message: fmt.Sprintf("key %s %s", clip(id), why)}
	}
	switch {
	case !ok:
		return bad("key_untrusted", "is not trusted")
	case len(key.Plugins) > 0 && !slices.ContainsFunc(key.Plugins, func(glob string) bool {
		ok, _ := path.Match(glob, c.p.Manifest.ID) // the patterns were checked in Replace
		return ok
	}):
		return bad("key_untrusted", fmt.Sprintf("may not vouch for plugin %s", clip(c.p.Manifest.ID)))
	case key.Revoked:
		return bad("key_revoked", "is revoked")
	case c.now.Before(key.NotBefore):
		return bad("key_out_of_window", "does not count before "+key.NotBefore.UTC().Format(time.RFC3339))
	case !key.NotAfter.IsZero() && c.now.After(key.NotAfter):
		return bad("key_out_of_window", "does not count after "+key.NotAfter.UTC().Format(time.RFC3339))
	default:
		return key, nil
	}
}

func (c *verification) payload(f Profile) ([]byte, error) {
	if b, ok := c.payloads[f]; ok {
		return b, nil
	}
	b, err := signingPayload(c.p, f)
	if err == nil {
		c.payloads[f] = b
	}
	return b, err
}

func (c *verification) tried() string {
	var names []string
	for _, f := range c.profiles {
		names = append(names, f.String())
	}
	return strings.Join(names, ", ")
}
