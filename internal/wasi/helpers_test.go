package wasi_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/internal/wasi"
	"github.com/sandcheck/sandcheck/limits"
)

// Error numbers of preview1, written out a second time.
const (
	success = 0
	badf    = 8
	fault   = 21
	inval   = 28
	nosys   = 52
	spipe   = 70
)

// untouched fills memory before a test.
const untouched = 0xa5

type module struct {
	api.Module
	mem *memory
}

func (m *module) Memory() api.Memory { return m.mem }

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

// zeroes is a source of randomness that tests can predict.
type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// guest calls WASI functions with a memory of its own.
type guest struct {
	*abi.Run
	ctx context.Context
	mem []byte
	fns map[string]wasi.Func
}

func newGuest(ctx context.Context, size int) *guest {
	g := &guest{mem: bytes.Repeat([]byte{untouched}, size), fns: map[string]wasi.Func{}}
	l := limits.Default()
	g.Run = &abi.Run{
		Session: &capability.Session{}, Limits: l, Now: time.Now, Epoch: time.Now(), Rand: zeroes{},
		Stdout: abi.NewTail(int(l.Stderr)), Stderr: abi.NewTail(int(l.Stderr)),
	}
	g.ctx = g.Begin(ctx, nil, size > 0)
	for _, f := range wasi.Functions() {
		g.fns[f.Name] = f
	}
	return g
}

// call returns the error number. The upper halves of i32 slots are garbage.
func (g *guest) call(t testing.TB, name string, args ...uint64) uint32 {
	t.Helper()
	f, ok := g.fns[name]
	if !ok || len(f.Type.Params) != len(args) {
		t.Fatalf("%s: known %v, %d arguments for %v", name, ok, len(args), f.Type)
	}
	stack := slices.Clone(args)
	for i, p := range f.Type.Params {
		if p == api.ValueTypeI32 {
			stack[i] = stack[i]&0xffffffff | 0xdeadbeef<<32
		}
	}
	if len(stack) == 0 {
		stack = []uint64{99}
	}
	f.Go(g.ctx, &module{mem: &memory{b: g.mem}}, stack)
	if stack[0] > 0xffff {
		t.Fatalf("%s answered %#x", name, stack[0])
	}
	return uint32(stack[0])
}

func (g *guest) put32(at int, values ...uint32) {
	for i, v := range values {
		binary.LittleEndian.PutUint32(g.mem[at+4*i:], v)
	}
}

func (g *guest) u32(at int) uint32 { return binary.LittleEndian.Uint32(g.mem[at:]) }
func (g *guest) u64(at int) uint64 { return binary.LittleEndian.Uint64(g.mem[at:]) }

// touched reports whether anything but the given ranges changed.
func (g *guest) touched(ranges ...[2]int) bool {
	for i, b := range g.mem {
		inside := slices.ContainsFunc(ranges, func(r [2]int) bool { return i >= r[0] && i < r[1] })
		if b != untouched && !inside {
			return true
		}
	}
	return false
}

// unwound is what a call ended the guest with, nil if it returned.
func unwound(call func()) (v any) {
	defer func() { v = recover() }()
	call()
	return nil
}
