package manifest_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"testing/fstest"

	"github.com/sandcheck/sandcheck/manifest"
)

func ExampleParse() {
	_, err := manifest.Parse([]byte(`id: http-check
name: HTTP Check
version: 1.0.0
entrypoint: run_check
outputs: serviceradar.plugin_result.v1
capabilites: [http_request]
resources:
  requested_memory_mb: 64MB
  requested_cpu_ms: 500
`))
	fmt.Println(err)
	// Output:
	// plugin.yaml:1:1: capabilities: is missing [manifest-required]
	// plugin.yaml:6:1: capabilites: is not a field of a manifest; did you mean "capabilities"? [manifest-unknown-key]
	// plugin.yaml:8:3: resources.requested_memory_mb: must be a whole number > 0, got "64MB" [manifest-int]
}

func ExampleReadPackage() {
	// Usually os.DirFS("my-check") or an embed.FS.
	fsys := fstest.MapFS{
		"plugin.yaml": {Data: []byte("id: x\nname: X\nversion: 1.0.0\nentrypoint: run\noutputs: serviceradar.plugin_result.v1\n" +
			"capabilities: [submit_result]\nresources: {requested_memory_mb: 16, requested_cpu_ms: 100}\n")},
		"plugin.wasm": {Data: []byte("\x00asm\x01\x00\x00\x00")},
	}
	p, err := manifest.ReadPackage(fsys)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Manifest.ID, p.Manifest.Resources.Memory, p.Digest())
	// Output: x 16 MiB 93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476
}

func ExampleConfigSchema_Apply() {
	s, err := manifest.ParseConfigSchema([]byte(`{"type":"object","required":["url"],"properties":{
		"url":{"type":"string","format":"uri"},
		"timeout_ms":{"type":"integer","minimum":1,"default":1000}}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	full, err := s.Apply([]byte(`{"url": "https://example.com/"}`))
	fmt.Println(string(full), err)
	_, err = s.Apply([]byte(`{"timeout_ms": 0}`))
	fmt.Println(err)
	// Output:
	// {"url": "https://example.com/","timeout_ms":1000} <nil>
	// member "url" is missing [config-required]
	// /timeout_ms: must be at least 1 [config-range]
}

func ExampleNewKeyring() {
	// The author signs. The seed is a secret of his.
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	p, err := manifest.ReadPackage(goodFiles())
	if err != nil {
		fmt.Println(err)
		return
	}
	signature, err := manifest.Sign(p, manifest.BundleV2, "author-2026", key)
	if err != nil {
		fmt.Println(err)
		return
	}

	// The operator trusts the public key, for plugins of that author alone.
	ring, err := manifest.NewKeyring(manifest.Trust{Keys: []manifest.Key{
		{ID: "author-2026", Public: key.Public().(ed25519.PublicKey), Plugins: []string{"http-*"}},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	p.Signatures = [][]byte{signature}
	verdict, err := ring.Verify(context.Background(), p)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(verdict.KeyID, verdict.Profile, verdict.Covered)
	// Output: author-2026 bundle-v2 [config.schema.json display_contract.json plugin.wasm plugin.yaml]
}
