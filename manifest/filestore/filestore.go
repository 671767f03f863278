// Package filestore keeps packages in a folder, under the digest of their
// bytes.
//
// A blob is written once, in one step, and hashed on every read: a file that
// was cut, changed or replaced is removed and fetched again, and never used. A
// Source turns the folder into a cache over another place.
//
//	blobs/sha256/93/93a44bbb96c7...
//
// Names of files are made of parsed digests alone; no id, version or reference
// ever becomes part of a path, and no symbolic link is followed.
package filestore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/manifest/internal/flight"
)

// A Source fetches the bytes of a digest that the folder does not have. What it
// returns is compared with the digest before it is kept or used. Where there is
// no such blob its error matches fs.ErrNotExist.
type Source func(ctx context.Context, d manifest.Digest) ([]byte, error)

// Options are the settings of a Store. The zero value keeps what is put in and
// fetches nothing.
type Options struct {
	// Source makes the Store a cache over another place.
	Source Source
	// Limit bounds one blob. Zero is 64 MiB, the largest bundle.
	Limit limits.Bytes
	// Corrupt, where set, is told of each blob that did not match its digest
	// and was removed (event "cache_corrupt"). It must not block.
	Corrupt func(d manifest.Digest)
}

// A Store is a folder of blobs, and a manifest.Store of the bundles among them.
// It is safe for concurrent use, also by several processes on one folder.
//
// Errors hold an *manifest.Error with rule digest_syntax, digest_mismatch,
// too_large or store_io; a blob that is nowhere matches fs.ErrNotExist.
type Store struct {
	root    *os.Root
	o       Options
	flights flight.Group[manifest.Digest, []byte]
	gc      sync.Mutex
}

const (
	blobs      = "blobs/sha256"
	tempPrefix = ".tmp-"
	folderMode = 0o750
	tempMode   = 0o600
	blobMode   = 0o640
	// young is the age below which nothing is cleaned away: it may belong to
	// somebody who is at work, here or in another process.
	young = time.Hour
)

// New opens the folder dir, makes it if it is not there, and removes temporary
// files that a killed process left behind more than an hour ago.
func New(dir string, o Options) (*Store, error) {
	if o.Limit <= 0 {
		o.Limit = 64 * limits.MiB
	}
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return nil, storeError(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, storeError(err)
	}
	s := &Store{root: root, o: o}
	if err := s.sweep(); err != nil {
		root.Close() // only a folder was opened, and the first error counts
		return nil, err
	}
	return s, nil
}

// Close releases the folder. Calls that come later fail.
func (s *Store) Close() error { return s.root.Close() }

// storeError says that the folder could not be used.
func storeError(cause error) error {
	return fmt.Errorf("filestore: %w: %w", &manifest.Error{Rule: "store_io", Message: "the folder cannot be used"}, cause)
}

func mismatch(d manifest.Digest, why string) error {
	return &manifest.Error{Path: d.String(), Rule: "digest_mismatch", Message: why}
}

func (s *Store) tooLarge(d manifest.Digest) error {
	return &manifest.Error{Path: d.String(), Rule: "too_large", Message: fmt.Sprintf("is larger than %v", s.o.Limit)}
}

func folderOf(d manifest.Digest) string { return path.Join(blobs, d.String()[:2]) }
func fileOf(d manifest.Digest) string   { return path.Join(folderOf(d), d.String()) }

// errCorrupt says that what lies in the place of a blob is not that blob.
var errCorrupt = errors.New("the blob does not match its digest")

// Get returns the bytes of a digest. They are hashed on every call; a blob that
// does not match is removed and fetched again from the Source. Without a Source
// that has it, the error is digest_mismatch, and nothing that did not match is
// ever returned.
func (s *Store) Get(ctx context.Context, d manifest.Digest) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	content, err := s.read(d)
	switch {
	case err == nil:
		return content, nil
	case errors.Is(err, errCorrupt):
		if err := s.drop(d); err != nil {
			return nil, err
		}
		content, err = s.fetch(ctx, d)
		if err != nil && ctx.Err() == nil {
			return nil, fmt.Errorf("filestore: %w: %w", mismatch(d, "the stored blob was damaged and could not be fetched again"), err)
		}
		return content, err
	case errors.Is(err, fs.ErrNotExist):
		return s.fetch(ctx, d)
	default:
		return nil, err
	}
}

// read returns a blob that matches its digest.
func (s *Store) read(d manifest.Digest) ([]byte, error) {
	info, err := s.root.Lstat(fileOf(d))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, notFound(d)
	case err != nil:
		return nil, storeError(err)
	case info.IsDir():
		return nil, storeError(fmt.Errorf("%s is a folder", fileOf(d)))
	case !info.Mode().IsRegular() || info.Size() > int64(s.o.Limit):
		return nil, errCorrupt
	}
	f, err := s.root.Open(fileOf(d))
	if err != nil {
		return nil, storeError(err)
	}
	defer f.Close() // only read from, so a late error cannot matter
	if opened, err := f.Stat(); err != nil || !os.SameFile(info, opened) {
		return nil, errCorrupt // another file took its place between two looks
	}
	content, err := limits.ReadAll(f, s.o.Limit)
	switch {
	case errors.Is(err, limits.ErrExceeded):
		return nil, errCorrupt
	case err != nil:
		return nil, storeError(err)
	case sha256.Sum256(content) != d:
		return nil, errCorrupt
	}
	return content, nil
}

func notFound(d manifest.Digest) error {
	return fmt.Errorf("filestore: blob %s: %w", d, fs.ErrNotExist)
}

// drop removes what lies in the place of a blob.
func (s *Store) drop(d manifest.Digest) error {
	if err := s.root.Remove(fileOf(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return storeError(err)
	}
	if s.o.Corrupt != nil {
		s.o.Corrupt(d)
	}
	return nil
}

// fetch fills a blob in from the Source, once for all who wait for it.
func (s *Store) fetch(ctx context.Context, d manifest.Digest) ([]byte, error) {
	if s.o.Source == nil {
		return nil, notFound(d)
	}
	content, err := s.flights.Do(ctx, d, func(ctx context.Context) ([]byte, error) {
		// Another reader may have filled it in since this one looked.
		if content, err := s.read(d); err == nil {
			return content, nil
		}
		content, err := s.o.Source(ctx, d)
		switch {
		case err != nil:
			return nil, err
		case len(content) > int(s.o.Limit):
			return nil, s.tooLarge(d)
		case sha256.Sum256(content) != d:
			return nil, mismatch(d, "the source returned other bytes")
		}
		return content, s.Put(ctx, d, bytes.NewReader(content))
	})
	if err != nil {
		return nil, err
	}
	return bytes.Clone(content), nil // several waiters hold it
}

// Put keeps what r yields under d. It is written beside its place, compared
// with d, and moved there in one step, so that no reader ever sees a part of
// it. A blob that is there already is done; a damaged one is replaced.
func (s *Store) Put(ctx context.Context, d manifest.Digest, r io.Reader) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch _, err := s.read(d); {
	case err == nil:
		// It counts as new, so that GC leaves it to whoever put it.
		now := time.Now()
		if err := s.root.Chtimes(fileOf(d), now, now); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return storeError(err)
		} else if err == nil {
			return nil
		}
	case !errors.Is(err, errCorrupt) && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := s.root.MkdirAll(folderOf(d), folderMode); err != nil {
		return storeError(err)
	}
	temp, err := s.writeTemp(ctx, d, r)
	if err != nil {
		return err
	}
	if err := s.root.Rename(temp, fileOf(d)); err != nil {
		s.removeTemp(temp)
		// Some systems refuse to replace a file that is open elsewhere.
		if _, again := s.read(d); again == nil {
			return nil
		}
		return storeError(err)
	}
	return s.syncFolder(folderOf(d))
}

// Open reads the bundle under ref: its digest, and after each "+" the digest of
// a signature document that belongs to it, as Add returns it.
func (s *Store) Open(ctx context.Context, ref string) (*manifest.Package, error) {
	bundle, signatures, err := parseRef(ref)
	if err != nil { // what is no digest cannot be here
		return nil, fmt.Errorf("filestore: %w: %w", err, fs.ErrNotExist)
	}
	content, err := s.Get(ctx, bundle)
	if err != nil {
		return nil, err
	}
	p, err := manifest.ReadBundle(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, err
	}
	for _, d := range signatures {
		doc, err := s.Get(ctx, d)
		if err != nil {
			return nil, err
		}
		p.Signatures = append(p.Signatures, doc)
	}
	return p, nil
}

// Add keeps a package with its signatures and returns the ref to open it by.
// Equal packages have equal refs.
func (s *Store) Add(ctx context.Context, p *manifest.Package) (ref string, err error) {
	var bundle bytes.Buffer
	if err := manifest.WriteBundle(&bundle, p); err != nil {
		return "", err
	}
	for _, blob := range append([][]byte{bundle.Bytes()}, p.Signatures...) {
		d := manifest.Digest(sha256.Sum256(blob))
		if err := s.Put(ctx, d, bytes.NewReader(blob)); err != nil {
			return "", err
		}
		if ref != "" {
			ref += "+"
		}
		ref += d.String()
	}
	return ref, nil
}
