package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/sandcheck/sandcheck/manifest"
)

// bundle packs a shared package into a zip in a folder of its own.
func bundle(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".zip")
	invoke(t, "pack", "-o", path, shared(name)).wantCode(t, 0)
	return path
}

// key makes a key and returns the trust file with it and the prefix of its files.
func key(t *testing.T, id string) (trust, prefix string) {
	t.Helper()
	prefix = filepath.Join(t.TempDir(), "key")
	got := invoke(t, "keygen", "--id", id, "-o", prefix)
	got.wantCode(t, 0)
	return file(t, "trust.yaml", got.out), prefix
}

func TestPackIsDeterministic(t *testing.T) {
	t.Parallel()
	var zips [2][]byte
	for i := range zips {
		var err error
		if zips[i], err = os.ReadFile(bundle(t, "http-check")); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(zips[0], zips[1]) {
		t.Error("two packs of one package differ")
	}
}

func TestPackJSON(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.zip")
	got := invoke(t, "pack", "--format", "json", "-o", path, "--store", dir, shared("http-check"))
	got.wantCode(t, 0)
	var doc packedJSON
	decode(t, got.out, &doc)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if doc.File != path || doc.Ref == "" || doc.Size != int(info.Size()) || len(doc.SHA256) != 64 || strings.Join(doc.Files, " ") != "config.schema.json plugin.wasm plugin.yaml" {
		t.Errorf("got %+v", doc)
	}
	ran := invoke(t, "run", "--unsigned", "--store", dir, "--config", `{"url":"http://127.0.0.1:9/"}`, doc.Ref)
	ran.wantCode(t, 2)
	invoke(t, "inspect", "--store", dir, doc.Ref).wantCode(t, 0)
	for _, ref := range []string{strings.Repeat("0", 64), "../" + doc.Ref, path, ""} {
		invoke(t, "run", "--unsigned", "--store", dir, ref).wantUnknown(t)
	}
}

func decode(t *testing.T, doc string, into any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(doc))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%v: %s", err, doc)
	}
}

func TestKeygen(t *testing.T) {
	t.Parallel()
	trust, prefix := key(t, "it's: \"ops\"")
	text, err := os.ReadFile(trust)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := parseTrust("t.yaml", text)
	if err != nil || len(keys.Keys) != 1 || keys.Keys[0].ID != "it's: \"ops\"" {
		t.Fatalf("got %+v, %v of\n%s", keys, err, text)
	}
	info, err := os.Stat(prefix + ".key")
	if err != nil {
		t.Fatal(err)
	}
	if perm := info.Mode().Perm(); runtime.GOOS != "windows" && perm != 0o600 {
		t.Errorf("the secret key has mode %v", perm)
	}
	secret, err := os.ReadFile(prefix + ".key")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, bytes.TrimSpace(secret)) {
		t.Error("the trust file holds the secret key")
	}
	again := invoke(t, "keygen", "--id", "ops", "-o", prefix)
	again.wantCode(t, 3)
	wantIn(t, "stderr", again.err, "is not written over")
	if now, err := os.ReadFile(prefix + ".key"); err != nil || !bytes.Equal(now, secret) {
		t.Errorf("the key was changed: %v", err)
	}
}

// TestSignAndVerify goes through every profile, in a directory and beside a zip.
func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	trust, prefix := key(t, "ops")
	for _, tt := range []struct {
		profile, found, file, notCovered string
	}{
		{"bundle-v2", "bundle-v2", "bundle-signature.json", ""},
		{"serviceradar-tool", "serviceradar-tool", "upload-signature.json", "config.schema.json"},
		// Both programs write this manifest alike.
		{"serviceradar-control-plane", "serviceradar-tool", "upload-signature.json", "config.schema.json"},
	} {
		t.Run(tt.profile, func(t *testing.T) {
			t.Parallel()
			zip := bundle(t, "http-check")
			got := invoke(t, "sign", "--key", prefix+".key", "--id", "ops", "--profile", tt.profile, zip)
			got.wantCode(t, 0)
			wantIn(t, "stdout", got.out, "signed http-check 1.0.0\n", tt.file, tt.profile)
			if _, err := os.Stat(filepath.Join(filepath.Dir(zip), tt.file)); err != nil {
				t.Error(err)
			}
			verified := invoke(t, "verify", "--public", "@"+prefix+".pub", "--id", "ops", "--format", "json", zip)
			verified.wantCode(t, 0)
			var doc verifiedJSON
			decode(t, verified.out, &doc)
			if !doc.Verified || doc.Verdict == nil || doc.Verdict.Profile != tt.found || strings.Join(doc.Verdict.NotCovered, " ") != tt.notCovered {
				t.Fatalf("got %+v, %+v", doc, doc.Verdict)
			}
			invoke(t, "verify", "--trust", trust, zip).wantCode(t, 0)
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	trust, prefix := key(t, "ops")
	other, otherPrefix := key(t, "ops")
	zip := bundle(t, "alive")
	unsigned := invoke(t, "verify", "--trust", trust, zip)
	unsigned.wantCode(t, 2)
	wantIn(t, "stdout", unsigned.out, "alive 1.0.0 is not vouched for\n", "brings no signature")
	invoke(t, "sign", "--key", prefix+".key", "--id", "ops", zip).wantCode(t, 0)
	invoke(t, "verify", "--trust", trust, zip).wantCode(t, 0)
	for name, args := range map[string][]string{
		"another key":         {"--trust", other},
		"another public key":  {"--public", "@" + otherPrefix + ".pub", "--id", "ops"},
		"another id":          {"--public", "@" + prefix + ".pub", "--id", "dev"},
		"revoked":             {"--trust", file(t, "t.yaml", with(t, trust, "    revoked: true\n"))},
		"another plugin":      {"--trust", file(t, "t.yaml", with(t, trust, "    plugins: [http-*]\n"))},
		"too late":            {"--trust", file(t, "t.yaml", with(t, trust, "    not_after: 2001-01-01\n"))},
		"another profile":     {"--trust", file(t, "t.yaml", with(t, trust, "profiles: [serviceradar-tool]\n"))},
		"not yet":             {"--trust", file(t, "t.yaml", with(t, trust, "    not_before: 9000-01-01T00:00:00Z\n"))},
		"in time, but others": {"--trust", file(t, "t.yaml", with(t, trust, "    not_before: 2001-01-01\n    plugins: [\"b*\"]\n"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := invoke(t, append(append([]string{"verify"}, args...), zip)...)
			got.wantCode(t, 2)
			if args[0] == "--trust" {
				ran := invoke(t, "run", "--trust", args[1], zip)
				ran.wantUnknown(t)
				wantIn(t, "stdout", ran.out, "nobody vouches for the package")
				looked := invoke(t, "inspect", "--trust", args[1], zip)
				looked.wantCode(t, 3)
				wantIn(t, "stdout", looked.out, "does not load", "nobody vouches for the package")
			}
		})
	}
	ran := invoke(t, "run", "--trust", trust, "--format", "nagios", zip)
	ran.wantCode(t, 0)
	looked := invoke(t, "inspect", "--trust", trust, zip)
	looked.wantCode(t, 0)
	wantIn(t, "stdout", looked.out, "\nvouched for\n  key          ops\n  profile      bundle-v2\n")
}

// with is a trust file with more lines.
func with(t *testing.T, trust, lines string) string {
	t.Helper()
	text, err := os.ReadFile(trust)
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + lines
}

// TestChangedAfterSigning changes each file of a signed directory.
func TestChangedAfterSigning(t *testing.T) {
	t.Parallel()
	trust, prefix := key(t, "ops")
	for _, tt := range []struct{ name, change string }{
		{"plugin.yaml", "# changed\n"}, {"plugin.wasm", "\x00\x02\x01a"}, {"config.schema.json", "\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "p")
			if err := os.CopyFS(dir, os.DirFS(shared("http-check"))); err != nil {
				t.Fatal(err)
			}
			invoke(t, "sign", "--key", prefix+".key", "--id", "ops", dir).wantCode(t, 0)
			invoke(t, "verify", "--trust", trust, dir).wantCode(t, 0)
			path := filepath.Join(dir, tt.name)
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, append(content, tt.change...), 0o600); err != nil {
				t.Fatal(err)
			}
			invoke(t, "verify", "--trust", trust, dir).wantCode(t, 2)
		})
	}
}

func TestSignaturesBesideAZip(t *testing.T) {
	t.Parallel()
	trust, _ := key(t, "ops")
	zip := bundle(t, "alive")
	if err := os.Mkdir(filepath.Join(filepath.Dir(zip), bundleSignature), 0o700); err != nil {
		t.Fatal(err)
	}
	got := invoke(t, "verify", "--trust", trust, zip)
	got.wantCode(t, 3)
	wantIn(t, "stderr", got.err, "is not a regular file")
	for size, code := range map[int]int{64<<10 - 1: 2, 64 << 10: 2, 64<<10 + 1: 3} {
		zip := bundle(t, "alive")
		if err := os.WriteFile(filepath.Join(filepath.Dir(zip), bundleSignature), bytes.Repeat([]byte(" "), size), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := invoke(t, "verify", "--trust", trust, zip); got.code != code {
			t.Errorf("a document of %d bytes: exit code %d, want %d", size, got.code, code)
		}
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"manifest", "result"} {
		for _, f := range []string{"text", "json"} {
			got := invoke(t, "schema", name, "--format", f)
			got.wantCode(t, 0)
			if !json.Valid([]byte(got.out)) || f == "json" && strings.Count(got.out, "\n") != 1 {
				t.Errorf("schema %s as %s is %q", name, f, got.out)
			}
		}
	}
	if got := invoke(t, "schema", "manifest"); got.out != string(manifest.JSONSchema()) {
		t.Error("the schema of a manifest is another")
	}
}

// TestMistakesOfTools checks that a tool without an answer says why, as its
// format wants it, and exits with 3.
func TestMistakesOfTools(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"pack to nowhere", []string{"pack", shared("alive")}, "pack: neither -o FILE nor --store DIR"},
		{"pack nothing", []string{"pack", "-o", "x.zip"}, "pack: 0 arguments are given where one is wanted: PACKAGE"},
		{"pack two", []string{"pack", "-o", "x.zip", "a", "b"}, "pack: 2 arguments"},
		{"pack no package", []string{"pack", "-o", filepath.Join(dir, "x.zip"), dir}, "plugin.yaml: is missing"},
		{"pack into no folder", []string{"pack", "-o", filepath.Join(dir, "no", "x.zip"), shared("alive")}, `x.zip" cannot be written: `},
		{"pack into no store", []string{"pack", "--store", filepath.Join(dir, "no"), shared("alive")}, "--store: stat "},
		{"keygen without id", []string{"keygen", "-o", "k"}, "keygen: --id is missing or empty"},
		{"keygen with blank id", []string{"keygen", "--id", " ", "-o", "k"}, "keygen: --id is missing or empty"},
		{"keygen with two lines", []string{"keygen", "--id", "a\nb", "-o", "k"}, "must be one line"},
		{"keygen without a file", []string{"keygen", "--id", "a"}, "keygen: -o PREFIX is missing"},
		{"keygen with more", []string{"keygen", "--id", "a", "-o", "k", "b"}, "stands where nothing is wanted"},
		{"sign without key", []string{"sign", shared("alive")}, "sign: --key is missing or empty"},
		{"sign without id", []string{"sign", "--key", "k", shared("alive")}, "sign: --id is missing or empty"},
		{"sign with no such key", []string{"sign", "--key", "no-such-file", "--id", "a", shared("alive")}, "--key: open no-such-file"},
		{"sign with no key", []string{"sign", "--key", file(t, "k", "secret"), "--id", "a", shared("alive")}, "a private key is 32 or 64 bytes"},
		{"sign with another profile", []string{"sign", "--profile", "v3", shared("alive")}, `"v3" is none of bundle-v2, serviceradar-tool, serviceradar-control-plane`},
		{"verify by nobody", []string{"verify", shared("alive")}, "verify: give either --trust FILE, or --public KEY and --id ID"},
		{"verify by both", []string{"verify", "--trust", "t", "--public", "k", shared("alive")}, "verify: give either"},
		{"verify without id", []string{"verify", "--public", "k", shared("alive")}, "verify: --id is missing"},
		{"verify with an id too much", []string{"verify", "--trust", "t", "--id", "k", shared("alive")}, "verify: --id belongs to --public"},
		{"verify by no key", []string{"verify", "--public", "k", "--id", "a", shared("alive")}, "--public: "},
		{"schema of nothing", []string{"schema"}, "schema: 0 arguments"},
		{"schema of something", []string{"schema", "grant"}, `schema: "grant" is neither manifest nor result`},
		{"format of checks", []string{"schema", "result", "--format", "nagios"}, "must be one of text, json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := invoke(t, tt.args...)
			got.wantCode(t, 3)
			wantIn(t, "stderr", got.err, "sandcheck: ", tt.want)
			if got.out != "" {
				t.Errorf("stdout is %q", got.out)
			}
			if strings.Contains(got.err, "secret") && strings.Contains(tt.name, "with no key") {
				t.Errorf("stderr repeats the key: %q", got.err)
			}
			if strings.Contains(strings.Join(tt.args, " "), "--format") {
				return
			}
			asJSON := invoke(t, append(tt.args, "--format", "json")...)
			asJSON.wantCode(t, 3)
			var doc failureJSON
			decode(t, asJSON.out, &doc)
			if !strings.Contains(strings.Join(doc.Errors, "\n"), tt.want) {
				t.Errorf("got %q, want %q", doc.Errors, tt.want)
			}
		})
	}
}

// TestSignedStore keeps a package with its signature and runs it from there.
func TestSignedStore(t *testing.T) {
	t.Parallel()
	trust, prefix := key(t, "ops")
	dir, store := changed(t, "alive"), t.TempDir()
	invoke(t, "sign", "--key", prefix+".key", "--id", "ops", dir).wantCode(t, 0)
	packed := invoke(t, "pack", "--format", "json", "--store", store, dir)
	packed.wantCode(t, 0)
	var doc packedJSON
	decode(t, packed.out, &doc)
	if doc.Ref == "" || doc.File != "" {
		t.Fatalf("got %+v", doc)
	}
	for _, args := range [][]string{
		{"verify", "--trust", trust}, {"review", "--trust", trust}, {"inspect", "--trust", trust}, {"run", "--trust", trust},
	} {
		invoke(t, append(args, "--store", store, doc.Ref)...).wantCode(t, 0)
	}
}
