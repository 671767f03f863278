package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"gopkg.in/yaml.v3"

	"github.com/sandcheck/sandcheck/netproxy"
)

// permissions hands the entries to the package that owns their grammar and maps
// what it refuses back to lines.
func (r *yamlReader) permissions(n *yaml.Node) netproxy.Rules {
	entries := r.entries(n, "permissions", "allowed_domains", "allowed_networks", "allowed_ports", "allow_insecure_tls")
	t := translation{nodes: map[string]*yaml.Node{}}
	for _, e := range entries {
		t.add(r, e)
	}
	var rules netproxy.Rules
	err := rules.UnmarshalJSON(t.object())
	if err == nil {
		return rules
	}
	for _, p := range problemsOf(err) {
		path, message := "permissions", p.Error()
		at := n
		var rule *netproxy.RuleError
		if errors.As(p, &rule) {
			path, message = "permissions."+rule.Path, rule.Message
			if found := t.nodes[rule.Path]; found != nil {
				at = found
			}
		}
		if !r.reported[at] {
			r.add(at, path, "%s", message)
		}
	}
	return netproxy.Rules{}
}

// translation writes permissions as JSON, the form in which package netproxy
// reads them, and remembers which node each path of it came from.
type translation struct {
	doc   []byte
	nodes map[string]*yaml.Node
}

func (t *translation) add(r *yamlReader, e entry) {
	path := "permissions." + e.key
	t.nodes[e.key] = e.value
	t.doc = fmt.Appendf(t.doc, ",%q:", e.key)
	if !r.plain(e.value, path) || e.value.Kind != yaml.SequenceNode {
		t.doc = append(t.doc, scalar(e.value)...)
		return
	}
	t.doc = append(t.doc, '[')
	for i, n := range e.value.Content {
		if i > 0 {
			t.doc = append(t.doc, ',')
		}
		at := fmt.Sprintf("%s[%d]", e.key, i)
		t.nodes[at] = n
		r.plain(n, "permissions."+at)
		value := scalar(n)
		if value == "null" && e.key == "allowed_ports" && n.Kind == yaml.ScalarNode && n.Value != "" {
			// As text, so that the message repeats it: no number that is left
			// here reads as a range of ports.
			value = text(n.Value)
		}
		t.doc = append(t.doc, value...)
	}
	t.doc = append(t.doc, ']')
}

func (t *translation) object() []byte {
	return append([]byte{'{'}, append(bytes.TrimPrefix(t.doc, []byte(",")), '}')...)
}

// scalar is the JSON of a text, a plain number or a plain truth value, else null,
// which is no valid entry anywhere.
func scalar(n *yaml.Node) string {
	switch {
	case isText(n):
		return text(n.Value)
	case isDecimal(n), n.Kind == yaml.ScalarNode && n.ShortTag() == "!!bool" && (n.Value == "true" || n.Value == "false"):
		return n.Value
	default:
		return "null"
	}
}

func text(s string) string {
	doc, err := json.Marshal(s)
	if err != nil {
		return "null" // cannot happen for a string
	}
	return string(doc)
}
