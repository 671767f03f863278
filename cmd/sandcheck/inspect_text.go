package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/manifest"
)

func inspectionToText(in *host.Inspection, pkg *manifest.Package) string {
	p := &page{}
	verdict := "would load"
	if len(in.Problems) > 0 {
		verdict = "does not load"
	}
	fmt.Fprintf(p, "%s %s %s\n", oneLine(in.Manifest.ID), oneLine(in.Manifest.Version), verdict)
	p.list("problems", in.Problems)
	p.list("warnings", in.Warnings)
	p.manifest(in.Manifest, in.Digest)
	if in.Verdict != nil {
		p.head("vouched for")
		p.verdict(in.Verdict, pkg)
	}
	p.requested(in.Requested)
	p.imports(in.Imports)
	p.list("exports", in.Exports)
	p.module(in)
	return p.String()
}

func (p *page) list(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	p.head(title)
	for _, l := range lines {
		p.line(l)
	}
}

func (p *page) manifest(m *manifest.Manifest, d manifest.Digest) {
	p.head("package")
	p.item("name", m.Name)
	p.item("description", m.Description)
	p.item("digest", "sha256:"+d.String())
	p.item("entrypoint", m.Entrypoint)
	p.item("outputs", m.Outputs)
	p.item("runtime", m.Runtime)
	if s := m.Source; s != nil {
		p.item("repository", s.RepoURL)
		p.item("commit", s.Commit)
		p.item("license", s.License)
		p.item("homepage", s.Homepage)
	}
	if m.Display != nil {
		p.item("widgets", strings.Join(m.Display.Widgets, ", "))
	}
}

func (p *page) requested(g capability.Grant) {
	p.head("requests")
	p.item("capabilities", strings.Join(g.Capabilities, ", "))
	p.item("domains", texts(g.Permissions.Domains))
	p.item("networks", texts(g.Permissions.Networks))
	p.item("ports", texts(g.Permissions.Ports))
	if g.Permissions.AllowInsecureTLS {
		p.item("tls", "certificates may go unverified")
	}
	if g.Limits.Memory > 0 {
		p.item("memory", g.Limits.Memory.String())
	}
	if g.Limits.CPU > 0 {
		p.item("cpu time", g.Limits.CPU.Round(time.Millisecond).String())
	}
	if g.Limits.Connections > 0 {
		p.item("connections", fmt.Sprint(g.Limits.Connections))
	}
}

func texts[T any](entries []T) string {
	words := make([]string, len(entries))
	for i, e := range entries {
		words[i] = fmt.Sprint(e)
	}
	return strings.Join(words, ", ")
}

func (p *page) imports(all []host.Import) {
	if len(all) == 0 {
		return
	}
	p.head("imports")
	for _, im := range all {
		p.line(im.Module + "." + im.Name + " " + im.Type)
		fmt.Fprintf(p, "      %s\n", oneLine(linked(im)))
	}
}

// linked says what an import is linked to, and why.
func linked(im host.Import) string {
	switch im.Code {
	case capability.OK:
		if im.Capability == "" {
			return "the host's"
		}
		return fmt.Sprintf("the host's, by the capability %q", im.Capability)
	case capability.Denied:
		return fmt.Sprintf("a stub that answers %d: the capability %q is not requested", int(im.Code), im.Capability)
	case capability.NotFound:
		return fmt.Sprintf("a stub that answers %d: this host does not offer it", int(im.Code))
	default:
		return "nothing: it keeps the package from loading"
	}
}

func (p *page) module(in *host.Inspection) {
	p.head("module")
	p.item("initialised", in.Initializer)
	if in.MemoryMin > 0 || in.MemoryMax > 0 {
		most := "no maximum"
		if in.MemoryMax > 0 {
			most = "at most " + in.MemoryMax.String()
		}
		p.item("memory", fmt.Sprintf("%v at first, %s", in.MemoryMin, most))
	}
	p.item("tables", texts(in.Tables))
	p.item("sections", cut(strings.Join(in.Sections, ", "), maxLine))
	p.item("features", strings.Join(in.Features, ", "))
}
