package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/manifest"
)

const reviewUsage = `sandcheck review [flags] PACKAGE
  --grant FILE           show what is left under that grant
  --old PACKAGE          show what changed since that version
  --trust FILE           tell whether a key of the file vouches for it
  --approve FILE         write a grant file of what is left
  --store DIR            PACKAGE is a reference in that store
  --format F             text or json; default text
`

// reviewArgs are the arguments of review.
type reviewArgs struct{ grant, old, trust, approve, store *string }

// review is all that is known before a package is let in.
type review struct {
	pkg   *manifest.Package
	in    *host.Inspection
	risks []risk
	// effective is what the plugin may do: under the grant, or all it asks for.
	effective capability.Grant
	// granted says that there is a grant; narrowed is what it changes.
	granted  bool
	narrowed []narrowing
	// since is the older version, "" for none; changes is what differs.
	since    string
	changes  []change
	approved string // the file that was written
}

// reviewPackage is sandcheck review.
func reviewPackage(ctx context.Context, c *console, args []string) int {
	t := newTool("review", reviewUsage)
	a := &reviewArgs{}
	once(t.flags, "grant", keep(&a.grant))
	once(t.flags, "old", keep(&a.old))
	once(t.flags, "trust", keep(&a.trust))
	once(t.flags, "approve", keep(&a.approve))
	once(t.flags, "store", keep(&a.store))
	return c.use(t, args, func(operands []string) (*answer, error) {
		path, err := one(operands, thePackage)
		if err != nil {
			return nil, err
		}
		in, err := a.read(ctx, path)
		if err != nil {
			return nil, err
		}
		r, err := in.review(ctx)
		if err != nil {
			return nil, err
		}
		return r.decide(a.approve)
	})
}

// reviewInputs are the files that a review needs; nil is not given.
type reviewInputs struct {
	pkg, old *manifest.Package
	grant    *capability.Grant
	ring     *manifest.Keyring
}

// read reads all inputs before it reports what is wrong with any.
func (a *reviewArgs) read(ctx context.Context, path string) (in reviewInputs, err error) {
	var errs [4]error
	in.pkg, errs[0] = openPackage(ctx, a.store, path)
	if a.grant != nil {
		g, err := readGrant(ctx, *a.grant)
		in.grant, errs[1] = &g, err
	}
	if a.old != nil {
		in.old, errs[2] = openPackage(ctx, a.store, *a.old)
	}
	if a.trust != nil {
		in.ring, errs[3] = readTrust(ctx, *a.trust)
	}
	return in, errors.Join(errs[:]...)
}

func (in *reviewInputs) review(ctx context.Context) (*review, error) {
	found, err := inspect(ctx, in.pkg)
	if err != nil {
		return nil, err
	}
	if in.ring != nil {
		vouch(ctx, found, in.ring, in.pkg)
	}
	asked := found.Requested
	r := &review{pkg: in.pkg, in: found, effective: grantedBy(asked, asked)}
	r.risks = append(risksOf(asked.Permissions), originRisks(in.pkg, found.Verdict, in.ring != nil)...)
	found.Warnings = append(found.Warnings, asked.Permissions.Lint()...)
	if in.grant != nil {
		r.granted, r.effective = true, grantedBy(asked, *in.grant)
		r.narrowed = narrowings(asked, r.effective)
	}
	if in.old != nil {
		before, err := inspect(ctx, in.old)
		if err != nil {
			return nil, err
		}
		r.since = in.old.Manifest.Version
		r.changes = changesBetween(in.old, in.pkg, before, found)
		r.risks = append(r.risks, updateRisks(in.old, in.pkg)...)
	}
	return r, nil
}

// decide answers, and approves where that is wanted and the package would load.
func (r *review) decide(file *string) (*answer, error) {
	a := &answer{}
	if len(r.in.Problems) > 0 {
		a.code = exitNo
	} else if file != nil {
		doc, err := grantFile(r.in, r.effective)
		if err != nil {
			return nil, err
		}
		if err := createFile(*file, 0o644, doc); err != nil {
			return nil, fmt.Errorf("--approve: %w", err)
		}
		r.approved = *file
	}
	a.text, a.doc = r.text(file != nil), r.json()
	return a, nil
}
