package abi_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
)

// FuzzPointers calls every built-in function with any arguments in a memory of
// any size: nothing panics, the answer is -1 exactly where a range is outside,
// and nothing but the named buffer changes.
func FuzzPointers(f *testing.F) {
	f.Add(uint16(64), uint64(0), uint64(64), uint64(0), uint64(64), uint64(8), uint64(8))
	f.Add(uint16(0), uint64(0), uint64(0), uint64(1), uint64(0), uint64(0), uint64(0))
	f.Add(uint16(100), uint64(0xfffffff8), uint64(16), uint64(99), uint64(1), uint64(99), uint64(2))
	f.Add(uint16(100), uint64(1<<63|3), uint64(0xffffffff), uint64(50), uint64(50), uint64(51), uint64(50))
	f.Fuzz(func(t *testing.T, size uint16, a, b, c, d, e, g uint64) {
		args := [6]uint64{a, b, c, d, e, g}
		for _, fn := range everyFunc() {
			pointerCall(t, recording(fn), size, args, true)
			pointerCall(t, fn, size, args, false)
		}
	})
}

// recording answers 1 and marks its buffer, so that an answer of -1 is the
// trampoline's.
func recording(f capability.Func) capability.Func {
	f.Handle = func(_ context.Context, c *capability.Call) capability.Code {
		for i := range c.Out {
			c.Out[i] = 0xee
		}
		for _, in := range c.In {
			if bytes.ContainsFunc(in, func(r rune) bool { return r > 0x7f && r != 0xfffd }) {
				return capability.Internal
			}
		}
		return 1
	}
	return f
}

func pointerCall(t *testing.T, f capability.Func, size uint16, args [6]uint64, marked bool) {
	t.Helper()
	mem := bytes.Repeat([]byte{0x11}, int(size))
	m := &module{}
	if size > 0 {
		m.mem = &memory{b: mem}
	}
	run := begin(t, context.Background(), m, size > 0, limits.Limits{}, bindings(f)...)
	run.Session.Config = []byte("a config of some bytes")
	outside, from, to := false, 0, 0
	at := 0
	for _, p := range f.Params {
		if p.Kind == capability.I32 {
			at++
			continue
		}
		ptr, n := uint64(uint32(args[at])), uint64(uint32(args[at+1]))
		at += 2
		if n > 0 && ptr+n > uint64(size) {
			outside = true
		}
		if p.Kind == capability.Out && n > 0 {
			from, to = int(ptr), int(ptr+n)
		}
	}
	got := run.code(0, args[:at]...)
	if f.Void {
		got = run.records[0].Code
	}
	if outside != (run.records[0].Code == capability.Invalid) && (marked || outside) {
		t.Errorf("%s(%#x) in %d bytes answered %d, outside %v", f.Name, args, size, got, outside)
	}
	if got != run.records[0].Code && !f.Void {
		t.Errorf("%s answered %d, recorded %d", f.Name, got, run.records[0].Code)
	}
	for i, b := range mem {
		if b != 0x11 && (outside || i < from || i >= to) {
			t.Fatalf("%s(%#x) in %d bytes changed byte %d", f.Name, args, size, i)
		}
		if marked && !outside && i >= from && i < to && b != 0xee {
			t.Fatalf("%s(%#x) in %d bytes: byte %d is not the handler's", f.Name, args, size, i)
		}
	}
}
