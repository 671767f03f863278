package main

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sandcheck/sandcheck/manifest"
)

// verdictJSON is a manifest.Verdict with the files that it says nothing about.
type verdictJSON struct {
	Key        string    `json:"key"`
	Signer     string    `json:"signer"`
	Profile    string    `json:"profile"`
	Covered    []string  `json:"covered"`
	NotCovered []string  `json:"not_covered"`
	At         time.Time `json:"at"`
}

func verdictToJSON(v *manifest.Verdict, pkg *manifest.Package) *verdictJSON {
	return &verdictJSON{v.KeyID, v.Signer, v.Profile.String(), listOf(v.Covered), listOf(uncovered(v, pkg)), v.At.UTC()}
}

// uncovered are the files of a package that a signature does not vouch for.
func uncovered(v *manifest.Verdict, pkg *manifest.Package) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(pkg.Files)), func(name string) bool { return slices.Contains(v.Covered, name) })
}

func (p *page) verdict(v *manifest.Verdict, pkg *manifest.Package) {
	p.item("key", v.KeyID)
	if v.Signer != "" {
		p.item("signer", v.Signer+" (as the signature says, not proven)")
	}
	p.item("profile", v.Profile.String())
	p.item("covered", strings.Join(v.Covered, ", "))
	if rest := uncovered(v, pkg); len(rest) > 0 {
		p.item("not covered", strings.Join(rest, ", ")+": anybody may have changed them")
	}
}
