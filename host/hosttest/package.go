package hosttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
	"github.com/sandcheck/sandcheck/result"
)

// Case is one run of a package under test.
type Case struct {
	Name   string
	Config any              // as for Plugin.Run
	Grant  capability.Grant // what the operator gives; zero gives only Core
	// Network is what exists; nil is an empty network. It is closed afterwards.
	Network *netproxytest.Network
	Want    result.Status
}

// TestPackage proves that a package keeps the contract of a checker. It returns
// nil, or an error that names each rule that is broken:
//
//  1. The package loads: Inspect finds no problem.
//  2. Each case ends by itself, by return or proc_exit(0), and submits.
//  3. The result has the status that the case wants, and is valid without
//     anything to repair.
//  4. Nothing is reached but what Case.Network declares.
//  5. A second run of the case gives the same status: no state is kept.
//
// It needs no *testing.T, so that programs may offer it to authors.
func TestPackage(pkg *manifest.Package, cases ...Case) error {
	var errs []error
	if err := inspects(pkg); err != nil {
		return fmt.Errorf("hosttest: rule 1: %w", err)
	}
	for _, c := range cases {
		if err := c.test(pkg); err != nil {
			errs = append(errs, fmt.Errorf("hosttest: case %q: %w", c.Name, err))
		}
	}
	return errors.Join(errs...)
}

func inspects(pkg *manifest.Package) error {
	h, err := newHost(&netproxytest.Network{})
	if err != nil {
		return err
	}
	in, err := h.Inspect(context.Background(), pkg)
	if err == nil && len(in.Problems) > 0 {
		err = errors.New(strings.Join(in.Problems, "; "))
	}
	return errors.Join(err, h.close())
}

// patience bounds one case; the wall limit of the run comes first.
const patience = time.Minute

func (c Case) test(pkg *manifest.Package) error {
	n := c.Network
	if n == nil {
		n = &netproxytest.Network{}
	}
	h, err := newHost(n)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p, err := h.Load(ctx, pkg, host.WithGrant(c.Grant))
	if err != nil {
		return errors.Join(fmt.Errorf("rule 1: %w", err), h.close())
	}
	var errs []error
	for run := range 2 {
		report, err := p.Execute(ctx, c.Config)
		if err := c.judge(report, err); err != nil {
			if run > 0 {
				err = fmt.Errorf("rule 5: the second run differs from the first: %w", err)
			}
			errs = append(errs, err)
			break
		}
	}
	if err := h.close(); err != nil {
		errs = append(errs, fmt.Errorf("rule 4: %w", err))
	}
	return errors.Join(errs...)
}

func (c Case) judge(r *host.Report, err error) error {
	var errs []error
	if err != nil || r.Cause != nil || r.Ended != host.Returned && r.Ended != host.Exited {
		errs = append(errs, fmt.Errorf("rule 2: the run ended as %v: %w", r.Ended, errors.Join(err, r.Cause)))
	}
	if r.Result.Status != c.Want {
		errs = append(errs, fmt.Errorf("rule 3: status %v, want %v: %s", r.Result.Status, c.Want, r.Result.Summary))
	}
	if err := r.Result.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("rule 3: %w", err))
	}
	for _, i := range r.Result.Issues {
		errs = append(errs, fmt.Errorf("rule 3: the host had to repair the result: %w", &i))
	}
	return errors.Join(errs...)
}
