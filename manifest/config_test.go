package manifest_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/sandcheck/sandcheck/manifest"
)

func TestConfigSchemaVectors(t *testing.T) {
	t.Parallel()
	for _, tt := range vectors[[]struct {
		ID, Name, Note string
		Schema         json.RawMessage
		SchemaText     string `json:"schema_text"`
		Valid, Warning bool
	}](t, "abi.json", "config_schema") {
		t.Run(tt.ID, func(t *testing.T) {
			t.Parallel()
			doc := tt.SchemaText
			if doc == "" {
				doc = string(tt.Schema)
			}
			s, err := manifest.ParseConfigSchema([]byte(doc))
			if (err == nil) != tt.Valid {
				t.Fatalf("%s: valid = %v, want %v: %v\n%s", tt.Name, err == nil, tt.Valid, err, doc)
			}
			if got := len(s.Warnings()) > 0; got != tt.Warning {
				t.Errorf("%s: warning = %v, want %v: %v\n%s", tt.Name, got, tt.Warning, s.Warnings(), doc)
			}
		})
	}
}

func TestConfigVectors(t *testing.T) {
	t.Parallel()
	for _, tt := range vectors[[]struct {
		ID, Note string
		Schema   json.RawMessage
		Config   *string
		Expect   struct {
			Valid          bool
			Pointer        *string
			GetConfigBytes *string         `json:"get_config_bytes"`
			GetConfigJSON  json.RawMessage `json:"get_config_json"`
			GetConfigCode  *int            `json:"get_config_code"`
			TokensKept     []string        `json:"tokens_kept"`
			MessageLacks   []string        `json:"message_lacks"`
		}
	}](t, "abi.json", "config") {
		t.Run(tt.ID, func(t *testing.T) {
			t.Parallel()
			s := mustSchema(t, string(tt.Schema))
			var cfg []byte
			if tt.Config != nil {
				cfg = []byte(*tt.Config)
			}
			got, err := s.Apply(cfg)
			if (err == nil) != tt.Expect.Valid {
				t.Fatalf("%s: valid = %v, want %v: %v", tt.Note, err == nil, tt.Expect.Valid, err)
			}
			if want := tt.Expect.Pointer; want != nil {
				var first *manifest.Error
				if !errors.As(err, &first) || first.Path != *want {
					t.Errorf("%s: first problem %v, want it at %q", tt.Note, err, *want)
				}
			}
			for _, secret := range tt.Expect.MessageLacks {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%s: %q is in the message %q", tt.Note, secret, err)
				}
			}
			for _, token := range tt.Expect.TokensKept {
				if !strings.Contains(string(got), token) {
					t.Errorf("%s: %s lacks the token %s", tt.Note, got, token)
				}
			}
			if want := tt.Expect.GetConfigBytes; want != nil && string(got) != *want {
				t.Errorf("%s: got %s, want %s", tt.Note, got, *want)
			}
			if tt.Expect.GetConfigJSON != nil && !sameJSON(t, got, tt.Expect.GetConfigJSON) {
				t.Errorf("%s: got %s, want %s", tt.Note, got, tt.Expect.GetConfigJSON)
			}
			if want := tt.Expect.GetConfigCode; want != nil && len(got) != *want {
				t.Errorf("%s: got %q, want %d bytes", tt.Note, got, *want)
			}
		})
	}
}

func mustSchema(t *testing.T, doc string) *manifest.ConfigSchema {
	t.Helper()
	s, err := manifest.ParseConfigSchema([]byte(doc))
	if err != nil {
		t.Fatalf("ParseConfigSchema(%s): %v", doc, err)
	}
	return s
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var va, vb any
	if err := json.Unmarshal(a, &va); err != nil {
		t.Fatalf("%s: %v", a, err)
	}
	if err := json.Unmarshal(b, &vb); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return reflect.DeepEqual(va, vb)
}

// decode reads JSON with numbers as written.
func decode(t *testing.T, doc string) any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(doc))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return v
}

// The members that a control plane adds stand at the top alone.
func TestHostMembersAreAllowedAtTheTopOnly(t *testing.T) {
	t.Parallel()
	s := mustSchema(t, `{"type":"object","additionalProperties":false,"properties":{"o":{"type":"object","additionalProperties":false}}}`)
	if _, err := s.Apply([]byte(`{"relay":1,"o":{}}`)); err != nil {
		t.Error(err)
	}
	if _, err := s.Apply([]byte(`{"o":{"relay":1}}`)); firstOf(err) != "/o/relay [config-extra]" {
		t.Errorf("inside: %v", err)
	}
}
