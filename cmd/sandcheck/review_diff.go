package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/manifest"
)

// narrowing is one difference that a grant makes to what is asked for.
type narrowing struct {
	Kind      string `json:"kind"` // left_out, narrowed_to, operator_adds or limit
	Path      string `json:"path"`
	Requested string `json:"requested"`
	Granted   string `json:"granted"`
}

func narrowings(asked, left capability.Grant) []narrowing {
	var all []narrowing
	for _, c := range capability.Diff(asked, left) {
		kind := "narrowed_to"
		switch {
		case strings.HasPrefix(c.Path, "limits."):
			kind = "limit"
		case c.Granted == "" || c.Path == "permissions.allow_insecure_tls":
			kind = "left_out"
		case c.Path == "permissions.allowed_networks" && !asksFor(asked, c.Granted):
			kind = "operator_adds"
		}
		all = append(all, narrowing{kind, c.Path, c.Requested, c.Granted})
	}
	return all
}

// asksFor tells a network that the plugin asked for from one that the operator
// alone opens to its names.
func asksFor(asked capability.Grant, network string) bool {
	p, err := netip.ParsePrefix(network)
	return err == nil && slices.ContainsFunc(asked.Permissions.Networks, func(wide netip.Prefix) bool {
		return wide.Bits() <= p.Bits() && wide.Contains(p.Addr())
	})
}

// change is one difference between two versions of a plugin. Of an entry of a
// list, one side is empty.
type change struct {
	Path string `json:"path"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// changesBetween lists what differs, in the order of a manifest.
func changesBetween(old, now *manifest.Package, before, after *host.Inspection) []change {
	all := fieldChanges(old.Manifest, now.Manifest)
	all = append(all, requestChanges(before.Requested, after.Requested)...)
	all = append(all, listChanges("imports", importNames(before), importNames(after))...)
	for _, name := range []string{"plugin.wasm", schemaFile, "display_contract.json"} {
		if a, b := digestOf(old.Files[name]), digestOf(now.Files[name]); a != b {
			all = append(all, change{name, a, b})
		}
	}
	return all
}

func fieldChanges(old, now *manifest.Manifest) []change {
	var all []change
	fields, was := fieldsOf(now), fieldsOf(old)
	for i, f := range fields {
		if f[1] != was[i][1] {
			all = append(all, change{f[0], was[i][1], f[1]})
		}
	}
	return all
}

func fieldsOf(m *manifest.Manifest) [][2]string {
	var s manifest.Source
	if m.Source != nil {
		s = *m.Source
	}
	widgets := ""
	if m.Display != nil {
		widgets = strings.Join(m.Display.Widgets, ", ")
	}
	return [][2]string{
		{"id", m.ID}, {"name", m.Name}, {"version", m.Version}, {"description", m.Description},
		{"entrypoint", m.Entrypoint}, {"runtime", m.Runtime}, {"outputs", m.Outputs},
		{"schema_version", fmt.Sprint(max(1, m.SchemaVersion))}, {"widgets", widgets},
		{"source.repo_url", s.RepoURL}, {"source.commit", s.Commit}, {"source.license", s.License}, {"source.homepage", s.Homepage},
	}
}

func requestChanges(old, now capability.Grant) []change {
	var all []change
	for _, c := range capability.Diff(old, now) {
		all = append(all, change{c.Path, c.Requested, c.Granted})
	}
	// A limit that is no longer said is no difference to Diff, which judges
	// grants, where silence changes nothing. Here the default takes its place.
	for _, c := range capability.Diff(now, old) {
		if strings.HasPrefix(c.Path, "limits.") && c.Requested == "" {
			all = append(all, change{c.Path, c.Granted, ""})
		}
	}
	return all
}

func listChanges(path string, old, now []string) []change {
	var all []change
	for _, e := range old {
		if !slices.Contains(now, e) {
			all = append(all, change{path, e, ""})
		}
	}
	for _, e := range now {
		if !slices.Contains(old, e) {
			all = append(all, change{path, "", e})
		}
	}
	return all
}

func importNames(in *host.Inspection) []string {
	var names []string
	for _, im := range in.Imports {
		names = append(names, im.Module+"."+im.Name)
	}
	return names
}

func digestOf(content []byte) string {
	if content == nil {
		return ""
	}
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// updateRisks tell what is odd about one version that follows another.
func updateRisks(old, now *manifest.Package) []risk {
	var risks []risk
	a, b := old.Manifest, now.Manifest
	if a.ID != b.ID {
		risks = append(risks, risk{"id", b.ID, fmt.Sprintf("another plugin than %q", a.ID)})
	}
	order, err := manifest.CompareVersions(b.Version, a.Version)
	switch {
	case err != nil:
		risks = append(risks, risk{"version", b.Version, err.Error()})
	case order < 0:
		risks = append(risks, risk{"version", b.Version, fmt.Sprintf("older than %s: a fault that was repaired may come back", a.Version)})
	case order == 0 && old.Digest() != now.Digest():
		risks = append(risks, risk{"version", b.Version, "the same version with another plugin.wasm"})
	}
	return risks
}
