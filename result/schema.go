package result

import _ "embed"

//go:embed schema.json
var schema string

// JSONSchema returns the draft-07 JSON Schema of plugin_result.v1, for editors
// and control planes. It describes documents that Parse reads without an
// issue; Parse itself accepts more, and is the authority on bytes, duplicate
// keys and whatever else a schema cannot say. The caller owns the bytes.
func JSONSchema() []byte { return []byte(schema) }
