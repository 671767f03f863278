package wasmbin_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

func TestFuncTypeString(t *testing.T) {
	t.Parallel()
	i32, i64 := wasmbin.I32, wasmbin.I64
	for _, tt := range []struct {
		typ  wasmbin.FuncType
		want string
	}{
		{wasmbin.FuncType{}, "func()"},
		{wasmbin.FuncType{Params: []wasmbin.ValType{i32}}, "func(i32)"},
		{wasmbin.FuncType{Params: []wasmbin.ValType{i32, i32}, Results: []wasmbin.ValType{i32}}, "func(i32, i32) i32"},
		{wasmbin.FuncType{Params: []wasmbin.ValType{i32}, Results: []wasmbin.ValType{i32, i64}}, "func(i32) (i32, i64)"},
	} {
		if got := tt.typ.String(); got != tt.want {
			t.Errorf("String() = %q, want %q", got, tt.want)
		}
	}
}

func TestEmptyModule(t *testing.T) {
	t.Parallel()
	m, err := wasmbin.Decode([]byte("\x00asm\x01\x00\x00\x00"), wasmbin.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := &wasmbin.Info{Figures: wasmbin.Figures{ModuleBytes: 8}}
	if diff := cmp.Diff(want, m.Info()); diff != "" {
		t.Errorf("Info of the empty module (-want +got):\n%s", diff)
	}
}
