package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
)

const verifyUsage = `sandcheck verify [flags] PACKAGE
  --trust FILE           the keys that count
  --public KEY|@FILE     the one key that counts, whatever the profile
  --id ID                the name under which signatures refer to that key
  --store DIR            PACKAGE is a reference in that store
  --format F             text or json; default text
`

// verifiedJSON is the object of verify --format json.
type verifiedJSON struct {
	Verified bool         `json:"verified"`
	ID       string       `json:"id"`
	Version  string       `json:"version"`
	Digest   string       `json:"digest"`
	Verdict  *verdictJSON `json:"verdict"` // null where nobody vouches
	Problems []string     `json:"problems"`
}

// verifyArgs are the arguments of verify.
type verifyArgs struct{ trust, public, id, store *string }

// verifyPackage is sandcheck verify.
func verifyPackage(ctx context.Context, c *console, args []string) int {
	t := newTool("verify", verifyUsage)
	a := &verifyArgs{}
	once(t.flags, "trust", keep(&a.trust))
	once(t.flags, "public", keep(&a.public))
	once(t.flags, "id", keep(&a.id))
	once(t.flags, "store", keep(&a.store))
	return c.use(t, args, func(operands []string) (*answer, error) {
		path, err := one(operands, thePackage)
		if err != nil {
			return nil, err
		}
		ring, err := a.keyring(ctx)
		if err != nil {
			return nil, err
		}
		pkg, err := openPackage(ctx, a.store, path)
		if err != nil {
			return nil, err
		}
		return verify(ctx, ring, pkg)
	})
}

// keyring holds the keys of the trust file, or the one key.
func (a *verifyArgs) keyring(ctx context.Context) (*manifest.Keyring, error) {
	switch {
	case (a.trust == nil) == (a.public == nil):
		return nil, mistaken("give either --trust FILE, or --public KEY and --id ID")
	case a.trust != nil && a.id != nil:
		return nil, mistaken("--id belongs to --public: a trust file names its keys itself")
	case a.trust != nil:
		return readTrust(ctx, *a.trust)
	}
	if err := needed("id", a.id); err != nil {
		return nil, err
	}
	text := *a.public
	if path, isFile := strings.CutPrefix(text, "@"); isFile {
		doc, err := readFile(ctx, "--public", path, 4*limits.KiB)
		if err != nil {
			return nil, err
		}
		text = string(doc)
	}
	key, err := manifest.ParsePublicKey(text)
	if err != nil {
		return nil, fmt.Errorf("--public: %w", err)
	}
	return manifest.NewKeyring(manifest.Trust{Keys: []manifest.Key{{ID: *a.id, Public: key}}, Profiles: profiles()})
}

// verify asks ring about pkg. That it does not vouch is an answer; that ctx
// ended is none.
func verify(ctx context.Context, ring *manifest.Keyring, pkg *manifest.Package) (*answer, error) {
	m := pkg.Manifest
	p, doc := &page{}, verifiedJSON{ID: m.ID, Version: m.Version, Digest: pkg.Digest().String(), Problems: []string{}}
	v, err := ring.Verify(ctx, pkg)
	if ctx.Err() != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	if err != nil {
		for _, e := range problemsOf(err) {
			doc.Problems = append(doc.Problems, e.Error())
		}
		fmt.Fprintf(p, "%s %s is not vouched for\n", oneLine(m.ID), oneLine(m.Version))
		p.list("problems", doc.Problems)
		return &answer{exitNo, p.String(), doc}, nil
	}
	doc.Verified, doc.Verdict = true, verdictToJSON(v, pkg)
	fmt.Fprintf(p, "%s %s is vouched for\n", oneLine(m.ID), oneLine(m.Version))
	p.verdict(v, pkg)
	p.item("plugin.wasm", "sha256:"+doc.Digest)
	return &answer{0, p.String(), doc}, nil
}
