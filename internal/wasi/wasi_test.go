package wasi_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/internal/wasi"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
)

// TestAllNamesHaveTheirStandardTypes compares with the case file and with the
// types that internal/wasmgen writes out on its own.
func TestAllNamesHaveTheirStandardTypes(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join("..", "..", "testdata", "vectors", "abi.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ WASI struct{ Names []string } }
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatal(err)
	}
	types := wasi.Types()
	if len(v.WASI.Names) != 46 || len(types) != 46 || len(wasi.Functions()) != 46 {
		t.Errorf("%d names, %d types, %d functions; want 46", len(v.WASI.Names), len(types), len(wasi.Functions()))
	}
	for _, name := range v.WASI.Names {
		got, ok := types[name]
		want, known := wasmgen.Known("wasi." + name)
		if !ok || !known || !got.Equal(typeOf(want.Sig)) {
			t.Errorf("%s: %v, want %v", name, got, typeOf(want.Sig))
		}
	}
}

func typeOf(s wasmgen.Sig) abi.Type {
	var t abi.Type
	for _, p := range s.Params {
		t.Params = append(t.Params, api.ValueType(p))
	}
	for _, r := range s.Results {
		t.Results = append(t.Results, api.ValueType(r))
	}
	return t
}

// TestPlainAnswers is every function whose answer does not depend on memory.
func TestPlainAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		want  uint32
		names []string
	}{
		{success, []string{"args_get", "environ_get", "sched_yield", "fd_close", "fd_fdstat_set_flags"}},
		{spipe, []string{"fd_seek", "fd_tell"}},
		{badf, []string{
			"fd_advise", "fd_allocate", "fd_datasync", "fd_fdstat_set_rights", "fd_filestat_set_size", "fd_filestat_set_times",
			"fd_pread", "fd_prestat_dir_name", "fd_prestat_get", "fd_pwrite", "fd_readdir", "fd_renumber", "fd_sync",
			"path_create_directory", "path_filestat_get", "path_filestat_set_times", "path_link", "path_open", "path_readlink",
			"path_remove_directory", "path_rename", "path_symlink", "path_unlink_file",
		}},
		{nosys, []string{"proc_raise", "sock_accept", "sock_recv", "sock_send", "sock_shutdown"}},
	} {
		for _, name := range tt.names {
			for _, fill := range []uint64{0, 1<<32 - 1} {
				g := newGuest(t.Context(), 256)
				args := make([]uint64, len(wasi.Types()[name].Params))
				for i := range args {
					args[i] = fill
				}
				want := tt.want
				if fill > 0 && (name == "fd_close" || name == "fd_fdstat_set_flags" || name == "fd_seek" || name == "fd_tell") {
					want = badf // there is no such descriptor
				}
				if got := g.call(t, name, args...); got != want {
					t.Errorf("%s(%#x, ...) = %d, want %d", name, fill, got, want)
				}
				if g.touched() {
					t.Errorf("%s(%#x, ...) wrote into memory", name, fill)
				}
			}
		}
	}
}

// TestFaults gives each function each of its pointers outside memory.
func TestFaults(t *testing.T) {
	t.Parallel()
	const size = 256
	for _, tt := range []struct {
		name     string
		args     []uint64 // that succeed
		pointers []int    // which of them are pointers
		room     uint64   // that the largest needs
	}{
		{"args_sizes_get", []uint64{0, 8}, []int{0, 1}, 4},
		{"environ_sizes_get", []uint64{0, 8}, []int{0, 1}, 4},
		{"clock_time_get", []uint64{0, 1, 8}, []int{2}, 8},
		{"clock_res_get", []uint64{1, 8}, []int{1}, 8},
		{"random_get", []uint64{8, 16}, []int{0}, 16},
		{"fd_write", []uint64{1, 8, 1, 32}, []int{1, 3}, 8},
		{"fd_read", []uint64{0, 8, 1, 32}, []int{1, 3}, 8},
		{"fd_fdstat_get", []uint64{1, 8}, []int{1}, 24},
		{"fd_filestat_get", []uint64{2, 8}, []int{1}, 64},
		{"poll_oneoff", []uint64{8, 64, 1, 128}, []int{0, 1, 3}, 48},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			prepare := func() *guest {
				g := newGuest(t.Context(), size)
				if tt.name == "fd_write" || tt.name == "fd_read" || tt.name == "poll_oneoff" {
					clear(g.mem) // an empty vector; a clock that is due
				}
				return g
			}
			if got := prepare().call(t, tt.name, tt.args...); got != success {
				t.Fatalf("%s%v = %d", tt.name, tt.args, got)
			}
			for _, p := range tt.pointers {
				for _, bad := range []uint64{size - 1, size, size + 1, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1<<32 - tt.room + 1} {
					g := prepare()
					before := string(g.mem)
					args := append([]uint64{}, tt.args...)
					args[p] = bad
					if got := g.call(t, tt.name, args...); got != fault {
						t.Errorf("%s%v = %d, want %d", tt.name, args, got, fault)
					}
					if string(g.mem) != before {
						t.Errorf("%s%v wrote all the same", tt.name, args)
					}
					if s := g.Stdout.String(); s != "" {
						t.Errorf("%s%v printed %q all the same", tt.name, args, s)
					}
				}
			}
			none := newGuest(t.Context(), 0)
			if got := none.call(t, tt.name, tt.args...); got != fault {
				t.Errorf("%s without a memory = %d, want %d", tt.name, got, fault)
			}
		})
	}
}

func TestNoArgumentsAndNoEnvironment(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"args_sizes_get", "environ_sizes_get"} {
		g := newGuest(t.Context(), 64)
		if got := g.call(t, name, 8, 60); got != success || g.u32(8) != 0 || g.u32(60) != 0 || g.touched([2]int{8, 12}, [2]int{60, 64}) {
			t.Errorf("%s = %d, memory %x", name, got, g.mem)
		}
	}
}

func TestEveryFunctionEndsWithTheRun(t *testing.T) {
	t.Parallel()
	why := errors.New("why")
	for name, typ := range wasi.Types() {
		ctx, cancel := context.WithCancelCause(t.Context())
		g := newGuest(ctx, 64)
		cancel(why)
		v := unwound(func() { g.fns[name].Go(g.ctx, &module{mem: &memory{b: g.mem}}, make([]uint64, len(typ.Params)+1)) })
		if stop, ok := v.(*abi.Stop); !ok || !errors.Is(stop, why) {
			t.Errorf("%s after the end: %v", name, v)
		}
	}
}

func TestProcExit(t *testing.T) {
	t.Parallel()
	for _, code := range []uint32{0, 3, 1<<32 - 1} {
		g := newGuest(t.Context(), 64)
		v := unwound(func() { g.fns["proc_exit"].Go(g.ctx, nil, []uint64{0xfeed<<32 | uint64(code)}) })
		if exit, ok := v.(*abi.Exit); !ok || exit.Code != code {
			t.Errorf("proc_exit(%d) = %v", code, v)
		}
	}
}
