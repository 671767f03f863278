package result

import (
	"fmt"
	"slices"

	"github.com/sandcheck/sandcheck/internal/strict"
)

// alias is a name read in place of another when a caller asks for it.
type alias struct{ name, from string }

// Where a name has several aliases the first that is there wins.
var rootAliases = []alias{
	{"summary", "message"},
	{"details", "long_output"}, {"details", "longOutput"},
	{"perfdata", "perf_data"}, {"perfdata", "perfData"},
	{"observed_at", "observedAt"}, {"observed_at", "timestamp"},
	{"schema_version", "schemaVersion"},
	{"alert_hint", "alertHint"},
	{"condition_id", "conditionId"}, {"condition_id", "conditionID"},
}

var metricAliases = []alias{
	{"name", "metric"}, {"name", "label"},
	{"value", "val"},
	{"unit", "uom"},
	{"warn", "warning"}, {"crit", "critical"},
	{"min", "minimum"}, {"max", "maximum"},
}

// fields lists the fields of an object, under their proper names when aliases
// are read.
func (p *parser) fields(doc []byte, pointer string, aliases []alias) []Field {
	var fields []Field
	at := map[string]int{}
	for name, value := range strict.Fields(doc) {
		if p.aliases && strict.KindOf(value) == strict.Null && hasAlias(aliases, name) {
			continue // absent, so that an alias can take the place
		}
		at[name] = len(fields)
		fields = append(fields, Field{name, value})
	}
	if !p.aliases {
		return fields
	}
	for _, a := range aliases {
		i, there := at[a.from]
		if _, proper := at[a.name]; proper || !there || strict.KindOf(fields[i].Value) == strict.Null {
			continue
		}
		p.issue("alias_used", strict.Join(pointer, a.from), fmt.Sprintf("read as %q", a.name))
		fields[i].Name = a.name
		at[a.name] = i
	}
	return fields
}

func hasAlias(aliases []alias, name string) bool {
	return slices.ContainsFunc(aliases, func(a alias) bool { return a.name == name })
}

// join is the object of the given fields.
func join(fields []Field) []byte {
	var o object
	for _, f := range fields {
		o.raw(f.Name, f.Value)
	}
	text, _ := o.bytes() // raw values only: nothing that can fail
	return text
}
