package host_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
)

type linkCase struct {
	ID, Note string
	Import   struct {
		Module, Name, Kind string
		Params, Results    []string
	}
	Registered, Granted []string
	Runtime             string
	Expect              map[string]any
	ExpectStrict        map[string]any `json:"expect_strict"`
}

var valTypes = map[string]wasmgen.ValType{
	"i32": wasmgen.I32, "i64": wasmgen.I64, "f32": wasmgen.F32, "f64": wasmgen.F64,
}

func sigOf(params, results []string) wasmgen.Sig {
	var s wasmgen.Sig
	for _, p := range params {
		s.Params = append(s.Params, valTypes[p])
	}
	for _, r := range results {
		s.Results = append(s.Results, valTypes[r])
	}
	return s
}

// linkModule imports one thing and calls it, if it is a function, with zeroes.
func linkModule(c linkCase) []byte {
	switch c.Import.Kind {
	case "memory":
		var b wasmgen.Builder
		b.Import(c.Import.Module, c.Import.Name, wasmgen.KindMemory, []byte{0, 1})
		b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil))
		return b.Bytes()
	case "table":
		var b wasmgen.Builder
		b.Import(c.Import.Module, c.Import.Name, wasmgen.KindTable, []byte{0x70, 0, 1})
		b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil))
		return b.Bytes()
	case "global":
		var b wasmgen.Builder
		b.Import(c.Import.Module, c.Import.Name, wasmgen.KindGlobal, []byte{0x7f, 1})
		b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil))
		return b.Bytes()
	}
	if c.ID == "lk-005" { // the proxy's own submit_result cannot stand beside it
		var b wasmgen.Builder
		b.ImportFunc(c.Import.Module, c.Import.Name, sigOf(c.Import.Params, c.Import.Results))
		b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil))
		return b.Bytes()
	}
	f := wasmgen.Func{Module: c.Import.Module, Name: c.Import.Name, Sig: sigOf(c.Import.Params, c.Import.Results)}
	var args []wasmgen.Arg
	for range f.Sig.Params {
		args = append(args, wasmgen.Lit(0))
	}
	// The answer goes out by a second import of our own.
	return wasmgen.Proxy(wasmgen.Script{
		Imports: []wasmgen.Func{f, wasmgen.Env("submit_result", 2)},
		Entry:   []wasmgen.Step{wasmgen.Do(c.Import.Module+"."+c.Import.Name, args...)},
	})
}

func TestVectorsLink(t *testing.T) {
	t.Parallel()
	var cases []linkCase
	vectors(t, "link_cases", &cases)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			runLinkCase(t, c, c.Expect)
			t.Run("strict", func(t *testing.T) {
				t.Parallel()
				runLinkCase(t, c, c.ExpectStrict, host.WithStrictImports())
			})
		})
	}
	t.Logf("%d cases, each also with strict imports", len(cases))
}

func runLinkCase(t *testing.T, c linkCase, expect map[string]any, opts ...host.Option) {
	for _, name := range c.Registered {
		n := map[string]int{"websocket_connect": 1}[name]
		if n == 0 {
			t.Fatalf("unknown registered function %q", name)
		}
		opts = append(opts, host.WithCapabilities(capability.Func{
			Name: name, Params: []capability.Param{{Name: "payload", Kind: capability.In}, {Name: "timeout_ms", Kind: capability.I32}},
			Handle: func(context.Context, *capability.Call) capability.Code { return 7 },
		}))
	}
	rt := newRuntime(t, opts...)
	// The proxy needs submit_result to tell what it saw.
	caps := c.Granted
	if !slices.Contains(caps, "submit_result") {
		caps = append(slices.Clone(caps), "submit_result")
	}
	pkg := packageOf(linkModule(c), caps...)
	pkg.Manifest.Runtime = c.Runtime
	p, err := rt.Load(t.Context(), pkg, host.GrantRequested())
	if expect["load_error"] == true {
		if err == nil {
			t.Fatalf("%s: loaded, want a load error", c.Note)
		}
		if !strings.Contains(err.Error(), c.Import.Module+"."+c.Import.Name) {
			t.Errorf("error does not name the import: %v", err)
		}
		names, _ := expect["error_names"].([]any)
		for _, n := range names {
			if !strings.Contains(err.Error(), n.(string)) {
				t.Errorf("error lacks %q: %v", n, err)
			}
		}
		return
	}
	if err != nil {
		t.Fatalf("%s: %v", c.Note, err)
	}
	checkBinding(t, c, expect, p)
}

func checkBinding(t *testing.T, c linkCase, expect map[string]any, p *host.Plugin) {
	code := codeOf(t, p.Inspection(), c)
	stub, isStub := expect["stub"]
	switch {
	case expect["bound"] == true:
		if code != capability.OK {
			t.Errorf("%s: code %d, want bound", c.Note, code)
		}
		return
	case !isStub:
		t.Fatalf("expectation not understood: %v", expect)
	}
	if listed := code == capability.NotFound; listed != (expect["listed_by_inspect"] == true) {
		t.Errorf("%s: code %d, want listed_by_inspect %v", c.Note, code, expect["listed_by_inspect"])
	}
	report, err := p.Execute(t.Context(), nil)
	if err != nil {
		t.Fatalf("Execute: %v", err)
	}
	notes, err := wasmgen.Notes(report.Submits[0].Raw)
	if err != nil || len(notes) != 1 {
		t.Fatalf("notes %v, %v", notes, err)
	}
	want := 0.0 // no result is noted as 0
	if stub != nil {
		want = stub.(float64)
	}
	if float64(notes[0].R) != want {
		t.Errorf("%s: the call answered %d, want %v", c.Note, notes[0].R, stub)
	}
	if n := report.Usage.Calls[c.Import.Name]; n != 1 {
		t.Errorf("the stub was counted %d times", n)
	}
}

func codeOf(t *testing.T, in *host.Inspection, c linkCase) capability.Code {
	t.Helper()
	for _, im := range in.Imports {
		if im.Module == c.Import.Module && im.Name == c.Import.Name {
			return im.Code
		}
	}
	t.Fatalf("%s.%s is not among the imports: %v", c.Import.Module, c.Import.Name, in.Imports)
	return 0
}

func TestLinkReportsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	var b wasmgen.Builder
	b.ImportFunc("host", "readfile", wasmgen.Sig{Params: wasmgen.I32s(2), Results: wasmgen.I32s(1)})
	b.ImportFunc("env", "hint", wasmgen.Sig{Params: wasmgen.I32s(1)})
	b.ImportFunc("env", "hint", wasmgen.Sig{Params: wasmgen.I32s(2)})
	b.ImportFunc("wasi_snapshot_preview1", "nope", wasmgen.Sig{})
	b.ExportFunc("other", b.Func(wasmgen.Sig{}, nil))
	_, err := newRuntime(t).Load(t.Context(), packageOf(b.Bytes()))
	if err == nil {
		t.Fatal("loaded")
	}
	for _, want := range []string{"host.readfile", "env.hint", "wasi_snapshot_preview1.nope", `entrypoint "run_check" is not exported`, `"other"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}

func TestArtifactAbortLoadsWithEitherType(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	for _, n := range []int{1, 3} {
		wasm := wasmgen.Proxy(wasmgen.Script{
			Imports: []wasmgen.Func{wasmgen.Env("artifact_abort", n)},
			Entry:   []wasmgen.Step{wasmgen.Do("artifact_abort", slices.Repeat([]wasmgen.Arg{wasmgen.Lit(0)}, n)...)},
		})
		report, err := load(t, rt, packageOf(wasm, "submit_result")).Execute(t.Context(), nil)
		if err != nil {
			t.Fatalf("%d parameters: %v", n, err)
		}
		if got := report.Usage.Failed[fmt.Sprintf("artifact_abort %d", capability.NotFound)]; got != 1 {
			t.Errorf("%d parameters: %v", n, report.Usage.Failed)
		}
	}
}
