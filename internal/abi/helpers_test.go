package abi_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
)

// module is a calling instance with a memory of any size. A nil memory would
// make a real one panic when asked for it, and so does this one.
type module struct {
	api.Module
	mem *memory
}

func (m *module) Memory() api.Memory {
	if m.mem == nil {
		panic("a module without memory was asked for it")
	}
	return m.mem
}

type memory struct {
	api.Memory
	b []byte
}

func (m *memory) Read(at, n uint32) ([]byte, bool) {
	end := uint64(at) + uint64(n)
	if end > uint64(len(m.b)) {
		return nil, false
	}
	return m.b[at:end:end], true
}

// instance makes a real instance with pages of memory, none for zero.
func instance(t testing.TB, pages uint32) api.Module {
	t.Helper()
	var b wasmgen.Builder
	if pages > 0 {
		b.Memory(pages)
	}
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	t.Cleanup(func() {
		if err := rt.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	m, err := rt.Instantiate(ctx, b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// bindings binds every f, as Link does for a module that imports it with its
// own type.
func bindings(fs ...capability.Func) []abi.Binding {
	var bound []abi.Binding
	for _, f := range fs {
		bound = append(bound, abi.Binding{Name: f.Name, Type: abi.TypeOf(f), Func: f, Capability: f.Capability()})
	}
	return bound
}

// guest is a run that calls bindings by number, as a guest would.
type guest struct {
	*abi.Run
	ctx     context.Context
	bound   []abi.Binding
	module  api.Module
	records []abi.Record
}

func begin(t testing.TB, ctx context.Context, m api.Module, memory bool, l limits.Limits, bound ...abi.Binding) *guest {
	t.Helper()
	g := &guest{bound: bound, module: m}
	l = l.Or(limits.Default())
	g.Run = &abi.Run{
		Session: &capability.Session{Limits: l}, Limits: l, Now: time.Now, Epoch: time.Now(),
		Stdout: abi.NewTail(64), Stderr: abi.NewTail(64),
		Called: func(_ context.Context, r abi.Record) { g.records = append(g.records, r) },
	}
	g.ctx = g.Begin(ctx, bound, memory)
	return g
}

// call calls binding i and returns its first result; what the guest does not
// use of the stack is garbage.
func (g *guest) call(i int, args ...uint64) uint64 {
	stack := append(slices.Clone(args), 0xfeed, 0xface)
	abi.Trampoline(i, g.bound[i]).(api.GoModuleFunc)(g.ctx, g.module, stack)
	return stack[0]
}

// code is call for functions with an i32 result.
func (g *guest) code(i int, args ...uint64) capability.Code {
	return capability.Code(api.DecodeI32(g.call(i, args...)))
}

// unwound is what a call ended the guest with, nil if it returned.
func unwound(call func()) (v any) {
	defer func() { v = recover() }()
	call()
	return nil
}

func everyFunc() []capability.Func {
	return slices.Concat(capability.Core(), capability.Network())
}
