package wasmgen

import (
	"slices"
	"strings"
)

// pointers hands ranges outside memory to every function, for each pointer in
// turn, and traps unless the call fails.
func (c *corpus) pointers() {
	const pages = 2
	const end = pages * page
	for _, f := range []struct{ name, params string }{
		// p is a pointer and a length, i a number, I one of 64 bits, a digit a
		// pointer to so many bytes.
		{"get_config", "p"}, {"log", "ip"}, {"submit_result", "p"}, {"last_error", "p"},
		{"http_request", "pp"}, {"tcp_connect", "pii"}, {"tcp_read", "ipi"}, {"tcp_write", "ipi"},
		{"udp_sendto", "pipi"},
		{"wasi.random_get", "p"}, {"wasi.args_sizes_get", "44"}, {"wasi.environ_sizes_get", "44"},
		{"wasi.clock_time_get", "iI8"}, {"wasi.clock_res_get", "i8"}, {"wasi.fd_fdstat_get", "i9"},
	} {
		for at, kind := range f.params {
			if kind == 'i' || kind == 'I' {
				continue
			}
			name := strings.TrimPrefix(f.name, wasiPrefix)
			if strings.Count(f.params, "p")+strings.Count(f.params, "4") > 1 {
				name += ", range " + string(rune('1'+strings.Count(f.params[:at], "p")+strings.Count(f.params[:at], "4")))
			}
			c.add(name+" outside memory", returns, func() []byte {
				return calling(pages, []string{f.name}, func(_ *Builder, fn []uint32) []byte {
					return pointing(f.name, fn[0], f.params, at, end)
				})
			})
		}
	}
	c.vectors()
	c.add("every function without a memory", returns, func() []byte {
		var b Builder
		names := []string{"get_config", "log", "submit_result", "last_error", "http_request", "tcp_connect", "tcp_read", "tcp_write", "udp_sendto",
			"wasi.random_get", "wasi.args_sizes_get", "wasi.clock_time_get", "wasi.fd_write", "wasi.fd_read", "wasi.poll_oneoff", "wasi.fd_filestat_get"}
		var fn []uint32
		for _, name := range names {
			f, _ := Known(name)
			fn = append(fn, b.ImportFunc(f.Module, f.Name, f.Sig))
		}
		var code []byte
		for i, name := range names {
			f, _ := Known(name)
			var args []byte
			for _, t := range f.Sig.Params {
				if t == I64 {
					args = Seq(args, I64Const(1))
				} else {
					args = Seq(args, I32Const(1))
				}
			}
			call := Call(fn[i], args)
			if len(f.Sig.Results) > 0 {
				call = If(I32Eqz(call), Unreachable())
			}
			code = Seq(code, call)
		}
		b.ExportFunc("run_check", b.Func(Sig{}, nil, code))
		return b.Bytes()
	})
	c.add("pointers with more than 32 bits behind them", submits("returned", "wide"), func() []byte {
		doc := `{"status":"OK","summary":"wide"}`
		return calling(1, []string{"submit_result"}, func(b *Builder, f []uint32) []byte {
			b.Data(512, []byte(doc))
			high := int64(0x7eadbeef) << 32
			b.Global(I64, true, I64Const(high|512))
			n := I32WrapI64(I64Add(I64Const(high), I64Const(int64(len(doc)))))
			return If(Call(f[0], I32WrapI64(GlobalGet(0)), n), Unreachable())
		})
	})
}

// pointing calls a function with every range that is bad for the parameter at.
func pointing(name string, f uint32, params string, at int, end uint32) []byte {
	bad := [][2]uint32{{end, 1}, {end - 1, 2}, {end + 1, 1}, {0xffffffff, 1}, {0xffffffff, 0xffffffff}, {0, 0xffffffff},
		{1, 0xffffffff}, {0, end + 1}, {0x80000000, 0x80000000}, {end - 4, 0xfffffffc}}
	if params[at] != 'p' {
		bad = [][2]uint32{{end, 0}, {end - 3, 0}, {end + 1, 0}, {0xffffffff, 0}, {0xfffffffc, 0}, {0x80000000, 0}}
	}
	sig, _ := Known(name)
	var code []byte
	for _, r := range bad {
		var args []byte
		for i, kind := range params {
			switch {
			case i == at && kind == 'p':
				args = Seq(args, operands(r[0], r[1]))
			case i == at:
				args = Seq(args, operands(r[0]))
			case kind == 'p':
				args = Seq(args, operands(16, 16))
			case kind == 'I':
				args = Seq(args, I64Const(1))
			default:
				args = Seq(args, operands(1))
			}
		}
		call := Call(f, args)
		switch {
		case len(sig.Sig.Results) == 0:
		case strings.HasPrefix(name, wasiPrefix): // EFAULT
			call = If(I32Ne(call, I32Const(21)), Unreachable())
		default:
			call = If(I32Ne(call, I32Const(-1)), Unreachable())
		}
		code = Seq(code, call)
	}
	return code
}

// vectors are lists of ranges, which can lie outside as well as point there.
func (c *corpus) vectors() {
	const end = 2 * page
	list := func(name, function string, n uint32, good bool, vector []byte, at ...uint32) {
		c.add(name, returns, func() []byte {
			return calling(2, []string{function}, func(b *Builder, f []uint32) []byte {
				b.Data(1024, vector)
				call := Call(f[0], operands(slices.Concat([]uint32{at[0]}, []uint32{at[1], n}, at[2:])...))
				if good {
					return If(call, Unreachable())
				}
				return If(I32Eqz(call), Unreachable())
			})
		})
	}
	list("fd_write from outside memory", "wasi.fd_write", 1, false, little32(end, 1), 1, 1024, 16)
	list("fd_write around the end", "wasi.fd_write", 1, false, little32(0xffffffff, 2), 1, 1024, 16)
	list("fd_write of a list outside memory", "wasi.fd_write", 2, false, nil, 1, end-8, 16)
	list("fd_write of a list that wraps around", "wasi.fd_write", 0x20000001, false, little32(0, 1), 1, 1024, 16)
	list("fd_write with its count outside memory", "wasi.fd_write", 1, false, little32(0, 1), 1, 1024, end-3)
	list("fd_write to another file", "wasi.fd_write", 1, false, little32(0, 1), 3, 1024, 16)
	list("fd_read into outside memory", "wasi.fd_read", 1, false, little32(end, 1), 0, 1024, 16)
	list("fd_write of nothing", "wasi.fd_write", 0, true, nil, 1, 0xffffffff, 16)
	list("poll_oneoff from outside memory", "wasi.poll_oneoff", 1, false, nil, end-47, 0, 16)
	list("poll_oneoff into outside memory", "wasi.poll_oneoff", 1, false, nil, 1024, end-31, 16)
	list("poll_oneoff of too many", "wasi.poll_oneoff", 0x05555556, false, nil, 0, 0, 16)
}
