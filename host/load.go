package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/sandcheck/sandcheck/internal/engine"
	"github.com/sandcheck/sandcheck/internal/wasmbin"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy"
)

// Expected pins what is loaded. A zero field is not compared.
type Expected struct {
	ID, Version string
	Digest      manifest.Digest
}

// LoadRef is Load of the package that ref names in the Store of WithStore.
func (r *Runtime) LoadRef(ctx context.Context, ref string, opts ...LoadOption) (*Plugin, error) {
	if r.store == nil {
		return nil, &Error{Op: "load", Err: errors.New("no store is configured: give one with WithStore")}
	}
	pkg, err := r.store.Open(ctx, ref)
	if err != nil {
		err = &Error{Op: "load", Err: fmt.Errorf("ref %q: %w", ref, err)}
		r.loaded(ctx, nil, err)
		return nil, err
	}
	return r.Load(ctx, pkg, opts...)
}

// Load checks pkg, narrows what it asks for by the grant of opts, compiles its
// module unless the same bytes are compiled already, and links it. It runs no
// guest code. Waiting for a compilation ends with ctx. The package must not be
// changed afterwards. The error joins all problems that can be seen at one time.
func (r *Runtime) Load(ctx context.Context, pkg *manifest.Package, opts ...LoadOption) (*Plugin, error) {
	p, in, err := r.load(ctx, pkg, opts)
	if err != nil {
		e := &Error{Op: "load", Err: err}
		if pkg != nil && pkg.Manifest != nil {
			e.Plugin = pkg.Manifest.ID
		}
		err = e
	}
	r.loaded(ctx, in, err)
	return p, err
}

func (r *Runtime) load(ctx context.Context, pkg *manifest.Package, opts []LoadOption) (*Plugin, *Inspection, error) {
	if pkg == nil || pkg.Manifest == nil {
		return nil, nil, errNoPackage
	}
	if err := r.beginLoad(); err != nil {
		return nil, nil, err
	}
	p, in, err := r.prepare(ctx, pkg, opts)
	if closed := r.endLoad(p); err == nil && closed != nil {
		return nil, in, closed
	}
	return p, in, err
}

// prepare is Load, step by step. What is cheap and decides most comes first;
// nothing is compiled before everything else is known to be right.
func (r *Runtime) prepare(ctx context.Context, pkg *manifest.Package, opts []LoadOption) (*Plugin, *Inspection, error) {
	var l loading
	for _, o := range opts {
		o.loadOption(&l)
	}
	if l.granted > 1 {
		return nil, nil, errors.New("more than one grant: give one of WithGrant and GrantRequested")
	}
	if err := l.grant.Validate(); err != nil {
		return nil, nil, err
	}
	if err := l.expected.compare(pkg); err != nil {
		return nil, nil, err
	}
	verdict, err := r.verify(ctx, pkg)
	if err != nil {
		return nil, nil, err
	}
	if err := r.newest(ctx, pkg, verdict, false); err != nil {
		return nil, nil, err
	}
	grant := r.grantFor(pkg.Manifest, &l)
	x := r.examine(pkg, grant)
	x.in.Verdict = verdict
	if err := errors.Join(x.errs...); err != nil {
		return nil, x.in, err
	}
	metered, meta, err := x.module.Instrument(wasmbin.InstrumentOptions{})
	if err != nil {
		return nil, x.in, &moduleError{err}
	}
	code, err := r.engine.Compile(ctx, metered, grant.Limits.Compile)
	if err != nil {
		return nil, x.in, &moduleError{err}
	}
	program, err := r.engine.NewProgram(code, engine.ProgramOptions{
		Entrypoint:  pkg.Manifest.Entrypoint,
		Initializer: x.in.Initializer,
		Bindings:    x.bindings,
		Meta:        meta,
	})
	if err != nil {
		code.Release()
		return nil, x.in, err
	}
	if err := r.newest(ctx, pkg, verdict, true); err != nil {
		program.Close()
		return nil, x.in, err
	}
	return &Plugin{
		rt: r, pkg: pkg, grant: grant, inspection: x.in, program: program,
		pace: netproxy.NewPace(grant.Limits), networked: networked(x.bindings),
		runs: map[*run]struct{}{}, drained: make(chan struct{}),
	}, x.in, nil
}

// compare judges what was pinned.
func (e Expected) compare(pkg *manifest.Package) error {
	var errs []error
	mismatch := func(rule, what, want, got string) {
		errs = append(errs, &manifest.Error{Rule: rule, Message: fmt.Sprintf("%s is %q, expected %q", what, got, want)})
	}
	if e.ID != "" && e.ID != pkg.Manifest.ID {
		mismatch("identity_mismatch", "id", e.ID, pkg.Manifest.ID)
	}
	if e.Version != "" && e.Version != pkg.Manifest.Version {
		mismatch("identity_mismatch", "version", e.Version, pkg.Manifest.Version)
	}
	if got := pkg.Digest(); e.Digest != (manifest.Digest{}) && e.Digest != got {
		mismatch("digest_mismatch", "the digest of plugin.wasm", e.Digest.String(), got.String())
	}
	return errors.Join(errs...)
}
