package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
)

// maxGrant bounds a grant file.
const maxGrant = 256 * limits.KiB

// readGrant reads the grant file at path.
func readGrant(ctx context.Context, path string) (capability.Grant, error) {
	doc, err := readFile(ctx, "--grant", path, maxGrant)
	if err != nil {
		return capability.Grant{}, err
	}
	return parseGrant(path, doc)
}

// parseGrant reads a grant strictly. The error joins one *yamlError per
// problem, by line, at most maxProblems. name is that of the file.
func parseGrant(name string, doc []byte) (capability.Grant, error) {
	r := &yamlReader{file: name}
	var g capability.Grant
	if root := r.document(doc); root != nil {
		for _, e := range r.entries(root, "", "capabilities", "permissions", "limits") {
			switch e.key {
			case "capabilities":
				g.Capabilities = r.capabilities(e.value)
			case "permissions":
				g.Permissions = r.permissions(e.value)
			case "limits":
				g.Limits = r.limits(e.value)
			}
		}
	}
	if err := r.err(); err != nil {
		return capability.Grant{}, err
	}
	if err := g.Validate(); err != nil {
		return capability.Grant{}, &yamlError{File: name, Message: err.Error()}
	}
	return g, nil
}

// capabilityName is how plugin.yaml spells the name of a capability.
var capabilityName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}(:v[1-9][0-9]*)?$`)

func (r *yamlReader) capabilities(list *yaml.Node) []string {
	var names []string
	for i, n := range r.items(list, "capabilities", "a list of names such as http_request") {
		path := fmt.Sprintf("capabilities[%d]", i)
		switch {
		case !r.plain(n, path):
		case !isText(n):
			r.add(n, path, "must be a name such as http_request, got %s", kindOf(n))
		case !capabilityName.MatchString(n.Value):
			r.add(n, path, "%s is not the name of a capability: those have lower-case letters, digits, _ and -", quoted(n.Value))
		case slices.Contains(names, n.Value):
			r.add(n, path, "%s is listed twice", quoted(n.Value))
		default:
			names = append(names, n.Value)
		}
	}
	return names
}

// The most that one run may be granted.
const (
	maxMemory      = 4096
	maxTime        = 3_600_000
	maxConnections = 1024
)

func (r *yamlReader) limits(n *yaml.Node) limits.Limits {
	var l limits.Limits
	for _, e := range r.entries(n, "limits", "memory_mb", "cpu_ms", "wall_ms", "max_open_connections") {
		path := "limits." + e.key
		switch e.key {
		case "memory_mb":
			l.Memory = limits.Bytes(r.whole(e.value, path, maxMemory)) * limits.MiB
		case "cpu_ms":
			l.CPU = time.Duration(r.whole(e.value, path, maxTime)) * time.Millisecond
		case "wall_ms":
			l.Wall = time.Duration(r.whole(e.value, path, maxTime)) * time.Millisecond
		case "max_open_connections":
			// Zero would say nothing, and leave the default of several.
			l.Connections = r.whole(e.value, path, maxConnections)
		}
	}
	return l
}
