package abi_test

import (
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/internal/abi"
)

const (
	i32     = api.ValueTypeI32
	i64     = api.ValueTypeI64
	f32     = api.ValueTypeF32
	f64     = api.ValueTypeF64
	v128    = api.ValueType(0x7b)
	funcref = api.ValueType(0x70)
)

func sig(params []api.ValueType, results ...api.ValueType) abi.Type {
	return abi.Type{Params: params, Results: results}
}

func ints(n int) []api.ValueType {
	var ts []api.ValueType
	for range n {
		ts = append(ts, i32)
	}
	return ts
}

func fn(module, name string, t abi.Type) abi.Import {
	return abi.Import{Module: module, Name: name, Func: true, Type: t, Desc: t.String()}
}

func env(name string, params int) abi.Import { return fn("env", name, sig(ints(params), i32)) }

// offer grants what is named; no name grants nothing.
func offer(granted ...string) abi.Offer {
	return abi.Offer{
		Core: capability.Core(), Funcs: capability.Network(),
		Granted: func(name string) bool { return strings.Contains(" "+strings.Join(granted, " ")+" ", " "+name+" ") },
		WASI:    map[string]abi.Type{"fd_write": sig(ints(4), i32), "proc_exit": sig(ints(1))},
	}
}

func TestLink(t *testing.T) {
	t.Parallel()
	withoutWASI := offer()
	withoutWASI.WASI = nil
	for _, tt := range []struct {
		name   string
		im     abi.Import
		offer  abi.Offer
		bound  bool
		code   capability.Code // of the binding
		unlock string
		err    string // in the load error; "" means that it loads
		strict string // in the load error with strict imports; "" means as before
	}{
		{"granted, right type", env("get_config", 2), offer("get_config"), true, capability.OK, "get_config", "", ""},
		{"granted, another type", env("get_config", 3), offer("get_config"), false, 0, "", "func(i32, i32) i32", ""},
		{"granted, another result", fn("env", "get_config", sig(ints(2), i64)), offer("get_config"), false, 0, "", "func(i32, i32) i64", ""},
		{"log has no result", fn("env", "log", sig(ints(3))), offer("log"), true, capability.OK, "log", "", ""},
		{"log with a result", env("log", 3), offer("log"), false, 0, "", "the host has it as func(i32, i32, i32)", ""},
		{"not granted", env("http_request", 4), offer("get_config"), true, capability.Denied, "http_request", "", "capabilities: [http_request]"},
		{"not granted, any type", fn("env", "http_request", sig([]api.ValueType{f64}, f32)), offer(), true, capability.Denied, "http_request", "", "is not granted"},
		{"last_error needs no grant", env("last_error", 2), offer(), true, capability.OK, "last_error", "", ""},
		{"last_error of another type", env("last_error", 1), offer(), false, 0, "", "env.last_error: func(i32) i32: the host has it as func(i32, i32) i32", ""},
		{"unknown", env("emit_telemetry", 2), offer("emit_telemetry"), true, capability.NotFound, "", "", "this host does not offer it"},
		{"empty name", env("", 2), offer(""), true, capability.NotFound, "", "", "this host does not offer it"},
		{"names are exact", env("Get_Config", 2), offer("get_config"), true, capability.NotFound, "", "", "does not offer it"},
		{"unknown with v128", fn("env", "x", sig([]api.ValueType{v128}, i32)), offer(), false, 0, "", "func(v128) i32: no stub", "does not offer it"},
		{"unknown with a reference result", fn("env", "x", sig(nil, funcref)), offer(), false, 0, "", "func() funcref: no stub", "does not offer it"},
		{"not granted with v128", fn("env", "log", sig([]api.ValueType{v128})), offer(), false, 0, "", "no stub", "is not granted"},
		{"another module", fn("host", "readfile", sig(ints(2), i32)), offer(), false, 0, "", `import host.readfile: func(i32, i32) i32: module "host" is not offered`, ""},
		{"another module's memory", abi.Import{Module: "js", Name: "m", Desc: "memory 1"}, offer(), false, 0, "", `js.m: memory 1: module "js"`, ""},
		{"empty module", fn("", "f", sig(nil)), offer(), false, 0, "", `module "" is not offered`, ""},
		{"memory", abi.Import{Module: "env", Name: "memory", Desc: "memory 1"}, offer(), false, 0, "", "env.memory: memory 1: only functions", ""},
		{"table", abi.Import{Module: "env", Name: "t", Desc: "table 1 funcref"}, offer(), false, 0, "", "env.t: table", ""},
		{"global", abi.Import{Module: "env", Name: "g", Desc: "global i32"}, offer(), false, 0, "", "env.g: global", ""},
		{"tag", abi.Import{Module: "env", Name: "e", Desc: "tag"}, offer(), false, 0, "", "env.e: tag", ""},
		{"WASI memory", abi.Import{Module: "wasi_snapshot_preview1", Name: "memory", Desc: "memory 1"}, offer(), false, 0, "", "only functions", ""},
		{"WASI", fn("wasi_snapshot_preview1", "fd_write", sig(ints(4), i32)), offer(), false, 0, "", "", ""},
		{"WASI without result", fn("wasi_snapshot_preview1", "proc_exit", sig(ints(1))), offer(), false, 0, "", "", ""},
		{"WASI of another type", fn("wasi_snapshot_preview1", "fd_write", sig(ints(3), i32)), offer(), false, 0, "", "WASI preview1 has it as func(i32, i32, i32, i32) i32", ""},
		{"WASI of no such name", fn("wasi_snapshot_preview1", "thread_spawn", sig(ints(1), i32)), offer(), false, 0, "", "no such function in WASI preview1", ""},
		{"WASI that the manifest does not want", fn("wasi_snapshot_preview1", "fd_write", sig(ints(4), i32)), withoutWASI, false, 0, "", "runtime: none", ""},
		{"an older WASI", fn("wasi_unstable", "fd_write", sig(ints(4), i32)), offer(), false, 0, "", `module "wasi_unstable" is not offered`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			check := func(o abi.Offer, want string) {
				bound, err := abi.Link([]abi.Import{tt.im}, o)
				if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
					t.Fatalf("strict %v: Link = %v, want %q", o.Strict, err, want)
				}
				if err != nil {
					if name := tt.im.Module + "." + tt.im.Name; !strings.Contains(err.Error(), name) {
						t.Errorf("error does not name %q: %v", name, err)
					}
					return
				}
				if (len(bound) == 1) != tt.bound {
					t.Fatalf("bindings %+v", bound)
				}
				if !tt.bound {
					return
				}
				b := bound[0]
				if b.Code != tt.code || b.Capability != tt.unlock || b.Name != tt.im.Name || !b.Type.Equal(tt.im.Type) {
					t.Errorf("bound as %+v", b)
				}
				if (b.Func.Handle != nil) != (tt.code == capability.OK) {
					t.Error("a stub leads to a handler")
				}
			}
			check(tt.offer, tt.err)
			strict := tt.offer
			strict.Strict = true
			if tt.strict == "" {
				tt.strict = tt.err
			}
			check(strict, tt.strict)
		})
	}
}

func TestLinkReportsEverything(t *testing.T) {
	t.Parallel()
	bound, err := abi.Link([]abi.Import{
		env("log", 9), env("x", 1), env("x", 2), fn("a", "b", sig(nil)), env("get_config", 2),
	}, offer("log", "get_config"))
	if err == nil {
		t.Fatal("linked")
	}
	for _, want := range []string{"env.log", "env.x: func(i32, i32) i32: the module imports it with type func(i32) i32 as well", "a.b"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	if len(bound) != 2 {
		t.Errorf("bindings %+v", bound)
	}
}

func TestLinkBindsANameOnce(t *testing.T) {
	t.Parallel()
	bound, err := abi.Link([]abi.Import{env("x", 1), env("log", 0), env("x", 1), env("log", 0)}, offer())
	if err != nil || len(bound) != 2 || bound[0].Name != "x" || bound[1].Name != "log" {
		t.Errorf("Link = %+v, %v", bound, err)
	}
	for _, params := range []int{1, 3} { // both exist in the wild
		if _, err := abi.Link([]abi.Import{env("artifact_abort", params)}, offer()); err != nil {
			t.Errorf("artifact_abort with %d parameters: %v", params, err)
		}
	}
}

func TestLinkTellsCoreFromOthers(t *testing.T) {
	t.Parallel()
	own := capability.Func{Name: "own", Requires: "mine"}
	o := offer("mine", "log")
	o.Funcs = append(o.Funcs, own)
	bound, err := abi.Link([]abi.Import{env("own", 0), fn("env", "log", sig(ints(3)))}, o)
	if err != nil || bound[0].Core || !bound[1].Core || bound[0].Code != capability.OK {
		t.Errorf("Link = %+v, %v", bound, err)
	}
}

func TestTypeString(t *testing.T) {
	t.Parallel()
	for want, typ := range map[string]abi.Type{
		"func()":                        {},
		"func() i32":                    sig(nil, i32),
		"func(i32, i64) (f32, f64)":     sig([]api.ValueType{i32, i64}, f32, f64),
		"func(v128, funcref) externref": sig([]api.ValueType{v128, funcref}, api.ValueTypeExternref),
	} {
		if got := typ.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if sig(ints(1)).Equal(sig(nil, i32)) || !sig(ints(1), i32).Equal(sig(ints(1), i32)) {
		t.Error("Equal mixes parameters and results")
	}
}
