package abi

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/internal/plain"
)

// lastError is bound in every plugin: it tells a guest only about itself.
const lastError = "last_error"

// Import is one import of a module, as decoded.
type Import struct {
	Module, Name string
	Func         bool   // false: a memory, table, global or tag
	Type         Type   // of a function
	Desc         string // the type as people read it, of whatever kind
}

// Binding is what one imported function of module env is linked to.
type Binding struct {
	Name       string // as the module has it, whatever characters that holds
	Type       Type   // the module's own, which a bound Func shares
	Code       capability.Code
	Func       capability.Func // only where Code is OK
	Capability string          // what would unlock it; "" for a name that is not offered
	Core       bool            // does not wait: it runs as part of the guest's own time
}

// Offer is what a plugin may be linked to.
type Offer struct {
	Core, Funcs []capability.Func            // always offered; offered beside them
	Granted     func(capability string) bool // the effective Grant
	WASI        map[string]Type              // nil where the manifest wants none
	Strict      bool                         // no stubs: what is not bound is an error
}

// Link resolves a module's imports against o. It reports every problem at once
// and returns one Binding per name of module env.
func Link(imports []Import, o Offer) ([]Binding, error) {
	var (
		bound []Binding
		errs  []error
	)
	for _, im := range imports {
		if err := o.place(im); err != nil {
			errs = append(errs, importError(im, err))
			continue
		}
		if im.Module != ModuleEnv {
			continue
		}
		if i := slices.IndexFunc(bound, func(b Binding) bool { return b.Name == im.Name }); i >= 0 {
			if !bound[i].Type.Equal(im.Type) {
				errs = append(errs, importError(im, fmt.Errorf("the module imports it with type %v as well", bound[i].Type)))
			}
			continue
		}
		b, err := o.bind(im)
		if err != nil {
			errs = append(errs, importError(im, err))
			continue
		}
		bound = append(bound, b)
	}
	return bound, errors.Join(errs...)
}

func importError(im Import, err error) error {
	return fmt.Errorf("import %s.%s: %s: %w", label(im.Module), label(im.Name), label(im.Desc), err)
}

// place judges everything about im but the function behind it.
func (o Offer) place(im Import) error {
	switch {
	case im.Module != ModuleEnv && im.Module != ModuleWASI:
		return fmt.Errorf("module %q is not offered; host functions are in %q, WASI is %q", label(im.Module), ModuleEnv, ModuleWASI)
	case !im.Func:
		return errors.New("only functions can be imported; the memory and all else must be the module's own")
	case im.Module == ModuleEnv:
		return nil
	case o.WASI == nil:
		return errors.New("the manifest says runtime: none; say wasi-preview1 to link WASI")
	}
	want, ok := o.WASI[im.Name]
	if !ok {
		return errors.New("no such function in WASI preview1")
	}
	if !want.Equal(im.Type) {
		return fmt.Errorf("WASI preview1 has it as %v", want)
	}
	return nil
}

// bind finds what im is linked to: the function, or a stub that answers why not.
func (o Offer) bind(im Import) (Binding, error) {
	b := Binding{Name: im.Name, Type: im.Type, Code: capability.NotFound}
	f, core, offered := o.find(im.Name)
	if offered {
		b.Capability, b.Code = f.Capability(), capability.Denied
		if f.Name == lastError || o.Granted(b.Capability) {
			b.Code = capability.OK
		}
	}
	switch {
	case b.Code == capability.OK:
		if want := TypeOf(f); !want.Equal(im.Type) {
			return b, fmt.Errorf("the host has it as %v", want)
		}
		b.Func, b.Core = f, core
	case o.Strict && offered:
		return b, fmt.Errorf("capability %q is not granted: plugin.yaml asks with capabilities: [%s], and the operator's grant must hold it", b.Capability, b.Capability)
	case o.Strict:
		return b, errors.New("this host does not offer it")
	case slices.ContainsFunc(append(slices.Clone(im.Type.Params), im.Type.Results...), notNumeric):
		return b, errors.New("no stub can be made for a type with v128 or references")
	}
	return b, nil
}

// label is an import's name fit for reports and screens: authors choose it.
func label(name string) string {
	const most = 128
	return plain.Cut(plain.Line(name), most)
}

func (o Offer) find(name string) (f capability.Func, core, ok bool) {
	is := func(f capability.Func) bool { return f.Name == name }
	if i := slices.IndexFunc(o.Core, is); i >= 0 {
		return o.Core[i], true, true
	}
	if i := slices.IndexFunc(o.Funcs, is); i >= 0 {
		return o.Funcs[i], false, true
	}
	return capability.Func{}, false, false
}

func notNumeric(t api.ValueType) bool {
	switch t {
	case api.ValueTypeI32, api.ValueTypeI64, api.ValueTypeF32, api.ValueTypeF64:
		return false
	default:
		return true
	}
}
