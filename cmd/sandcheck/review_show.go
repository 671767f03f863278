package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sandcheck/sandcheck/capability"
)

// reviewJSON is the object of review --format json.
type reviewJSON struct {
	ID        string        `json:"id"`
	Version   string        `json:"version"`
	Digest    string        `json:"digest"`
	Loads     bool          `json:"loads"`
	Verdict   *verdictJSON  `json:"verdict"`
	Requested requestedJSON `json:"requested"`
	Offered   []offer       `json:"offered"`
	Risks     []risk        `json:"risks"`
	Granted   []narrowing   `json:"granted"`
	Since     string        `json:"since"`
	Changes   []change      `json:"changes"`
	Approved  string        `json:"approved"`
	Problems  []string      `json:"problems"`
	Warnings  []string      `json:"warnings"`
}

// offer is one function that this host has for plugins.
type offer struct {
	Function   string `json:"function"`
	Capability string `json:"capability"`
	Doc        string `json:"doc"`
	Requested  bool   `json:"requested"`
}

// offers are the functions that run offers, and which of them the plugin asks for.
func offers(asked []string) []offer {
	var all []offer
	for _, f := range append(capability.Core(), capability.Network()...) {
		all = append(all, offer{f.Name, f.Capability(), f.Doc, slices.Contains(asked, f.Capability())})
	}
	return all
}

func (r *review) json() reviewJSON {
	doc := reviewJSON{
		ID: r.in.Manifest.ID, Version: r.in.Manifest.Version, Digest: r.in.Digest.String(), Loads: len(r.in.Problems) == 0,
		Requested: requestedToJSON(r.in.Requested), Offered: offers(r.in.Requested.Capabilities),
		Risks: listOf(r.risks), Granted: listOf(r.narrowed), Since: r.since, Changes: listOf(r.changes), Approved: r.approved,
		Problems: listOf(r.in.Problems), Warnings: listOf(r.in.Warnings),
	}
	if r.in.Verdict != nil {
		doc.Verdict = verdictToJSON(r.in.Verdict, r.pkg)
	}
	return doc
}

func (r *review) text(approval bool) string {
	p, m := &page{}, r.in.Manifest
	verdict := "would load"
	if len(r.in.Problems) > 0 {
		verdict = "does not load"
	}
	fmt.Fprintf(p, "%s %s %s\n", oneLine(m.ID), oneLine(m.Version), verdict)
	p.list("problems", r.in.Problems)
	p.manifest(m, r.in.Digest)
	if r.in.Verdict != nil {
		p.head("vouched for")
		p.verdict(r.in.Verdict, r.pkg)
	}
	p.requested(r.in.Requested)
	p.offers(r.in.Requested.Capabilities)
	p.risks(r.risks)
	if r.granted {
		p.narrowed(r.narrowed)
	}
	if r.since != "" {
		p.changes(r.since, r.changes)
	}
	p.list("warnings", r.in.Warnings)
	switch {
	case r.approved != "":
		p.head("approved")
		p.item("grant file", r.approved)
	case approval:
		p.head("not approved")
		p.line("no grant helps a package that does not load")
	}
	return p.String()
}

func (p *page) offers(asked []string) {
	p.head("functions of this host")
	for _, o := range offers(asked) {
		mark := "asked for: "
		if !o.Requested {
			mark = "not asked for: "
		}
		fmt.Fprintf(p, "  %-13s %s%s\n", o.Function, mark, oneLine(o.Doc))
	}
}

func (p *page) risks(all []risk) {
	p.head("risks")
	if len(all) == 0 {
		p.line("none that stands out")
	}
	for _, r := range all {
		p.line(strings.TrimSpace(r.Path + " " + r.Entry))
		fmt.Fprintf(p, "      %s\n", oneLine(r.Why))
	}
}

func (p *page) narrowed(all []narrowing) {
	p.head("under the grant")
	if len(all) == 0 {
		p.line("all that is asked for")
	}
	for _, n := range all {
		switch n.Kind {
		case "left_out":
			p.line("- " + n.Path + " " + n.Requested + " is not granted")
		case "narrowed_to":
			p.line("  " + n.Path + " narrowed to " + n.Granted)
		case "operator_adds":
			p.line("+ " + n.Path + " " + n.Granted + " is your own addition: where granted names may lead" + said("; ", whyNetwork(n.Granted)))
		default:
			p.line("~ " + n.Path + " " + n.Granted + said(", asked for are ", n.Requested))
		}
	}
}

func (p *page) changes(since string, all []change) {
	p.head("changes since " + oneLine(since))
	if len(all) == 0 {
		p.line("none")
	}
	for _, c := range all {
		switch {
		case c.Old == "":
			p.line("+ " + c.Path + " " + c.New)
		case c.New == "":
			p.line("- " + c.Path + " " + c.Old)
		default:
			p.line("~ " + c.Path + " " + c.Old + " -> " + c.New)
		}
	}
}

func whyNetwork(text string) string {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return "" // cannot happen: it was written from a prefix
	}
	return networkRisk(p)
}

func said(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}
