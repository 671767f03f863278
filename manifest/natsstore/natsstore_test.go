package natsstore_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/manifest/filestore"
	"github.com/sandcheck/sandcheck/manifest/manifesttest"
	"github.com/sandcheck/sandcheck/manifest/natsstore"
)

var (
	_ manifest.Store   = (*natsstore.Store)(nil)
	_ filestore.Source = (*natsstore.Store)(nil).Get
)

func TestStoreKeepsTheRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natsstore.Options{})
	signed := manifesttest.Package()
	signed.Signatures = [][]byte{[]byte("one"), []byte("two")}
	for _, p := range []*manifest.Package{manifesttest.Package(), signed} {
		ref, err := w.store.Add(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := w.store.Add(t.Context(), p); err != nil || again != ref {
			t.Errorf("a second Add = %q, %v, want %q", again, err, ref)
		}
		if err := manifesttest.TestStore(w.store, ref, p); err != nil {
			t.Error(err)
		}
		if got, err := filestore.Digests(ref); err != nil || len(got) != 1+len(p.Signatures) {
			t.Errorf("filestore.Digests(%q) = %v, %v", ref, got, err)
		}
	}
}

// Two clients, each with a connection of its own, and a folder as a cache.
func TestTwoClientsAndACache(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natsstore.Options{})
	ref, err := w.store.Add(t.Context(), manifesttest.Package())
	if err != nil {
		t.Fatal(err)
	}
	other, err := natsstore.New(t.Context(), client(t, w.server), natsstore.Options{Bucket: bucketName})
	if err != nil {
		t.Fatal(err)
	}
	if err := manifesttest.TestStore(other, ref, manifesttest.Package()); err != nil {
		t.Error(err)
	}
	cache, err := filestore.New(t.TempDir(), filestore.Options{Source: other.Get})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	if err := manifesttest.TestStore(cache, ref, manifesttest.Package()); err != nil {
		t.Error(err)
	}
	w.server.Shutdown()
	if p, err := cache.Open(t.Context(), ref); err != nil || p.Manifest.ID != "tiny" {
		t.Errorf("the cache without the server: %v, %v", p, err)
	}
}

func TestPutAndGet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natsstore.Options{Limit: 300 * limits.KiB})
	for n, want := range map[int]string{
		0: "", 1: "", 128<<10 - 1: "", 128 << 10: "", 128<<10 + 1: "", 256 << 10: "",
		300<<10 - 1: "", 300 << 10: "", 300<<10 + 1: "too_large",
	} {
		content := strings.Repeat("x", n)
		d := digestOf(content)
		// Readers give as little as they like; chunks are full all the same.
		err := w.store.Put(t.Context(), d, iotest.HalfReader(strings.NewReader(content)))
		if rule(err) != want {
			t.Fatalf("%d bytes: Put: %v, want %q", n, err, want)
		}
		got, err := w.store.Get(t.Context(), d)
		if want != "" {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%d bytes: Get after a refused Put: %v", n, err)
			}
			continue
		}
		if err != nil || string(got) != content || w.messages(t) == 0 {
			t.Errorf("%d bytes: Get: %d bytes, %v", n, len(got), err)
		}
		info, err := w.bucket.GetInfo(t.Context(), blob(d))
		if err != nil || int(info.Chunks) != (n+128<<10-1)/(128<<10) {
			t.Errorf("%d bytes: %+v, %v", n, info, err)
		}
		// The client's own reader accepts what was written.
		if plain, err := w.bucket.GetBytes(t.Context(), blob(d)); err != nil || string(plain) != content {
			t.Errorf("%d bytes: a plain client reads %d bytes, %v", n, len(plain), err)
		}
	}
}

// What Put refuses leaves nothing behind, in the bucket as in its list.
func TestRefusedPutLeavesNothing(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("y", 300<<10)
	ctx, cancel := context.WithCancel(t.Context())
	for _, tt := range []struct {
		name, want string
		ctx        context.Context
		reader     io.Reader
	}{
		{"other bytes", "digest_mismatch", t.Context(), strings.NewReader(long + "z")},
		{"too few bytes", "digest_mismatch", t.Context(), strings.NewReader(long[1:])},
		{"nothing", "digest_mismatch", t.Context(), strings.NewReader("")},
		{"a reader that fails", "store_io", t.Context(), io.MultiReader(strings.NewReader(long), iotest.ErrReader(io.ErrUnexpectedEOF))},
		{"too large", "too_large", t.Context(), strings.NewReader(long + long)},
		{"cancelled half-way", "", ctx, io.MultiReader(strings.NewReader(long), readerFunc(func([]byte) (int, error) { cancel(); return 0, nil }))},
		{"cancelled before", "", cancelled(), strings.NewReader(long)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, natsstore.Options{Limit: 400 * limits.KiB})
			err := w.store.Put(tt.ctx, digestOf(long), tt.reader)
			if err == nil || rule(err) != tt.want || tt.want == "" && !errors.Is(err, context.Canceled) {
				t.Errorf("Put: %v, want %q", err, tt.want)
			}
			w.put(t, "after it") // one chunk and its metadata, behind whatever was sent before
			if n := w.messages(t); n != 2 {
				t.Errorf("%d messages stay in the bucket", n-2)
			}
			if _, err := w.store.Get(t.Context(), digestOf(long)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Get: %v", err)
			}
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestManyWritersAndReaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natsstore.Options{})
	second, err := natsstore.New(t.Context(), client(t, w.server), natsstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	same := strings.Repeat("same", 100<<10)
	var wg sync.WaitGroup
	for i := range 8 {
		store := []*natsstore.Store{w.store, second}[i%2]
		for _, content := range []string{same, strings.Repeat(string(rune('a'+i)), 200<<10)} {
			wg.Go(func() {
				d := digestOf(content)
				if err := store.Put(t.Context(), d, strings.NewReader(content)); err != nil {
					t.Errorf("Put: %v", err)
				}
				if got, err := store.Get(t.Context(), d); err != nil || string(got) != content {
					t.Errorf("Get: %d bytes, %v", len(got), err)
				}
			})
		}
	}
	wg.Wait()
}

// Who replaces an object removes its chunks, maybe under the eyes of a reader.
func TestReplacedWhileRead(t *testing.T) {
	t.Parallel()
	for replacements, want := range map[int]string{1: "", 2: "", 100: "digest_mismatch"} {
		w := newWorld(t, natsstore.Options{})
		d := w.put(t, "content")
		w.store.AfterInfo(func() {
			if replacements--; replacements >= 0 {
				w.plainPut(t, blob(d), "content")
			}
		})
		got, err := w.store.Get(t.Context(), d)
		if rule(err) != want || want == "" && string(got) != "content" {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
}

func TestCancelledCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natsstore.Options{})
	d := w.put(t, "content")
	for name, call := range map[string]func(context.Context) error{
		"Get":   func(ctx context.Context) error { _, err := w.store.Get(ctx, d); return err },
		"Fetch": func(ctx context.Context) error { _, err := w.store.Fetch(ctx, "plugins/a/1/b.wasm", d); return err },
		"Put":   func(ctx context.Context) error { return w.store.Put(ctx, d, strings.NewReader("content")) },
		"Add":   func(ctx context.Context) error { _, err := w.store.Add(ctx, manifesttest.Package()); return err },
		"Open":  func(ctx context.Context) error { _, err := w.store.Open(ctx, d.String()); return err },
		"GC":    func(ctx context.Context) error { _, err := w.store.GC(ctx); return err },
		"New":   func(ctx context.Context) error { _, err := natsstore.New(ctx, w.js, natsstore.Options{}); return err },
	} {
		if err := call(cancelled()); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", name, err)
		}
	}
}

func TestServerGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natsstore.Options{})
	d := w.put(t, "content")
	w.server.Shutdown()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	check := func(name, want string, most time.Duration, call func() error) {
		wg.Go(func() {
			start := time.Now()
			err := call()
			if err == nil || rule(err) != want || want == "" && !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > most {
				t.Errorf("%s: %v after %v, want %q", name, err, time.Since(start), want)
			}
			if errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v says that there is no such blob", name, err)
			}
		})
	}
	// The client was told to wait two seconds for an answer.
	check("Get", "store_io", 5*time.Second, func() error { _, err := w.store.Get(t.Context(), d); return err })
	check("Put", "store_io", 5*time.Second, func() error { return w.store.Put(t.Context(), d, strings.NewReader("content")) })
	check("GC", "store_io", 5*time.Second, func() error { _, err := w.store.GC(t.Context()); return err })
	check("New", "store_io", 5*time.Second, func() error { _, err := natsstore.New(t.Context(), w.js, natsstore.Options{}); return err })
	check("Get with a deadline", "", 2*time.Second, func() error { _, err := w.store.Get(ctx, d); return err })
	check("Put with a deadline", "", 2*time.Second, func() error { return w.store.Put(ctx, d, strings.NewReader("content")) })
	check("Open with a deadline", "", 2*time.Second, func() error { _, err := w.store.Open(ctx, d.String()); return err })
	wg.Wait()
}

// A bucket that goes away while the server stays is no missing blob either.
func TestBucketGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natsstore.Options{})
	d := w.put(t, "content")
	if err := w.js.DeleteObjectStore(t.Context(), bucketName); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Get(t.Context(), d); rule(err) != "store_io" || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get: %v", err)
	}
	if _, err := natsstore.New(t.Context(), w.js, natsstore.Options{}); rule(err) != "store_io" || !errors.Is(err, jetstream.ErrBucketNotFound) || !strings.Contains(err.Error(), "there is no bucket") {
		t.Errorf("New: %v", err)
	}
}

func TestGC(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natsstore.Options{})
	kept, old := w.put(t, "kept"), w.put(t, "old")
	foreign := []string{"plugins/a/1.0.0/b.wasm", "blobs/sha256/x", "blobs/sha256/" + strings.ToUpper(old.String()), "sha256:" + old.String()}
	for _, name := range foreign {
		w.plainPut(t, name, "foreign")
	}
	w.publish(t, metaSubject(blob(digestOf("garbage"))), []byte("{"))
	greedy := w.put(t, "greedy") // claims the chunks of all others
	info, err := w.bucket.GetInfo(t.Context(), blob(greedy))
	if err != nil {
		t.Fatal(err)
	}
	info.NUID = ">"
	w.writeMeta(t, info)
	gc := func(want int) {
		t.Helper()
		if n, err := w.store.GC(t.Context(), kept); err != nil || n != want {
			t.Errorf("GC = %d, %v, want %d", n, err, want)
		}
	}
	gc(0) // all are young
	w.store.SetNow(func() time.Time { return time.Now().Add(59 * time.Minute) })
	gc(0)
	w.store.SetNow(func() time.Time { return time.Now().Add(61 * time.Minute) })
	gc(1)
	gc(0) // removed already
	if _, err := w.store.Get(t.Context(), old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get of a removed blob: %v", err)
	}
	if _, err := w.store.Get(t.Context(), kept); err != nil {
		t.Error(err)
	}
	for _, name := range foreign {
		if got, err := w.bucket.GetString(t.Context(), name); err != nil || got != "foreign" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	w.put(t, "old") // can come back
}
