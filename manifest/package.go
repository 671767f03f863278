package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"

	"github.com/sandcheck/sandcheck/internal/strict"
	"github.com/sandcheck/sandcheck/limits"
)

// Signature documents that lie beside a package and are never inside a zip.
var signatureFiles = []string{"upload-signature.json", "bundle-signature.json"}

// maxSignature bounds one signature document.
const maxSignature = 64 * limits.KiB

// packageFiles are the files of a package, sorted by name.
var packageFiles = []struct {
	name     string
	most     limits.Bytes
	required bool
}{
	{schemaFile, maxSchema, false},
	{displayFile, maxDisplay, false},
	{wasmFile, maxWasm, true},
	{manifestFile, maxManifest, true},
}

// A Package is what an author ships, read and checked but neither verified nor
// executed. Its slices belong to whoever holds it and must not be changed while
// it is loaded or verified.
type Package struct {
	Manifest *Manifest
	// Schema is the config schema, nil where the package has none.
	Schema *ConfigSchema
	// Wasm is plugin.wasm.
	Wasm []byte
	// Files holds the files of the package by name, as they were read. It is
	// what signatures cover and what WriteBundle writes.
	Files map[string][]byte
	// Signatures are the signature documents that came with the package, as
	// they were read. A zip brings none: set them from beside it.
	Signatures [][]byte
}

// Digest is the SHA-256 of Wasm, computed on each call.
func (p *Package) Digest() Digest { return sha256.Sum256(p.Wasm) }

// ReadPackage reads a package from a directory, an embed.FS or any other file
// system. Only the files of a package and the signature documents beside them
// are opened; others do not matter.
//
// The error joins one *Error per problem. Its Rule is entry_missing,
// entry_too_large, entry_not_regular, manifest_invalid, sidecar_invalid,
// wasm_magic, wasm_version, wasm_component or signature_syntax; the problems
// inside plugin.yaml and config.schema.json follow in the same tree. An error
// of the file system itself is wrapped as it is.
func ReadPackage(fsys fs.FS) (*Package, error) {
	files := map[string][]byte{}
	var errs []error
	for _, f := range packageFiles {
		content, err := readFile(fsys, f.name, f.most)
		switch {
		case errors.Is(err, fs.ErrNotExist) || err == nil && f.required && len(content) == 0:
			if f.required {
				errs = append(errs, missing(f.name))
			}
		case err != nil:
			errs = append(errs, err)
		default:
			files[f.name] = content
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	p, err := newPackage(files)
	if err != nil {
		return nil, err
	}
	if p.Signatures, err = readSignatures(fsys); err != nil {
		return nil, err
	}
	return p, nil
}

func missing(name string) *Error {
	return &Error{File: name, Rule: "entry_missing", Message: "is missing or empty: every package has a plugin.yaml and a plugin.wasm"}
}

// readFile reads a regular file of at most most bytes. It looks before it opens:
// opening a named pipe waits for a writer, for ever if the author likes.
func readFile(fsys fs.FS, name string, most limits.Bytes) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if err := regular(name, info, err); err != nil {
		return nil, err
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from, so a late error cannot matter
	info, err = f.Stat()
	if err := regular(name, info, err); err != nil {
		return nil, err
	}
	content, err := limits.ReadAll(f, most)
	if errors.Is(err, limits.ErrExceeded) {
		return nil, tooLarge(name, most)
	}
	return content, err
}

func regular(name string, info fs.FileInfo, err error) error {
	if err == nil && !info.Mode().IsRegular() {
		err = &Error{File: name, Rule: "entry_not_regular", Message: fmt.Sprintf("is not a regular file (%v)", info.Mode().Type())}
	}
	return err
}

func tooLarge(name string, most limits.Bytes) *Error {
	return &Error{File: name, Rule: "entry_too_large", Message: fmt.Sprintf("is larger than %v, the most it may have", most)}
}

func readSignatures(fsys fs.FS) ([][]byte, error) {
	var docs [][]byte
	for _, name := range signatureFiles {
		doc, err := readFile(fsys, name, maxSignature)
		var e *Error
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case errors.As(err, &e):
			return nil, &Error{File: name, Rule: "signature_syntax", Message: e.Message}
		case err != nil:
			return nil, err
		default:
			docs = append(docs, doc)
		}
	}
	return docs, nil
}

// newPackage makes a package of files that hold plugin.yaml and plugin.wasm.
// It reports the problems of all files, those of plugin.yaml first.
func newPackage(files map[string][]byte) (*Package, error) {
	p := &Package{Files: files, Wasm: files[wasmFile]}
	var errs []error
	m, err := Parse(files[manifestFile])
	if err != nil {
		errs = append(errs, refuseFile(manifestFile, "manifest_invalid", err))
	}
	p.Manifest = m
	if doc, ok := files[schemaFile]; ok {
		if p.Schema, err = ParseConfigSchema(doc); err != nil {
			errs = append(errs, refuseFile(schemaFile, "sidecar_invalid", err))
		}
	}
	if doc, ok := files[displayFile]; ok {
		contract, err := parseDisplay(doc)
		if err != nil {
			errs = append(errs, refuseFile(displayFile, "sidecar_invalid", err))
		} else if m != nil {
			m.Display = contract
		}
	}
	if err := checkWasmHeader(p.Wasm); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

// checkWasmHeader refuses what is not a core module of version 1.
func checkWasmHeader(wasm []byte) error {
	bad := func(rule, message string) error {
		return &Error{File: wasmFile, Rule: rule, Message: message}
	}
	switch {
	case len(wasm) < 8 || !bytes.HasPrefix(wasm, []byte("\x00asm")):
		return bad("wasm_magic", "is not a Wasm module: it does not begin with \\0asm and a version")
	case bytes.Equal(wasm[4:8], []byte{1, 0, 0, 0}):
		return nil
	case wasm[6] == 1 && wasm[7] == 0:
		return bad("wasm_component", "is a Wasm component: build a core module (for Rust: target wasm32-wasip1, not wasip2)")
	default:
		return bad("wasm_version", fmt.Sprintf("has version bytes % x: only version 1 is known", wasm[4:8]))
	}
}

// parseDisplay reads display_contract.json.
func parseDisplay(doc []byte) (*DisplayContract, error) {
	p := &problems{file: displayFile}
	if err := strict.Check(doc, strict.Options{Bytes: int(maxDisplay)}); err != nil {
		strictProblems(p, doc, "display-json", err, true)
		return nil, p.err()
	}
	t, err := growTree(doc)
	if err != nil {
		p.add(mark{}, "", "display-json", "%v", err)
		return nil, p.err()
	}
	d := &DisplayContract{Raw: json.RawMessage(slices.Clone(t.raw()))}
	if v, ok := t.get("schema_version"); ok && v.kind != strict.Null {
		if v.kind == strict.Number && plainInt.MatchString(v.text) && compareDecimals(v.text, "0") >= 0 && compareDecimals(v.text, fmt.Sprint(math.MaxInt32)) <= 0 {
			d.SchemaVersion = int(decimal(v.text).Num().Int64())
		} else {
			p.add(position(doc, v.start), "/schema_version", "display-type", "must be a whole number >= 0")
		}
	}
	if v, ok := t.get("widgets"); ok && v.kind != strict.Null {
		d.Widgets = widgetNames(p, v)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return d, nil
}

func widgetNames(p *problems, v *tree) []string {
	if v.kind != strict.Array {
		p.add(position(v.doc, v.start), "/widgets", "display-type", "must be an array of strings, got %s", kindName(v.kind))
		return nil
	}
	var names []string
	for i := range v.items {
		item := &v.items[i]
		if item.kind != strict.Text && len(p.list) < maxProblems {
			p.add(position(v.doc, item.start), strict.Index("/widgets", i), "display-type", "must be a string, got %s", kindName(item.kind))
		}
		names = append(names, item.text)
	}
	return names
}
