package manifest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
)

// What a manifest may ask for.
const (
	maxMemory      = 4096 * limits.MiB
	maxCPU         = time.Hour
	maxConnections = 1024
	maxName        = 128  // characters
	maxDescription = 4096 // characters
)

var (
	idPattern         = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`)
	entrypointPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.$-]{0,127}$`)
	capabilityPattern = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}(:v[1-9][0-9]*)?$`)

	runtimes = []string{"wasi-preview1", "none"}
	outputs  = []string{"serviceradar.plugin_result.v1", "serviceradar.camera_stream.v1", "serviceradar.proxmox_console.v1"}
)

// rules judge the values of a Manifest, wherever they come from.
type rules struct {
	*problems
	place func(path string) mark
	skip  map[string]bool // fields that are reported already
}

func (r *rules) bad(path, rule, format string, args ...any) {
	if !r.skip[path] {
		r.add(r.place(path), path, rule, format, args...)
	}
}

// Validate reports every value that Parse would refuse, as Parse does. It is
// meant for a Manifest that was made or changed in Go; what Parse returned is
// valid. Resources may be zero: nothing is requested then.
func (m *Manifest) Validate() error {
	r := &rules{problems: &problems{file: manifestFile}, place: m.place, skip: map[string]bool{}}
	for _, f := range []struct{ path, value string }{
		{"id", m.ID}, {"name", m.Name}, {"version", m.Version}, {"entrypoint", m.Entrypoint}, {"outputs", m.Outputs},
	} {
		if f.value == "" {
			r.bad(f.path, "manifest-required", "is missing")
			r.skip[f.path] = true
		}
	}
	if m.Capabilities == nil {
		r.bad("capabilities", "manifest-required", "is missing")
		r.skip["capabilities"] = true
	}
	m.check(r)
	m.checkResources(r)
	for path, message := range ruleErrors(m.Permissions.Validate()) {
		r.bad(join("permissions", path), "manifest-permission", "%s", message)
	}
	return r.err()
}

// place is the position of a field, nowhere for a literal.
func (m *Manifest) place(path string) mark {
	if m.doc == nil {
		return mark{}
	}
	return m.doc.find(path)
}

// check applies the rules that do not depend on how values are written.
func (m *Manifest) check(r *rules) {
	if !idPattern.MatchString(m.ID) {
		r.bad("id", "manifest-id", "%s: must be 1 to 64 of a-z, 0-9, dot, dash and underscore, and begin and end with a letter or digit", clip(m.ID))
	}
	m.checkName(r)
	if _, err := parseVersion(m.Version); err != nil {
		r.bad("version", "manifest-version", "%v", err)
	}
	if n := utf8.RuneCountInString(m.Description); n > maxDescription {
		r.bad("description", "manifest-type", "has %d characters: at most %d are allowed", n, maxDescription)
	}
	if !entrypointPattern.MatchString(m.Entrypoint) {
		r.bad("entrypoint", "manifest-entrypoint", "%s: must be the name of an exported function: 1 to 128 of letters, digits, _ . $ and -, not beginning with a digit", clip(m.Entrypoint))
	}
	// Parse fills an absent runtime in, so "" comes from Go or was written.
	if !slices.Contains(runtimes, m.Runtime) && (m.Runtime != "" || m.doc != nil) {
		r.bad("runtime", "manifest-runtime", "%s: must be %q or %q%s", clip(m.Runtime), runtimes[0], runtimes[1], suggestion(m.Runtime, runtimes))
	}
	if !slices.Contains(outputs, m.Outputs) {
		r.bad("outputs", "manifest-outputs", "%s: must be one of %s%s", clip(m.Outputs), strings.Join(outputs, ", "), suggestion(m.Outputs, outputs))
	}
	if m.SchemaVersion < 0 {
		r.bad("schema_version", "manifest-schema-version", "must be at least 1, got %d", m.SchemaVersion)
	}
	m.checkCapabilities(r)
	if m.Display != nil && m.Display.SchemaVersion < 0 {
		r.bad("display_contract.schema_version", "manifest-display", "must be at least 0, got %d", m.Display.SchemaVersion)
	}
}

func (m *Manifest) checkName(r *rules) {
	n := utf8.RuneCountInString(m.Name)
	switch {
	case strings.TrimSpace(m.Name) == "":
		r.bad("name", "manifest-name", "must not be blank")
	case !utf8.ValidString(m.Name) || strings.ContainsFunc(m.Name, unicode.IsControl):
		r.bad("name", "manifest-name", "%s: must not hold control characters", clip(m.Name))
	case n > maxName:
		r.bad("name", "manifest-name", "has %d characters: at most %d are allowed", n, maxName)
	}
}

func (m *Manifest) checkCapabilities(r *rules) {
	if len(m.Capabilities) == 0 {
		r.bad("capabilities", "manifest-capability", "must name at least one capability, such as %q", "submit_result")
	}
	first := make(map[string]int, len(m.Capabilities))
	for i, name := range m.Capabilities {
		path := fmt.Sprintf("capabilities[%d]", i)
		if !capabilityPattern.MatchString(name) {
			r.bad(path, "manifest-capability", "%s is not the name of a capability: begin with a-z, go on with a-z, 0-9, _ and -, end with a version such as :v1 if there is one%s",
				clip(name), suggestion(name, knownCapabilities))
		} else if j, twice := first[name]; twice {
			r.bad(path, "manifest-capability", "%s is listed already, in capabilities[%d]", clip(name), j)
		} else {
			first[name] = i
		}
	}
}

// checkResources judges what Go code asks for; Parse judges numbers as written.
func (m *Manifest) checkResources(r *rules) {
	if m.Resources.Memory < 0 || m.Resources.Memory > maxMemory {
		r.bad("resources.requested_memory_mb", "manifest-resource", "must be between 0 and %v, got %v", maxMemory, m.Resources.Memory)
	}
	if m.Resources.CPU < 0 || m.Resources.CPU > maxCPU {
		r.bad("resources.requested_cpu_ms", "manifest-resource", "must be between 0 and %v, got %v", maxCPU, m.Resources.CPU)
	}
	if m.Resources.Connections < 0 || m.Resources.Connections > maxConnections {
		r.bad("resources.max_open_connections", "manifest-resource", "must be between 0 and %d, got %d", maxConnections, m.Resources.Connections)
	}
	others := m.Resources
	others.Memory, others.CPU, others.Connections = 0, 0, 0
	if err := others.Validate(); err != nil {
		r.bad("resources", "manifest-resource", "%v", err)
	}
}

// ruleErrors yields path and message of every malformed entry in an error of
// netproxy.
func ruleErrors(err error) func(yield func(path, message string) bool) {
	return func(yield func(string, string) bool) { eachRuleError(err, yield) }
}

func eachRuleError(err error, yield func(string, string) bool) bool {
	switch e := err.(type) { //nolint:errorlint // the tree is walked node by node
	case nil:
		return true
	case *netproxy.RuleError:
		return yield(e.Path, e.Message)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if !eachRuleError(inner, yield) {
				return false
			}
		}
		return true
	case interface{ Unwrap() error }:
		return eachRuleError(e.Unwrap(), yield)
	default:
		return yield("", err.Error())
	}
}
