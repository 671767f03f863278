package manifest_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sandcheck/sandcheck/manifest"
)

func goodFiles() fstest.MapFS {
	return fstest.MapFS{
		"plugin.yaml":           {Data: []byte(goodYAML)},
		"plugin.wasm":           {Data: []byte(goodWasm)},
		"config.schema.json":    {Data: []byte(`{"type":"object"}`)},
		"display_contract.json": {Data: []byte(`{"schema_version":1,"widgets":["table"],"x":[1]}`)},
	}
}

func mustRead(t testing.TB, fsys fs.FS) *manifest.Package {
	t.Helper()
	p, err := manifest.ReadPackage(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestReadPackage(t *testing.T) {
	t.Parallel()
	fsys := goodFiles()
	fsys["README.md"] = &fstest.MapFile{Data: []byte("not part of it")}
	fsys["upload-signature.json"] = &fstest.MapFile{Data: []byte("{}")}
	p := mustRead(t, fsys)
	if p.Manifest.ID != "http-check" || p.Schema == nil || string(p.Wasm) != goodWasm || len(p.Files) != 4 || len(p.Signatures) != 1 {
		t.Errorf("got %+v", p)
	}
	if d := p.Manifest.Display; d == nil || d.SchemaVersion != 1 || len(d.Widgets) != 1 || !strings.Contains(string(d.Raw), `"x"`) {
		t.Errorf("the display contract beside the manifest is not used: %+v", d)
	}
	if got, want := p.Digest().String(), "93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476"; got != want {
		t.Errorf("Digest = %s, want %s", got, want)
	}
}

func TestReadPackageRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(fstest.MapFS)
		want string // rules of the problems, in order
	}{
		{"no manifest", func(f fstest.MapFS) { delete(f, "plugin.yaml") }, "entry_missing"},
		{"nothing", func(f fstest.MapFS) { delete(f, "plugin.yaml"); delete(f, "plugin.wasm") }, "entry_missing entry_missing"},
		{"empty wasm", func(f fstest.MapFS) { f["plugin.wasm"].Data = nil }, "entry_missing"},
		{"a folder", func(f fstest.MapFS) { f["plugin.wasm"] = &fstest.MapFile{Mode: fs.ModeDir} }, "entry_not_regular"},
		{"largest manifest", func(f fstest.MapFS) {
			f["plugin.yaml"].Data = append([]byte(goodYAML), bytes.Repeat([]byte("#"), most-len(goodYAML))...)
		}, ""},
		{"larger manifest", func(f fstest.MapFS) {
			f["plugin.yaml"].Data = append([]byte(goodYAML), bytes.Repeat([]byte("#"), most-len(goodYAML)+1)...)
		}, "entry_too_large"},
		{"larger schema", func(f fstest.MapFS) { f["config.schema.json"].Data = bytes.Repeat([]byte(" "), most+1) }, "entry_too_large"},
		{"larger display contract", func(f fstest.MapFS) { f["display_contract.json"].Data = bytes.Repeat([]byte(" "), 65_537) }, "entry_too_large"},
		{"bad manifest", func(f fstest.MapFS) { f["plugin.yaml"].Data = []byte("id: x\nname: X\n") },
			"manifest_invalid manifest-required manifest-required manifest-required manifest-required manifest-required"},
		{"everything is bad", func(f fstest.MapFS) {
			f["plugin.yaml"].Data = []byte("[]")
			f["config.schema.json"].Data = []byte("[]")
			f["display_contract.json"].Data = []byte(`{"a":1,"a":2}`)
			f["plugin.wasm"].Data = []byte("MZ......")
		}, "manifest_invalid manifest-document sidecar_invalid schema-json sidecar_invalid display-json wasm_magic"},
		{"display contract", func(f fstest.MapFS) { f["display_contract.json"].Data = []byte(`{"schema_version":"1","widgets":[1]}`) },
			"sidecar_invalid display-type display-type"},
		{"short wasm", func(f fstest.MapFS) { f["plugin.wasm"].Data = []byte("\x00asm\x01\x00\x00") }, "wasm_magic"},
		{"wasm 2", func(f fstest.MapFS) { f["plugin.wasm"].Data = []byte("\x00asm\x02\x00\x00\x00") }, "wasm_version"},
		{"big endian", func(f fstest.MapFS) { f["plugin.wasm"].Data = []byte("\x00asm\x00\x00\x00\x01") }, "wasm_version"},
		{"component", func(f fstest.MapFS) { f["plugin.wasm"].Data = []byte("\x00asm\x0d\x00\x01\x00") }, "wasm_component"},
		{"signature of 64 KiB", func(f fstest.MapFS) {
			f["bundle-signature.json"] = &fstest.MapFile{Data: bytes.Repeat([]byte(" "), 64<<10)}
		}, ""},
		{"larger signature", func(f fstest.MapFS) {
			f["bundle-signature.json"] = &fstest.MapFile{Data: bytes.Repeat([]byte(" "), 64<<10+1)}
		}, "signature_syntax"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fsys := goodFiles()
			tt.edit(fsys)
			p, err := manifest.ReadPackage(fsys)
			var got []string
			for _, e := range problemsOf(err) {
				got = append(got, e.Rule)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %q, want %q: %v", got, tt.want, err)
			}
			if err != nil && p != nil {
				t.Error("a package comes with the error")
			}
		})
	}
}

func TestReadPackageKeepsErrorsOfTheFileSystem(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	_, err := manifest.ReadPackage(openFunc(func(string) (fs.File, error) { return nil, broken }))
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want %v in it", err, broken)
	}
}

type openFunc func(string) (fs.File, error)

func (f openFunc) Open(name string) (fs.File, error) { return f(name) }

func TestWriteBundle(t *testing.T) {
	t.Parallel()
	p := mustRead(t, goodFiles())
	var a, b bytes.Buffer
	if err := errors.Join(manifest.WriteBundle(&a, p), manifest.WriteBundle(&b, p)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("the same package gave different bytes")
	}
	back, err := manifest.ReadBundle(bytes.NewReader(a.Bytes()), int64(a.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range p.Files {
		if !bytes.Equal(back.Files[name], content) {
			t.Errorf("%s came back as %q, want %q", name, back.Files[name], content)
		}
	}
	z, err := zip.NewReader(bytes.NewReader(a.Bytes()), int64(a.Len()))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"config.schema.json", "display_contract.json", "plugin.wasm", "plugin.yaml"}
	for i, f := range z.File {
		if f.Name != want[i] || f.Mode() != 0o644 || !f.Modified.Equal(time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)) || f.Method != zip.Deflate {
			t.Errorf("entry %d: %s %v %v method %d, want %s", i, f.Name, f.Mode(), f.Modified, f.Method, want[i])
		}
	}
}

func TestWriteBundleRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(*manifest.Package)
		want string
	}{
		{"made in Go", func(p *manifest.Package) { p.Files = nil }, "entry_missing"},
		{"another file", func(p *manifest.Package) { p.Files["../x"] = []byte("x") }, "entry_unexpected"},
		{"changed wasm", func(p *manifest.Package) { p.Wasm = []byte("\x00asm\x01\x00\x00\x00\x00") }, "entry_checksum"},
		{"bad manifest", func(p *manifest.Package) { p.Files["plugin.yaml"] = []byte("[]") }, "manifest_invalid"},
	} {
		p := mustRead(t, goodFiles())
		tt.edit(p)
		if err := manifest.WriteBundle(io.Discard, p); firstRule(err) != tt.want {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
	if err := manifest.WriteBundle(io.Discard, nil); err == nil {
		t.Error("no package: no error")
	}
}

// rawEntry is an entry as it stands in an archive; local and directory may lie
// each in their own way.
type rawEntry struct {
	name, localName     string
	data                []byte
	flags, method       uint16
	attributes          uint32
	size, localSize     uint32
	crc                 uint32
	packed, localPacked uint32
	descriptor          []byte // behind the data
	unlisted            bool   // not in the directory
}

func entryOf(name, text string) rawEntry {
	n := uint32(len(text))
	return rawEntry{name: name, localName: name, data: []byte(text), size: n, localSize: n, packed: n, localPacked: n, crc: crc32.ChecksumIEEE([]byte(text))}
}

// described moves the sizes behind the data, signed and each of width bytes.
func described(sign string, width int) func(*rawEntry) {
	return func(e *rawEntry) {
		e.flags, e.localSize, e.localPacked = 8, 0, 0
		e.descriptor = binary.LittleEndian.AppendUint32([]byte(sign), e.crc)
		for _, n := range []uint32{e.packed, e.size} {
			var b [8]byte
			binary.LittleEndian.PutUint32(b[:], n)
			e.descriptor = append(e.descriptor, b[:width]...)
		}
	}
}

// archive writes a zip by hand.
func archive(entries ...rawEntry) []byte {
	var b, dir []byte
	listed := 0
	le := binary.LittleEndian
	for _, e := range entries {
		at := uint32(len(b))
		b = append(b, "PK\x03\x04\x14\x00"...)
		b = le.AppendUint16(le.AppendUint16(b, e.flags), e.method)
		b = append(b, 0, 0, 0x21, 0)
		b = le.AppendUint32(le.AppendUint32(le.AppendUint32(b, e.crc), e.localPacked), e.localSize)
		b = le.AppendUint16(le.AppendUint16(b, uint16(len(e.localName))), 0)
		b = append(append(append(b, e.localName...), e.data...), e.descriptor...)
		if e.unlisted {
			continue
		}
		listed++
		dir = append(dir, "PK\x01\x02\x14\x03\x14\x00"...)
		dir = le.AppendUint16(le.AppendUint16(dir, e.flags), e.method)
		dir = append(dir, 0, 0, 0x21, 0)
		dir = le.AppendUint32(le.AppendUint32(le.AppendUint32(dir, e.crc), e.packed), e.size)
		dir = le.AppendUint16(dir, uint16(len(e.name)))
		dir = append(dir, 0, 0, 0, 0, 0, 0, 0, 0)
		dir = le.AppendUint32(le.AppendUint32(dir, e.attributes), at)
		dir = append(dir, e.name...)
	}
	at := len(b)
	b = append(append(b, dir...), "PK\x05\x06\x00\x00\x00\x00"...)
	b = le.AppendUint16(le.AppendUint16(b, uint16(listed)), uint16(listed))
	b = le.AppendUint32(le.AppendUint32(b, uint32(len(dir))), uint32(at))
	return append(b, 0, 0)
}

func TestContainerRules(t *testing.T) {
	t.Parallel()
	yaml, wasm := entryOf("plugin.yaml", goodYAML), entryOf("plugin.wasm", goodWasm)
	with := func(edit func(*rawEntry)) []byte {
		e := wasm
		edit(&e)
		return archive(yaml, e)
	}
	extra := func(name string) []byte { return archive(yaml, wasm, entryOf(name, "x")) }
	good := archive(yaml, wasm)
	patched := func(at int, b ...byte) []byte { d := bytes.Clone(good); copy(d[len(d)-22+at:], b); return d }
	hidden := entryOf("plugin.wasm", "evil")
	hidden.unlisted = true
	followed := entryOf("plugin.wasm", deflate(t, strings.NewReader(goodWasm))+"more")
	followed.method, followed.size, followed.localSize, followed.crc = 8, wasm.size, wasm.size, wasm.crc
	for _, tt := range []struct {
		name string
		doc  []byte
		want string
	}{
		{"good", good, ""},
		{"a file in front that the directory does not know", archive(hidden, yaml, wasm), "bundle_leading_data"},
		{"bytes after the packed data", archive(yaml, followed), "entry_checksum"},
		{"comment", append(patched(20, 3, 0), "abc"...), ""},
		{"comment with an end record", append(patched(20, 22, 0), good[len(good)-22:]...), "bundle_leading_data"},
		{"comment with half an end record", append(patched(20, 23, 0), "PK\x05\x06"+strings.Repeat("\x00", 19)...), "bundle_trailing_data"},
		{"trailing bytes", append(bytes.Clone(good), 0), "bundle_trailing_data"},
		{"many trailing bytes", append(bytes.Clone(good), make([]byte, 70_000)...), "bundle_trailing_data"},
		{"very many trailing bytes", append(bytes.Clone(good), make([]byte, 3<<20)...), "bundle_trailing_data"},
		{"cut, and many trailing bytes", append(bytes.Clone(good[:len(good)-22]), make([]byte, 70_000)...), "bundle_not_zip"},
		{"leading bytes", append([]byte("#!"), good...), "bundle_leading_data"},
		{"two archives", append(bytes.Clone(good), good...), "bundle_leading_data"},
		{"no entries", archive(), "bundle_not_zip"},
		{"cut by one byte", good[:len(good)-1], "bundle_not_zip"},
		{"cut in half", good[:len(good)/2], "bundle_not_zip"},
		{"gzip", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), "bundle_not_zip"},
		{"split", patched(4, 1), "bundle_not_zip"},
		{"more entries than there are", patched(8, 3, 0, 3, 0), "bundle_not_zip"},
		{"fewer entries than there are", patched(8, 1, 0, 1, 0), "bundle_not_zip"},
		{"zip64", patched(8, 0xff, 0xff, 0xff, 0xff), "too_many_entries"},
		{"no name", extra(""), "entry_name"},
		{"absolute", extra("/plugin.yaml"), "entry_name"},
		{"two dots", extra("a/../b"), "entry_name"},
		{"double slash", extra("a//b"), "entry_name"},
		{"invalid UTF-8", extra("a\xff"), "entry_name"},
		{"colon", extra("plugin.wasm:ads"), "entry_name"},
		{"folded twin", extra("plugin.waſm"), "entry_duplicate"},
		{"inside a folder", extra("sub/plugin.wasm"), "entry_unexpected"},
		{"trailing blank", extra("plugin.wasm "), "entry_unexpected"},
		{"signature inside", extra("upload-signature.json"), "entry_unexpected"},
		{"device", with(func(e *rawEntry) { e.attributes = 0o020644 << 16 }), "entry_not_regular"},
		{"folder by its DOS attribute", with(func(e *rawEntry) { e.attributes = 0x10 }), "entry_not_regular"},
		{"regular by its Unix attribute", with(func(e *rawEntry) { e.attributes = 0o100644 << 16 }), ""},
		{"strongly encrypted", with(func(e *rawEntry) { e.flags = 1 << 6 }), "entry_encrypted"},
		{"declared too large", with(func(e *rawEntry) { e.size, e.localSize = 64<<20+1, 64<<20+1 }), "entry_too_large"},
		{"declared far too large", with(func(e *rawEntry) { e.size, e.localSize = 1<<32-1, 1<<32-1 }), "entry_too_large"},
		{"other local name", with(func(e *rawEntry) { e.localName = "plugin.wasn" }), "entry_header_mismatch"},
		{"other local size", with(func(e *rawEntry) { e.localSize++ }), "entry_header_mismatch"},
		{"other local packed size", with(func(e *rawEntry) { e.localPacked++ }), "entry_header_mismatch"},
		{"sizes after the data", with(described("PK\x07\x08", 4)), ""},
		{"sizes after the data, unsigned", with(described("", 4)), ""},
		{"sizes after the data, of 8 bytes", with(described("PK\x07\x08", 8)), ""},
		{"sizes after the data, of 8 bytes, unsigned", with(described("", 8)), ""},
		{"sizes before and after the data", with(func(e *rawEntry) {
			described("PK\x07\x08", 4)(e)
			e.localSize, e.localPacked = e.size, e.packed
		}), ""},
		{"sizes nowhere", with(func(e *rawEntry) { e.flags, e.localSize, e.localPacked = 8, 0, 0 }), "entry_header_mismatch"},
		{"other CRC-32 after the data", with(func(e *rawEntry) { described("PK\x07\x08", 4)(e); e.descriptor[4]++ }), "entry_header_mismatch"},
		{"other packed size after the data", with(func(e *rawEntry) { described("PK\x07\x08", 4)(e); e.descriptor[8]++ }), "entry_header_mismatch"},
		{"other size after the data", with(func(e *rawEntry) { described("PK\x07\x08", 4)(e); e.descriptor[12]++ }), "entry_header_mismatch"},
		{"half of a size after the data", with(func(e *rawEntry) { described("PK\x07\x08", 4)(e); e.descriptor = e.descriptor[:14] }), "entry_header_mismatch"},
		{"more than sizes after the data", with(func(e *rawEntry) { described("PK\x07\x08", 8)(e); e.descriptor = append(e.descriptor, 0) }), "entry_checksum"},
		{"bytes between two files", archive(func() rawEntry { e := yaml; e.descriptor = []byte("x"); return e }(), wasm), "entry_checksum"},
		{"a file between two that the directory does not know", archive(yaml, hidden, wasm), "entry_checksum"},
		{"a file behind all that the directory does not know", archive(yaml, wasm, hidden), "entry_checksum"},
		{"data that reaches into the next file", archive(func() rawEntry {
			e := yaml
			e.packed, e.localPacked, e.size, e.localSize = e.packed+1, e.packed+1, e.size+1, e.size+1
			return e
		}(), wasm), "entry_checksum"},
		{"sizes left out", with(func(e *rawEntry) { e.localSize, e.localPacked = 0, 0 }), "entry_header_mismatch"},
		{"longer than declared", with(func(e *rawEntry) { e.size--; e.localSize-- }), "entry_checksum"},
		{"shorter than declared", with(func(e *rawEntry) { e.size++; e.localSize++ }), "entry_checksum"},
		{"beyond the archive", with(func(e *rawEntry) { e.packed, e.localPacked = 1<<30, 1<<30 }), "entry_checksum"},
		{"checksum", with(func(e *rawEntry) { e.crc++ }), "entry_checksum"},
		{"not deflate", with(func(e *rawEntry) { e.method = 8 }), "entry_checksum"},
		{"LZMA", with(func(e *rawEntry) { e.method = 14 }), "entry_method"},
		{"16 entries", archive(append(many(14), yaml, wasm)...), "entry_unexpected"},
		{"17 entries", archive(append(many(15), yaml, wasm)...), "too_many_entries"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := manifest.ReadBundle(bytes.NewReader(tt.doc), int64(len(tt.doc)))
			if got := firstRule(err); got != tt.want || (err == nil) != (tt.want == "") {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func many(n int) []rawEntry {
	var out []rawEntry
	for i := range n {
		out = append(out, entryOf(fmt.Sprintf("f%d", i), "x"))
	}
	return out
}

func TestBundleSizeBound(t *testing.T) {
	t.Parallel()
	const largest = 64 << 20
	for _, size := range []int64{largest, largest + 1} {
		_, err := manifest.ReadBundle(bytes.NewReader(nil), size)
		if got := firstRule(err); (got == "bundle_too_large") != (size > largest) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// TestW80: a zip bomb is stopped at the size it declares, or by that size, and
// two files of one name are refused.
func TestW80(t *testing.T) {
	bomb := func(size int64) []byte {
		return zipOf(t, map[string]io.Reader{"plugin.yaml": strings.NewReader(goodYAML), "plugin.wasm": io.LimitReader(fill(0), size)})
	}
	honest := bomb(64<<20 + 1)
	var err error
	took, allocated := measure(func() { _, err = manifest.ReadBundle(bytes.NewReader(honest), int64(len(honest))) })
	if firstRule(err) != "entry_too_large" || allocated > 4<<20 {
		t.Errorf("declared: %v, %v, %d MiB", err, took, allocated>>20)
	}
	lie := entryOf("plugin.wasm", deflate(t, io.LimitReader(fill(0), 32<<20)))
	lie.method, lie.size, lie.localSize = 8, 1000, 1000
	lying := archive(entryOf("plugin.yaml", goodYAML), lie)
	_, allocated = measure(func() { _, err = manifest.ReadBundle(bytes.NewReader(lying), int64(len(lying))) })
	if firstRule(err) != "entry_checksum" || allocated > 4<<20 {
		t.Errorf("undeclared: %v, %d MiB", err, allocated>>20)
	}
	twice := archive(entryOf("plugin.yaml", goodYAML), entryOf("plugin.wasm", goodWasm), entryOf("plugin.wasm", goodWasm))
	if _, err := manifest.ReadBundle(bytes.NewReader(twice), int64(len(twice))); firstRule(err) != "entry_duplicate" {
		t.Errorf("two of a name: %v", err)
	}
}

func deflate(t *testing.T, r io.Reader) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, r); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestW60: a pin that cannot be read is an error, never "no pin".
func TestW60(t *testing.T) {
	t.Parallel()
	for _, pin := range []string{"", "   ", "latest", "sha256:", "sha256:beef", "sha512:" + strings.Repeat("ab", 64), "sha256:sha256:" + strings.Repeat("ab", 32),
		"sha256:q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s="} {
		if d, err := manifest.ParseDigest(pin); err == nil || d != (manifest.Digest{}) {
			t.Errorf("ParseDigest(%q) = %v, %v, want an error", pin, d, err)
		}
	}
}

func FuzzReadBundle(f *testing.F) {
	f.Add(archive(entryOf("plugin.yaml", goodYAML), entryOf("plugin.wasm", goodWasm)))
	f.Add(zipOf(f, map[string]io.Reader{"plugin.yaml": strings.NewReader(goodYAML), "plugin.wasm": strings.NewReader(goodWasm)}))
	later := entryOf("plugin.wasm", goodWasm)
	described("PK\x07\x08", 4)(&later)
	f.Add(archive(entryOf("plugin.yaml", goodYAML), later))
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := manifest.ReadBundle(bytes.NewReader(doc), int64(len(doc)))
		if err != nil {
			return
		}
		// What is accepted here, other readers of zip files read alike.
		z, err := zip.NewReader(bytes.NewReader(doc), int64(len(doc)))
		if err != nil || len(z.File) != len(p.Files) {
			t.Fatalf("another reader: %v", err)
		}
		for _, file := range z.File {
			r, err := file.Open()
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(content, p.Files[file.Name]) {
				t.Errorf("%s: another reader reads %q, %v", file.Name, content, err)
			}
		}
	})
}

func FuzzParseDigest(f *testing.F) {
	f.Add("sha256:93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476")
	f.Add("k6RLu5bHUSGOTADUeeTBQ1gSKjiazKFiBbHk0NxflHY")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := manifest.ParseDigest(s)
		if err != nil {
			return
		}
		if again, err := manifest.ParseDigest(d.String()); err != nil || again != d {
			t.Errorf("ParseDigest(%q) = %v, which reads back as %v, %v", s, d, again, err)
		}
	})
}
