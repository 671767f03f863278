package manifest

import "context"

// A Store finds packages. Implementations keep these rules, which
// manifesttest.TestStore checks by number:
//
//  1. Open of an unknown ref fails with an error that matches fs.ErrNotExist.
//  2. The Package belongs to the caller: the Store keeps no reference to it,
//     and changing it does not change what a later Open returns.
//  3. A ref is opaque text from outside. It never becomes a path or a URL
//     unchecked.
//  4. Open may be called from many goroutines and ends when ctx does, with the
//     error of ctx.
//  5. What Open returns has passed the checks of ReadPackage or ReadBundle. A
//     Store that knows the digest of the bytes compares it on every Open.
type Store interface {
	Open(ctx context.Context, ref string) (*Package, error)
}

// StoreFunc is a function as a Store.
type StoreFunc func(ctx context.Context, ref string) (*Package, error)

// Open calls f.
func (f StoreFunc) Open(ctx context.Context, ref string) (*Package, error) { return f(ctx, ref) }

// A VersionStore remembers the highest version that was loaded of each plugin,
// so that an old package, or another one under a known version, is refused.
// Implementations keep these rules:
//
//  1. id is opaque text; for a signed package it holds the plugin id and the
//     key id.
//  2. Seen of an id that was never remembered is "" and the zero Digest, not an
//     error. An error stops the load: what cannot be known is not assumed.
//  3. Remember replaces what was kept under id. It returns once a crash cannot
//     lose it, and is called only after every check of a package has passed.
//  4. Both may be called from many goroutines, and end when ctx does.
//  5. What is kept lies where no package can write.
type VersionStore interface {
	Seen(ctx context.Context, id string) (version string, d Digest, err error)
	Remember(ctx context.Context, id, version string, d Digest) error
}
