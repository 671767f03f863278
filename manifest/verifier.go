package manifest

import (
	"context"
	"errors"
	"slices"
	"time"
)

// A Verifier says whether a package is genuine. Implementations keep these
// rules, which manifesttest.TestVerifier checks by number:
//
//  1. A package without a signature that the Verifier can judge fails, with an
//     *Error of rule signature_missing where there is none at all.
//  2. A Verdict is returned only for what was proven; it is nil with an error.
//  3. Covered lists, sorted, the names of exactly those Files that the
//     signature vouches for. Files that are not listed prove nothing.
//  4. The package is not changed.
//  5. Verify may be called from many goroutines and ends when ctx does.
type Verifier interface {
	Verify(ctx context.Context, p *Package) (*Verdict, error)
}

// A Verdict is what a Verifier has proven.
type Verdict struct {
	// KeyID names the key that vouches, Signer who used it. Signer is what the
	// signature document says and is not proven itself.
	KeyID, Signer string
	Profile       Profile
	// Covered are the files that are vouched for, by name, sorted.
	Covered []string
	// At is when the package was verified.
	At time.Time
}

// AllOf returns a Verifier that every one of vs must satisfy. Its Verdict is
// that of the first, with the files that any of them covers. Without any
// Verifier nothing verifies.
func AllOf(vs ...Verifier) Verifier { return allOf(slices.Clone(vs)) }

type allOf []Verifier

func (vs allOf) Verify(ctx context.Context, p *Package) (*Verdict, error) {
	var all *Verdict
	for _, v := range vs {
		one, err := verifyWith(ctx, v, p)
		if err != nil {
			return nil, err
		}
		if all == nil {
			first := *one
			all = &first
		}
		all.Covered = slices.Concat(all.Covered, one.Covered)
	}
	if all == nil {
		return nil, nobody()
	}
	slices.Sort(all.Covered)
	all.Covered = slices.Compact(all.Covered)
	return all, nil
}

// AnyOf returns a Verifier that one of vs must satisfy. They are asked in
// order and the first Verdict counts; where there is none, the errors are
// joined. Without any Verifier nothing verifies.
func AnyOf(vs ...Verifier) Verifier { return anyOf(slices.Clone(vs)) }

type anyOf []Verifier

func (vs anyOf) Verify(ctx context.Context, p *Package) (*Verdict, error) {
	errs := []error{}
	for _, v := range vs {
		one, err := verifyWith(ctx, v, p)
		if err == nil {
			return one, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, nobody()
	}
	return nil, errors.Join(errs...)
}

// verifyWith does not trust a Verifier that answers nothing at all.
func verifyWith(ctx context.Context, v Verifier, p *Package) (*Verdict, error) {
	if v == nil {
		return nil, nobody()
	}
	verdict, err := v.Verify(ctx, p)
	if err == nil && verdict == nil {
		return nil, nobody()
	}
	return verdict, err
}

func nobody() error {
	return &Error{Rule: "signature_missing", Message: "nobody vouches for the package: there is no verifier"}
}
