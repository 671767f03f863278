package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/manifest"
)

const inspectUsage = `sandcheck inspect [flags] PACKAGE
  --trust FILE           tell whether a key of the file vouches for it
  --store DIR            PACKAGE is a reference in that store
  --format F             text or json; default text
`

// inspectPackage is sandcheck inspect.
func inspectPackage(ctx context.Context, c *console, args []string) int {
	f := formatText
	fs := newFlags("inspect")
	var trust, store *string
	once(fs, "trust", keep(&trust))
	once(fs, "store", keep(&store))
	once(fs, "format", f.set(formatText, formatJSON))
	path, err := parsePackage(fs, args)
	switch {
	case asksForHelp(err):
		return c.help(inspectUsage)
	case err != nil:
		defer fmt.Fprint(c.err, "\n"+inspectUsage)
		return c.inspectFail(formatAmong(args), fmt.Errorf("inspect: %w", err))
	}
	var errs [2]error
	var ring *manifest.Keyring
	pkg, err := openPackage(ctx, store, path)
	errs[0] = err
	if trust != nil {
		ring, errs[1] = readTrust(ctx, *trust)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return c.inspectFail(f, err)
	}
	in, err := inspect(ctx, pkg)
	if err != nil {
		return c.inspectFail(f, err)
	}
	if ring != nil {
		vouch(ctx, in, ring, pkg)
	}
	return c.show(f, in, pkg)
}

// vouch asks who vouches for pkg. That nobody does keeps it from loading.
func vouch(ctx context.Context, in *host.Inspection, ring *manifest.Keyring, pkg *manifest.Package) {
	var err error
	if in.Verdict, err = ring.Verify(ctx, pkg); err != nil {
		for _, p := range problemsOf(fmt.Errorf("%w: %w", host.ErrUnverified, err)) {
			in.Problems = append(in.Problems, p.Error())
		}
	}
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
	return c.show(f, in, nil)
}

// show writes an inspection and returns the exit code. pkg is nil where it could
// not be read.
func (c *console) show(f format, in *host.Inspection, pkg *manifest.Package) int {
	var text []byte
	var err error
	if f == formatJSON {
		text, err = inspectionToJSON(in, pkg)
	} else {
		text = []byte(inspectionToText(in, pkg))
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
