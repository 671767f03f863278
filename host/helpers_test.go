package host_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
)

// vectors decodes one key of testdata/vectors/abi.json.
func vectors(t *testing.T, key string, into any) {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("..", "testdata", "vectors", "abi.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(doc, &all); err != nil {
		t.Fatal(err)
	}
	if len(all[key]) == 0 {
		t.Fatalf("no key %q", key)
	}
	if err := json.Unmarshal(all[key], into); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
}

// networkNames are the capabilities of capability.Network.
var networkNames = []string{"http_request", "tcp_connect", "tcp_read", "tcp_write", "tcp_close", "udp_sendto"}

// everything is what a test guest may ask for.
func everything() []string {
	return append([]string{"get_config", "log", "submit_result"}, networkNames...)
}

// packageOf makes a package of a module; caps are what it asks for.
func packageOf(wasm []byte, caps ...string) *manifest.Package {
	if len(caps) == 0 {
		caps = everything()
	}
	return &manifest.Package{
		Manifest: &manifest.Manifest{
			ID: "test-plugin", Name: "Test Plugin", Version: "1.0.0", Entrypoint: "run_check",
			Outputs: "serviceradar.plugin_result.v1", Capabilities: caps,
		},
		Wasm: wasm,
	}
}

// newRuntime makes a Runtime that offers the network functions and is closed
// with the test. A run has two seconds.
func newRuntime(t testing.TB, opts ...host.Option) *host.Runtime {
	t.Helper()
	rt, err := host.New(append([]host.Option{
		host.WithUnsigned(), host.WithCapabilities(capability.Network()...),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := rt.Close(ctx); err != nil {
			t.Errorf("closing the runtime: %v", err)
		}
	})
	return rt
}

func load(t testing.TB, rt *host.Runtime, pkg *manifest.Package, opts ...host.LoadOption) *host.Plugin {
	t.Helper()
	p, err := rt.Load(context.Background(), pkg, opts...)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return p
}

// wall is an option for the time of a run.
func wall(d time.Duration) host.Option { return host.WithLimits(limits.Limits{Wall: d}) }

// engines runs a test with the compiler and with the interpreter.
func engines(t *testing.T, test func(t *testing.T, engine ...host.Option)) {
	t.Helper()
	t.Run("compiler", func(t *testing.T) { t.Parallel(); test(t) })
	t.Run("interpreter", func(t *testing.T) { t.Parallel(); test(t, host.WithInterpreter()) })
}
