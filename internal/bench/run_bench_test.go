package bench_test

import (
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/result"
)

// BenchmarkRun compares one isolated run of a check: by this library, with all
// its guards; by plain wazero, which keeps runtime and code; by wazero with its
// switch and a deadline; and by a host that keeps nothing. All HTTP is answered
// from memory.
func BenchmarkRun(b *testing.B) {
	hello := func(*testing.B) *manifest.Package {
		return packageOf(wasmgen.Submits(`{"status":"OK","summary":"hello"}`))
	}
	committed := func(name string) func(b *testing.B) *manifest.Package {
		return func(b *testing.B) *manifest.Package { return readPackage(b, name) }
	}
	for _, g := range []struct {
		name string
		pkg  func(b *testing.B) *manifest.Package
	}{
		{"hello", hello},
		{"c", committed("http-check")},
		{"rust", committed("http-check-rust")},
		{"go", committed("http-check-go")},
	} {
		b.Run(g.name, func(b *testing.B) {
			pkg := g.pkg(b)
			a := httpAnswers(b)
			rt := newRuntime(b, limits.Limits{}, host.WithCapabilities(canned(a.response)))
			ours := load(b, rt, pkg)
			ready, guarded := plain(b, pkg.Wasm, a), switched(b, pkg.Wasm, a)
			compare(b, "us",
				a.checked(b, "plain", ready.once),
				a.checked(b, "switch", guarded.once),
				timed("sandcheck", func() {
					if r, err := ours.Run(b.Context(), httpConfig); err != nil || r.Status != result.OK {
						b.Fatalf("%v, %v", r, err)
					}
				}),
				a.checked(b, "reference", func() { reference(b, pkg.Wasm, a) }),
			)
		})
	}
}

// checked times a raw run and makes sure that it has submitted a good result.
// This library judges results as a part of its run; to a raw one it is not
// charged.
func (a *answers) checked(b *testing.B, name string, run func()) variant {
	b.Helper()
	timer := timed(name, run)
	return variant{name, func() time.Duration {
		a.submitted = a.submitted[:0]
		took := timer.run()
		if r, err := result.Parse(a.submitted); err != nil || r.Status != result.OK {
			b.Fatalf("%s: %q: %v", name, a.submitted, err)
		}
		return took
	}}
}
