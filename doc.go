// Package sandcheck is the front page of a library that runs monitoring checks
// which somebody else wrote, as WebAssembly, inside your own Go program. It
// holds no code: the packages below do.
//
// # What a check is
//
// A check looks at one thing and says how it is: OK, WARNING, CRITICAL or
// UNKNOWN, a line for people, and numbers. Here it is a Wasm module with one
// exported function. It reads its config, asks the host for what it needs, and
// submits one JSON document, plugin_result.v1 (package result). Its author
// ships it as a package: plugin.yaml, plugin.wasm and, if wanted, a schema of
// its config and a list of the widgets that it shows (package manifest).
//
// # Who is trusted
//
// The guest is not, and neither is the author of its package or any peer on the
// network. The operator, who grants, and the embedding program, whose options,
// dialers and host functions run as plain Go, are. SECURITY.md says what that
// means in detail.
//
// Three promises hold throughout. The zero value grants nothing, and what is
// left out is not given. A run always ends, and a guest never freezes the
// process: it is metered, so it is stopped in the middle of a loop or of a
// recursion, and the scheduler and the collector of Go get their turn. A caller
// always gets a result and, on request, every reason behind it.
//
// # Quick start
//
//	rt, err := host.New(
//		host.WithCapabilities(capability.HTTP()...), // what this program offers at all
//		host.WithUnsigned(),                         // or WithVerifier: somebody vouches for packages
//	)
//	pkg, err := manifest.ReadPackage(os.DirFS("http-check"))
//	plugin, err := rt.Load(ctx, pkg, host.WithGrant(capability.Grant{
//		Capabilities: []string{"http_request"},
//		Permissions: netproxy.Rules{
//			Domains: []netproxy.Domain{"api.example.com"},
//			Ports:   netproxy.Ports(443),
//		},
//	}))
//	res, err := plugin.Run(ctx, map[string]any{"url": "https://api.example.com/"})
//
// The example of this package is the same, whole and on a network in memory.
// Run gives the Result; Plugin.Execute gives a Report with every decision at
// the gates, every failed call, the logs and what was used.
//
// # Map
//
//	host                   loads packages and runs them: begin here
//	host/hosttest          the same in a world of its own, for tests of plugins
//	capability             host functions as data, and what an operator grants
//	capability/websocket   WebSocket for guests; a module of its own
//	netproxy               the only door to the network; of use without Wasm
//	netproxy/netproxytest  a network in memory
//	manifest               packages: plugin.yaml, config schema, zip, signatures
//	manifest/filestore     packages in a folder, by the digest of their bytes
//	manifest/httpstore     packages by download, by the digest of their bytes
//	manifest/natsstore     packages in a NATS object store; a module of its own
//	manifest/manifesttest  tiny packages, and suites for stores and verifiers
//	result                 plugin_result.v1, perfdata, writers; of use without Wasm
//	limits                 what one run, and all runs together, may use
//	examples/quickstart    a whole program: go run ./examples/quickstart
//	examples/owntransport  the same through a SOCKS5 relay of one's own
//	cmd/sandcheck          the same from a command line; a module of its own
//
// Packages limits, result, netproxy, manifest and capability link no Wasm
// engine. No exported signature holds a type of the engine.
package sandcheck
