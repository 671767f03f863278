package manifest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/sandcheck/sandcheck/netproxy"
)

// readPermissions hands the entries to the package that owns their grammar and
// maps what it refuses back to places in the file.
func readPermissions(root *section) netproxy.Rules {
	s := root.section("permissions", false)
	if s == nil {
		return netproxy.Rules{}
	}
	s.unknown(permissionFields)
	var p permissions
	p.list(s, "allowed_domains", "text", isText)
	p.list(s, "allowed_networks", "text", isText)
	p.list(s, "allowed_ports", `a number or a text such as "8000-8100"`, isPort)
	var rules netproxy.Rules
	for path, message := range ruleErrors(rules.UnmarshalJSON(p.json())) {
		it := p.origin(path)
		s.failed[it.path] = true
		s.add(s.doc.find(it.path), it.path, "manifest-permission", "%s", message)
	}
	rules.AllowInsecureTLS = s.boolean("allow_insecure_tls")
	return rules
}

func isPort(n *yaml.Node) bool {
	return isText(n) || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int"
}

// permissions are the lists of a manifest on their way to netproxy. Entries
// that failed already are left out, so an index there is not an index here.
type permissions struct {
	names []string
	lists [][]item
}

func (p *permissions) list(s *section, name, want string, accept func(*yaml.Node) bool) {
	items, ok := s.items(name, false, want, accept)
	if !ok {
		return
	}
	var good []item
	for _, it := range items {
		if s.failed[it.path] {
			continue
		}
		if !isText(it.node) && (!isPlainInt(it.node) || len(it.node.Value) > len("65535")) {
			s.failed[it.path] = true
			s.add(markOf(it.node), it.path, "manifest-permission", "%s is not a port between 1 and 65535", strings.Trim(clip(it.node.Value), `"`))
			continue
		}
		good = append(good, it)
	}
	p.names = append(p.names, name)
	p.lists = append(p.lists, good)
}

func (p *permissions) json() []byte {
	doc := []byte{'{'}
	for i, name := range p.names {
		if i > 0 {
			doc = append(doc, ',')
		}
		doc = fmt.Appendf(doc, "%q:[", name)
		for j, it := range p.lists[i] {
			if j > 0 {
				doc = append(doc, ',')
			}
			doc = appendEntry(doc, it.node)
		}
		doc = append(doc, ']')
	}
	return append(doc, '}')
}

// appendEntry writes a text or a plain whole number as JSON.
func appendEntry(doc []byte, n *yaml.Node) []byte {
	if !isText(n) {
		return append(doc, n.Value...)
	}
	text, err := json.Marshal(n.Value)
	if err != nil {
		return append(doc, `""`...) // cannot happen for a string; "" is refused as an entry
	}
	return append(doc, text...)
}

// origin finds the entry that a path of netproxy such as "allowed_ports[1]"
// means, or the list or map around it.
func (p *permissions) origin(path string) item {
	name, index, _ := strings.Cut(strings.TrimSuffix(path, "]"), "[")
	for i, known := range p.names {
		if known != name {
			continue
		}
		if j, err := strconv.Atoi(index); err == nil && 0 <= j && j < len(p.lists[i]) {
			return p.lists[i][j]
		}
	}
	if path == "" {
		return item{path: "permissions"}
	}
	return item{path: join("permissions", name)}
}
