package bench_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/host/hosttest"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
)

// httpAnswers are the config of an HTTP check and the response that this
// library's own http_request gives it, so that raw hosts say the same without a
// network.
func httpAnswers(b *testing.B) *answers {
	b.Helper()
	config, err := json.Marshal(httpConfig)
	if err != nil {
		b.Fatal(err)
	}
	h := hosttest.New(b)
	h.Network.HandleHTTP("http://api.example.com", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello") // the guest is judged, not the server
	}))
	a := &answers{config: config}
	rt := newRuntime(b, limits.Limits{}, host.WithNetwork(h.Network.Config()),
		host.WithCapabilities(recorded(&a.response)))
	p := load(b, rt, readPackage(b, "http-check"))
	if _, err := p.Run(b.Context(), httpConfig); err != nil || len(a.response) == 0 {
		b.Fatalf("recording an HTTP response: %d bytes, %v", len(a.response), err)
	}
	return a
}

// recorded is http_request that keeps the response.
func recorded(into *[]byte) capability.Func {
	f := capability.HTTP()[0]
	handle := f.Handle
	f.Handle = func(ctx context.Context, c *capability.Call) capability.Code {
		code := handle(ctx, c)
		if code > 0 {
			*into = slices.Clone(c.Out[:code])
		}
		return code
	}
	return f
}

// canned is http_request that answers from memory.
func canned(response []byte) capability.Func {
	f := capability.HTTP()[0]
	f.Handle = func(_ context.Context, c *capability.Call) capability.Code { return c.Reply(response) }
	return f
}

// newRuntime is a Runtime as an embedder has it, without any test support.
func newRuntime(b *testing.B, l limits.Limits, opts ...host.Option) *host.Runtime {
	b.Helper()
	rt, err := host.New(append(opts, host.WithUnsigned(), host.WithLimits(l))...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := rt.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return rt
}

func load(b *testing.B, rt *host.Runtime, pkg *manifest.Package) *host.Plugin {
	b.Helper()
	p, err := rt.Load(b.Context(), pkg, host.GrantRequested())
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// packageOf makes a package of a module that asks for these capabilities.
func packageOf(wasm []byte, caps ...string) *manifest.Package {
	return &manifest.Package{
		Manifest: &manifest.Manifest{
			ID: "bench", Name: "Bench", Version: "1.0.0", Entrypoint: "run_check",
			Outputs: "serviceradar.plugin_result.v1", Capabilities: append([]string{"submit_result"}, caps...),
		},
		Wasm: wasm,
	}
}

// readPackage is a package of testdata/packages.
func readPackage(b *testing.B, name string) *manifest.Package {
	b.Helper()
	pkg, err := manifest.ReadPackage(wasmgen.Package(b, name))
	if err != nil {
		b.Fatal(err)
	}
	return pkg
}
