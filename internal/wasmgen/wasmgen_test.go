package wasmgen_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/sandcheck/sandcheck/internal/wasmgen"
)

// fake is a host with functions that answer as the tests below expect.
type fake struct {
	config    string
	submitted [][]byte
	logged    [][]byte
	trace     []string
	stdout    strings.Builder
}

// bothEngines runs a test with the compiler and with the interpreter.
func bothEngines(t *testing.T, test func(t *testing.T, cfg wazero.RuntimeConfig)) {
	t.Parallel()
	for name, cfg := range map[string]wazero.RuntimeConfig{
		"compiler": wazero.NewRuntimeConfigCompiler(), "interpreter": wazero.NewRuntimeConfigInterpreter(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, cfg)
		})
	}
}

// run instantiates a module and calls its initialisers and one export.
func (f *fake) run(t *testing.T, cfg wazero.RuntimeConfig, wasm []byte, exports ...string) error {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, cfg)
	t.Cleanup(func() { r.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	env := r.NewHostModuleBuilder("env")
	export := func(name string, params int, h func(m api.Memory, p []uint32) int32) {
		results := []api.ValueType{api.ValueTypeI32}
		if name == "log" {
			results = nil
		}
		env.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, stack []uint64) {
			p := make([]uint32, params)
			for i := range p {
				p[i] = uint32(stack[i])
			}
			got := h(m.Memory(), p)
			f.trace = append(f.trace, fmt.Sprintf("%s = %d", name, got))
			if results != nil {
				stack[0] = uint64(uint32(got))
			}
		}), types(params), results).Export(name)
	}
	keep := func(list *[][]byte) func(m api.Memory, p []uint32) int32 {
		return func(m api.Memory, p []uint32) int32 {
			b, ok := m.Read(p[len(p)-2], p[len(p)-1])
			if !ok {
				return -1
			}
			*list = append(*list, append([]byte{}, b...))
			return 0
		}
	}
	export("submit_result", 2, keep(&f.submitted))
	export("log", 3, keep(&f.logged))
	export("get_config", 2, func(m api.Memory, p []uint32) int32 {
		if len(f.config) > int(p[1]) {
			return -3
		}
		if !m.WriteString(p[0], f.config) {
			return -1
		}
		return int32(len(f.config))
	})
	export("http_request", 4, func(m api.Memory, p []uint32) int32 {
		req, _ := m.Read(p[0], p[1])
		if !strings.Contains(string(req), `"url":"http://ok/"`) {
			return -2
		}
		m.WriteString(p[2], f.config)
		return int32(len(f.config))
	})
	export("tcp_connect", 4, func(_ api.Memory, p []uint32) int32 { return int32(p[2]) })
	export("tcp_close", 1, func(_ api.Memory, p []uint32) int32 { return -int32(p[0]) })
	export("sloppy", 2, func(m api.Memory, p []uint32) int32 {
		m.WriteString(p[0], "abcdef")
		return 3
	})
	if _, err := env.Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	mod, err := r.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithStartFunctions().WithStdout(&f.stdout))
	if err != nil {
		return err
	}
	for _, name := range exports {
		fn := mod.ExportedFunction(name)
		if fn == nil {
			return fmt.Errorf("no export %q", name)
		}
		if _, err := fn.Call(ctx); err != nil {
			return err
		}
	}
	return nil
}

func types(n int) []api.ValueType {
	list := make([]api.ValueType, n)
	for i := range list {
		list[i] = api.ValueTypeI32
	}
	return list
}

// notes reads what a guest reported, one line per note.
func notes(t *testing.T, docs [][]byte) []string {
	t.Helper()
	list, err := wasmgen.Notes(docs...)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, n := range list {
		lines = append(lines, n.String())
	}
	return lines
}

func TestCannedGuests(t *testing.T) {
	for _, tt := range []struct {
		name   string
		wasm   []byte
		config string
		want   string
		trap   string
	}{
		{name: "submits", wasm: wasmgen.Submits(`{"status":"OK"}`), want: `{"status":"OK"}`},
		{name: "submits nothing", wasm: wasmgen.Submits(""), want: ""},
		{name: "fetches 200", wasm: wasmgen.Fetches("http://ok/"), config: "200\nbody", want: `{"status":"OK","summary":"HTTP 200"}`},
		{name: "fetches 301 without a body", wasm: wasmgen.Fetches("http://ok/"), config: "301\n", want: `{"status":"OK","summary":"HTTP 301"}`},
		{name: "fetches 503", wasm: wasmgen.Fetches("http://ok/"), config: "503\n5", want: `{"status":"CRITICAL","summary":"HTTP 503"}`},
		{name: "fetches refused", wasm: wasmgen.Fetches("http://no/"), want: `{"status":"CRITICAL","summary":"http_request answered -2"}`},
		{name: "silent", wasm: wasmgen.Silent()},
		{name: "doubles", wasm: wasmgen.Doubles(8)},
		{name: "traps", wasm: wasmgen.Traps(), trap: "unreachable"},
		{name: "recurses", wasm: wasmgen.Recurses(), trap: "stack overflow"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bothEngines(t, func(t *testing.T, cfg wazero.RuntimeConfig) {
				f := &fake{config: tt.config}
				err := f.run(t, cfg, tt.wasm, "run_check")
				if tt.trap == "" && err != nil || tt.trap != "" && (err == nil || !strings.Contains(err.Error(), tt.trap)) {
					t.Fatalf("run_check: %v, want trap %q", err, tt.trap)
				}
				var got string
				if len(f.submitted) > 0 {
					got = string(f.submitted[0])
				}
				if got != tt.want {
					t.Errorf("submitted %s, want %s", got, tt.want)
				}
			})
		})
	}
}

func TestProxy(t *testing.T) {
	sloppy := wasmgen.Env("sloppy", 2)
	for _, tt := range []struct {
		name    string
		script  wasmgen.Script
		exports []string
		want    []string
	}{
		{
			name: "arguments and answers",
			script: wasmgen.Script{Entry: []wasmgen.Step{
				wasmgen.Do("get_config", wasmgen.Out(4)),
				wasmgen.Do("get_config", wasmgen.Out(64)),
				wasmgen.Do("get_config", wasmgen.MemEnd(-4), wasmgen.Lit(64)),
				wasmgen.Do("get_config", wasmgen.Lit(1<<32-1), wasmgen.Lit(1<<32-1)),
			}},
			want: []string{"get_config = -3", `get_config = 7 "{\"a\":1}"`, "get_config = -1", "get_config = -1"},
		},
		{
			name: "results of earlier steps",
			script: wasmgen.Script{Entry: []wasmgen.Step{
				wasmgen.Do("tcp_connect", wasmgen.Text("host"), wasmgen.Lit(9), wasmgen.Lit(0)).As("conn"),
				wasmgen.Do("tcp_close", wasmgen.Ref("conn")),
				wasmgen.Do("get_config", wasmgen.Out(64)).As("cfg"),
				wasmgen.Do("submit_result", wasmgen.Got("cfg")),
			}},
			want: []string{"tcp_connect conn = 9", "tcp_close = -9", `get_config cfg = 7 "{\"a\":1}"`, "submit_result = 0"},
		},
		{
			name: "rounds",
			script: wasmgen.Script{Entry: []wasmgen.Step{
				wasmgen.Do("tcp_close", wasmgen.Lit(2)).Times(2),
				wasmgen.Do("tcp_close", wasmgen.Lit(3)).TimesLast(100),
				wasmgen.Burn(10),
			}},
			want: []string{"tcp_close = -2", "tcp_close = -2", "tcp_close = -3"},
		},
		{
			name: "phases",
			script: wasmgen.Script{
				Start:      []wasmgen.Step{wasmgen.Do("tcp_close", wasmgen.Lit(1))},
				Initialize: []wasmgen.Step{wasmgen.Do("tcp_close", wasmgen.Lit(2))},
				Command:    []wasmgen.Step{wasmgen.Do("tcp_close", wasmgen.Lit(3))},
				Entry:      []wasmgen.Step{wasmgen.Do("tcp_close", wasmgen.Lit(4))},
				Entrypoint: "check",
			},
			exports: []string{"_initialize", "_start", "check"},
			want:    []string{"tcp_close = -1", "tcp_close = -2", "tcp_close = -3", "tcp_close = -4"},
		},
		{
			name: "log lines, one per step",
			script: wasmgen.Script{
				Start:  []wasmgen.Step{wasmgen.Do("tcp_close", wasmgen.Lit(1))},
				Entry:  []wasmgen.Step{wasmgen.Do("tcp_close", wasmgen.Lit(2)), wasmgen.Do("tcp_close", wasmgen.Lit(3))},
				Report: wasmgen.ReportLog,
			},
			want: []string{"tcp_close = -1", "tcp_close = -2", "tcp_close = -3"},
		},
		{
			name: "bytes behind the answer",
			script: wasmgen.Script{Imports: []wasmgen.Func{sloppy}, Entry: []wasmgen.Step{
				wasmgen.Do("sloppy", wasmgen.Out(6)), wasmgen.Do("env.sloppy", wasmgen.OutPtr(6), wasmgen.Lit(0)),
			}},
			want: []string{`sloppy = 3 "abc" dirty`, `env.sloppy = 3 "abcdef"`},
		},
		{
			name: "WASI and memory",
			script: wasmgen.Script{MaxPages: 20, Data: map[uint32]string{8: "x"}, Entry: []wasmgen.Step{
				wasmgen.Sleep(1), wasmgen.Print(1, "hello"), wasmgen.Grow(100),
				wasmgen.Do("wasi.clock_time_get", wasmgen.Lit(99), wasmgen.Lit(1), wasmgen.OutPtr(2)),
			}},
			want: []string{"sleep = 0", "print = 0", "memory.grow = -1", `wasi.clock_time_get = 28 "\xa5\xa5"`},
		},
		{
			name:   "nothing to do",
			script: wasmgen.Script{Traps: []string{"alloc"}},
		},
		{
			name:   "a report before the end",
			script: wasmgen.Script{Report: wasmgen.ReportNone, Entry: []wasmgen.Step{wasmgen.Do("tcp_close", wasmgen.Lit(1)), wasmgen.FlushReport(), wasmgen.Do("tcp_close", wasmgen.Lit(2))}},
			want:   []string{"tcp_close = -1"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bothEngines(t, func(t *testing.T, cfg wazero.RuntimeConfig) {
				f := &fake{config: `{"a":1}`}
				exports := tt.exports
				if exports == nil {
					exports = []string{"run_check"}
				}
				if err := f.run(t, cfg, wasmgen.Proxy(tt.script), exports...); err != nil {
					t.Fatal(err)
				}
				docs := f.logged
				if n := len(f.submitted); n > 0 {
					docs = f.submitted[n-1:]
				}
				got := notes(t, docs)
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("notes (-want +got):\n%s\nin %s", diff, docs)
				}
			})
		})
	}
}

func TestProxyEnds(t *testing.T) {
	step := wasmgen.Do("tcp_close", wasmgen.Lit(1))
	for _, tt := range []struct {
		name string
		end  wasmgen.Step
		exit uint32
		trap bool
	}{
		{name: "exit", end: wasmgen.Exit(3), exit: 3},
		{name: "clean exit", end: wasmgen.Exit(0)},
		{name: "trap", end: wasmgen.Trap(), trap: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bothEngines(t, func(t *testing.T, cfg wazero.RuntimeConfig) {
				f := &fake{}
				err := f.run(t, cfg, wasmgen.Proxy(wasmgen.Script{Report: wasmgen.ReportLog, Entry: []wasmgen.Step{step, tt.end, step}}), "run_check")
				var exit *sys.ExitError
				if errors.As(err, &exit) == tt.trap || exit != nil && exit.ExitCode() != tt.exit {
					t.Errorf("ended with %v", err)
				}
				if diff := cmp.Diff([]string{"tcp_close = -1"}, notes(t, f.logged)); diff != "" {
					t.Errorf("notes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestBigAnswer(t *testing.T) {
	bothEngines(t, func(t *testing.T, cfg wazero.RuntimeConfig) {
		f := &fake{config: strings.Repeat("a", 100_000)}
		if err := f.run(t, cfg, wasmgen.Proxy(wasmgen.Script{Entry: []wasmgen.Step{wasmgen.Do("get_config", wasmgen.Out(4<<20))}}), "run_check"); err != nil {
			t.Fatal(err)
		}
		got, err := wasmgen.Notes(f.submitted...)
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		hash := uint32(2166136261)
		for _, c := range []byte(f.config) {
			hash = (hash ^ uint32(c)) * 16777619
		}
		if n := got[0]; n.R != 100_000 || len(n.Out) != 16<<10 || n.Hash != hash || n.Dirty {
			t.Errorf("R %d, %d bytes, hash %d (want %d), dirty %v", n.R, len(n.Out), n.Hash, hash, n.Dirty)
		}
	})
}

// TestWiderTypes calls functions with every number type, as stubs have them.
func TestWiderTypes(t *testing.T) {
	bothEngines(t, func(t *testing.T, cfg wazero.RuntimeConfig) {
		list := []wasmgen.ValType{wasmgen.I64, wasmgen.F32, wasmgen.F64, wasmgen.I32}
		var imports []wasmgen.Func
		var steps []wasmgen.Step
		for i, v := range list {
			name := fmt.Sprint("f", i)
			imports = append(imports, wasmgen.Func{Module: "other", Name: name, Sig: wasmgen.Sig{Params: []wasmgen.ValType{v}, Results: []wasmgen.ValType{v, v}}})
			steps = append(steps, wasmgen.Do(name, wasmgen.Lit(-4)).As(name))
		}
		ctx := context.Background()
		r := wazero.NewRuntimeWithConfig(ctx, cfg)
		defer r.Close(ctx)
		other := r.NewHostModuleBuilder("other")
		for i, v := range list {
			other.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, s []uint64) { s[1] = s[0] }),
				[]api.ValueType{api.ValueType(v)}, []api.ValueType{api.ValueType(v), api.ValueType(v)}).Export(fmt.Sprint("f", i))
		}
		if _, err := other.Instantiate(ctx); err != nil {
			t.Fatal(err)
		}
		var doc []byte
		if _, err := r.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, p, n uint32) int32 {
			b, _ := m.Memory().Read(p, n)
			doc = append(doc, b...)
			return 0
		}).Export("submit_result").Instantiate(ctx); err != nil {
			t.Fatal(err)
		}
		mod, err := r.Instantiate(ctx, wasmgen.Proxy(wasmgen.Script{Imports: imports, Entry: steps}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mod.ExportedFunction("run_check").Call(ctx); err != nil {
			t.Fatal(err)
		}
		got, err := wasmgen.Notes(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range got {
			if n.R != -4 || n.R2 != -4 {
				t.Errorf("%s: R %d, R2 %d, want -4", n.Name, n.R, n.R2)
			}
		}
		if len(got) != len(list) {
			t.Errorf("%d notes, want %d", len(got), len(list))
		}
	})
}

func TestMisusePanics(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func(){
		"unknown function": func() { wasmgen.Proxy(wasmgen.Script{Entry: []wasmgen.Step{wasmgen.Do("nope")}}) },
		"too few":          func() { wasmgen.Proxy(wasmgen.Script{Entry: []wasmgen.Step{wasmgen.Do("tcp_close")}}) },
		"too many": func() {
			wasmgen.Proxy(wasmgen.Script{Entry: []wasmgen.Step{wasmgen.Do("tcp_close", wasmgen.Text("ab"))}})
		},
		"got of nothing": func() {
			wasmgen.Proxy(wasmgen.Script{Entry: []wasmgen.Step{wasmgen.Do("submit_result", wasmgen.Got("x"))}})
		},
		"late import": func() {
			var b wasmgen.Builder
			b.Func(wasmgen.Sig{}, nil)
			b.ImportFunc("env", "late", wasmgen.Sig{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			build()
		})
	}
}
