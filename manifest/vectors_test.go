package manifest_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sandcheck/sandcheck/manifest"
)

// vectors decodes one key of a case file into a list of cases.
func vectors[T any](t *testing.T, file, key string) T {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("..", "testdata", "vectors", file))
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(doc, &keys); err != nil {
		t.Fatal(err)
	}
	var out T
	dec := json.NewDecoder(strings.NewReader(string(keys[key])))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&out); err != nil {
		t.Fatalf("%s, key %s: %v", file, key, err)
	}
	return out
}

// problemsOf lists every *manifest.Error in the tree of err.
func problemsOf(err error) []*manifest.Error {
	switch e := err.(type) { //nolint:errorlint // walks the tree itself
	case nil:
		return nil
	case *manifest.Error:
		return []*manifest.Error{e}
	case interface{ Unwrap() []error }:
		var out []*manifest.Error
		for _, inner := range e.Unwrap() {
			out = append(out, problemsOf(inner)...)
		}
		return out
	default:
		return problemsOf(errors.Unwrap(err))
	}
}

// offered is what a host with the network functions and nothing else offers.
var offered = []string{
	"get_config", "log", "submit_result", "http_request", "tcp_connect", "tcp_read", "tcp_write", "tcp_close", "udp_sendto",
}

// load stands in for the part of a host's Load that only the host can judge.
func load(m *manifest.Manifest, offered []string) error {
	var errs []error
	for i, name := range m.Capabilities {
		if !slices.Contains(offered, name) {
			e := m.At("capabilities[" + string(rune('0'+i)) + "]")
			e.Rule, e.Message = "manifest-capability", "not offered"
			errs = append(errs, &e)
		}
	}
	needs := map[string]string{
		"serviceradar.camera_stream.v1": "camera_media_stream", "serviceradar.proxmox_console.v1": "proxmox_console_stream",
	}
	if name, ok := needs[m.Outputs]; ok && !slices.Contains(offered, name) {
		e := m.At("outputs")
		e.Rule, e.Message = "manifest-outputs", "not offered"
		errs = append(errs, &e)
	}
	return errors.Join(errs...)
}

func parseAndLoad(doc string, offered []string) (*manifest.Manifest, error) {
	m, err := manifest.Parse([]byte(doc))
	if err != nil {
		return nil, err
	}
	return m, load(m, offered)
}

func TestManifestVectors(t *testing.T) {
	t.Parallel()
	type place struct{ Path, Rule string }
	for _, tt := range vectors[[]struct {
		ID, Name, Yaml, Note string
		Valid                bool
		ErrorsInclude        []place  `json:"errors_include"`
		WarningsInclude      []string `json:"warnings_include"`
		ValidWhenRegistered  []string `json:"valid_when_registered"`
	}](t, "abi.json", "manifest") {
		t.Run(tt.ID, func(t *testing.T) {
			t.Parallel()
			m, err := parseAndLoad(tt.Yaml, offered)
			if (err == nil) != tt.Valid {
				t.Fatalf("%s: valid = %v, want %v: %v\n%s", tt.Name, err == nil, tt.Valid, err, tt.Yaml)
			}
			for _, want := range tt.ErrorsInclude {
				if !slices.ContainsFunc(problemsOf(err), func(e *manifest.Error) bool { return e.Path == want.Path && e.Rule == want.Rule }) {
					t.Errorf("%s: no error %s [%s] in: %v", tt.Name, want.Path, want.Rule, err)
				}
			}
			if message, ok := strings.CutPrefix(tt.Note, "message: "); ok && !strings.Contains(err.Error(), message) {
				t.Errorf("%s: message lacks %q: %v", tt.Name, message, err)
			}
			for _, want := range tt.WarningsInclude {
				if !slices.ContainsFunc(m.Warnings(), func(e manifest.Error) bool { return e.Rule == want }) {
					t.Errorf("%s: no warning [%s] in %v", tt.Name, want, m.Warnings())
				}
			}
			if tt.ValidWhenRegistered != nil {
				if _, err := parseAndLoad(tt.Yaml, slices.Concat(offered, tt.ValidWhenRegistered)); err != nil {
					t.Errorf("%s: with %v: %v", tt.Name, tt.ValidWhenRegistered, err)
				}
			}
		})
	}
}

func TestContentHashVectors(t *testing.T) {
	t.Parallel()
	for _, tt := range vectors[[]struct {
		ID, In string
		Expect struct{ Hex, Error string }
	}](t, "abi.json", "content_hash") {
		t.Run(tt.ID, func(t *testing.T) {
			t.Parallel()
			checkDigest(t, tt.In, tt.Expect.Hex, tt.Expect.Error)
		})
	}
}

func checkDigest(t *testing.T, in, hex, rule string) {
	t.Helper()
	d, err := manifest.ParseDigest(in)
	if rule != "" {
		var e *manifest.Error
		if !errors.As(err, &e) || e.Rule != rule {
			t.Errorf("ParseDigest(%q) = %v, %v, want rule %s", in, d, err, rule)
		}
		return
	}
	if err != nil || d.String() != hex {
		t.Errorf("ParseDigest(%q) = %v, %v, want %s", in, d, err, hex)
	}
}
