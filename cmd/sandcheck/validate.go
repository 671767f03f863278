package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/sandcheck/sandcheck/manifest"
)

const validateUsage = `sandcheck validate [flags] PATH
  --format F             text, json or github; default text
`

const formatGitHub format = "github"

// validatedJSON is the object of validate --format json.
type validatedJSON struct {
	Valid    bool      `json:"valid"`
	Path     string    `json:"path"`
	Problems []finding `json:"problems"`
	Warnings []finding `json:"warnings"`
}

// validated is what was found at a path.
type validated struct {
	path               string
	single, zip        bool // a plugin.yaml alone; a zip; else a directory
	problems, warnings []finding
	source             func(name string) string
}

// validatePath is sandcheck validate.
func validatePath(ctx context.Context, c *console, args []string) int {
	t := newTool("validate", validateUsage, formatGitHub)
	return c.use(t, args, func(operands []string) (*answer, error) {
		path, err := one(operands, "PATH, a plugin.yaml, or the directory or the zip of a package")
		if err != nil {
			return nil, err
		}
		v, err := validate(ctx, path)
		if err != nil {
			return nil, err
		}
		return v.answer(t.format), nil
	})
}

// validate finds out what is at path and everything that is wrong with it. Its
// error says that this cannot be known.
func validate(ctx context.Context, path string) (*validated, error) {
	v := &validated{path: path, problems: []finding{}, warnings: []finding{}}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		v.source = func(name string) string { return sourceText(path, name) }
		return v, v.wholePackage(ctx)
	}
	start, err := firstBytes(path, info)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(start, "PK") || strings.HasSuffix(strings.ToLower(path), ".zip") {
		v.zip, v.source = true, func(name string) string { return zipFileText(path, name) }
		return v, v.wholePackage(ctx)
	}
	v.single = true
	return v, v.manifest()
}

func firstBytes(path string, info os.FileInfo) (string, error) {
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%q is neither a file nor a directory", path)
	}
	f, err := os.Open(path) //nolint:gosec // reading what the user names is the task
	if err != nil {
		return "", err
	}
	defer f.Close() // only read from, so a late error cannot matter
	start := make([]byte, 2)
	n, _ := f.Read(start) // what cannot be read is read again, and told then
	return string(start[:n]), nil
}

func zipFileText(path, name string) string {
	f, err := os.Open(path) //nolint:gosec // reading what the user names is the task
	if err != nil {
		return ""
	}
	defer f.Close() // only read from, so a late error cannot matter
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	return zippedText(f, info.Size(), name)
}

// wholePackage looks at all files, and at the module as a host would.
func (v *validated) wholePackage(ctx context.Context) error {
	pkg, err := readPackage(v.path)
	if err != nil {
		return v.refuse(err)
	}
	in, err := inspect(ctx, pkg)
	if err != nil {
		return err
	}
	v.problems, v.warnings = findingsFrom(in.Problems), findingsFrom(in.Warnings)
	return nil
}

// manifest looks at a plugin.yaml that has no package around it.
func (v *validated) manifest() error {
	doc, err := readRegular(v.path, maxSource)
	if err != nil {
		return err
	}
	v.source = func(string) string { return string(doc) }
	m, err := manifest.Parse(doc)
	if err != nil {
		return v.refuse(err)
	}
	for _, w := range m.Warnings() {
		v.warnings = append(v.warnings, finding{w.File, w.Line, w.Column, w.Path, w.Rule, w.Message})
	}
	return nil
}

// refuse keeps what is wrong with the package; other errors go on.
func (v *validated) refuse(err error) error {
	all, known := findingsOf(err)
	if !known || len(all) == 0 {
		return err
	}
	v.problems = all
	return nil
}

func (v *validated) answer(f format) *answer {
	a := &answer{doc: validatedJSON{len(v.problems) == 0, v.path, v.problems, v.warnings}}
	if len(v.problems) > 0 {
		a.code = exitNo
	}
	var b strings.Builder
	if f != formatGitHub {
		b.WriteString(oneLine(v.path) + v.verdict() + "\n")
	}
	for _, kind := range []struct {
		name string
		all  []finding
	}{{"error", v.problems}, {"warning", v.warnings}} {
		for _, found := range kind.all {
			if f == formatGitHub {
				b.WriteString(found.annotation(kind.name, v))
				continue
			}
			fmt.Fprintf(&b, "%s: %s: %s\n%s", kind.name, found.place(v), found.text(), found.excerpt(v))
		}
	}
	a.text = b.String()
	return a
}

func (v *validated) verdict() string {
	switch n := len(v.problems); n {
	case 0:
		return " is valid"
	case 1:
		return " has 1 problem"
	default:
		return fmt.Sprintf(" has %d problems", n)
	}
}
