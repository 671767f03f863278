package main

import (
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy"
)

// inspectionJSON is the object of inspect --format json. Of a package that could
// not be read only the problems are known; manifest and digest say nothing then.
type inspectionJSON struct {
	Loads       bool          `json:"loads"`
	Digest      string        `json:"digest"`
	Manifest    manifestJSON  `json:"manifest"`
	Requested   requestedJSON `json:"requested"`
	Imports     []importJSON  `json:"imports"`
	Exports     []string      `json:"exports"`
	Initializer string        `json:"initializer"`
	MemoryMin   limits.Bytes  `json:"memory_min"`
	MemoryMax   limits.Bytes  `json:"memory_max"`
	Tables      []int         `json:"tables"`
	Sections    []string      `json:"sections"`
	Features    []string      `json:"features"`
	Verdict     *verdictJSON  `json:"verdict"` // null where nobody was asked or nobody vouches
	Problems    []string      `json:"problems"`
	Warnings    []string      `json:"warnings"`
}

type manifestJSON struct {
	ID            string `json:"id"`
	Name          string `json:"name"`
	Version       string `json:"version"`
	Description   string `json:"description"`
	Entrypoint    string `json:"entrypoint"`
	Runtime       string `json:"runtime"`
	Outputs       string `json:"outputs"`
	SchemaVersion int    `json:"schema_version"`
}

type requestedJSON struct {
	Capabilities []string       `json:"capabilities"`
	Permissions  netproxy.Rules `json:"permissions"` // without keys that are not requested
	Resources    resourcesJSON  `json:"resources"`
}

type resourcesJSON struct {
	MemoryMB       int64 `json:"requested_memory_mb"`
	CPUMs          int64 `json:"requested_cpu_ms"`
	MaxConnections int   `json:"max_open_connections"`
}

type importJSON struct {
	Module     string `json:"module"`
	Name       string `json:"name"`
	Type       string `json:"type"`
	Capability string `json:"capability"`
	Code       int    `json:"code"`
	LinksTo    string `json:"links_to"`
}

func inspectionToJSON(in *host.Inspection, pkg *manifest.Package) ([]byte, error) {
	doc := inspectionJSON{
		Loads:     len(in.Problems) == 0,
		Requested: requestedToJSON(in.Requested),
		Imports:   []importJSON{}, Exports: listOf(in.Exports), Initializer: in.Initializer,
		MemoryMin: in.MemoryMin, MemoryMax: in.MemoryMax, Tables: listOf(in.Tables),
		Sections: listOf(in.Sections), Features: listOf(in.Features),
		Problems: listOf(in.Problems), Warnings: listOf(in.Warnings),
	}
	if in.Digest != (manifest.Digest{}) {
		doc.Digest = in.Digest.String()
	}
	if m := in.Manifest; m != nil {
		doc.Manifest = manifestJSON{m.ID, m.Name, m.Version, m.Description, m.Entrypoint, m.Runtime, m.Outputs, max(1, m.SchemaVersion)}
	}
	if in.Verdict != nil {
		doc.Verdict = verdictToJSON(in.Verdict, pkg)
	}
	for _, im := range in.Imports {
		doc.Imports = append(doc.Imports, importJSON{im.Module, im.Name, im.Type, im.Capability, int(im.Code), linksTo(im)})
	}
	return encodeJSON(doc)
}

func requestedToJSON(g capability.Grant) requestedJSON {
	return requestedJSON{
		Capabilities: listOf(g.Capabilities),
		Permissions:  g.Permissions,
		Resources: resourcesJSON{
			MemoryMB: int64(g.Limits.Memory / limits.MiB), CPUMs: int64(g.Limits.CPU / time.Millisecond), MaxConnections: g.Limits.Connections,
		},
	}
}

// listOf is list, never null.
func listOf[T any](list []T) []T { return append([]T{}, list...) }
