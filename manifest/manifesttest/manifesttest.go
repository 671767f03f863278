// Package manifesttest helps to test what deals with packages: tiny valid
// packages, a VersionStore in memory, and the suites that every Store, Verifier
// and VersionStore has to pass. A suite returns an error that names the broken
// rule of the contract, so it can be called from any test.
package manifesttest

import (
	"context"
	"sync"
	"testing/fstest"

	"github.com/sandcheck/sandcheck/manifest"
)

// Files returns the files of a small valid package, all four of them, for a
// test to edit and hand to manifest.ReadPackage. The module in it is empty: it
// can be read, signed and kept, but not run.
func Files() fstest.MapFS {
	return fstest.MapFS{
		"plugin.yaml": {Data: []byte(`id: tiny
name: Tiny
version: 1.0.0
entrypoint: run_check
outputs: serviceradar.plugin_result.v1
capabilities: [get_config, log, submit_result]
resources:
  requested_memory_mb: 16
  requested_cpu_ms: 500
`)},
		"plugin.wasm":           {Data: []byte("\x00asm\x01\x00\x00\x00")},
		"config.schema.json":    {Data: []byte(`{"type":"object"}`)},
		"display_contract.json": {Data: []byte(`{"schema_version":1,"widgets":["table"]}`)},
	}
}

// Package returns the package of Files.
func Package() *manifest.Package {
	p, err := manifest.ReadPackage(Files())
	if err != nil {
		panic(err) // Files is fixed and covered by a test of this package
	}
	return p
}

// Versions is a manifest.VersionStore in memory. The zero value is empty and
// ready; it is safe for concurrent use and forgets everything with the process.
type Versions struct {
	mu   sync.Mutex
	seen map[string]seen
}

type seen struct {
	version string
	digest  manifest.Digest
}

// Seen returns what was remembered last under id.
func (v *Versions) Seen(ctx context.Context, id string) (version string, d manifest.Digest, err error) {
	if err := ctx.Err(); err != nil {
		return "", manifest.Digest{}, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.seen[id]
	return s.version, s.digest, nil
}

// Remember replaces what is kept under id.
func (v *Versions) Remember(ctx context.Context, id, version string, d manifest.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.seen == nil {
		v.seen = map[string]seen{}
	}
	v.seen[id] = seen{version, d}
	return nil
}
