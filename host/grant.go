package host

import (
	"cmp"
	"slices"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
)

// Requested is what a manifest asks for, as a Grant: for review screens, and as
// the starting point of a narrower one.
func Requested(m *manifest.Manifest) capability.Grant {
	return capability.Grant{
		Capabilities: slices.Clone(m.Capabilities),
		Permissions:  m.Permissions,
		Limits:       m.Resources,
	}
}

// grantFor narrows what m asks for by what the operator gives and by the ceiling.
// What nobody asked for is never granted; where names may lead is the operator's
// to say, which GrantedBy knows about.
func (s *settings) grantFor(m *manifest.Manifest, l *loading) capability.Grant {
	asked, given := Requested(m), l.grant
	if l.requested {
		given = asked
	}
	if s.ceiling != nil {
		given = given.Intersect(*s.ceiling)
	}
	return capability.Grant{
		Capabilities: s.capabilitiesFor(asked, given),
		Permissions:  asked.Permissions.GrantedBy(given.Permissions),
		Limits:       s.limitsFor(asked.Limits, given.Limits),
	}
}

// capabilitiesFor keeps what is asked for and either given or part of Core, for
// which the manifest is enough.
func (s *settings) capabilitiesFor(asked, given capability.Grant) []string {
	var names []string
	for _, name := range asked.Capabilities {
		core := slices.ContainsFunc(capability.Core(), func(f capability.Func) bool { return f.Capability() == name })
		if (core || slices.Contains(given.Capabilities, name)) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// limitsFor fills every limit: what is said, at its tightest, and the default
// where nobody says anything. Memory and connections are requests first, with
// defaults of their own, which the operator's values can only lower.
func (s *settings) limitsFor(asked, given limits.Limits) limits.Limits {
	d := limits.Default()
	own := s.limits
	own.Memory = cmp.Or(own.Memory, maxMemory)
	asked.Memory = cmp.Or(asked.Memory, d.Memory)
	asked.Connections = cmp.Or(asked.Connections, d.Connections)
	l := asked.Min(given).Min(own)
	l.Wall = cmp.Or(l.Wall, d.Wall)
	l.CPU = cmp.Or(l.CPU, l.Wall)
	l = l.Or(d)
	l.Memory -= l.Memory % (64 * limits.KiB) // whole pages, so possibly none
	return l
}
