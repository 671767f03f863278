package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/sandcheck/sandcheck/manifest"
)

// finding is one problem or warning about a file of a package.
type finding struct {
	File    string `json:"file"` // within the package, "" if none is meant
	Line    int    `json:"line"` // from 1; 0 where unknown
	Column  int    `json:"column"`
	Path    string `json:"path"`
	Rule    string `json:"rule"`
	Message string `json:"message"`
}

// findingsOf takes an error apart. known tells whether all of it is about the
// package, and nothing about reading it.
func findingsOf(err error) (all []finding, known bool) {
	known = true
	for _, p := range problemsOf(err) {
		var at *manifest.Error
		if !errors.As(p, &at) {
			known = false
			continue
		}
		if at.Rule == "manifest_invalid" || at.Rule == "sidecar_invalid" {
			continue // only a heading: what is wrong inside follows
		}
		all = append(all, finding{at.File, at.Line, at.Column, at.Path, at.Rule, at.Message})
	}
	return all, known
}

// written is how a manifest.Error is written; other texts have no such parts.
var written = regexp.MustCompile(`^(plugin\.yaml|config\.schema\.json|display_contract\.json)(?::(\d+):(\d+))?: (?:([a-z_][A-Za-z0-9_.]*(?:\[\d+\])?|/\S*): )?(.*?)(?: \[([a-z][a-z_-]*)\])?$`)

// findingFrom reads one line of an inspection.
func findingFrom(text string) finding {
	m := written.FindStringSubmatch(text)
	if m == nil {
		return finding{File: "plugin.wasm", Message: text}
	}
	line, _ := strconv.Atoi(m[2]) // absent is 0
	column, _ := strconv.Atoi(m[3])
	return finding{m[1], line, column, m[4], m[6], m[5]}
}

func findingsFrom(texts []string) []finding {
	all := []finding{}
	for _, t := range texts {
		all = append(all, findingFrom(t))
	}
	return all
}

// text is the finding on one line, without its file.
func (f *finding) text() string {
	text := f.Message
	if f.Path != "" {
		text = f.Path + ": " + text
	}
	if f.Rule != "" {
		text += " [" + f.Rule + "]"
	}
	return oneLine(text)
}

// place is where the finding is, for people and editors.
func (f *finding) place(in *validated) string {
	place := in.path
	if f.File != "" && !in.single {
		place = filepath.Join(in.path, f.File)
	}
	if f.Line > 0 {
		place += fmt.Sprintf(":%d:%d", f.Line, f.Column)
	}
	return oneLine(place)
}

// excerpt is the line that the finding is about, with a caret.
func (f *finding) excerpt(in *validated) string {
	lines := strings.Split(in.source(f.File), "\n")
	if f.Line < 1 || f.Line > len(lines) {
		return ""
	}
	return (&sourceError{&manifest.Error{Line: f.Line, Column: f.Column}, lines[f.Line-1]}).excerpt()
}

// annotation is the finding as a command of GitHub Actions, which shows it
// beside its line. Inside a zip there are no lines to show.
func (f *finding) annotation(kind string, in *validated) string {
	file, message := in.path, f.text()
	switch {
	case in.zip && f.File != "":
		message = (&finding{File: f.File, Line: f.Line, Column: f.Column}).place(&validated{}) + ": " + message
		f = &finding{}
	case !in.single:
		file = filepath.Join(in.path, f.File)
	}
	at := "file=" + property(filepath.ToSlash(file))
	if f.Line > 0 {
		at += fmt.Sprintf(",line=%d,col=%d", f.Line, max(1, f.Column))
	}
	return fmt.Sprintf("::%s %s::%s\n", kind, at, escaped(message))
}

// escaped keeps text from ending an annotation or starting another.
func escaped(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(oneLine(s))
}

func property(s string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(escaped(s))
}
