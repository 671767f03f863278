// Package lattice is a test only: which package of the core may import which,
// and what the core module requires. A new edge or requirement is a line here,
// with its reason, where a reviewer sees it.
package lattice

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sandcheck/sandcheck/"

// edges lists, for every package of the core, what it may import besides the
// standard library: packages of ours by their path in the module, others by
// their full path. Each line says why.
var edges = map[string][]string{
	// Level 0: nothing but the standard library.
	"limits":           {},
	"internal/plain":   {},
	"internal/strict":  {},
	"internal/wasmbin": {}, // knows no engine, so that it can be fuzzed and trusted alone
	"internal/wasmgen": {}, // shares nothing with wasmbin: one cannot hide the other's mistake
	"result":           {"internal/strict"},

	// Level 1: the door to the network, usable without Wasm.
	"netproxy": {"limits", "internal/strict", "golang.org/x/net/idna", "golang.org/x/net/http/httpguts",
		"golang.org/x/net/publicsuffix", "golang.org/x/time/rate"},
	"netproxy/netproxytest": {"netproxy", "limits"},

	// Level 2: what a package asks for, what a guest may call.
	"manifest":                 {"limits", "netproxy", "internal/plain", "internal/strict", "gopkg.in/yaml.v3"},
	"manifest/filestore":       {"limits", "manifest", "manifest/internal/flight"},
	"manifest/httpstore":       {"limits", "manifest", "manifest/internal/flight"},
	"manifest/manifesttest":    {"limits", "manifest"},
	"manifest/internal/flight": {}, // one fetch per digest, however many wait
	"capability":               {"limits", "netproxy", "result", "internal/plain", "internal/strict"},

	// Levels 3 to 5: the engine, the only rooms that know wazero.
	"internal/abi":  {"limits", "netproxy", "capability", "internal/plain", "github.com/tetratelabs/wazero/api"},
	"internal/wasi": {"internal/abi", "github.com/tetratelabs/wazero/api"},
	"internal/engine": {"limits", "capability", "internal/abi", "internal/wasi", "internal/wasmbin", "internal/plain",
		"github.com/tetratelabs/wazero", "github.com/tetratelabs/wazero/api",
		"github.com/tetratelabs/wazero/experimental", "github.com/tetratelabs/wazero/sys", "golang.org/x/sys/unix"},

	// Level 6: joins them.
	"host": {"capability", "limits", "manifest", "netproxy", "result", "internal/abi", "internal/engine",
		"internal/plain", "internal/strict", "internal/wasi", "internal/wasmbin",
		"github.com/tetratelabs/wazero/api"}, // the value types of imports, handed from wasmbin to abi

	// Level 7: users.
	"host/hosttest": {"capability", "host", "limits", "manifest", "netproxy", "netproxy/netproxytest", "result",
		"internal/wasmgen", "internal/abi", "internal/engine", "internal/wasmbin"}, // CallFunc drives a Func through real guest memory
	"examples/quickstart":   {"capability", "host", "limits", "manifest", "netproxy", "result"},
	"examples/owntransport": {"capability", "host", "limits", "manifest", "netproxy", "golang.org/x/net/proxy"},
	"":                      {}, // doc.go
}

// offLimits are packages that exist for tests or as generators and may import
// what they need.
var offLimits = []string{"internal/lattice", "netproxy/internal", "internal/schemagen", "testdata", "internal/bench"}

// neverWazero are the packages of levels 0 to 2: a control plane or a registry
// uses them without linking an engine.
var neverWazero = []string{"limits", "result", "netproxy", "netproxy/netproxytest", "manifest", "capability"}

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Module     *struct{ Path string }
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func TestImports(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range list(t, "./...") {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, strings.TrimSuffix(module, "/")), "/")
		seen[name] = true
		if slices.ContainsFunc(offLimits, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			continue
		}
		allowed, known := edges[name]
		if !known {
			t.Errorf("package %q has no line in edges", name)
			continue
		}
		for _, im := range p.Imports {
			if !standard(im) && !slices.Contains(allowed, strings.TrimPrefix(im, module)) {
				t.Errorf("%s imports %s, which edges does not allow", name, im)
			}
		}
	}
	t.Logf("%d packages", len(seen))
	for name := range edges {
		if !seen[name] {
			t.Errorf("edges names %q, which does not exist", name)
		}
	}
}

func TestNoEngineBelowLevelThree(t *testing.T) {
	t.Parallel()
	for _, name := range neverWazero {
		for _, p := range list(t, "./"+name) {
			for _, dep := range p.Deps {
				if strings.Contains(dep, "wazero") {
					t.Errorf("%s reaches %s", name, dep)
				}
			}
		}
	}
}

// requirements are the direct requirements of the core, with who needs them.
var requirements = map[string]string{
	"github.com/tetratelabs/wazero":            "internal/engine",
	"gopkg.in/yaml.v3":                         "manifest",
	"github.com/santhosh-tekuri/jsonschema/v5": "tests only: the oracle of manifest's own validation",
	"golang.org/x/net":                         "netproxy",
	"golang.org/x/sys":                         "netproxy, internal/engine",
	"golang.org/x/time":                        "netproxy",
	"github.com/google/go-cmp":                 "tests only",
	"github.com/invopop/jsonschema":            "internal/schemagen only",
}

func TestRequirements(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Go      string
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	if mod.Go != "1.25.0" {
		t.Errorf("the Go floor is %s, want 1.25.0, as wazero asks", mod.Go)
	}
	for _, r := range mod.Require {
		if _, ok := requirements[r.Path]; !ok && !r.Indirect {
			t.Errorf("go.mod requires %s, which requirements does not name", r.Path)
		}
	}
}

// Importers must not link what only tests and generators need.
func TestWhatImportersLink(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, "./host", "./manifest", "./netproxy") {
		for _, dep := range p.Deps {
			if strings.HasPrefix(dep, "github.com/google/go-cmp") || strings.HasPrefix(dep, "github.com/invopop") {
				t.Errorf("%s links %s", p.ImportPath, dep)
			}
		}
	}
}
