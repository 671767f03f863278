package wasmgen_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/tetratelabs/wazero"

	g "github.com/sandcheck/sandcheck/internal/wasmgen"
)

// everything is a module with each section that a Builder knows.
func everything() *g.Builder {
	var b g.Builder
	unary := g.Sig{Params: g.I32s(1), Results: g.I32s(1)}
	double := b.ImportFunc("env", "double", unary)
	b.Memory(1, 2)
	b.Table(g.FuncRef, 2, 4)
	counter := b.Global(g.I32, true, g.I32Const(40))
	b.ExportGlobal("counter", counter)
	b.Data(8, []byte("active"))
	passive := b.PassiveData([]byte("passive"))
	inc := b.Func(unary, nil, g.I32Add(g.LocalGet(0), g.I32Const(1)))
	b.Elem(0, inc, double)
	b.PassiveElem(inc)
	b.Start(b.Func(g.Sig{}, nil, g.GlobalSet(counter, g.I32Add(g.GlobalGet(counter), g.I32Const(2)))))
	b.ExportFunc("pick", b.Func(g.Sig{Params: g.I32s(2), Results: g.I32s(1)}, nil,
		g.CallIndirect(b.Type(unary), g.LocalGet(1), g.LocalGet(0))))
	b.ExportFunc("load", b.Func(g.Sig{}, nil,
		g.MemoryInit(passive, g.I32Const(20), g.I32Const(0), g.I32Const(7)), g.DataDrop(passive)))
	b.ExportFunc("branch", b.Func(unary, nil,
		g.Block(g.Block(g.Block(g.LocalGet(0), g.BrTable(2, 0, 1)), g.Return(g.I32Const(100))), g.Return(g.I32Const(101))),
		g.I32Const(102)))
	b.Names("double", "inc")
	b.Producers("WAT", "wasmgen", "1")
	b.Custom("note", []byte{1, 2, 3})
	return &b
}

func TestBuilder(t *testing.T) {
	bothEngines(t, func(t *testing.T, cfg wazero.RuntimeConfig) {
		ctx := context.Background()
		r := wazero.NewRuntimeWithConfig(ctx, cfg)
		defer r.Close(ctx)
		if _, err := r.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func(v uint32) uint32 { return 2 * v }).
			Export("double").Instantiate(ctx); err != nil {
			t.Fatal(err)
		}
		mod, err := r.Instantiate(ctx, everything().Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			export string
			args   []uint64
			want   uint64
		}{
			{"pick", []uint64{0, 20}, 21}, {"pick", []uint64{1, 20}, 40},
			{"branch", []uint64{0}, 100}, {"branch", []uint64{1}, 101}, {"branch", []uint64{9}, 102},
		} {
			got, err := mod.ExportedFunction(tt.export).Call(ctx, tt.args...)
			if err != nil || got[0] != tt.want {
				t.Errorf("%s(%d) = %d, %v, want %d", tt.export, tt.args, got, err, tt.want)
			}
		}
		if got := mod.ExportedGlobal("counter").Get(); got != 42 {
			t.Errorf("counter = %d after start, want 42", got)
		}
		if _, err := mod.ExportedFunction("load").Call(ctx); err != nil {
			t.Fatal(err)
		}
		got, _ := mod.Memory().Read(8, 19)
		if want := "active\x00\x00\x00\x00\x00\x00passive"; string(got) != want {
			t.Errorf("memory = %q, want %q", got, want)
		}
		if most, ok := mod.Memory().Definition().Max(); !ok || most != 2 {
			t.Errorf("memory maximum = %d, %v, want 2", most, ok)
		}
	})
}

func TestBuilderRepeats(t *testing.T) {
	t.Parallel()
	b := everything()
	if one, two := b.Bytes(), everything().Bytes(); !bytes.Equal(one, two) || !bytes.Equal(one, b.Bytes()) {
		t.Error("the same module has other bytes")
	}
	script := g.Script{Data: map[uint32]string{8: "a", 16: "b", 32: "c"}, Entry: []g.Step{g.Print(1, "x")}}
	if !bytes.Equal(g.Proxy(script), g.Proxy(script)) {
		t.Error("the same script has other bytes")
	}
}

// TestImports declares what a host must refuse to link: it has to be
// well-formed, so that the refusal is about the import.
func TestImports(t *testing.T) {
	t.Parallel()
	var b g.Builder
	b.ImportMemory("env", "memory", 1, 3)
	b.ImportTable("env", "table", g.FuncRef, 1)
	b.ImportGlobal("env", "global", g.I32, false)
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	compiled, err := r.CompileModule(ctx, b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if got := compiled.ImportedMemories(); len(got) != 1 {
		t.Errorf("%d imported memories, want 1", len(got))
	}
}

func TestRaw(t *testing.T) {
	t.Parallel()
	var b g.Builder
	b.Memory(1)
	b.Raw(g.SectionMemory, g.Section(g.SectionCustom, g.Name("first")))
	b.Raw(g.SectionCustom, []byte{0xff})
	want := "\x00asm\x01\x00\x00\x00" + "\x00\x06\x05first" + "\x05\x03\x01\x00\x01" + "\x07\x0a\x01\x06memory\x02\x00" + "\xff"
	if got := string(b.Bytes()); got != want {
		t.Errorf("module = %q, want %q", got, want)
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		got  []byte
		want string
	}{
		{g.Uint(0), "\x00"}, {g.Uint(127), "\x7f"}, {g.Uint(128), "\x80\x01"}, {g.Uint(1<<32 - 1), "\xff\xff\xff\xff\x0f"},
		{g.Int(0), "\x00"}, {g.Int(63), "\x3f"}, {g.Int(64), "\xc0\x00"}, {g.Int(-1), "\x7f"}, {g.Int(-64), "\x40"}, {g.Int(-65), "\xbf\x7f"},
		{g.F64Const(1), "\x44\x00\x00\x00\x00\x00\x00\xf0\x3f"}, {g.F32Const(1), "\x43\x00\x00\x80\x3f"},
	} {
		if string(tt.got) != tt.want {
			t.Errorf("encoded %q, want %q", tt.got, tt.want)
		}
	}
}

// TestKnown looks up functions of both modules and names of neither.
func TestKnown(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"get_config", "log", "wasi.fd_write", "wasi.path_open", "wasi.proc_exit", "websocket_send"} {
		if f, ok := g.Known(name); !ok || f.Name == "" {
			t.Errorf("Known(%q) = %v, %v", name, f, ok)
		}
	}
	for _, name := range []string{"", "wasi.", "wasi.get_config", "fd_write", "nope"} {
		if f, ok := g.Known(name); ok {
			t.Errorf("Known(%q) = %v, want nothing", name, f)
		}
	}
}
