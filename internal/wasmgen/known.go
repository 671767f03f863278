package wasmgen

import "strings"

// Func is a function that a module imports.
type Func struct {
	Module, Name string
	Sig          Sig
}

// Env is a function of module env that takes so many I32 and returns one, the
// shape of every host function except log.
func Env(name string, params int) Func {
	return Func{"env", name, Sig{I32s(params), I32s(1)}}
}

// Log is the one host function without a result.
func Log() Func { return Func{"env", "log", Sig{Params: I32s(3)}} }

// WASI is a function of WASI preview1 that returns an error number.
func WASI(name string, params ...ValType) Func {
	return Func{"wasi_snapshot_preview1", name, Sig{params, I32s(1)}}
}

// wasiPrefix marks the name of a WASI function in a Step.
const wasiPrefix = "wasi."

// Known finds the type of a function by its name: the fourteen of ABI
// version 1, and WASI functions as "wasi.random_get". It is written out here
// a second time, so that a wrong table in the host is noticed.
func Known(name string) (Func, bool) {
	params := map[string]int{
		"get_config": 2, "submit_result": 2, "last_error": 2, "http_request": 4,
		"tcp_connect": 4, "tcp_read": 4, "tcp_write": 4, "tcp_close": 1, "udp_sendto": 6,
		"websocket_connect": 3, "websocket_send": 4, "websocket_recv": 4, "websocket_close": 1,
	}
	if n, ok := params[name]; ok {
		return Env(name, n), true
	}
	if name == "log" {
		return Log(), true
	}
	wasi := map[string]string{
		"args_get": "ii", "args_sizes_get": "ii", "environ_get": "ii", "environ_sizes_get": "ii",
		"clock_res_get": "ii", "clock_time_get": "iIi", "random_get": "ii", "poll_oneoff": "iiii",
		"sched_yield": "", "proc_raise": "i",
		"fd_advise": "iIIi", "fd_allocate": "iII", "fd_close": "i", "fd_datasync": "i",
		"fd_fdstat_get": "ii", "fd_fdstat_set_flags": "ii", "fd_fdstat_set_rights": "iII",
		"fd_filestat_get": "ii", "fd_filestat_set_size": "iI", "fd_filestat_set_times": "iIIi",
		"fd_pread": "iiiIi", "fd_prestat_get": "ii", "fd_prestat_dir_name": "iii", "fd_pwrite": "iiiIi",
		"fd_read": "iiii", "fd_readdir": "iiiIi", "fd_renumber": "ii", "fd_seek": "iIii",
		"fd_sync": "i", "fd_tell": "ii", "fd_write": "iiii",
		"path_create_directory": "iii", "path_filestat_get": "iiiii", "path_filestat_set_times": "iiiiIIi",
		"path_link": "iiiiiii", "path_open": "iiiiiIIii", "path_readlink": "iiiiii",
		"path_remove_directory": "iii", "path_rename": "iiiiii", "path_symlink": "iiiii", "path_unlink_file": "iii",
		"sock_accept": "iii", "sock_recv": "iiiiii", "sock_send": "iiiii", "sock_shutdown": "ii",
	}
	short, isWASI := strings.CutPrefix(name, wasiPrefix)
	if isWASI && short == "proc_exit" {
		return Func{"wasi_snapshot_preview1", short, Sig{Params: I32s(1)}}, true
	}
	shape, ok := wasi[short]
	if !isWASI || !ok {
		return Func{}, false
	}
	f := WASI(short)
	for _, c := range shape {
		if c == 'I' {
			f.Sig.Params = append(f.Sig.Params, I64)
		} else {
			f.Sig.Params = append(f.Sig.Params, I32)
		}
	}
	return f, true
}
