package capability_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/sandcheck/sandcheck/capability"
)

func handler(context.Context, *capability.Call) capability.Code { return capability.OK }

func params(kind capability.Kind, n int) []capability.Param {
	return slices.Repeat([]capability.Param{{Name: "p", Kind: kind}}, n)
}

func TestFuncValidate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		f    capability.Func
		want []string // in the error; none means valid
	}{
		{"smallest", capability.Func{Name: "f", Handle: handler}, nil},
		{"every letter", capability.Func{Name: "_a.b-C9", Handle: handler}, nil},
		{"longest name", capability.Func{Name: strings.Repeat("n", 128), Handle: handler}, nil},
		{"name too long", capability.Func{Name: strings.Repeat("n", 129), Handle: handler}, []string{"a name is 1 to 128"}},
		{"zero value", capability.Func{}, []string{"a name is 1 to 128", "Handle is missing"}},
		{"name starts with a digit", capability.Func{Name: "1f", Handle: handler}, []string{`func "1f"`}},
		{"name with a blank", capability.Func{Name: "a b", Handle: handler}, []string{`func "a b"`}},
		{"name with a line break", capability.Func{Name: "a\n", Handle: handler}, []string{"a name is"}},
		{"unknown kind", capability.Func{Name: "f", Handle: handler, Params: params(capability.Out+1, 1)}, []string{`parameter "p" has unknown kind 3`}},
		{"most i32", capability.Func{Name: "f", Handle: handler, Params: params(capability.I32, 8)}, nil},
		{"too many i32", capability.Func{Name: "f", Handle: handler, Params: params(capability.I32, 9)}, []string{"9 i32"}},
		{"most in", capability.Func{Name: "f", Handle: handler, Params: params(capability.In, 4)}, nil},
		{"too many in", capability.Func{Name: "f", Handle: handler, Params: params(capability.In, 5)}, []string{"5 in"}},
		{"one out", capability.Func{Name: "f", Handle: handler, Params: params(capability.Out, 1)}, nil},
		{"two out", capability.Func{Name: "f", Handle: handler, Params: params(capability.Out, 2)}, []string{"2 out"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.f.Validate()
			if (err == nil) != (len(tt.want) == 0) {
				t.Fatalf("Validate() = %v, want %q", err, tt.want)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestBuiltinsAreValidAndUnique(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range slices.Concat(capability.Core(), capability.Network()) {
		if err := f.Validate(); err != nil {
			t.Error(err)
		}
		if seen[f.Name] {
			t.Errorf("%q is there twice", f.Name)
		}
		if f.Doc == "" {
			t.Errorf("%q has no Doc", f.Name)
		}
		seen[f.Name] = true
	}
	if n := len(capability.HTTP()) + len(capability.TCP()) + len(capability.UDP()); n != len(capability.Network()) {
		t.Errorf("Network has %d functions, its parts %d", len(capability.Network()), n)
	}
}

func TestKindAndCapability(t *testing.T) {
	t.Parallel()
	for kind, want := range map[capability.Kind]string{capability.I32: "i32", capability.In: "in", capability.Out: "out", 9: "Kind(9)"} {
		if got := kind.String(); got != want {
			t.Errorf("Kind %d = %q, want %q", kind, got, want)
		}
	}
	if got := (capability.Func{Name: "a"}).Capability(); got != "a" {
		t.Errorf("without Requires: %q", got)
	}
	if got := (capability.Func{Name: "a", Requires: "b"}).Capability(); got != "b" {
		t.Errorf("with Requires: %q", got)
	}
}
