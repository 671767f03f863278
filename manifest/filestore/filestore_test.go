package filestore_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/manifest/filestore"
	"github.com/sandcheck/sandcheck/manifest/manifesttest"
)

func open(t *testing.T, dir string, o filestore.Options) *filestore.Store {
	t.Helper()
	s, err := filestore.New(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func digestOf(text string) manifest.Digest { return sha256.Sum256([]byte(text)) }

func put(t *testing.T, s *filestore.Store, text string) manifest.Digest {
	t.Helper()
	d := digestOf(text)
	if err := s.Put(context.Background(), d, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return d
}

func rule(err error) string {
	var e *manifest.Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Rule
}

func place(dir string, d manifest.Digest) string {
	return filepath.Join(dir, "blobs", "sha256", d.String()[:2], d.String())
}

// files lists what lies in the folders of blobs, temporary files apart.
func files(t *testing.T, dir string) (kept, temps []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if strings.HasPrefix(filepath.Base(name), ".") {
			temps = append(temps, name)
		} else {
			kept = append(kept, name)
		}
	}
	return kept, temps
}

// steps runs each case of the vectors by its id: the cases are told in words,
// so the test tells them in Go. What another package answers for is named.
var steps = map[string]func(*testing.T){
	"st-001": func(t *testing.T) { heals(t, "other bytes") },
	"st-003": func(t *testing.T) { heals(t, "") },
	"st-005": damagedAndOffline,
	"st-007": symlinkIsNotFollowed,
	"st-009": manyWriters,
	"st-011": putComparesDigest,
	"st-013": putIsBounded,
	"st-015": oldTempsAreSwept,
	"st-017": keysAreDigests,
	"st-019": unusableFolder,
	"st-021": modes,
	"st-023": nil, // compiled code is kept by internal/engine
}

func TestVectors(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join("..", "..", "testdata", "vectors", "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Cases []struct{ ID, Kind, Note string }
	}
	if err := json.Unmarshal(doc, &vectors); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, c := range vectors.Cases {
		if c.Kind != "store" {
			continue
		}
		step, known := steps[c.ID]
		if !known {
			t.Errorf("%s: nothing runs this case: %s", c.ID, c.Note)
			continue
		}
		ran++
		if step != nil {
			t.Run(c.ID, func(t *testing.T) { t.Parallel(); step(t) })
		}
	}
	if ran != len(steps) {
		t.Errorf("ran %d cases, know %d", ran, len(steps))
	}
}

func heals(t *testing.T, content string) {
	dir := t.TempDir()
	var fetched, events atomic.Int32
	s := open(t, dir, filestore.Options{
		Source:  func(context.Context, manifest.Digest) ([]byte, error) { fetched.Add(1); return []byte("good"), nil },
		Corrupt: func(manifest.Digest) { events.Add(1) },
	})
	d := put(t, s, "good")
	if err := os.WriteFile(place(dir, d), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is good again
		if got, err := s.Get(context.Background(), d); err != nil || string(got) != "good" {
			t.Errorf("Get = %q, %v", got, err)
		}
	}
	if fetched.Load() != 1 || events.Load() != 1 {
		t.Errorf("%d fetches and %d events, want one each", fetched.Load(), events.Load())
	}
	if got, err := os.ReadFile(place(dir, d)); err != nil || string(got) != "good" {
		t.Errorf("the file holds %q, %v", got, err)
	}
}

func damagedAndOffline(t *testing.T) {
	for name, source := range map[string]filestore.Source{
		"no source": nil,
		"offline":   func(context.Context, manifest.Digest) ([]byte, error) { return nil, errors.New("no route") },
		"lying":     func(context.Context, manifest.Digest) ([]byte, error) { return []byte("login page"), nil },
	} {
		dir := t.TempDir()
		s := open(t, dir, filestore.Options{Source: source})
		d := put(t, s, "good")
		if err := os.WriteFile(place(dir, d), []byte("bad!"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(context.Background(), d); got != nil || rule(err) != "digest_mismatch" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if kept, temps := files(t, dir); len(kept)+len(temps) != 0 {
			t.Errorf("%s: left %q %q", name, kept, temps)
		}
	}
}

func symlinkIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, filestore.Options{})
	d := put(t, s, "good")
	elsewhere := filepath.Join(t.TempDir(), "good")
	if err := errors.Join(os.WriteFile(elsewhere, []byte("good"), 0o600), os.Remove(place(dir, d)), os.Symlink(elsewhere, place(dir, d))); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(context.Background(), d); err == nil {
		t.Errorf("the link was followed: %q", got)
	}
	if _, err := os.Stat(elsewhere); err != nil {
		t.Errorf("what it led to was touched: %v", err)
	}
}

func manyWriters(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, filestore.Options{})
	text := strings.Repeat("x", 100_000)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if err := s.Put(context.Background(), digestOf(text), strings.NewReader(text)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if kept, temps := files(t, dir); len(kept) != 1 || len(temps) != 0 {
		t.Errorf("left %q and %q", kept, temps)
	}
}

func putComparesDigest(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, filestore.Options{})
	if err := s.Put(context.Background(), digestOf("other"), strings.NewReader("these")); rule(err) != "digest_mismatch" {
		t.Error(err)
	}
	if kept, temps := files(t, dir); len(kept)+len(temps) != 0 {
		t.Errorf("left %q %q", kept, temps)
	}
}

func putIsBounded(t *testing.T) {
	for n, want := range map[int]string{1023: "", 1024: "", 1025: "too_large"} {
		dir := t.TempDir()
		s := open(t, dir, filestore.Options{Limit: limits.KiB})
		text := strings.Repeat("x", n)
		if err := s.Put(context.Background(), digestOf(text), strings.NewReader(text)); rule(err) != want {
			t.Errorf("%d bytes: %v, want %q", n, err, want)
		}
		if kept, temps := files(t, dir); len(temps) != 0 || (len(kept) == 1) != (want == "") {
			t.Errorf("%d bytes: left %q %q", n, kept, temps)
		}
	}
}

func oldTempsAreSwept(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "blobs", "sha256", "ab")
	if err := os.MkdirAll(folder, 0o750); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{".tmp-old": 61 * time.Minute, ".tmp-young": 59 * time.Minute} {
		at := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(filepath.Join(folder, name), nil, 0o600), os.Chtimes(filepath.Join(folder, name), at, at)); err != nil {
			t.Fatal(err)
		}
	}
	open(t, dir, filestore.Options{})
	if _, temps := files(t, dir); len(temps) != 1 || filepath.Base(temps[0]) != ".tmp-young" {
		t.Errorf("left %q, want the young one", temps)
	}
}

func keysAreDigests(t *testing.T) {
	s := open(t, t.TempDir(), filestore.Options{})
	for _, ref := range []string{"../../etc/passwd", "", "http-check", strings.Repeat("ab", 32) + "/x"} {
		if _, err := s.Open(context.Background(), ref); rule(err) != "digest_syntax" {
			t.Errorf("Open(%q): %v", ref, err)
		}
	}
}

// unusableFolder puts a file where a folder has to be: unlike a mode, that
// also stops the superuser.
func unusableFolder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, filestore.Options{})
	if err := os.WriteFile(filepath.Join(dir, "blobs"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(context.Background(), digestOf("a"), strings.NewReader("a")); rule(err) != "store_io" {
		t.Errorf("Put: %v", err)
	}
	if _, err := s.Get(context.Background(), digestOf("a")); err == nil {
		t.Error("Get: no error")
	}
	if _, err := filestore.New(filepath.Join(dir, "blobs"), filestore.Options{}); rule(err) != "store_io" {
		t.Errorf("New: %v", err)
	}
	if os.Geteuid() == 0 || runtime.GOOS == "windows" {
		return // modes stop nobody here
	}
	locked := t.TempDir()
	s = open(t, locked, filestore.Options{})
	if err := os.Chmod(locked, 0o500); err != nil { //nolint:gosec // a folder
		t.Fatal(err)
	}
	if err := s.Put(context.Background(), digestOf("a"), strings.NewReader("a")); rule(err) != "store_io" {
		t.Errorf("Put into a read-only folder: %v", err)
	}
}

func modes(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // has no such modes
	}
	dir := filepath.Join(t.TempDir(), "new")
	s := open(t, dir, filestore.Options{})
	d := put(t, s, "good")
	for _, tt := range []struct {
		name  string
		loose fs.FileMode
	}{
		{dir, 0o027}, {filepath.Join(dir, "blobs"), 0o027}, {filepath.Join(dir, "blobs", "sha256"), 0o027},
		{filepath.Dir(place(dir, d)), 0o027}, {place(dir, d), 0o137},
	} {
		info, err := os.Stat(tt.name)
		if err != nil || info.Mode().Perm()&tt.loose != 0 {
			t.Errorf("%s: %v, %v", tt.name, info.Mode(), err)
		}
	}
}

func TestFolderInPlaceOfABlob(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, filestore.Options{})
	d := digestOf("good")
	if err := os.MkdirAll(filepath.Join(place(dir, d), "x"), 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(context.Background(), d); rule(err) != "store_io" {
		t.Errorf("Get: %v", err)
	}
	if err := s.Put(context.Background(), d, strings.NewReader("good")); rule(err) != "store_io" {
		t.Errorf("Put: %v", err)
	}
}

type failing struct{ after int }

func (f *failing) Read(p []byte) (int, error) {
	if f.after--; f.after < 0 {
		return 0, errors.New("the line is cut")
	}
	return copy(p, "part"), nil
}

// TestW64: a write that fails half-way leaves nothing that could be used.
func TestW64(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, filestore.Options{})
	if err := s.Put(context.Background(), digestOf("good"), &failing{after: 3}); rule(err) != "store_io" {
		t.Errorf("Put of a failing reader: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := io.MultiReader(strings.NewReader("go"), readerFunc(func([]byte) (int, error) { cancel(); return 0, nil }), strings.NewReader("od"))
	if err := s.Put(ctx, digestOf("good"), r); !errors.Is(err, context.Canceled) {
		t.Errorf("Put that is cancelled: %v", err)
	}
	if kept, temps := files(t, dir); len(kept)+len(temps) != 0 {
		t.Errorf("left %q %q", kept, temps)
	}

	var requests atomic.Int32
	slow := make(chan struct{})
	s = open(t, dir, filestore.Options{Source: func(context.Context, manifest.Digest) ([]byte, error) {
		requests.Add(1)
		<-slow
		return []byte("good"), nil
	}})
	var wg sync.WaitGroup
	var asked sync.WaitGroup
	for range 20 {
		asked.Add(1)
		wg.Go(func() {
			asked.Done()
			if got, err := s.Get(context.Background(), digestOf("good")); err != nil || string(got) != "good" {
				t.Errorf("Get = %q, %v", got, err)
			}
		})
	}
	asked.Wait()
	close(slow)
	wg.Wait()
	// Who asks after the answer came reads the file, so there is one request.
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests for 20 readers, want 1", n)
	}
	if kept, temps := files(t, dir); len(kept) != 1 || len(temps) != 0 {
		t.Errorf("left %q %q", kept, temps)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestW65: unreferenced blobs go, referenced and young ones stay.
func TestW65(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, filestore.Options{})
	kept, dropped, young := put(t, s, "kept"), put(t, s, "dropped"), put(t, s, "young")
	old := time.Now().Add(-2 * time.Hour)
	for _, d := range []manifest.Digest{kept, dropped} {
		if err := os.Chtimes(place(dir, d), old, old); err != nil {
			t.Fatal(err)
		}
	}
	n, err := s.GC(context.Background(), kept)
	if err != nil || n != 1 {
		t.Errorf("GC = %d, %v, want 1", n, err)
	}
	for d, want := range map[manifest.Digest]bool{kept: true, dropped: false, young: true} {
		if _, err := s.Get(context.Background(), d); (err == nil) != want {
			t.Errorf("%s: %v, want there = %v", d, err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "gc.lock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lock file stays: %v", err)
	}
	if _, err := s.Get(context.Background(), dropped); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a dropped blob: %v, want fs.ErrNotExist", err)
	}
	// Putting a blob again makes it young.
	if err := os.Chtimes(place(dir, kept), old, old); err != nil {
		t.Fatal(err)
	}
	put(t, s, "kept")
	if n, err := s.GC(context.Background()); err != nil || n != 0 {
		t.Errorf("GC after Put = %d, %v, want 0", n, err)
	}
}

func TestGCLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, filestore.Options{})
	lock := filepath.Join(dir, "gc.lock")
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GC(context.Background()); rule(err) != "store_io" || !errors.Is(err, fs.ErrExist) {
		t.Errorf("GC beside another: %v", err)
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(lock, old, old); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GC(context.Background()); err != nil {
		t.Errorf("GC after a killed one: %v", err)
	}
}

func TestGoodBlobNeedsNoSource(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), filestore.Options{Source: func(context.Context, manifest.Digest) ([]byte, error) {
		t.Error("the source was asked")
		return nil, errors.New("no")
	}})
	d := put(t, s, "good")
	if _, err := s.Get(context.Background(), d); err != nil {
		t.Error(err)
	}
}

// TestW63: no id and no reference becomes a path.
func TestW63(t *testing.T) {
	t.Parallel()
	keysAreDigests(t)
}

func TestPackages(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), filestore.Options{})
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	for name, signatures := range map[string]int{"unsigned": 0, "signed": 1, "signed twice": 2} {
		p := manifesttest.Package()
		for i := range signatures {
			doc, err := manifest.Sign(p, manifest.Profile(i+1), "k", key)
			if err != nil {
				t.Fatal(err)
			}
			p.Signatures = append(p.Signatures, doc)
		}
		ref, err := s.Add(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.Add(context.Background(), p)
		if err != nil || again != ref {
			t.Errorf("%s: added again under %q, %v", name, again, err)
		}
		if err := manifesttest.TestStore(s, ref, p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if keep, err := filestore.Digests(ref); err != nil || len(keep) != 1+signatures {
			t.Errorf("%s: Digests(%q) = %v, %v", name, ref, keep, err)
		}
	}
	if _, err := s.Add(context.Background(), &manifest.Package{}); err == nil {
		t.Error("a package without files was added")
	}
}
