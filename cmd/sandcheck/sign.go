package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
)

const signUsage = `sandcheck sign [flags] PACKAGE
  --key FILE             the secret key, as keygen wrote it
  --id ID                the name under which verifiers know the key
  --profile P            bundle-v2, serviceradar-tool or
                         serviceradar-control-plane; default bundle-v2
  -o FILE                the document to write; by default bundle-signature.json
                         or upload-signature.json in the folder of the package
  --format F             text or json; default text
`

// signedJSON is the object of sign --format json.
type signedJSON struct {
	File    string   `json:"file"`
	Key     string   `json:"key"`
	Profile string   `json:"profile"`
	Digest  string   `json:"digest"`
	Notes   []string `json:"notes"`
}

// signArgs are the arguments of sign.
type signArgs struct {
	key, id, out *string
	profile      manifest.Profile
}

// signPackage is sandcheck sign.
func signPackage(ctx context.Context, c *console, args []string) int {
	t := newTool("sign", signUsage)
	a := &signArgs{profile: manifest.BundleV2}
	once(t.flags, "key", keep(&a.key))
	once(t.flags, "id", keep(&a.id))
	once(t.flags, "o", keep(&a.out))
	once(t.flags, "profile", func(text string) (err error) {
		a.profile, err = parseProfile(text)
		return err
	})
	return c.use(t, args, func(operands []string) (*answer, error) {
		path, err := one(operands, thePackage)
		if err == nil {
			err = errors.Join(needed("key", a.key), checkKeyID(a.id))
		}
		if err != nil {
			return nil, err
		}
		return a.sign(ctx, path)
	})
}

func (a *signArgs) sign(ctx context.Context, path string) (*answer, error) {
	var errs [2]error
	var key ed25519.PrivateKey
	pkg, err := readPackage(path)
	errs[0] = err
	key, errs[1] = readKey(ctx, *a.key)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	doc, err := manifest.Sign(pkg, a.profile, *a.id, key)
	if err != nil {
		return nil, err
	}
	file, err := a.file(path)
	if err != nil {
		return nil, err
	}
	notes := a.notes(pkg)
	if _, err := os.Stat(file); err == nil {
		notes = append(notes, "the document that lay there before was replaced")
	}
	if err := replaceFile(file, append(doc, '\n')); err != nil {
		return nil, err
	}
	done := signedJSON{file, *a.id, a.profile.String(), pkg.Digest().String(), listOf(notes)}
	p := &page{}
	fmt.Fprintf(p, "signed %s %s\n", oneLine(pkg.Manifest.ID), oneLine(pkg.Manifest.Version))
	p.item("file", done.File)
	p.item("key", done.Key)
	p.item("profile", done.Profile)
	p.item("plugin.wasm", "sha256:"+done.Digest)
	for _, n := range done.Notes {
		p.item("note", n)
	}
	return &answer{text: p.String(), doc: done}, nil
}

// readKey reads a secret key. No error repeats what the file holds.
func readKey(ctx context.Context, path string) (ed25519.PrivateKey, error) {
	doc, err := readFile(ctx, "--key", path, 4*limits.KiB)
	if err != nil {
		return nil, err
	}
	key, err := manifest.ParsePrivateKey(string(doc))
	if err != nil {
		return nil, fmt.Errorf("--key: %q: %w", path, err)
	}
	return key, nil
}

// file is where the signature is looked for, unless the user names another.
func (a *signArgs) file(path string) (string, error) {
	if a.out != nil {
		return *a.out, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		path = filepath.Dir(path)
	}
	if a.profile == manifest.BundleV2 {
		return filepath.Join(path, bundleSignature), nil
	}
	return filepath.Join(path, uploadSignature), nil
}

// notes say what the signature will not prove.
func (a *signArgs) notes(pkg *manifest.Package) []string {
	if a.profile == manifest.BundleV2 {
		return nil
	}
	notes := []string{"only plugin.yaml and plugin.wasm are covered, as " + a.profile.String() + " writes them; bundle-v2 covers every file"}
	for _, w := range pkg.Manifest.Warnings() {
		notes = append(notes, w.Error())
	}
	return notes
}
