package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/manifest/filestore"
)

// openPackage reads the package that is meant by name: a ref where a store is
// given, else a path.
func openPackage(ctx context.Context, store *string, name string) (*manifest.Package, error) {
	if store == nil {
		return readPackage(name)
	}
	s, err := openStore(*store)
	if err != nil {
		return nil, err
	}
	defer s.Close() // only read from, so a late error cannot matter
	pkg, err := s.Open(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("package: the store %q has no %q", *store, name)
	}
	return pkg, err
}

// openStore opens a store that is there: a name with a slip in it must not make
// an empty one.
func openStore(dir string) (*filestore.Store, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("--store: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("--store: %q is not a directory", dir)
	}
	return filestore.New(dir, filestore.Options{})
}

// readPackage reads the package at path, a directory or a zip. Its problems come
// with the lines that they are about.
func readPackage(path string) (*manifest.Package, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("package: %w", err)
	}
	if !info.IsDir() {
		return readBundle(path, info)
	}
	pkg, err := manifest.ReadPackage(os.DirFS(path))
	if err != nil {
		return nil, withSource(err, func(name string) string { return sourceText(path, name) })
	}
	return pkg, nil
}

func readBundle(path string, info fs.FileInfo) (*manifest.Package, error) {
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("package: %q is neither a directory nor a zip", path)
	}
	f, err := os.Open(path) //nolint:gosec // reading what the user names is the task
	if err != nil {
		return nil, fmt.Errorf("package: %w", err)
	}
	defer f.Close() // only read from, so a late error cannot matter
	pkg, err := manifest.ReadBundle(f, info.Size())
	if err != nil {
		return nil, withSource(err, func(name string) string { return zippedText(f, info.Size(), name) })
	}
	pkg.Signatures, err = signaturesBeside(path)
	return pkg, err
}

// The signature documents that may lie in the folder of a package.
const (
	bundleSignature = "bundle-signature.json"
	uploadSignature = "upload-signature.json"
	maxSignature    = 64 * limits.KiB
)

// signaturesBeside reads the signature documents in the folder of a zip.
func signaturesBeside(path string) ([][]byte, error) {
	var docs [][]byte
	for _, name := range []string{uploadSignature, bundleSignature} {
		doc, err := readRegular(filepath.Join(filepath.Dir(path), name), maxSignature)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, fmt.Errorf("package: %w", err)
		default:
			docs = append(docs, doc)
		}
	}
	return docs, nil
}

// readRegular looks before it opens: a named pipe could wait for ever.
func readRegular(path string, most limits.Bytes) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is not a regular file (%v)", path, info.Mode().Type())
	}
	f, err := os.Open(path) //nolint:gosec // reading what the user names is the task
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from, so a late error cannot matter
	doc, err := limits.ReadAll(f, most)
	if errors.Is(err, limits.ErrExceeded) {
		return nil, fmt.Errorf("%q is larger than %v, the most it may have", path, most)
	}
	return doc, err
}

// maxSource bounds a file that is read again to show a line of it.
const maxSource = 512 * limits.KiB

// sourceText is the text of a file whose name a problem told: only those of a
// package, and only what can be shown. Without it the problem stands alone.
func sourceText(dir, name string) string {
	if !hasLines(name) {
		return ""
	}
	f, err := os.Open(filepath.Join(dir, name)) //nolint:gosec // one of two names, in the folder that the user names
	if err != nil {
		return ""
	}
	defer f.Close() // only read from, so a late error cannot matter
	text, err := limits.ReadAll(f, maxSource)
	if err != nil {
		return ""
	}
	return string(text)
}

// zippedText is sourceText for a zip. That it is sound as a container was checked
// before anything inside could be found wrong.
func zippedText(r io.ReaderAt, size int64, name string) string {
	if !hasLines(name) {
		return ""
	}
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return ""
	}
	f, err := archive.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close() // only read from, so a late error cannot matter
	text, err := limits.ReadAll(f, maxSource)
	if err != nil {
		return ""
	}
	return string(text)
}

func hasLines(name string) bool { return name == manifestFile || name == schemaFile }

// The files of a package that have lines to point at.
const (
	manifestFile = "plugin.yaml"
	schemaFile   = "config.schema.json"
)

// maxConfig is what the host takes as a config.
const maxConfig = 2 * limits.MiB

// readConfig is the document that --config names: JSON as it stands, "@file", or
// "@-" for standard input. It is nil where the flag is not given.
func (c *console) readConfig(ctx context.Context, flag *string) ([]byte, error) {
	if flag == nil {
		return nil, nil
	}
	path, isFile := strings.CutPrefix(*flag, "@")
	switch {
	case !isFile:
		return []byte(*flag), nil
	case path == "":
		return nil, errors.New("--config: @ needs the name of a file behind it, or - for standard input")
	case path == "-":
		return readBounded(ctx, "--config: standard input", c.in, maxConfig)
	}
	return readFile(ctx, "--config", path, maxConfig)
}

func readFile(ctx context.Context, what, path string, most limits.Bytes) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // reading what the user names is the task
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer f.Close() // only read from, so a late error cannot matter
	return readBounded(ctx, fmt.Sprintf("%s: %q", what, path), f, most)
}

// readBounded reads all of r and returns when ctx ends: a terminal or a pipe may
// never do. The goroutine that still waits then ends with the process.
func readBounded(ctx context.Context, what string, r io.Reader, most limits.Bytes) ([]byte, error) {
	type outcome struct {
		doc []byte
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		doc, err := limits.ReadAll(r, most)
		done <- outcome{doc, err}
	}()
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: cancelled before its end: %w", what, ctx.Err())
	case got := <-done:
		if errors.Is(got.err, limits.ErrExceeded) {
			return nil, fmt.Errorf("%s is larger than %v, the most it may have", what, most)
		}
		if got.err != nil {
			return nil, fmt.Errorf("%s: %w", what, got.err)
		}
		return append([]byte{}, got.doc...), nil
	}
}
