package host

import (
	"context"
	"fmt"

	"github.com/sandcheck/sandcheck/manifest"
)

// verify asks who vouches for pkg. Without a Verifier only WithUnsigned lets a
// package pass, and then nobody does.
func (r *Runtime) verify(ctx context.Context, pkg *manifest.Package) (*manifest.Verdict, error) {
	switch {
	case r.verifier != nil:
		verdict, err := r.verifier.Verify(ctx, pkg)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnverified, err)
		}
		if verdict == nil {
			return nil, fmt.Errorf("%w: the verifier gave no verdict", ErrUnverified)
		}
		return verdict, nil
	case r.unsigned:
		return nil, nil
	default:
		return nil, fmt.Errorf("%w: no verifier is configured: give one with WithVerifier, or load it all the same with WithUnsigned", ErrUnverified)
	}
}

// newest refuses a package that is older than the newest one seen, and other
// bytes under a version that was seen. With remember a newer one is kept, which
// happens only after everything else about the package was right.
//
// Versions are counted per plugin and key, so that whoever holds another key
// cannot raise this one's counter.
func (r *Runtime) newest(ctx context.Context, pkg *manifest.Package, verdict *manifest.Verdict, remember bool) error {
	if r.versions == nil {
		return nil
	}
	id := pkg.Manifest.ID
	if verdict != nil {
		id += "@" + verdict.KeyID
	}
	r.versionMu.Lock()
	defer r.versionMu.Unlock()
	seen, digest, err := r.versions.Seen(ctx, id)
	if err != nil {
		return fmt.Errorf("version store: %w", err)
	}
	order := 1
	if seen != "" {
		if order, err = manifest.CompareVersions(pkg.Manifest.Version, seen); err != nil {
			return fmt.Errorf("version store: %w", err)
		}
	}
	switch {
	case order < 0:
		return &manifest.Error{Rule: "version_rollback", Message: fmt.Sprintf("version %s is older than %s, which was loaded before", pkg.Manifest.Version, seen)}
	case order == 0 && digest != pkg.Digest():
		return &manifest.Error{Rule: "version_conflict", Message: fmt.Sprintf("version %s was loaded before with other contents (%s)", seen, digest)}
	case order > 0 && remember:
		if err := r.versions.Remember(ctx, id, pkg.Manifest.Version, pkg.Digest()); err != nil {
			return fmt.Errorf("version store: %w", err)
		}
	}
	return nil
}
