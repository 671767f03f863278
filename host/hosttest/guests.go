package hosttest

import (
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy"
)

// Submits is a plugin that submits doc and returns.
func Submits(doc string) *manifest.Package { return canned("submits", wasmgen.Submits(doc)) }

// Fetches is a plugin that requests url with GET. It submits OK for a status
// below 400 and CRITICAL for any other, with the summary "HTTP 204" or
// "http_request answered -2". Its manifest asks for every name on every port,
// so a Grant decides what it reaches.
func Fetches(url string) *manifest.Package {
	p := canned("fetches", wasmgen.Fetches(url))
	p.Manifest.Capabilities = append(p.Manifest.Capabilities, "http_request")
	p.Manifest.Permissions = netproxy.Rules{Domains: []netproxy.Domain{"*"}, Ports: netproxy.AnyPort()}
	return p
}

// Loops is a plugin that never ends by itself.
func Loops() *manifest.Package { return canned("loops", wasmgen.Loops()) }

// Traps is a plugin that ends in a trap of kind unreachable.
func Traps() *manifest.Package { return canned("traps", wasmgen.Traps()) }

// Silent is a plugin that returns without submitting.
func Silent() *manifest.Package { return canned("silent", wasmgen.Silent()) }

func canned(id string, wasm []byte) *manifest.Package {
	return &manifest.Package{
		Manifest: &manifest.Manifest{
			ID: id, Name: "canned guest: " + id, Version: "1.0.0", Entrypoint: "run_check",
			Outputs:      "serviceradar.plugin_result.v1",
			Capabilities: []string{"get_config", "log", "submit_result"},
			Resources:    limits.Limits{Memory: 16 * limits.MiB},
		},
		Wasm: wasm,
	}
}
