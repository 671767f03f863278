package manifesttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"testing/fstest"
	"time"

	"github.com/sandcheck/sandcheck/manifest"
)

// patience bounds a call that must end at once.
const patience = 10 * time.Second

func broken(rule int, format string, args ...any) error {
	return fmt.Errorf("rule %d is broken: %s", rule, fmt.Sprintf(format, args...))
}

// TestStore checks the rules of manifest.Store. ref must name a package in s
// that is equal to want, file by file.
func TestStore(s manifest.Store, ref string, want *manifest.Package) error {
	ctx := context.Background()
	first, err := s.Open(ctx, ref)
	if err != nil {
		return fmt.Errorf("Open(%q): %w", ref, err)
	}
	if err := samePackage(first, want); err != nil {
		return broken(5, "Open(%q): %v", ref, err)
	}
	return errors.Join(
		unknownRefs(s),
		ownPackage(s, ref, first, want),
		manyOpen(s, ref, want),
		cancelledOpen(s, ref),
	)
}

func unknownRefs(s manifest.Store) error {
	var errs []error
	for _, ref := range []string{
		"", "no-such-package", "../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "..", "a\x00b", `..\..\x`,
		"sha256:00000000000000000000000000000000000000000000000000000000000000ff",
	} {
		p, err := s.Open(context.Background(), ref)
		if p != nil || !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, broken(1, "Open(%q) = %v, %v: want an error that matches fs.ErrNotExist (or rule 3: a ref that became a path)", ref, p, err))
		}
	}
	return errors.Join(errs...)
}

// ownPackage spoils what Open returned and opens again.
func ownPackage(s manifest.Store, ref string, first, want *manifest.Package) error {
	spoil(first.Wasm)
	for _, content := range first.Files {
		spoil(content)
	}
	for _, doc := range first.Signatures {
		spoil(doc)
	}
	clear(first.Files)
	first.Manifest.Capabilities = append(first.Manifest.Capabilities[:0], "spoiled")
	again, err := s.Open(context.Background(), ref)
	if err != nil {
		return broken(2, "Open(%q) after the first package was changed: %v", ref, err)
	}
	if err := samePackage(again, want); err != nil {
		return broken(2, "Open(%q) after the first package was changed: %v", ref, err)
	}
	return nil
}

func spoil(b []byte) {
	for i := range b {
		b[i] ^= 0xff
	}
}

func manyOpen(s manifest.Store, ref string, want *manifest.Package) error {
	errs := make([]error, 16)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			p, err := s.Open(context.Background(), ref)
			if err == nil {
				err = samePackage(p, want)
			}
			if err != nil {
				errs[i] = broken(4, "Open(%q) by many goroutines: %v", ref, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func cancelledOpen(s manifest.Store, ref string) error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err, ended := ends(func() error { _, err := s.Open(ctx, ref); return err })
	if !ended || !errors.Is(err, context.Canceled) {
		return broken(4, "Open(%q) under a context that has ended: %v after at most %v, want context.Canceled", ref, err, patience)
	}
	return nil
}

// ends runs f and reports whether it came back.
func ends(f func() error) (err error, ended bool) { //nolint:revive // the error is a value here
	done := make(chan error, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-done:
		return err, true
	case <-timer.C:
		return nil, false
	}
}

// samePackage compares what packages hold.
func samePackage(got, want *manifest.Package) error {
	switch {
	case got == nil:
		return errors.New("there is no package and no error")
	case !maps.EqualFunc(got.Files, want.Files, bytes.Equal):
		return fmt.Errorf("its files are not those that were put in: %q", slices.Sorted(maps.Keys(got.Files)))
	case !bytes.Equal(got.Wasm, want.Wasm):
		return errors.New("its Wasm is not plugin.wasm")
	case got.Manifest == nil || got.Manifest.ID != want.Manifest.ID || got.Manifest.Version != want.Manifest.Version:
		return errors.New("its Manifest is not that of plugin.yaml")
	case (got.Schema == nil) != (want.Schema == nil):
		return errors.New("its Schema is not that of config.schema.json")
	case !slices.EqualFunc(got.Signatures, want.Signatures, bytes.Equal):
		return fmt.Errorf("it brings %d signatures, not the %d that were put in", len(got.Signatures), len(want.Signatures))
	}
	return nil
}

// TestVerifier checks the rules of manifest.Verifier. v must vouch for good as
// it is; the suite makes bad packages of it.
func TestVerifier(v manifest.Verifier, good *manifest.Package) error {
	ctx := context.Background()
	before := clone(good)
	verdict, err := v.Verify(ctx, good)
	if err != nil || verdict == nil {
		return fmt.Errorf("the good package: %+v, %w", verdict, err)
	}
	var errs []error
	if err := samePackage(good, before); err != nil {
		return broken(4, "after Verify: %v", err) // nothing further can be said of this package
	}
	if !slices.IsSorted(verdict.Covered) || len(verdict.Covered) == 0 {
		errs = append(errs, broken(3, "Covered is %q: want names, sorted", verdict.Covered))
	}
	for _, name := range verdict.Covered {
		if _, ok := good.Files[name]; !ok {
			errs = append(errs, broken(3, "Covered names %q, which the package does not have", name))
		}
	}
	unsigned := clone(good)
	unsigned.Signatures = nil
	errs = append(errs, refuses(v, 1, "a package without signatures", unsigned, "signature_missing"))
	for name := range good.Files {
		if changed := tampered(good, name); changed != nil && slices.Contains(verdict.Covered, name) {
			errs = append(errs, refuses(v, 3, "another "+name, changed, ""))
		}
	}
	errs = append(errs, manyVerify(v, good), cancelledVerify(v, good))
	return errors.Join(errs...)
}

func clone(p *manifest.Package) *manifest.Package {
	q := *p
	q.Wasm = bytes.Clone(p.Wasm)
	q.Files = map[string][]byte{}
	for name, content := range p.Files {
		q.Files[name] = bytes.Clone(content)
	}
	q.Signatures = nil
	for _, doc := range p.Signatures {
		q.Signatures = append(q.Signatures, bytes.Clone(doc))
	}
	return &q
}

// tampered is p with other bytes in one file, still a valid package.
func tampered(p *manifest.Package, name string) *manifest.Package {
	addition := map[string]string{
		"plugin.yaml": "\ndescription: tampered with\n", "plugin.wasm": "\x00\x01\x00",
		"config.schema.json": " ", "display_contract.json": " ",
	}[name]
	fsys := fstest.MapFS{}
	for file, content := range p.Files {
		fsys[file] = &fstest.MapFile{Data: bytes.Clone(content)}
	}
	fsys[name].Data = append(fsys[name].Data, addition...)
	q, err := manifest.ReadPackage(fsys)
	if err != nil {
		return nil // such as a description that is there already
	}
	q.Signatures = p.Signatures
	return q
}

func refuses(v manifest.Verifier, rule int, what string, p *manifest.Package, code string) error {
	verdict, err := v.Verify(context.Background(), p)
	if err == nil {
		return broken(rule, "%s is vouched for: %+v", what, verdict)
	}
	if verdict != nil {
		return broken(2, "%s: a Verdict comes with the error %v", what, err)
	}
	var e *manifest.Error
	if code != "" && (!errors.As(err, &e) || e.Rule != code) {
		return broken(rule, "%s: %v, want an *Error with rule %s", what, err, code)
	}
	return nil
}

func manyVerify(v manifest.Verifier, good *manifest.Package) error {
	errs := make([]error, 16)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			if _, err := v.Verify(context.Background(), good); err != nil {
				errs[i] = broken(5, "Verify by many goroutines: %v", err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func cancelledVerify(v manifest.Verifier, good *manifest.Package) error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, ended := ends(func() error { _, err := v.Verify(ctx, good); return err }); !ended {
		return broken(5, "Verify under a context that has ended did not come back within %v", patience)
	}
	return nil
}

// TestVersionStore checks the rules of manifest.VersionStore. The suite writes
// under ids of its own, which begin with "manifesttest".
func TestVersionStore(v manifest.VersionStore) error {
	ctx := context.Background()
	var errs []error
	expect := func(rule int, id, version string, d manifest.Digest) {
		gotVersion, got, err := v.Seen(ctx, id)
		if err != nil || gotVersion != version || got != d {
			errs = append(errs, broken(rule, "Seen(%q) = %q, %v, %v, want %q, %v", id, gotVersion, got, err, version, d))
		}
	}
	remember := func(id, version string, d manifest.Digest) {
		if err := v.Remember(ctx, id, version, d); err != nil {
			errs = append(errs, broken(3, "Remember(%q): %v", id, err))
		}
	}
	expect(2, "manifesttest/never", "", manifest.Digest{})
	for _, id := range []string{"manifesttest", "manifesttest@key/../1", "manifesttest@Key", "manifesttest@key\n\x00ü"} {
		remember(id, "1.0.0", manifest.Digest{1})
		expect(1, id, "1.0.0", manifest.Digest{1})
		remember(id, "2.0.0-rc.1+b", manifest.Digest{2})
		expect(3, id, "2.0.0-rc.1+b", manifest.Digest{2})
	}
	expect(1, "manifesttest@key", "", manifest.Digest{})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			_ = v.Remember(ctx, "manifesttest", fmt.Sprintf("3.0.%d", i), manifest.Digest{3}) // checked together below
			_, _, _ = v.Seen(ctx, "manifesttest")
		})
	}
	wg.Wait()
	if version, d, err := v.Seen(ctx, "manifesttest"); err != nil || d != (manifest.Digest{3}) || len(version) < 5 {
		errs = append(errs, broken(4, "after Remember by many goroutines: Seen = %q, %v, %v", version, d, err))
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, came := ends(func() error { _, _, err := v.Seen(ended, "manifesttest"); return err }); !came {
		errs = append(errs, broken(4, "Seen under a context that has ended did not come back within %v", patience))
	}
	return errors.Join(errs...)
}
