package main

import (
	"context"
	"fmt"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/manifest"
)

const inspectUsage = `sandcheck inspect [flags] PACKAGE
  --format F             text or json; default text
`

// inspectPackage is sandcheck inspect.
func inspectPackage(ctx context.Context, c *console, args []string) int {
	f := formatText
	fs := newFlags("inspect")
	once(fs, "format", f.set(formatText, formatJSON))
	path, err := parsePackage(fs, args)
	switch {
	case asksForHelp(err):
		return c.help(inspectUsage)
	case err != nil:
		defer fmt.Fprint(c.err, "\n"+inspectUsage)
		return c.inspectFail(formatAmong(args), fmt.Errorf("inspect: %w", err))
	}
	pkg, err := readPackage(path)
	if err != nil {
		return c.inspectFail(f, err)
	}
	in, err := inspect(ctx, pkg)
	if err != nil {
		return c.inspectFail(f, err)
	}
	return c.show(f, in)
}

// inspect looks at a package with all functions offered that run offers.
func inspect(ctx context.Context, pkg *manifest.Package) (*host.Inspection, error) {
	rt, err := host.New(host.WithCapabilities(capability.Network()...))
	if err != nil {
		return nil, err
	}
	defer closeRuntime(rt)
	in, err := rt.Inspect(ctx, pkg)
	if err != nil {
		return nil, err
	}
	if pkg.Schema != nil {
		for _, w := range pkg.Schema.Warnings() {
			in.Warnings = append(in.Warnings, w.Error())
		}
	}
	return in, nil
}

// inspectFail reports a package of which nothing more is known than what is
// wrong with it.
func (c *console) inspectFail(f format, err error) int {
	if f != formatJSON {
		return c.fail(f, err)
	}
	c.blame(err)
	in := &host.Inspection{}
	for _, p := range problemsOf(err) {
		in.Problems = append(in.Problems, p.Error())
	}
	return c.show(f, in)
}

// show writes an inspection and returns the exit code.
func (c *console) show(f format, in *host.Inspection) int {
	var text []byte
	var err error
	if f == formatJSON {
		text, err = inspectionToJSON(in)
	} else {
		text = []byte(inspectionToText(in))
	}
	if err == nil {
		_, err = c.out.Write(text)
	}
	if err != nil {
		fmt.Fprintf(c.err, "sandcheck: the inspection cannot be written: %v\n", err)
		return exitUnknown
	}
	if len(in.Problems) > 0 {
		return exitUnknown
	}
	return 0
}

// linksTo says in a word what an import is linked to.
func linksTo(im host.Import) string {
	switch im.Code {
	case capability.OK:
		return "host"
	case capability.Invalid:
		return "nothing"
	default:
		return "stub"
	}
}
