package main

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
)

// grantDocument is a grant file to be written.
type grantDocument struct {
	Capabilities []string       `yaml:"capabilities,flow"`
	Permissions  netproxy.Rules `yaml:"permissions"`
	Limits       limitsDocument `yaml:"limits,omitempty"`
}

type limitsDocument struct {
	MemoryMB    int64 `yaml:"memory_mb,omitempty"`
	CPUMs       int64 `yaml:"cpu_ms,omitempty"`
	WallMs      int64 `yaml:"wall_ms,omitempty"`
	Connections int   `yaml:"max_open_connections,omitempty"`
}

// grantFile writes what a plugin may do as a grant file. Read back, it gives the
// plugin exactly that; where no file says so, there is none.
func grantFile(in *host.Inspection, g capability.Grant) ([]byte, error) {
	doc := grantDocument{Capabilities: listOf(g.Capabilities), Permissions: g.Permissions, Limits: limitsDocument{
		MemoryMB: min(int64(g.Limits.Memory/limits.MiB), maxMemory), CPUMs: min(g.Limits.CPU.Milliseconds(), maxTime),
		WallMs: min(g.Limits.Wall.Milliseconds(), maxTime), Connections: min(g.Limits.Connections, maxConnections),
	}}
	// Where names may lead is written as networks: the manifest, which does not
	// ask for them, keeps them from opening to addresses as such.
	doc.Permissions.Networks = slices.Concat(g.Permissions.Networks, g.Permissions.Answers)
	doc.Permissions.Answers = nil
	var b bytes.Buffer
	fmt.Fprintf(&b, "# What %s %s may do.\n# plugin.wasm: sha256:%s\n", oneLine(in.Manifest.ID), oneLine(in.Manifest.Version), in.Digest)
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return nil, err
	}
	back, err := parseGrant("--approve", b.Bytes())
	if err != nil {
		return nil, err
	}
	if got := grantedBy(in.Requested, back); !sameGrant(got, g) {
		return nil, fmt.Errorf("--approve: no grant file says just this: it would grant %v, not %v", got.Permissions, g.Permissions)
	}
	return b.Bytes(), nil
}

// sameGrant compares grants as sets, limits up to the most that a file can say.
func sameGrant(a, b capability.Grant) bool {
	p, q := a.Permissions, b.Permissions
	la, lb := a.Limits, b.Limits
	return sameSet(a.Capabilities, b.Capabilities) && sameSet(p.Domains, q.Domains) && sameSet(p.Networks, q.Networks) &&
		sameSet(p.Answers, q.Answers) && sameSet(p.Ports, q.Ports) && p.AllowInsecureTLS == q.AllowInsecureTLS &&
		la.Memory == min(lb.Memory, maxMemory*limits.MiB) && la.CPU == min(lb.CPU, maxTime*time.Millisecond) &&
		la.Wall == min(lb.Wall, maxTime*time.Millisecond) && la.Connections == min(lb.Connections, maxConnections)
}

func sameSet[T comparable](a, b []T) bool {
	within := func(a, b []T) bool {
		return !slices.ContainsFunc(a, func(e T) bool { return !slices.Contains(b, e) })
	}
	return within(a, b) && within(b, a)
}
