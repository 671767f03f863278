package natsstore_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/manifest/natsstore"
)

const pluginName = "plugins/disk/1.0.0/0b8a2a4e-3a52-4d3c-8a53-2f0f6c1d9a11.wasm"

func metaSubject(name string) string {
	return "$O." + bucketName + ".M." + base64.URLEncoding.EncodeToString([]byte(name))
}

// An object of another client, put under its own name, is read with a pin.
func TestFetch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natsstore.Options{Limit: limits.MiB})
	wasm := "\x00asm\x01\x00\x00\x00" + strings.Repeat("\x00\x01\x00", 100<<10)
	w.plainPut(t, pluginName, wasm)
	got, err := w.store.Fetch(t.Context(), pluginName, digestOf(wasm))
	if err != nil || string(got) != wasm {
		t.Fatalf("Fetch: %d bytes, %v", len(got), err)
	}
	clear(got)
	if again, err := w.store.Fetch(t.Context(), pluginName, digestOf(wasm)); err != nil || string(again) != wasm {
		t.Errorf("Fetch after the bytes were changed: %v", err)
	}
	for name, tt := range map[string]struct {
		object string
		pin    manifest.Digest
		want   string
	}{
		"another pin": {pluginName, digestOf("other"), "digest_mismatch"},
		"no pin":      {pluginName, manifest.Digest{}, "digest_syntax"},
		"a blob":      {blob(digestOf(wasm)), digestOf(wasm), "object_name"},
		"not there":   {"plugins/disk/1.0.1/x.wasm", digestOf(wasm), ""},
	} {
		got, err := w.store.Fetch(t.Context(), tt.object, tt.pin)
		if got != nil || err == nil || rule(err) != tt.want || errors.Is(err, fs.ErrNotExist) != (tt.want == "") {
			t.Errorf("%s: %d bytes, %v, want %q", name, len(got), err, tt.want)
		}
	}
	if _, err := w.store.Get(t.Context(), manifest.Digest{}); rule(err) != "digest_syntax" {
		t.Errorf("Get of no digest: %v", err)
	}
	// Replaced by its owner: the old pin holds no longer.
	w.plainPut(t, pluginName, "new")
	if _, err := w.store.Fetch(t.Context(), pluginName, digestOf(wasm)); rule(err) != "digest_mismatch" {
		t.Errorf("Fetch of a replaced object: %v", err)
	}
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	seg := strings.Repeat("s", 120)
	for name, want := range map[string]bool{
		pluginName: true, "plugins/a/b/c.wasm": true, "plugins/A_-.9/1.0.0-rc.1/..wasm": true,
		"plugins/" + seg[1:] + "/1/a.wasm": true, "plugins/" + seg + "/1/a.wasm": true, "plugins/" + seg + "s/1/a.wasm": false,
		"plugins/a/1/" + seg[5:] + ".wasm": true, "plugins/a/1/" + seg[4:] + ".wasm": false,
		"": false, "plugins": false, "plugins/a/1/": false, "plugins/a/1/.wasm": false, "plugins/a/1/b.wat": false, "plugins/a/b.wasm": false,
		"plugins/a/1/b/c.wasm": false, "/plugins/a/1/b.wasm": false, "Plugins/a/1/b.wasm": false, "plugins//1/b.wasm": false,
		"plugins/../1/b.wasm": false, "plugins/./1/b.wasm": false, "plugins/a/1/b.wasm/": false, "plugins/a b/1/c.wasm": false,
		"plugins/ä/1/b.wasm": false, "plugins/a\x00/1/b.wasm": false, `plugins\a\1\b.wasm`: false, "plugins/a/1+b/c.wasm": false, "plugins/a/*/c.wasm": false,
	} {
		if err := natsstore.CheckName(name); (err == nil) != want {
			t.Errorf("checkName(%q) = %v, want valid %v", name, err, want)
		}
	}
}

func FuzzNames(f *testing.F) {
	f.Add(pluginName)
	f.Add("blobs/sha256/" + strings.Repeat("0", 64))
	f.Fuzz(func(t *testing.T, name string) {
		if natsstore.CheckName(name) == nil && (strings.Count(name, "/") != 3 || strings.Contains(name, "/../") || strings.ContainsAny(name, " *>\\\x00")) {
			t.Errorf("checkName(%q) = nil", name)
		}
		if d, ok := natsstore.ParseBlobName(name); ok && blob(d) != name {
			t.Errorf("parseBlobName(%q) = %v", name, d)
		}
		if natsstore.IsToken(name) && strings.ContainsAny(name, ".*> \t") {
			t.Errorf("isToken(%q)", name)
		}
	})
}

// Whoever may write to the bucket changes a blob; each change is found, no byte
// is returned, and Put repairs it.
func TestTamperedObject(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("good", 100<<10) // four chunks
	d := digestOf(content)
	for _, tt := range []struct {
		name, want string
		repaired   bool
		tamper     func(*testing.T, *world, *jetstream.ObjectInfo)
	}{
		{"other bytes under its name", "digest_mismatch", true, func(t *testing.T, w *world, _ *jetstream.ObjectInfo) {
			w.plainPut(t, blob(d), "evil")
		}},
		{"other bytes, and the digest is claimed", "digest_mismatch", true, func(t *testing.T, w *world, info *jetstream.ObjectInfo) {
			w.plainPut(t, "evil", strings.Repeat("evil", 100<<10))
			evil, err := w.bucket.GetInfo(t.Context(), "evil")
			if err != nil {
				t.Fatal(err)
			}
			info.NUID = evil.NUID
			w.writeMeta(t, info)
		}},
		{"a chunk is gone", "digest_mismatch", true, func(t *testing.T, w *world, info *jetstream.ObjectInfo) {
			w.dropChunk(t, info, 1)
		}},
		{"all chunks are gone", "digest_mismatch", true, func(t *testing.T, w *world, info *jetstream.ObjectInfo) {
			for range info.Chunks {
				w.dropChunk(t, info, 0)
			}
		}},
		{"a chunk more", "", true, func(t *testing.T, w *world, info *jetstream.ObjectInfo) { // beyond the size nothing is read
			w.publish(t, chunkSubject(info), []byte("more"))
		}},
		{"the size is larger", "digest_mismatch", true, func(t *testing.T, w *world, info *jetstream.ObjectInfo) {
			info.Size++
			w.writeMeta(t, info)
		}},
		{"the size is smaller", "digest_mismatch", true, func(t *testing.T, w *world, info *jetstream.ObjectInfo) {
			info.Size--
			w.writeMeta(t, info)
		}},
		{"the size is nothing", "digest_mismatch", true, func(t *testing.T, w *world, info *jetstream.ObjectInfo) {
			info.Size = 0
			w.writeMeta(t, info)
		}},
		{"the size is huge", "too_large", true, func(t *testing.T, w *world, info *jetstream.ObjectInfo) {
			info.Size = 1<<64 - 1
			w.writeMeta(t, info)
		}},
		{"no digest", "digest_mismatch", true, func(t *testing.T, w *world, info *jetstream.ObjectInfo) {
			info.Digest = ""
			w.writeMeta(t, info)
		}},
		{"another algorithm", "digest_mismatch", true, func(t *testing.T, w *world, info *jetstream.ObjectInfo) {
			info.Digest = strings.Replace(info.Digest, "SHA-256=", "MD5=", 1)
			w.writeMeta(t, info)
		}},
		{"all chunks of the bucket", "digest_mismatch", false, func(t *testing.T, w *world, info *jetstream.ObjectInfo) {
			info.NUID = ">"
			w.writeMeta(t, info)
		}},
		{"no chunks", "digest_mismatch", false, func(t *testing.T, w *world, info *jetstream.ObjectInfo) {
			info.NUID = ""
			w.writeMeta(t, info)
		}},
		{"no metadata", "digest_mismatch", false, func(t *testing.T, w *world, info *jetstream.ObjectInfo) {
			w.publish(t, metaSubject(info.Name), []byte(`{"name":7}`), jetstream.MsgRollup, jetstream.MsgRollupSubject)
		}},
		{"a link", "object_link", true, func(t *testing.T, w *world, info *jetstream.ObjectInfo) {
			w.plainPut(t, "twin", content)
			info.Opts = &jetstream.ObjectMetaOptions{Link: &jetstream.ObjectLink{Bucket: bucketName, Name: "twin"}}
			w.writeMeta(t, info)
		}},
		{"a link to itself", "object_link", true, func(t *testing.T, w *world, info *jetstream.ObjectInfo) {
			info.Opts = &jetstream.ObjectMetaOptions{Link: &jetstream.ObjectLink{Bucket: bucketName, Name: info.Name}}
			w.writeMeta(t, info)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, natsstore.Options{Limit: 500 * limits.KiB})
			w.put(t, content)
			other := w.put(t, "another blob")
			info, err := w.bucket.GetInfo(t.Context(), blob(d))
			if err != nil {
				t.Fatal(err)
			}
			tt.tamper(t, w, info)
			got, err := w.store.Get(t.Context(), d)
			if rule(err) != tt.want || (got == nil) != (tt.want != "") {
				t.Errorf("Get: %d bytes, %v, want %q", len(got), err, tt.want)
			}
			err = w.store.Put(t.Context(), d, strings.NewReader(content))
			if (err == nil) != tt.repaired || err != nil && rule(err) != "store_io" {
				t.Errorf("Put over it: %v, want repaired %v", err, tt.repaired)
			}
			if got, err := w.store.Get(t.Context(), d); tt.repaired && (err != nil || string(got) != content) {
				t.Errorf("Get after Put: %d bytes, %v", len(got), err)
			}
			if got, err := w.store.Get(t.Context(), other); err != nil || string(got) != "another blob" {
				t.Errorf("another blob: %q, %v", got, err)
			}
		})
	}
}

// A link is refused under the names of others as well, wherever it points.
func TestFetchRefusesLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natsstore.Options{})
	w.plainPut(t, "plugins/a/1/good.wasm", "good")
	good, err := w.bucket.GetInfo(t.Context(), "plugins/a/1/good.wasm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.bucket.AddLink(t.Context(), "plugins/a/1/link.wasm", good); err != nil {
		t.Fatal(err)
	}
	if _, err := w.bucket.AddBucketLink(t.Context(), "plugins/a/1/bucket.wasm", w.bucket); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"plugins/a/1/link.wasm", "plugins/a/1/bucket.wasm"} {
		if got, err := w.store.Fetch(t.Context(), name, digestOf("good")); got != nil || rule(err) != "object_link" {
			t.Errorf("Fetch(%q) = %q, %v", name, got, err)
		}
	}
}

func chunkSubject(info *jetstream.ObjectInfo) string {
	return "$O." + bucketName + ".C." + info.NUID
}

// writeMeta replaces the metadata of an object.
func (w *world) writeMeta(t *testing.T, info *jetstream.ObjectInfo) {
	t.Helper()
	data, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	w.publish(t, metaSubject(info.Name), data, jetstream.MsgRollup, jetstream.MsgRollupSubject)
}

// dropChunk removes the nth chunk that an object still has.
func (w *world) dropChunk(t *testing.T, info *jetstream.ObjectInfo, n int) {
	t.Helper()
	stream, err := w.js.Stream(t.Context(), "OBJ_"+bucketName)
	if err != nil {
		t.Fatal(err)
	}
	for next := uint64(1); ; n-- {
		msg, err := stream.GetMsg(t.Context(), next, jetstream.WithGetMsgSubject(chunkSubject(info)))
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			if err := stream.DeleteMsg(t.Context(), msg.Sequence); err != nil {
				t.Fatal(err)
			}
			return
		}
		next = msg.Sequence + 1
	}
}
