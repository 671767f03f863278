package manifest

import (
	"math"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/sandcheck/sandcheck/limits"
)

// Fields of a manifest, in the order in which documents usually have them.
var (
	topFields = []string{
		"id", "name", "version", "description", "entrypoint", "runtime", "outputs", "schema_version",
		"capabilities", "permissions", "resources", "display_contract", "source",
	}
	// Blocks that other hosts read. They are kept in the file and signed with
	// it, and mean nothing here.
	foreignBlocks = []string{
		"actions", "signal_schemas", "producer_schedules", "alert_rules", "snmp_requirements",
		"notifications", "integrations",
	}
	resourceFields   = []string{"requested_memory_mb", "requested_cpu_ms", "max_open_connections"}
	permissionFields = []string{"allowed_domains", "allowed_networks", "allowed_ports", "allow_insecure_tls"}
)

// Parse reads plugin.yaml, or the same as JSON. The error joins one *Error per
// problem, sorted by position, at most 50; a Manifest is returned only without
// any. What a host has to offer for the plugin to load is not judged here.
//
// doc may be hostile: whatever it holds, Parse ends quickly and allocates a
// bounded multiple of its size. doc is not kept.
func Parse(doc []byte) (*Manifest, error) {
	p := &problems{file: manifestFile}
	d := readDocument(doc, p)
	if d == nil {
		return nil, p.err()
	}
	r := &reader{problems: p, doc: d, failed: map[string]bool{}}
	m := r.manifest()
	m.check(&rules{problems: p, place: d.find, skip: r.failed})
	if err := p.err(); err != nil {
		return nil, err
	}
	return m, nil
}

func (r *reader) manifest() *Manifest {
	root := r.open(r.doc.root, "", markOf(r.doc.root))
	m := &Manifest{
		doc:           r.doc,
		ID:            root.text("id", true),
		Name:          root.text("name", true),
		Version:       root.text("version", true),
		Description:   root.text("description", false),
		Entrypoint:    root.text("entrypoint", true),
		Runtime:       root.text("runtime", false),
		Outputs:       root.text("outputs", true),
		SchemaVersion: int(root.integer("schema_version", false, "manifest-schema-version", 1, math.MaxInt32)),
		Capabilities:  root.texts("capabilities", true),
		Resources:     readResources(root),
		Display:       readDisplay(root),
		Source:        readSource(root),
	}
	m.Permissions = readPermissions(root)
	if _, said := root.get("runtime", false); !said {
		m.Runtime = "wasi-preview1"
	}
	if m.SchemaVersion == 0 {
		m.SchemaVersion = 1
	}
	root.unknown(slices.Concat(topFields, foreignBlocks, privateNames(root.names)))
	return m
}

// privateNames are the keys that belong to whoever wrote them.
func privateNames(names []string) []string {
	var out []string
	for _, name := range names {
		if strings.HasPrefix(name, "x-") {
			out = append(out, name)
		}
	}
	return out
}

func readResources(root *section) limits.Limits {
	s := root.section("resources", true)
	if s == nil {
		return limits.Limits{}
	}
	defer s.unknown(resourceFields)
	return limits.Limits{
		Memory:      limits.Bytes(s.integer("requested_memory_mb", true, "manifest-resource", 1, int64(maxMemory/limits.MiB))) * limits.MiB,
		CPU:         time.Duration(s.integer("requested_cpu_ms", true, "manifest-resource", 1, maxCPU.Milliseconds())) * time.Millisecond,
		Connections: int(s.integer("max_open_connections", false, "manifest-resource", 0, maxConnections)),
	}
}

func readDisplay(root *section) *DisplayContract {
	s := root.section("display_contract", false)
	if s == nil {
		return nil
	}
	d := &DisplayContract{
		SchemaVersion: int(s.integer("schema_version", false, "manifest-display", 0, math.MaxInt32)),
		Widgets:       s.texts("widgets", false),
	}
	d.Raw = jsonOf(root.fields["display_contract"].value)
	return d
}

func readSource(root *section) *Source {
	s := root.section("source", false)
	if s == nil {
		return nil
	}
	return &Source{
		RepoURL: s.scalar("repo_url"), Commit: s.scalar("commit"), License: s.scalar("license"), Homepage: s.scalar("homepage"),
	}
}

// scalar is a field of any scalar kind, as it is written.
func (s *section) scalar(name string) string {
	f, ok := s.get(name, false)
	if !ok {
		return ""
	}
	if f.value.Kind != yaml.ScalarNode {
		s.fail(f, "manifest-type", "must be text, got %s", kindOf(f.value))
		return ""
	}
	return strings.TrimSpace(f.value.Value)
}
