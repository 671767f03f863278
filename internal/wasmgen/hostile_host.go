package wasmgen

import (
	"fmt"
	"strings"
)

// calling makes a guest that imports functions by name and runs body over
// them.
func calling(pages uint32, names []string, body func(b *Builder, f []uint32) []byte) []byte {
	var b Builder
	var f []uint32
	for _, name := range names {
		fn, ok := Known(name)
		if !ok {
			misuse("unknown function %q", name)
		}
		f = append(f, b.ImportFunc(fn.Module, fn.Name, fn.Sig))
	}
	b.Memory(pages)
	b.ExportFunc("run_check", b.Func(Sig{}, I32s(2), body(&b, f)))
	return b.Bytes()
}

// waiting sleeps or waits for a peer much longer than the run has.
func (c *corpus) waiting() {
	const year = int64(365 * 24 * 3600 * 1e9)
	script := func(name string, want Verdict, s Script) {
		s.Report = ReportNone
		c.add(name, want, func() []byte { return Proxy(s) })
	}
	sleep := func(ns, flags int64) []byte {
		sub := clockSubscription(0)
		for i := range 8 {
			sub[24+i] = byte(uint64(ns) >> (8 * i))
		}
		sub[40] = byte(flags)
		return sub
	}
	poll := func(sub []byte, n int32) []byte {
		return calling(1, []string{"wasi.poll_oneoff"}, func(b *Builder, f []uint32) []byte {
			b.Data(64, sub)
			return forever(Drop(Call(f[0], I32Const(64), I32Const(8192), I32Const(n), I32Const(16))))
		})
	}
	c.add("a sleep of ten years", spins, func() []byte { return poll(sleep(10*year, 0), 1) })
	c.add("a sleep of 2^64 - 1", spins, func() []byte { return poll(sleep(-1, 0), 1) })
	c.add("a sleep until the clock ends", spins, func() []byte { return poll(sleep(-2, 1), 1) })
	c.add("sleeps of a nanosecond", spins, func() []byte { return poll(sleep(1, 0), 1) })
	c.add("a thousand sleepers", spins, func() []byte {
		var subs []byte
		for range 1000 {
			subs = Seq(subs, sleep(10*year, 0))
		}
		return calling(2, []string{"wasi.poll_oneoff"}, func(b *Builder, f []uint32) []byte {
			b.Data(64, subs)
			return Drop(Call(f[0], I32Const(64), I32Const(60_000), I32Const(1000), I32Const(16)))
		})
	})
	c.add("poll_oneoff with 0x10000000 subscriptions", returns, func() []byte {
		return calling(1, []string{"wasi.poll_oneoff"}, func(_ *Builder, f []uint32) []byte {
			return If(I32Eqz(Call(f[0], operands(0, 0, 0x10000000, 16))), Unreachable())
		})
	})
	script("a sleep in _initialize", spins, Script{Initialize: []Step{Sleep(3_000_000)}})
	script("a sleep in the start section", spins, Script{Start: []Step{Sleep(3_000_000)}})
	connect := Do("tcp_connect", Text("silent.example"), Lit(80), Lit(0)).As("conn")
	script("tcp_read from a silent peer for 49 days", spins, Script{Entry: []Step{connect, Do("tcp_read", Ref("conn"), Out(64), Lit(0xffffffff))}})
	script("tcp_read from a silent peer, no time named", spins, Script{Entry: []Step{connect, Do("tcp_read", Ref("conn"), Out(64), Lit(0))}})
	script("http_request to a silent peer", spins, Script{Entry: []Step{
		Do("http_request", Text(`{"url":"http://silent.example/","timeout_ms":9223372036854775807}`), Out(4096))}})
	script("tcp_connect to where nobody answers", spins, Script{Entry: []Step{Do("tcp_connect", Text("dark.example"), Lit(80), Lit(0xffffffff))}})
	script("tcp_connect to a name that is never resolved", spins, Script{Entry: []Step{Do("tcp_connect", Text("deaf.example"), Lit(80), Lit(0))}})
	script("udp_sendto to a name that is never resolved", spins, Script{Entry: []Step{Do("udp_sendto", Text("deaf.example"), Lit(80), Text("x"), Lit(0))}})
	script("a wait in a start section, then a trap", spins, Script{Start: []Step{connect, Do("tcp_read", Ref("conn"), Out(64), Lit(0)), Trap()}})
}

// floods call the host as often, and with as much, as they can.
func (c *corpus) floods() {
	const most = 62 << 20
	flood := func(name, function string, pages uint32, args ...[]byte) *Hostile {
		return c.add(name, spins, func() []byte {
			return calling(pages, []string{function}, func(b *Builder, f []uint32) []byte {
				call := Call(f[0], args...)
				if fn, _ := Known(function); len(fn.Sig.Results) > 0 {
					call = Drop(call)
				}
				return forever(call)
			})
		})
	}
	num := func(numbers ...uint32) [][]byte { return [][]byte{operands(numbers...)} }
	flood("log of 62 MiB", "log", mostPages, num(1, 0, most)...)
	flood("log of one byte", "log", 1, num(3, 7, 1)...)
	flood("submit_result of nothing", "submit_result", 1, num(0, 0)...)
	flood("submit_result of 62 MiB", "submit_result", mostPages, num(0, most)...)
	flood("get_config", "get_config", 1, num(0, 65_536)...)
	flood("last_error", "last_error", 1, num(0, 65_536)...)
	flood("random_get of all memory", "wasi.random_get", mostPages, num(0, mostPages*page)...)
	flood("sched_yield", "wasi.sched_yield", 1)
	flood("clock_time_get", "wasi.clock_time_get", 1, I32Const(1), I64Const(0), I32Const(8))
	flood("fd_close of the standard streams", "wasi.fd_close", 1, num(1)...)
	flood("a host call that always fails", "tcp_read", 1, num(7, 0, 64, 0)...)
	flood("udp_sendto of nothing to nowhere", "udp_sendto", 1, num(0, 0, 0, 0, 0, 0)...)
	flood("http_request of nothing", "http_request", 1, num(0, 0, 0, 0)...)
	c.add("a million calls over the limit of calls", returns, func() []byte {
		return calling(1, []string{"get_config"}, func(_ *Builder, f []uint32) []byte {
			return Seq(LocalSet(0, I32Const(1_200_000)),
				Loop(LocalSet(1, Call(f[0], I32Const(0), I32Const(0))), BrIf(0, LocalTee(0, I32Sub(LocalGet(0), I32Const(1))))),
				If(I32Ne(LocalGet(1), I32Const(-3)), Unreachable()))
		})
	}).Wall = 20e9
	c.add("a stub, again and again", spins, func() []byte {
		var b Builder
		f := b.ImportFunc("env", "emit_telemetry", Env("", 2).Sig)
		b.Memory(1)
		b.ExportFunc("run_check", b.Func(Sig{}, nil, forever(Drop(Call(f, I32Const(0), I32Const(0))))))
		return b.Bytes()
	})
	c.printing()
	c.submitting()
}

// printing writes to the standard streams.
func (c *corpus) printing() {
	write := func(name string, want Verdict, pages uint32, vectors []byte, fd, n uint32) {
		c.add(name, want, func() []byte {
			return calling(pages, []string{"wasi.fd_write"}, func(b *Builder, f []uint32) []byte {
				b.Data(1024, vectors)
				return forever(Drop(Call(f[0], operands(fd, 1024, n, 16))))
			})
		})
	}
	var many []byte
	for range 1024 {
		many = Seq(many, little32(0, 2<<20-1))
	}
	write("stdout, byte by byte", spins, 1, little32(32, 1), 1, 1)
	write("stderr, 64 KiB at a time", spins, 2, little32(0, 65_536), 2, 1)
	write("one range named 1,024 times", spins, mostPages, many, 1, 1024)
	write("ranges of nothing named 1,024 times", spins, mostPages, make([]byte, 8192), 1, 1024)
	write("a list of 4 G ranges", spins, 1, nil, 1, 0xffffffff)
	c.add("prints control sequences, then traps", Verdict{Ended: "trapped", Trap: "unreachable", Summary: "trap: unreachable: "}, func() []byte {
		return Proxy(Script{Report: ReportNone, Entry: []Step{
			Print(2, strings.Repeat("\x1b[2J\x1b]0;title\x07\r\u202e", 4000)+"\n"), Print(1, "x\n"), Trap()}})
	})
	c.add("prints one line of a mebibyte, then exits", Verdict{Ended: "exited", Summary: "exit: code 4294967295"}, func() []byte {
		return Proxy(Script{Report: ReportNone, Entry: []Step{Print(2, strings.Repeat("e", 1<<20)), Exit(0xffffffff)}})
	})
}

// submitting hands in documents that are hard to read or large to keep.
func (c *corpus) submitting() {
	const most = 2 << 20
	pad := func(head, unit, tail string) string {
		return head + strings.Repeat(unit, (most-len(head)-len(tail))/len(unit)) + tail
	}
	many := func(each func(i int) string) string {
		var b strings.Builder
		for i := 0; b.Len() < most-100; i++ {
			b.WriteString(each(i))
		}
		return b.String()
	}
	ok := `{"status":"OK","summary":"x",`
	for _, d := range []struct {
		name string
		doc  func() string
	}{
		{"open brackets", func() string { return pad("", "[", "") }},
		{"open objects", func() string { return pad("", `{"a":`, "") }},
		{"one string without an end", func() string { return pad(`{"status":"`, "a", "") }},
		{"an unknown field of 2 MiB", func() string { return pad(ok+`"x":"`, "a", `"}`) }},
		{"a summary of control characters", func() string { return pad(`{"status":"OK","summary":"`, `\u0007`, `"}`) }},
		{"a summary that is not UTF-8", func() string { return pad(`{"status":"OK","summary":"`, "\xff", `"}`) }},
		{"surrogates", func() string { return pad(`{"status":"OK","details":"`, `\ud800`, `"}`) }},
		{"a number of two million digits", func() string { return pad(ok+`"metrics":[{"name":"a","value":`, "1", `}]}`) }},
		{"half a million empty metrics", func() string { return pad(ok+`"metrics":[{}`, ",{}", `]}`) }},
		{"a million events", func() string { return pad(ok+`"events":[0`, ",0", `]}`) }},
		{"half a million widgets", func() string { return pad(ok+`"display":[{}`, ",{}", `]}`) }},
		{"a hundred thousand labels", func() string {
			return ok + `"labels":{` + many(func(i int) string { return fmt.Sprintf(`"%d":"",`, i) }) + `"z":""}}`
		}},
		{"a hundred thousand unknown fields", func() string {
			return ok + many(func(i int) string { return fmt.Sprintf(`"u%d":0,`, i) }) + `"z":0}`
		}},
		{"one field again and again", func() string { return pad(ok+`"x":0`, `,"x":0`, `}`) }},
		{"perfdata of 2 MiB", func() string { return pad(ok+`"perfdata":"`, `a=1;2;3 `, `"}`) }},
		{"perfdata of quotes", func() string { return pad(ok+`"perfdata":"`, `'`, `"}`) }},
		{"a table widget of a million cells", func() string {
			return pad(ok+`"display":[{"type":"table","columns":["a"],"rows":[["b"]`, `,["b"]`, `]}]}`)
		}},
		{"white space", func() string { return pad(ok[:len(ok)-1], " ", "}") }},
	} {
		// Whether the document is accepted is for others to say: what counts
		// here is that reading it 1,024 times neither takes long nor keeps much.
		c.add("submits "+d.name, spins, func() []byte { return submitting(d.doc()) })
	}
	c.add("submits an exact 2 MiB until it is full", submits("timed_out", "x"), func() []byte {
		return submitting(pad(`{"status":"OK","summary":"x"`, " ", "}"))
	})
	c.add("submits metrics as many as may be", submits("timed_out", "x"), func() []byte {
		item := `,{"name":"` + strings.Repeat("n", 200) + `","value":1,"warn":1,"crit":1,"min":1,"max":1}`
		return submitting(ok + `"metrics":[` + strings.Repeat(item, 1023)[1:] + `]}`)
	})
	c.add("submits events as large as may be", spins, func() []byte {
		event := `,{"a":"` + strings.Repeat("e", 8000) + `"}`
		return submitting(ok + `"events":[` + strings.Repeat(event, 250)[1:] + `]}`)
	})
}

// submitting submits one document for ever.
func submitting(doc string) []byte {
	return calling(pagesFor(uint32(len(doc))), []string{"submit_result"}, func(b *Builder, f []uint32) []byte {
		b.Data(0, []byte(doc))
		return forever(Drop(Call(f[0], I32Const(0), I32Const(int32(len(doc))))))
	})
}

// network floods what a plugin may reach.
func (c *corpus) network() {
	texts := map[string]uint32{}
	storm := func(name string, functions []string, data []string, body func(f []uint32, at func(string) []byte) []byte) {
		c.add(name, spins, func() []byte {
			return calling(96, functions, func(b *Builder, f []uint32) []byte {
				next := uint32(1024)
				for _, text := range data {
					b.Data(next, []byte(text))
					texts[text] = next
					next += uint32(len(text)) + 8
				}
				return forever(body(f, func(text string) []byte { return operands(texts[text], uint32(len(text))) }))
			})
		})
	}
	one := func(name, function string, text string, rest ...uint32) {
		storm(name, []string{function}, []string{text}, func(f []uint32, at func(string) []byte) []byte {
			return Drop(Call(f[0], at(text), operands(rest...)))
		})
	}
	const out, room = 3 << 20, 2 << 20
	one("tcp_connect without a close", "tcp_connect", "tcp.example", 7, 0)
	one("tcp_connect to what is not granted", "tcp_connect", "other.test", 7, 0)
	one("tcp_connect to a name of 1,000 labels", "tcp_connect", strings.Repeat("a.", 1000)+"example", 7, 0)
	one("tcp_connect to a text of 2 MiB", "tcp_connect", strings.Repeat("a", 2<<20), 7, 0)
	one("tcp_connect to a port that refuses", "tcp_connect", "tcp.example", 9, 0)
	one("http_request", "http_request", `{"url":"http://web.example/"}`, out, room)
	one("http_request to what is not granted", "http_request", `{"url":"http://other.test/"}`, out, room)
	one("http_request of broken JSON, 2 MiB", "http_request", strings.Repeat("[", 2<<20), out, room)
	one("http_request with a URL of 2 MiB", "http_request", `{"url":"http://`+strings.Repeat("a", 2<<20-64)+`.example/"}`, out, room)
	one("http_request with a method of 2 MiB", "http_request", `{"url":"http://web.example/","method":"`+strings.Repeat("A", 2<<20-64)+`"}`, out, room)
	one("http_request with 100,000 headers", "http_request", `{"url":"http://web.example/","headers":{`+headers(100_000)+`}}`, out, room)
	one("http_request with a body of 2 MiB", "http_request", `{"url":"http://web.example/","body":"`+strings.Repeat("b", 2<<20-64)+`"}`, out, room)
	one("http_request into a buffer of nothing", "http_request", `{"url":"http://web.example/"}`, 0, 0)
	one("http_request for a bomb of gzip", "http_request", `{"url":"http://web.example/bomb"}`, out, room)
	one("http_request for redirects in a circle", "http_request", `{"url":"http://web.example/circle"}`, out, room)
	one("http_request for headers without end", "http_request", `{"url":"http://web.example/headers"}`, out, room)
	storm("tcp_connect and close", []string{"tcp_connect", "tcp_close"}, []string{"tcp.example"}, func(f []uint32, at func(string) []byte) []byte {
		return Drop(Call(f[1], Call(f[0], at("tcp.example"), operands(7, 0))))
	})
	storm("tcp_write of 2 MiB", []string{"tcp_connect", "tcp_write"}, []string{"tcp.example"}, func(f []uint32, at func(string) []byte) []byte {
		return Drop(Call(f[1], Call(f[0], at("tcp.example"), operands(7, 0)), operands(0, 2<<20, 0)))
	})
	storm("udp_sendto", []string{"udp_sendto"}, []string{"tcp.example"}, func(f []uint32, at func(string) []byte) []byte {
		return Drop(Call(f[0], at("tcp.example"), operands(7, 0, 1200, 0)))
	})
	storm("fails with long reasons, then asks why", []string{"tcp_connect", "last_error"}, []string{strings.Repeat("\x01", 1000)}, func(f []uint32, at func(string) []byte) []byte {
		return Seq(Drop(Call(f[0], at(strings.Repeat("\x01", 1000)), operands(7, 0))), Drop(Call(f[1], operands(0, 65_536))))
	})
}

func headers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"h%d":"",`, i)
	}
	return b.String() + `"z":""`
}

// names are long, many, or not what they seem.
func (c *corpus) names() {
	named := func(name string, want Verdict, section func() []byte, body ...[]byte) {
		c.add(name, want, func() []byte {
			var b Builder
			b.Memory(1)
			f := b.Declare(Sig{Params: I32s(1)})
			b.Define(f, nil, IfElse(LocalGet(0), Call(f, I32Sub(LocalGet(0), I32Const(1))), Unreachable()))
			b.ExportFunc("run_check", b.Func(Sig{}, nil, Seq(body...), Call(f, I32Const(1000))))
			return Seq(b.Bytes(), Section(SectionCustom, Seq(Name("name"), section())))
		})
	}
	functions := func(n int, name func(i int) string) []byte {
		list := Uint(uint64(n))
		for i := range n {
			list = append(list, Seq(Uint(uint64(i)), Name(name(i)))...)
		}
		return Section(1, list)
	}
	trap := traps("unreachable")
	named("names of 64 KB in a deep trap", trap, func() []byte {
		return functions(2, func(i int) string { return strings.Repeat("n", 64<<10) })
	})
	named("100,000 names of functions that are not there", trap, func() []byte {
		return functions(100_000, func(i int) string { return strings.Repeat("long", 70) })
	})
	named("names with line breaks and escapes", trap, func() []byte {
		return functions(2, func(i int) string { return "f\nwasm error: stack overflow\nwasm stack trace:\n\tg\x1b[2J\x00" })
	})
	named("names that pretend to be the host's", trap, func() []byte {
		return functions(2, func(i int) string { return "\x00refill" })
	})
	named("names that are not UTF-8", trap, func() []byte { return functions(2, func(int) string { return "\xff\xfe" }) })
	named("a name section that is cut", trap, func() []byte { return functions(2, func(int) string { return "f" })[:4] })
	named("a name section of 4 G names", trap, func() []byte { return Section(1, Uint(0xffffffff)) })
	named("a module name that is one of ours", trap, func() []byte { return Section(0, Name("env")) })
	named("millions of names and an error", refused("at 0x"), func() []byte {
		return functions(8_000_000, func(int) string { return "n" })
	}, Drop())
	c.add("a megabyte of names in custom sections", returns, func() []byte {
		return Seq(Silent(), times(250, Section(SectionCustom, Name(strings.Repeat("c", 4000)))))
	})
	c.add("an error in a function with a name of 64 KB", refused("at 0x"), func() []byte {
		var b Builder
		b.ExportFunc("run_check", b.Func(Sig{}, nil, Drop()))
		b.Names(strings.Repeat("\u202e", 20<<10))
		return b.Bytes()
	})
}

// leaks look for what an earlier run left behind, and trap when they find it.
func (c *corpus) leaks() {
	again := func(name string, body func(b *Builder) []byte) {
		c.add(name, returns, func() []byte {
			var b Builder
			b.Memory(1)
			code := body(&b)
			b.ExportFunc("run_check", b.Func(Sig{}, nil, code))
			return b.Bytes()
		}).Runs = 4
	}
	seen := func(what []byte) []byte { return If(what, Unreachable()) }
	again("memory", func(*Builder) []byte {
		return Seq(seen(I32Load(1000, I32Const(0))), I32Store(1000, I32Const(0), I32Const(1)))
	})
	again("data", func(b *Builder) []byte {
		b.Data(8, []byte{1})
		return Seq(seen(I32Eqz(I32Load8U(8, I32Const(0)))), I32Store8(8, I32Const(0), I32Const(0)))
	})
	again("grown memory", func(*Builder) []byte {
		return Seq(seen(I32Ne(MemorySize(), I32Const(1))), Drop(MemoryGrow(I32Const(200))),
			seen(I32Load(100*page, I32Const(0))), MemoryFill(operands(0, 0xff, 200*page)))
	})
	again("globals", func(b *Builder) []byte {
		g := b.Global(I32, true, I32Const(0))
		return Seq(seen(GlobalGet(g)), GlobalSet(g, I32Const(1)))
	})
	again("tables", func(b *Builder) []byte {
		t := b.Table(FuncRef, 1)
		f := b.Func(Sig{}, nil)
		b.ExportFunc("f", f)
		isNull := Op([]byte{0xd1}, Op([]byte{0x25, byte(t)}, I32Const(0)))
		return Seq(seen(I32Eqz(isNull)), Op([]byte{0x26, byte(t)}, I32Const(0), []byte{0xd2, byte(f)}),
			seen(I32Ne(tableOp(16, Uint(0)), I32Const(1))), Drop(tableGrow(t, refNull(), operands(9))))
	})
	again("dropped segments", func(b *Builder) []byte {
		s := b.PassiveData([]byte("x"))
		e := b.PassiveElem()
		return Seq(MemoryInit(s, operands(0, 0, 1)), DataDrop(s), []byte{0xfc, 13, byte(e)})
	})
	again("a stack left deep", func(b *Builder) []byte {
		exit := b.ImportFunc("env", "unknown", Env("", 0).Sig)
		f := b.Declare(Sig{Params: I32s(1)})
		b.Define(f, nil, IfElse(LocalGet(0), Call(f, I32Sub(LocalGet(0), I32Const(1))), Drop(Call(exit))))
		return Call(f, I32Const(1500))
	})
}
