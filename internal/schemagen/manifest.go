package main

import (
	"encoding/json"

	"github.com/invopop/jsonschema"
)

// pluginYAML is plugin.yaml as authors write it. The rules that a schema can
// state stand here; package manifest has them all, and a test there holds both
// against the same files.
type pluginYAML struct {
	ID            id           `json:"id" jsonschema_description:"Identifies the plugin: lower-case letters, digits, dot, dash and underscore."`
	Name          name         `json:"name" jsonschema_description:"Name for people."`
	Version       version      `json:"version" jsonschema_description:"Semantic version: three numbers, quoted or not, such as 1.2.0."`
	Description   description  `json:"description,omitempty" jsonschema_description:"What the plugin checks, for people."`
	Entrypoint    entrypoint   `json:"entrypoint" jsonschema_description:"Exported function that a run calls. It takes no parameters."`
	Runtime       runtime      `json:"runtime,omitempty" jsonschema_description:"What the module imports besides env: WASI preview 1 or nothing."`
	Outputs       outputs      `json:"outputs" jsonschema_description:"What the plugin produces."`
	SchemaVersion positive     `json:"schema_version,omitempty" jsonschema_description:"Version of the manifest format."`
	Capabilities  capabilities `json:"capabilities" jsonschema_description:"Host functions that the plugin wants to call."`
	Permissions   *permissions `json:"permissions,omitempty" jsonschema_description:"Names, networks and ports that the plugin wants to reach. What is absent is not reached."`
	Resources     resources    `json:"resources" jsonschema_description:"What one run may use."`
	Display       *display     `json:"display_contract,omitempty" jsonschema_description:"Widgets that the plugin shows."`
	Source        *source      `json:"source,omitempty" jsonschema_description:"Where the package comes from, for audits."`

	Actions           foreign `json:"actions,omitempty"`
	SignalSchemas     foreign `json:"signal_schemas,omitempty"`
	ProducerSchedules foreign `json:"producer_schedules,omitempty"`
	AlertRules        foreign `json:"alert_rules,omitempty"`
	SNMPRequirements  foreign `json:"snmp_requirements,omitempty"`
	Notifications     foreign `json:"notifications,omitempty"`
	Integrations      foreign `json:"integrations,omitempty"`
}

// JSONSchemaExtend lets authors keep keys of their own.
func (pluginYAML) JSONSchemaExtend(s *jsonschema.Schema) {
	s.PatternProperties = map[string]*jsonschema.Schema{"^x-": {Description: "A private key: kept, signed and not read."}}
}

type permissions struct {
	Domains     []domain  `json:"allowed_domains,omitempty" jsonschema_description:"Names, *.suffix for a name and all below it, * for every name, or addresses."`
	Networks    []network `json:"allowed_networks,omitempty" jsonschema_description:"Networks such as 10.1.0.0/16, or addresses."`
	Ports       []port    `json:"allowed_ports,omitempty" jsonschema_description:"Ports such as 443, ranges such as \"8000-8100\", or \"*\". Without any, none is reached."`
	InsecureTLS bool      `json:"allow_insecure_tls,omitempty" jsonschema_description:"Lets a request ask to skip the check of certificates."`
}

type resources struct {
	Memory      memory      `json:"requested_memory_mb" jsonschema_description:"Memory in MiB."`
	CPU         cpu         `json:"requested_cpu_ms" jsonschema_description:"Time in guest code, in milliseconds."`
	Connections connections `json:"max_open_connections,omitempty" jsonschema_description:"Connections open at one time; 0 means 4."`
}

type display struct {
	SchemaVersion natural  `json:"schema_version,omitempty"`
	Widgets       []string `json:"widgets,omitempty"`
}

// JSONSchemaExtend keeps further keys.
func (display) JSONSchemaExtend(s *jsonschema.Schema) { s.AdditionalProperties = jsonschema.TrueSchema }

type source struct {
	RepoURL  scalar `json:"repo_url,omitempty"`
	Commit   scalar `json:"commit,omitempty" jsonschema_description:"Quote it: 0123456 without quotes is a number."`
	License  scalar `json:"license,omitempty"`
	Homepage scalar `json:"homepage,omitempty"`
}

// JSONSchemaExtend keeps further keys.
func (source) JSONSchemaExtend(s *jsonschema.Schema) { s.AdditionalProperties = jsonschema.TrueSchema }

// Each of these types is one kind of value with its rule.
type (
	id           string
	name         string
	version      string
	description  string
	entrypoint   string
	runtime      string
	outputs      string
	domain       string
	network      string
	port         string
	scalar       string
	positive     int
	natural      int
	memory       int
	cpu          int
	connections  int
	capabilities []string
	foreign      struct{}
)

func text(pattern string) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: pattern}
}

func oneOf(values ...any) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Enum: values}
}

func whole(least, most json.Number) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "integer", Minimum: least, Maximum: most}
}

func ptr(n uint64) *uint64 { return &n }

// JSONSchema is the rule manifest-id.
func (id) JSONSchema() *jsonschema.Schema { return text(`^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`) }

// JSONSchema is the rule manifest-name.
func (name) JSONSchema() *jsonschema.Schema {
	s := text(`^[^\x00-\x1f\x7f]*[^\x00-\x1f\x7f\s][^\x00-\x1f\x7f]*$`)
	s.MinLength, s.MaxLength = ptr(1), ptr(128)
	return s
}

// JSONSchema is the rule manifest-version.
func (version) JSONSchema() *jsonschema.Schema {
	const number, identifier = `(0|[1-9][0-9]*)`, `[0-9A-Za-z-]+`
	const pre = `(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)`
	s := text(`^` + number + `\.` + number + `\.` + number + `(-` + pre + `(\.` + pre + `)*)?(\+` + identifier + `(\.` + identifier + `)*)?$`)
	s.MaxLength = ptr(256)
	return s
}

// JSONSchema bounds the description.
func (description) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", MaxLength: ptr(4096)}
}

// JSONSchema is the rule manifest-entrypoint.
func (entrypoint) JSONSchema() *jsonschema.Schema { return text(`^[A-Za-z_][A-Za-z0-9_.$-]{0,127}$`) }

// JSONSchema is the rule manifest-runtime.
func (runtime) JSONSchema() *jsonschema.Schema {
	s := oneOf("wasi-preview1", "none")
	s.Default = "wasi-preview1"
	return s
}

// JSONSchema is the rule manifest-outputs.
func (outputs) JSONSchema() *jsonschema.Schema {
	return oneOf("serviceradar.plugin_result.v1", "serviceradar.camera_stream.v1", "serviceradar.proxmox_console.v1")
}

// JSONSchema is the rule manifest-capability.
func (capabilities) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		Type: "array", MinItems: ptr(1), UniqueItems: true,
		Items: text(`^[a-z][a-z0-9_-]{0,62}(:v[1-9][0-9]*)?$`),
	}
}

// JSONSchema refuses what is never a name; the whole grammar is not regular.
func (domain) JSONSchema() *jsonschema.Schema { return text(`^(\*|(\*\.)?[^\s*/@%?#]+)$`) }

// JSONSchema refuses what is never a network.
func (network) JSONSchema() *jsonschema.Schema { return text(`^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$`) }

// JSONSchema is a number or a range.
func (port) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
		whole("1", "65535"),
		text(`^(\*|[1-9][0-9]{0,4}-[1-9][0-9]{0,4})$`),
	}}
}

// JSONSchema is any scalar: it is kept as it is written.
func (scalar) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string"}, {Type: "number"}, {Type: "boolean"}}}
}

// JSONSchema is the rule manifest-schema-version.
func (positive) JSONSchema() *jsonschema.Schema {
	s := whole("1", "2147483647")
	s.Default = 1
	return s
}

// JSONSchema is a count.
func (natural) JSONSchema() *jsonschema.Schema { return whole("0", "2147483647") }

// JSONSchema is the rule manifest-resource.
func (memory) JSONSchema() *jsonschema.Schema { return whole("1", "4096") }

// JSONSchema is the rule manifest-resource.
func (cpu) JSONSchema() *jsonschema.Schema { return whole("1", "3600000") }

// JSONSchema is the rule manifest-resource.
func (connections) JSONSchema() *jsonschema.Schema { return whole("0", "1024") }

// JSONSchema accepts everything.
func (foreign) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Description: "Read by other hosts: kept and signed."}
}
