// Package manifest says what a package is: its plugin.yaml as Go values, its
// config schema, the files that belong to it, how they are kept, and how their
// origin is proven.
//
// Most callers need three calls: ReadPackage for a directory or an embed.FS,
// ReadBundle for a zip, and NewKeyring for a Verifier to give to a host. Parse
// and ParseConfigSchema serve registries and editors. The package runs no guest
// code and links no Wasm engine.
//
// A manifest only asks. What a plugin may really do is decided by the Grant it
// is loaded with; capability names are opaque text here.
package manifest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
)

// Names of the files of a package. No other file belongs to one.
const (
	manifestFile = "plugin.yaml"
	wasmFile     = "plugin.wasm"
	schemaFile   = "config.schema.json"
	displayFile  = "display_contract.json"
)

// Largest size of each file of a package, in bytes.
const (
	maxManifest = 256 * limits.KiB
	maxWasm     = 64 * limits.MiB
	maxSchema   = 256 * limits.KiB
	maxDisplay  = 64 * limits.KiB
)

// A Manifest is what the author of a package says about it and asks for:
// plugin.yaml as Go values. Parse makes one; a literal is as good, checked by
// Validate. It is plain data and safe for concurrent reading.
type Manifest struct {
	// ID, Name and Version identify the plugin: a short name for machines, one
	// for people, and a semantic version. All are required.
	ID, Name, Version string
	// Description is text for people, "" for none.
	Description string
	// Entrypoint is the exported function that a run calls. Required.
	Entrypoint string
	// Runtime is "wasi-preview1" or "none"; "" means "wasi-preview1".
	Runtime string
	// Outputs names what the plugin produces, such as
	// "serviceradar.plugin_result.v1". Required.
	Outputs string
	// SchemaVersion is the version of the manifest format; 0 means 1.
	SchemaVersion int
	// Capabilities are the names of what the plugin wants to call. Required.
	Capabilities []string
	// Permissions are the names, networks and ports it wants to reach. The
	// zero value asks for none.
	Permissions netproxy.Rules
	// Resources holds Memory (requested_memory_mb), CPU (requested_cpu_ms) and
	// Connections (max_open_connections). In plugin.yaml the first two are
	// required; in a literal zero means "not requested" and the host's default
	// holds.
	Resources limits.Limits
	// Display says which widgets the plugin shows; nil if it says nothing.
	Display *DisplayContract
	// Source says where the package comes from; nil if it says nothing.
	Source *Source

	doc *document // where things stand in plugin.yaml; nil for a literal
}

// A DisplayContract lists the widgets that a plugin may show, for screens that
// prepare them.
type DisplayContract struct {
	// SchemaVersion is 0 where the contract does not say.
	SchemaVersion int
	Widgets       []string
	// Raw is the whole contract as JSON, with the keys that this package does
	// not know.
	Raw json.RawMessage
}

// A Source says where a package comes from, for audits. Nothing here is
// verified. Values are kept as they are written in plugin.yaml.
type Source struct {
	RepoURL, Commit, License, Homepage string
}

// An Error is one problem of a package: of its manifest, schema, container or
// signature, or of a config.
type Error struct {
	// File is the name of the file of the package, "" if none is meant.
	File string
	// Path is the place within the file: "resources.requested_cpu_ms" or
	// "capabilities[1]" in a manifest, a JSON pointer such as "/tags/0" in JSON.
	// It is "" for the whole document.
	Path string
	// Rule is the stable name of the rule that is broken, such as
	// "manifest-int", "entry_duplicate" or "key_revoked".
	Rule string
	// Message says what is wrong and what would fix it.
	Message string
	// Line and Column count from 1, columns in characters; 0 where unknown.
	Line, Column int
}

// Error is "FILE:LINE:COLUMN: PATH: MESSAGE [RULE]" without the parts that are
// not known.
func (e Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
		if e.Column > 0 {
			fmt.Fprintf(&b, ":%d", e.Column)
		}
	}
	for _, part := range []string{e.Path, e.Message} {
		if part == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(part)
	}
	fmt.Fprintf(&b, " [%s]", e.Rule)
	return b.String()
}

// At returns an Error without Rule and Message that points at path of the
// manifest: at the entry itself or at the nearest thing around it. It lets a
// host report what only it can judge, such as a capability that it does not
// offer, with the line that the author has to change.
func (m *Manifest) At(path string) Error {
	e := Error{File: manifestFile, Path: path}
	if m.doc != nil {
		at := m.doc.find(path)
		e.Line, e.Column = at.line, at.column
	}
	return e
}
