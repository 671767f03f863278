package wasmbin_test

import (
	"testing"

	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

// TestFramesOfLongBodies: what a body may keep over its calls counts, half a byte
// for each instruction from 128 on, but no more than there can be.
func TestFramesOfLongBodies(t *testing.T) {
	t.Parallel()
	const plain = 64 + 8 // one operand
	call := cat(i32c(1), op(0x10, 0), op(0x1a))
	for _, tt := range []struct {
		name string
		body []byte
		want int
	}{
		{"127 instructions and the end", body(rep(42, call...), op(0x01)), plain},
		{"129 and the end", body(rep(43, call...)), plain + 1},
		{"3,000 and the end", body(rep(1_000, call...)), plain + (3_001-128)/2},
		{"no calls but a charge", body(i32c(1), rep(3_000, 0x01), op(0x1a)), plain + 8},
		{"one call, which brings charges of its own", body(call, rep(3_000, 0x01)), plain + 5*8},
	} {
		m, err := wasmbin.Decode(module(types(fn(nil, nil)), funcs(0), code(tt.body)), wasmbin.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Info().LargestFrame; got != tt.want {
			t.Errorf("%s: a frame of %d bytes, want %d", tt.name, got, tt.want)
		}
	}
}
