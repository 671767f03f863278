package host

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/internal/wasi"
	"github.com/sandcheck/sandcheck/internal/wasmbin"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
)

// Inspection is what is known of a package without running or compiling it. It
// belongs to the caller.
type Inspection struct {
	Manifest *manifest.Manifest
	Digest   manifest.Digest
	// Verdict is who vouches for the package and for which of its files; nil
	// where nobody was asked.
	Verdict *manifest.Verdict
	// Requested is what the manifest asks for.
	Requested capability.Grant
	// Imports lists the imports in order, and what each links to: under the
	// Grant for a loaded Plugin, under all that is requested for Inspect.
	Imports []Import
	// Exports are the names of the exports, functions with their types.
	Exports []string
	// Problems keep the package from loading. Warnings do not.
	Problems, Warnings []string
	// Initializer is what a run calls before the entrypoint: "", "_initialize"
	// or "_start".
	Initializer string
	// Sections are the names of custom sections, Features the Wasm extensions
	// that the module uses.
	Sections, Features []string
	// MemoryMin and MemoryMax are the sizes of the linear memory that the
	// module declares; a MemoryMax of zero means that it declares none. Tables
	// are the minimum entries of its tables.
	MemoryMin, MemoryMax limits.Bytes
	Tables               []int
}

// Import is one import of a module. Code is OK if it is bound, Denied or
// NotFound if a stub answers that, Invalid if it keeps the module from loading.
type Import struct {
	Module, Name, Type, Capability string
	Code                           capability.Code
}

// Inspect tells what is known of pkg and everything that would keep it from
// loading, as if all that its manifest asks for were granted. It runs and
// compiles nothing. The error is for a nil package only: problems of the
// package are in the Inspection.
func (r *Runtime) Inspect(_ context.Context, pkg *manifest.Package) (*Inspection, error) {
	if pkg == nil || pkg.Manifest == nil {
		return nil, &Error{Op: "inspect", Err: errNoPackage}
	}
	x := r.examine(pkg, r.grantFor(pkg.Manifest, &loading{requested: true}))
	for _, err := range x.errs {
		x.in.Problems = append(x.in.Problems, lines(err)...)
	}
	return x.in, nil
}

var errNoPackage = errors.New("no package")

// examination is what looking at a package under a grant brings to light.
type examination struct {
	in       *Inspection
	module   *wasmbin.Module
	info     *wasmbin.Info
	bindings []abi.Binding
	errs     []error
}

// examine decodes the module and resolves its imports. Every problem that can be
// seen at one time is collected.
func (s *settings) examine(pkg *manifest.Package, g capability.Grant) *examination {
	m := pkg.Manifest
	x := &examination{in: &Inspection{Manifest: m, Digest: pkg.Digest(), Requested: Requested(m)}}
	for _, w := range m.Warnings() {
		x.in.Warnings = append(x.in.Warnings, w.Error())
	}
	if err := m.Validate(); err != nil {
		x.errs = append(x.errs, err)
	}
	x.errs = append(x.errs, s.offers(m)...)
	module, err := wasmbin.Decode(pkg.Wasm, wasmbin.Limits{
		Module: int(s.limits.Or(limits.Default()).Module), TableElems: uint64(g.Limits.TableElems), Interpreted: s.interpreter,
	})
	if err != nil {
		x.errs = append(x.errs, &moduleError{err})
		return x
	}
	x.module, x.info = module, module.Info()
	x.describe()
	x.errs = append(x.errs, s.link(x, m, g)...)
	x.errs = append(x.errs, x.entrypoint(m.Entrypoint)...)
	if most := g.Limits.Memory; limits.Bytes(x.info.MemoryMin) > most {
		x.errs = append(x.errs, &moduleError{fmt.Errorf("its memory starts at %v, and the plugin may have %v: raise resources.requested_memory_mb, or the host's maximum",
			limits.Bytes(x.info.MemoryMin), most)})
	}
	x.warn(m)
	return x
}

// describe copies what the decoder found.
func (x *examination) describe() {
	in, info := x.in, x.info
	in.Sections, in.Features = info.Sections, info.Features
	in.MemoryMin, in.MemoryMax = limits.Bytes(info.MemoryMin), limits.Bytes(info.MemoryMax)
	for _, t := range info.Tables {
		in.Tables = append(in.Tables, int(t))
	}
	for _, e := range info.Exports {
		text := fmt.Sprintf("%s %s", e.Name, e.Kind)
		if e.Kind == wasmbin.KindFunc {
			text = fmt.Sprintf("%s %s", e.Name, e.Type)
		}
		in.Exports = append(in.Exports, text)
	}
	in.Warnings = append(in.Warnings, info.Warnings...)
}

// offers refuses capabilities and outputs that this host does not have.
func (s *settings) offers(m *manifest.Manifest) []error {
	var errs []error
	for i, name := range m.Capabilities {
		if !s.offered(name) {
			e := m.At(fmt.Sprintf("capabilities[%d]", i))
			e.Rule, e.Message = "manifest-capability", notOffered(name, s.offeredNames())
			errs = append(errs, &e)
		}
	}
	if needs, ok := outputNeeds[m.Outputs]; ok && !s.offered(needs) {
		e := m.At("outputs")
		e.Rule = "manifest-outputs"
		e.Message = fmt.Sprintf("%q needs a host that offers the capability %q", m.Outputs, needs)
		errs = append(errs, &e)
	}
	return errs
}

// outputNeeds are the outputs other than a plain result and the capability
// without which a host has no use for them.
var outputNeeds = map[string]string{
	"serviceradar.camera_stream.v1":   "camera_media_stream",
	"serviceradar.proxmox_console.v1": "proxmox_console_stream",
}

func (s *settings) offeredNames() []string {
	var names []string
	for _, f := range append(capability.Core(), s.funcs...) {
		if !slices.Contains(names, f.Capability()) {
			names = append(names, f.Capability())
		}
	}
	return names
}

func (s *settings) offered(name string) bool { return slices.Contains(s.offeredNames(), name) }

// link resolves the imports. The list of imports is told even where linking
// fails, for it is what a reader wants to see then.
func (s *settings) link(x *examination, m *manifest.Manifest, g capability.Grant) []error {
	offer := abi.Offer{
		Core: capability.Core(), Funcs: s.funcs, Strict: s.strict, WASI: wasi.Types(),
		Granted: func(name string) bool { return slices.Contains(g.Capabilities, name) },
	}
	if m.Runtime == "none" {
		offer.WASI = nil
	}
	imports := make([]abi.Import, len(x.info.Imports))
	for i, im := range x.info.Imports {
		imports[i] = abi.Import{Module: im.Module, Name: im.Name, Func: im.Kind == wasmbin.KindFunc, Desc: im.Desc}
		if imports[i].Func {
			imports[i].Type = abi.Type{Params: valueTypes(im.Type.Params), Results: valueTypes(im.Type.Results)}
		}
	}
	bindings, err := abi.Link(imports, offer)
	x.bindings = bindings
	for _, im := range imports {
		x.in.Imports = append(x.in.Imports, x.importOf(im, offer))
	}
	if err != nil {
		return []error{&moduleError{err}}
	}
	return nil
}

func (x *examination) importOf(im abi.Import, o abi.Offer) Import {
	told := Import{Module: im.Module, Name: im.Name, Type: im.Desc}
	bindings, err := abi.Link([]abi.Import{im}, o)
	switch {
	case err != nil:
		told.Code = capability.Invalid
	case len(bindings) > 0:
		told.Capability, told.Code = bindings[0].Capability, bindings[0].Code
	}
	return told
}

func valueTypes(ts []wasmbin.ValType) []api.ValueType {
	types := make([]api.ValueType, len(ts))
	for i, t := range ts {
		types[i] = api.ValueType(t)
	}
	return types
}

// entrypoint finds the function that a run calls, and the one before it.
func (x *examination) entrypoint(name string) []error {
	var callable []string
	var found *wasmbin.Export
	for i, e := range x.info.Exports {
		if e.Name == name {
			found = &x.info.Exports[i]
		}
		if e.Kind == wasmbin.KindFunc && len(e.Type.Params) == 0 {
			callable = append(callable, e.Name)
		}
	}
	x.initializer(name)
	var why string
	switch {
	case found == nil:
		why = "is not exported"
	case found.Kind != wasmbin.KindFunc:
		why = fmt.Sprintf("is exported as a %s, not as a function", found.Kind)
	case len(found.Type.Params) > 0:
		why = fmt.Sprintf("has type %s; it must take no parameters", found.Type)
	default:
		if len(found.Type.Results) > 0 {
			x.in.Warnings = append(x.in.Warnings, fmt.Sprintf("entrypoint %q has results, which are ignored", name))
		}
		return nil
	}
	return []error{&moduleError{fmt.Errorf("entrypoint %q %s; exported functions without parameters: %q", name, why, callable)}}
}

// initializer decides what a run calls before the entrypoint. What is the
// entrypoint itself is called once, as that.
func (x *examination) initializer(entrypoint string) {
	switch t := x.info.Initialize; {
	case t != nil:
		if entrypoint != "_initialize" && len(t.Params)+len(t.Results) == 0 {
			x.in.Initializer = "_initialize"
		}
	case x.info.Command && entrypoint != "_start" && x.callable("_start"):
		x.in.Initializer = "_start"
		x.in.Warnings = append(x.in.Warnings,
			"a command module whose entrypoint is not _start: _start runs first as initialisation, unless it fails or calls the host")
	}
}

func (x *examination) callable(name string) bool {
	return slices.ContainsFunc(x.info.Exports, func(e wasmbin.Export) bool {
		return e.Name == name && e.Kind == wasmbin.KindFunc && len(e.Type.Params)+len(e.Type.Results) == 0
	})
}

// smallHTTPMemory is what an SDK guest needs for its 4 MiB response buffer.
const smallHTTPMemory = 9 * limits.MiB

// warn notes what is legal but unlikely to be meant.
func (x *examination) warn(m *manifest.Manifest) {
	imported := map[string]bool{}
	for _, im := range x.in.Imports {
		imported[im.Capability] = true
		switch {
		case im.Module == abi.ModuleEnv && im.Code == capability.NotFound:
			x.in.Warnings = append(x.in.Warnings, fmt.Sprintf("env.%s is not offered by this host: calls answer %d", im.Name, im.Code))
		case im.Module == abi.ModuleEnv && im.Code == capability.Denied:
			x.in.Warnings = append(x.in.Warnings, fmt.Sprintf("env.%s needs the capability %q, which is not granted: calls answer %d", im.Name, im.Capability, im.Code))
		}
	}
	for _, name := range m.Capabilities {
		if !imported[name] {
			x.in.Warnings = append(x.in.Warnings, fmt.Sprintf("capability %q is declared but the module imports nothing that needs it", name))
		}
	}
	p := m.Permissions
	if imported["http_request"] && len(p.Domains)+len(p.Networks) == 0 {
		x.in.Warnings = append(x.in.Warnings, "http_request without permissions.allowed_domains or allowed_networks reaches nothing")
	}
	if mem := m.Resources.Memory; imported["http_request"] && mem > 0 && mem < smallHTTPMemory {
		x.in.Warnings = append(x.in.Warnings, fmt.Sprintf("requested memory of %v is little for http_request: SDK guests need %v", mem, smallHTTPMemory))
	}
}
