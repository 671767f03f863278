package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sandcheck/sandcheck/manifest"
)

const packUsage = `sandcheck pack [flags] PACKAGE
  -o FILE                the zip to write
  --store DIR            put the package into that store and print its reference
  --format F             text or json; default text
`

// packedJSON is the object of pack --format json.
type packedJSON struct {
	File   string   `json:"file"`
	Ref    string   `json:"ref"`
	SHA256 string   `json:"sha256"`
	Size   int      `json:"size"`
	Digest string   `json:"digest"`
	Files  []string `json:"files"`
}

// packPackage is sandcheck pack.
func packPackage(ctx context.Context, c *console, args []string) int {
	t := newTool("pack", packUsage)
	var file, store *string
	once(t.flags, "o", keep(&file))
	once(t.flags, "store", keep(&store))
	return c.use(t, args, func(operands []string) (*answer, error) {
		path, err := one(operands, thePackage)
		switch {
		case err != nil:
			return nil, err
		case file == nil && store == nil:
			return nil, mistaken("neither -o FILE nor --store DIR says where to")
		}
		pkg, err := readPackage(path)
		if err != nil {
			return nil, err
		}
		return pack(ctx, pkg, file, store)
	})
}

func pack(ctx context.Context, pkg *manifest.Package, file, store *string) (*answer, error) {
	var zip bytes.Buffer
	if err := manifest.WriteBundle(&zip, pkg); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(zip.Bytes())
	done := packedJSON{
		SHA256: hex.EncodeToString(sum[:]), Size: zip.Len(), Digest: pkg.Digest().String(), Files: slices.Sorted(maps.Keys(pkg.Files)),
	}
	if file != nil {
		if err := replaceFile(*file, zip.Bytes()); err != nil {
			return nil, err
		}
		done.File = *file
	}
	if store != nil {
		s, err := openStore(*store)
		if err != nil {
			return nil, err
		}
		defer s.Close() // Add has returned once all is kept
		if done.Ref, err = s.Add(ctx, pkg); err != nil {
			return nil, err
		}
	}
	p := &page{}
	fmt.Fprintf(p, "packed %s %s\n", oneLine(pkg.Manifest.ID), oneLine(pkg.Manifest.Version))
	p.item("file", done.File)
	p.item("reference", done.Ref)
	p.item("sha256", fmt.Sprintf("%s, %d bytes", done.SHA256, done.Size))
	p.item("plugin.wasm", "sha256:"+done.Digest)
	p.item("files", strings.Join(done.Files, ", "))
	if store == nil && len(pkg.Signatures) > 0 {
		p.item("note", "signatures are no part of a zip: copy them beside it")
	}
	return &answer{text: p.String(), doc: done}, nil
}
