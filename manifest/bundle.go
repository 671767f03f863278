package manifest

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/sandcheck/sandcheck/limits"
)

const (
	maxBundle  = 64 * limits.MiB
	maxEntries = 16
)

// ReadBundle reads a package from a zip of size bytes. The container is checked
// before anything in it is used: one archive and nothing before, after or
// between, at most 16 entries, only the files of a package, each once, regular,
// stored or deflated, no larger than it may be and exactly as long as it says.
// Nothing is written to a disk.
//
// The error joins one *Error per problem. Its Rule is one of bundle_not_zip,
// bundle_too_large, bundle_leading_data, bundle_trailing_data,
// too_many_entries, entry_name, entry_duplicate, entry_not_regular,
// entry_encrypted, entry_unexpected, entry_method, entry_too_large,
// entry_header_mismatch, entry_checksum and entry_missing; what is wrong inside
// the files is reported as by ReadPackage.
func ReadBundle(r io.ReaderAt, size int64) (*Package, error) {
	b := &bundle{r: r, size: size}
	if err := b.open(); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	var errs []error
	for i := range b.entries {
		content, err := b.read(i)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		files[b.entries[i].name] = content
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, f := range packageFiles {
		if f.required && len(files[f.name]) == 0 {
			errs = append(errs, missing(f.name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return newPackage(files)
}

// WriteBundle writes the files of p as a zip, deflated, sorted by name and
// without times or owners, so that the same package gives the same bytes. It
// writes only what ReadBundle accepts. Signatures are not part of a bundle; keep
// them beside it.
func WriteBundle(w io.Writer, p *Package) error {
	if err := p.complete(); err != nil {
		return err
	}
	z := zip.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(p.Files)) {
		//lint:ignore SA1019 Modified would add a second timestamp, which older readers do not know
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, ModifiedDate: 1<<5 | 1} // 1980-01-01
		h.SetMode(0o644)
		f, err := z.CreateHeader(h)
		if err != nil {
			return fmt.Errorf("manifest: writing %s: %w", name, err)
		}
		if _, err := f.Write(p.Files[name]); err != nil {
			return fmt.Errorf("manifest: writing %s: %w", name, err)
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("manifest: writing the bundle: %w", err)
	}
	return nil
}

// complete reports what keeps the files of p from being a package.
func (p *Package) complete() error {
	if p == nil {
		return missing(manifestFile)
	}
	var errs []error
	for _, f := range packageFiles {
		content, ok := p.Files[f.name]
		switch {
		case f.required && len(content) == 0:
			errs = append(errs, missing(f.name))
		case ok && len(content) > int(f.most):
			errs = append(errs, tooLarge(f.name, f.most))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Files)) {
		if _, known := fileLimit(name); !known {
			errs = append(errs, unexpected(name))
		}
	}
	if len(errs) == 0 && !bytes.Equal(p.Files[wasmFile], p.Wasm) {
		errs = append(errs, &Error{File: wasmFile, Rule: "entry_checksum", Message: "the package was changed: Wasm and Files differ"})
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	_, err := newPackage(maps.Clone(p.Files))
	return err
}

func fileLimit(name string) (limits.Bytes, bool) {
	for _, f := range packageFiles {
		if f.name == name {
			return f.most, true
		}
	}
	return 0, false
}

func unexpected(name string) *Error {
	return &Error{File: clipName(name), Rule: "entry_unexpected", Message: "does not belong to a package" + suggestion(name, []string{
		manifestFile, wasmFile, schemaFile, displayFile,
	})}
}
