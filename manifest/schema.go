package manifest

import (
	"bytes"
	_ "embed" // the schema below
)

//go:generate go run github.com/sandcheck/sandcheck/internal/schemagen manifest plugin.schema.json

//go:embed plugin.schema.json
var pluginSchema []byte

// JSONSchema returns a JSON Schema (draft 7) of plugin.yaml, for editors that
// complete and check while one types. Parse knows rules that a schema cannot
// state; what Parse accepts, the schema accepts, apart from null for an absent
// field and from space around a value.
func JSONSchema() []byte { return bytes.Clone(pluginSchema) }
