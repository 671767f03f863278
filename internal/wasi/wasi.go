// Package wasi is the part of WASI preview1 that a monitoring check may have:
// clocks, sleep, randomness, captured output, exit, and empty arguments and
// environment. All else links, so that toolchains are content, and fails.
//
// Lengths are summed in 64 bits, waits end with the run, and nothing is copied
// that a guest merely names.
package wasi

import (
	"context"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/internal/abi"
)

// Func is one preview1 function.
type Func struct {
	Name string
	Type abi.Type
	Go   api.GoModuleFunc
}

// errno is a preview1 error number.
type errno uint32

const (
	success errno = 0
	badf    errno = 8
	fault   errno = 21
	inval   errno = 28
	nosys   errno = 52
	spipe   errno = 70
)

// call is one call of a preview1 function: the run, its memory and the
// arguments. i32 slots are narrowed on reading, for their upper halves may hold
// anything.
type call struct {
	run  *abi.Run
	mem  abi.Memory
	args []uint64
}

func (c *call) u32(i int) uint32 { return uint32(c.args[i]) }

// view returns n bytes at the pointer in argument i.
func (c *call) view(i int, n uint32) ([]byte, errno) {
	b, ok := c.mem.View(c.u32(i), n)
	if !ok {
		return nil, fault
	}
	return b, success
}

// Functions lists all preview1 functions with their standard types.
func Functions() []Func {
	return append([]Func{
		fn("args_get", "ii", ok),
		fn("args_sizes_get", "ii", noEntries),
		fn("environ_get", "ii", ok),
		fn("environ_sizes_get", "ii", noEntries),
		fn("clock_res_get", "ii", clockRes),
		fn("clock_time_get", "iIi", clockTime),
		fn("random_get", "ii", random),
		fn("poll_oneoff", "iiii", poll),
		fn("sched_yield", "", ok),
		{Name: "proc_exit", Type: abi.Type{Params: types("i")}, Go: procExit},
		fn("fd_close", "i", onStdio(ok)),
		fn("fd_fdstat_get", "ii", onStdio(fdstat)),
		fn("fd_fdstat_set_flags", "ii", onStdio(ok)),
		fn("fd_filestat_get", "ii", onStdio(filestat)),
		fn("fd_read", "iiii", fdRead),
		fn("fd_write", "iiii", fdWrite),
		fn("fd_seek", "iIii", onStdio(fails(spipe))),
		fn("fd_tell", "ii", onStdio(fails(spipe))),
	}, refused()...)
}

// refused are the functions without any effect here: no files, no sockets, no
// signals.
func refused() []Func {
	var all []Func
	for name, params := range map[string]string{
		"fd_advise": "iIIi", "fd_allocate": "iII", "fd_datasync": "i", "fd_fdstat_set_rights": "iII",
		"fd_filestat_set_size": "iI", "fd_filestat_set_times": "iIIi", "fd_pread": "iiiIi",
		"fd_prestat_dir_name": "iii", "fd_prestat_get": "ii", "fd_pwrite": "iiiIi", "fd_readdir": "iiiIi",
		"fd_renumber": "ii", "fd_sync": "i",
		"path_create_directory": "iii", "path_filestat_get": "iiiii", "path_filestat_set_times": "iiiiIIi",
		"path_link": "iiiiiii", "path_open": "iiiiiIIii", "path_readlink": "iiiiii",
		"path_remove_directory": "iii", "path_rename": "iiiiii", "path_symlink": "iiiii", "path_unlink_file": "iii",
	} {
		all = append(all, fn(name, params, fails(badf)))
	}
	for name, params := range map[string]string{
		"proc_raise": "i", "sock_accept": "iii", "sock_recv": "iiiiii", "sock_send": "iiiii", "sock_shutdown": "ii",
	} {
		all = append(all, fn(name, params, fails(nosys)))
	}
	return all
}

// fn makes a function that answers an errno. params has one letter each: i for
// i32, I for i64.
func fn(name, params string, do func(c *call) errno) Func {
	return Func{
		Name: name,
		Type: abi.Type{Params: types(params), Results: types("i")},
		Go: func(ctx context.Context, m api.Module, stack []uint64) {
			run := abi.From(ctx)
			run.StopIfOver()
			// The arguments are read before the result overwrites the first.
			stack0 := do(&call{run: run, mem: run.MemoryOf(m), args: stack})
			stack[0] = uint64(stack0)
			run.StopIfOver()
		},
	}
}

func types(letters string) []api.ValueType {
	var ts []api.ValueType
	for _, l := range letters {
		if l == 'I' {
			ts = append(ts, api.ValueTypeI64)
		} else {
			ts = append(ts, api.ValueTypeI32)
		}
	}
	return ts
}

func ok(*call) errno { return success }

func fails(e errno) func(*call) errno { return func(*call) errno { return e } }

// noEntries answers for arguments and environment: none, of no bytes.
func noEntries(c *call) errno {
	count, err := c.view(0, 4)
	if err != success {
		return err
	}
	size, err := c.view(1, 4)
	if err != success {
		return err
	}
	clear(count)
	clear(size)
	return success
}

// procExit unwinds the guest. The engine decides what it means.
func procExit(ctx context.Context, _ api.Module, stack []uint64) {
	abi.From(ctx).StopIfOver()
	panic(&abi.Exit{Code: uint32(stack[0])})
}

// Types returns the standard type of every function by name.
func Types() map[string]abi.Type {
	all := map[string]abi.Type{}
	for _, f := range Functions() {
		all[f.Name] = f.Type
	}
	return all
}
