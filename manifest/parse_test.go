package manifest_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
)

var update = flag.Bool("update", false, "rewrite the expected messages in testdata")

// TestW82 runs one bad file per rule: the first line of each, a comment, is the
// exact message.
func TestW82(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/invalid/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			doc, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, rest, _ := bytes.Cut(doc, []byte("\n"))
			_, err = manifest.Parse(doc)
			if err == nil {
				t.Fatalf("%s is accepted", file)
			}
			got := "# " + err.Error()
			if *update {
				if err := os.WriteFile(file, []byte(got+"\n"+string(rest)), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(first) {
				t.Errorf("%s:\n got %s\nwant %s", file, got, first)
			}
		})
	}
}

func TestValidFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/valid/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			doc, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m, err := manifest.Parse(doc)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Validate(); err != nil {
				t.Errorf("Validate of what Parse accepted: %v", err)
			}
		})
	}
}

func TestParseFillsEveryField(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("testdata/valid/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name      string
		got, want any
	}{
		{"id", m.ID, "http-check"}, {"name", m.Name, "HTTP Check"}, {"version", m.Version, "1.2.0"},
		{"description", m.Description, "Fetches a URL, A &B, *bold*."}, {"entrypoint", m.Entrypoint, "run_check"},
		{"runtime", m.Runtime, "wasi-preview1"}, {"outputs", m.Outputs, "serviceradar.plugin_result.v1"},
		{"schema_version", m.SchemaVersion, 1},
		{"capabilities", m.Capabilities, []string{"get_config", "submit_result", "http_request"}},
		{"resources", m.Resources, limits.Limits{Memory: 64 * limits.MiB, CPU: 2 * time.Second, Connections: 4}},
		{"domains", len(m.Permissions.Domains), 2}, {"networks", m.Permissions.Networks[0].String(), "192.0.2.0/24"},
		{"ports", len(m.Permissions.Ports), 2}, {"insecure", m.Permissions.AllowInsecureTLS, false},
		{"widgets", m.Display.Widgets, []string{"status_badge", "table"}}, {"display version", m.Display.SchemaVersion, 1},
		{"display", string(m.Display.Raw), `{"colour":"green","schema_version":1,"widgets":["status_badge","table"]}`},
		{"source", *m.Source, manifest.Source{RepoURL: "https://example.com/http-check", Commit: "0123456", License: "Apache-2.0"}},
	} {
		if !reflect.DeepEqual(tt.got, tt.want) {
			t.Errorf("%s = %v, want %v", tt.name, tt.got, tt.want)
		}
	}
}

func TestParseReportsEverythingInOrder(t *testing.T) {
	t.Parallel()
	_, err := manifest.Parse([]byte("id: X\nversion: 1.0\nfoo: 1\nresources: {requested_memory_mb: 0}\npermissions: {allowed_ports: [http, 0], allowed_domains: [a b]}\n"))
	want := []string{
		"1:1 id", "1:1 name", "1:1 entrypoint", "1:1 outputs", "1:1 capabilities", "2:1 version", "3:1 foo",
		"4:1 resources.requested_cpu_ms", "4:13 resources.requested_memory_mb",
		"5:31 permissions.allowed_ports[0]", "5:37 permissions.allowed_ports[1]", "5:59 permissions.allowed_domains[0]",
	}
	var got []string
	for _, e := range problemsOf(err) {
		got = append(got, strings.TrimPrefix((&manifest.Error{File: "", Line: e.Line, Column: e.Column}).Error(), ":"))
		got[len(got)-1] = strings.TrimSuffix(got[len(got)-1], " []") + " " + e.Path
	}
	if !sameSet(got, want) {
		t.Errorf("got %q\nwant %q\nin %v", got, want, err)
	}
	for i := 1; i < len(got); i++ {
		if a, b := problemsOf(err)[i-1], problemsOf(err)[i]; a.Line > b.Line || a.Line == b.Line && a.Column > b.Column {
			t.Errorf("%v comes before %v", a, b)
		}
	}
}

func sameSet(a, b []string) bool {
	count := map[string]int{}
	for _, s := range a {
		count[s]++
	}
	for _, s := range b {
		count[s]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func TestSizeBound(t *testing.T) {
	t.Parallel()
	base, err := os.ReadFile("testdata/valid/minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		size int
		ok   bool
	}{{most - 1, true}, {most, true}, {most + 1, false}} {
		doc := append(bytes.Clone(base), "#"+strings.Repeat("c", tt.size-len(base)-1)...)
		_, err := manifest.Parse(doc)
		if (err == nil) != tt.ok {
			t.Errorf("%d bytes: ok = %v, want %v: %v", len(doc), err == nil, tt.ok, err)
		}
		if e := problemsOf(err); !tt.ok && (len(e) != 1 || e[0].Rule != "manifest-size") {
			t.Errorf("%d bytes: %v, want manifest-size", len(doc), err)
		}
	}
}

func TestStructureBounds(t *testing.T) {
	t.Parallel()
	base, err := os.ReadFile("testdata/valid/minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		make func(n int) string
		most int
	}{
		// The root is the first level, so x-a may hold 31 more.
		{"depth", func(n int) string {
			return "x-a: " + strings.Repeat("[", n) + strings.Repeat("]", n) + "\n"
		}, 31},
		{"keys", func(n int) string {
			var b strings.Builder
			b.WriteString("x-a:\n")
			for i := range n {
				b.WriteString("  k" + strings.Repeat("i", i%100) + strings.Repeat("j", i/100) + ": 1\n")
			}
			return b.String()
		}, 256},
		// The base takes 22 of the 10,000: the root, 7 keys, 5 texts, a list
		// of 3, a map of 2 keys and 2 values; x-a and its list take 2 more.
		{"nodes", func(n int) string { return "x-a: [" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]\n" }, 10_000 - 24},
	} {
		for _, d := range []int{-1, 0, 1} {
			_, err := manifest.Parse([]byte(string(base) + tt.make(tt.most+d)))
			if (err == nil) != (d < 1) {
				t.Errorf("%s: %d: ok = %v, want %v: %v", tt.name, tt.most+d, err == nil, d < 1, err)
			}
			if e := problemsOf(err); d == 1 && e[0].Rule != "manifest-depth" {
				t.Errorf("%s: %d: %v, want manifest-depth", tt.name, tt.most+d, err)
			}
		}
	}
}

// TestW85: characters that begin aliases and anchors are fine inside text, and
// a schema that names its dialect loads.
func TestW85(t *testing.T) {
	t.Parallel()
	base, err := os.ReadFile("testdata/valid/minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"A &B", "see *foo and **bold**", "a & b * c", `"&quoted"`, "'*quoted'"} {
		m, err := manifest.Parse([]byte(string(base) + "description: " + text + "\n"))
		if err != nil || m.Description != strings.Trim(text, `"'`) {
			t.Errorf("description %s: %v, %v", text, m, err)
		}
	}
	schema := `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","additionalProperties":false,
		"required":["base_url"],"properties":{"base_url":{"type":"string","format":"uri"},
		"api_key_secret_ref":{"type":"string","secretRef":true},"page_size":{"type":"integer","minimum":1,"maximum":500,"default":100}}}`
	if _, err := manifest.ParseConfigSchema([]byte(schema)); err != nil {
		t.Error(err)
	}
}

// TestW87: thousands of repeated keys cost neither time nor memory.
func TestW87(t *testing.T) {
	doc := []byte(strings.Repeat("a: \n", 60_000))
	var err error
	took, allocated := measure(func() { _, err = manifest.Parse(doc) })
	if err == nil || took > 5*time.Second || allocated > 64<<20 {
		t.Errorf("%d bytes: %v, %d MiB, error %v; want an error in under 5s (it takes 30 ms) and 64 MiB", len(doc), took, allocated>>20, err)
	}
	var e *manifest.Error
	if !errors.As(err, &e) || e.Rule != "manifest-key" || e.Line != 2 {
		t.Errorf("first problem %v, want manifest-key in line 2", e)
	}
}

func TestAtPointsAtTheFile(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("testdata/valid/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path         string
		line, column int
	}{
		{"capabilities[1]", 6, 28}, {"outputs", 5, 1}, {"capabilities[9]", 6, 1},
		{"permissions.allowed_ports[1]", 18, 24}, {"resources.requested_cpu_ms", 9, 3}, {"nothing", 1, 1},
	} {
		e := m.At(tt.path)
		if e.Line != tt.line || e.Column != tt.column || e.Path != tt.path || e.File != "plugin.yaml" {
			t.Errorf("At(%q) = %+v, want %d:%d", tt.path, e, tt.line, tt.column)
		}
	}
	if e := (&manifest.Manifest{}).At("outputs"); e.Line != 0 || e.Column != 0 {
		t.Errorf("At of a literal = %+v, want no position", e)
	}
}

func TestValidateOfALiteral(t *testing.T) {
	t.Parallel()
	good := manifest.Manifest{
		ID: "a", Name: "A", Version: "1.0.0", Entrypoint: "run", Outputs: "serviceradar.plugin_result.v1", Capabilities: []string{"log"},
	}
	for _, tt := range []struct {
		name string
		edit func(*manifest.Manifest)
		want string // path and rule of the only problem; "" for none
	}{
		{"nothing requested", func(*manifest.Manifest) {}, ""},
		{"most memory", func(m *manifest.Manifest) { m.Resources.Memory = 4096 * limits.MiB }, ""},
		{"too much memory", func(m *manifest.Manifest) { m.Resources.Memory = 4097 * limits.MiB }, "resources.requested_memory_mb [manifest-resource]"},
		{"negative memory", func(m *manifest.Manifest) { m.Resources.Memory = -1 }, "resources.requested_memory_mb [manifest-resource]"},
		{"too long", func(m *manifest.Manifest) { m.Resources.CPU = time.Hour + 1 }, "resources.requested_cpu_ms [manifest-resource]"},
		{"too many connections", func(m *manifest.Manifest) { m.Resources.Connections = 1025 }, "resources.max_open_connections [manifest-resource]"},
		{"another limit", func(m *manifest.Manifest) { m.Resources.Dials = -1 }, "resources [manifest-resource]"},
		{"no id", func(m *manifest.Manifest) { m.ID = "" }, "id [manifest-required]"},
		{"no capabilities", func(m *manifest.Manifest) { m.Capabilities = nil }, "capabilities [manifest-required]"},
		{"empty capability", func(m *manifest.Manifest) { m.Capabilities = []string{"log", ""} }, "capabilities[1] [manifest-capability]"},
		{"bad domain", func(m *manifest.Manifest) { m.Permissions.Domains = append(m.Permissions.Domains, "*", "a b") }, "permissions.allowed_domains[1] [manifest-permission]"},
		{"bad runtime", func(m *manifest.Manifest) { m.Runtime = "wasi" }, "runtime [manifest-runtime]"},
		{"negative version", func(m *manifest.Manifest) { m.SchemaVersion = -1 }, "schema_version [manifest-schema-version]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := good
			tt.edit(&m)
			var got []string
			for _, e := range problemsOf(m.Validate()) {
				got = append(got, e.Path+" ["+e.Rule+"]")
			}
			if strings.Join(got, ", ") != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, dir := range []string{"valid", "invalid"} {
		files, _ := filepath.Glob("testdata/" + dir + "/*.yaml") // the pattern is fixed, so it cannot be malformed
		for _, file := range files {
			doc, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			if len(doc) < 4<<10 { // larger seeds make the fuzzer slow, not better
				f.Add(doc)
			}
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		m, err := manifest.Parse(doc)
		if err != nil {
			if n := len(problemsOf(err)); n < 1 || n > 50 {
				t.Errorf("%d problems", n)
			}
			return
		}
		if err := m.Validate(); err != nil {
			t.Errorf("Validate refuses what Parse accepts: %v", err)
		}
		m.Warnings()
	})
}
