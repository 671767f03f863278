package wasmgen

// initialisers do harm before the entrypoint is called.
func (c *corpus) initialisers() {
	phase := map[string]func(steps ...Step) Script{
		"start section": func(s ...Step) Script { return Script{Report: ReportNone, Start: s} },
		"_initialize":   func(s ...Step) Script { return Script{Report: ReportNone, Initialize: s} },
	}
	ok := Do("submit_result", Text(`{"status":"OK","summary":"early"}`))
	for _, name := range []string{"start section", "_initialize"} {
		script := func(what string, want Verdict, steps ...Step) {
			c.add(what+" in the "+name, want, func() []byte { return Proxy(phase[name](steps...)) })
		}
		script("trap", traps("unreachable"), Trap())
		script("loop", spins, Spin())
		script("host call and loop", submits("timed_out", "early"), ok, Spin())
		script("host call and trap", Verdict{Ended: "trapped", Trap: "unreachable", Summary: "early"}, ok, Trap())
		script("proc_exit 0", Verdict{Ended: "exited"}, Exit(0))
		script("proc_exit 1", Verdict{Ended: "exited", Summary: "exit: code 1"}, Exit(1))
		script("memory growth", returns, Grow(1).TimesLast(2000))
	}
	c.add("loop in a _start that is not the entrypoint", returns, func() []byte {
		return Proxy(Script{Report: ReportNone, Command: []Step{Spin()}})
	}).Wall = 200e6
	c.add("trap in a _start that is not the entrypoint", submits("returned", "script"), func() []byte {
		return Proxy(Script{Command: []Step{Trap()}})
	})
	c.add("a _start that forks off half its memory", returns, func() []byte {
		return Proxy(Script{Report: ReportNone, Command: []Step{Grow(1000), Trap()}})
	}).Runs = 3

	special := func(name string, want Verdict, start func(b *Builder) uint32) {
		c.add(name, want, func() []byte {
			var b Builder
			f := start(&b)
			if len(b.memories) == 0 {
				b.Memory(1)
			}
			b.Start(f)
			b.ExportFunc("run_check", b.Func(Sig{}, nil))
			return b.Bytes()
		})
	}
	special("recursion in the start section", traps("stack_overflow"), func(b *Builder) uint32 {
		f := b.Declare(Sig{})
		b.Define(f, nil, Call(f))
		return f
	})
	special("call bomb in the start section", spins, func(b *Builder) uint32 {
		next := b.Func(Sig{}, nil)
		for range 60 {
			next = b.Func(Sig{}, nil, Call(next), Call(next))
		}
		return next
	})
	special("a host function as start section", returns, func(b *Builder) uint32 {
		return b.ImportFunc("env", "unknown", Sig{})
	})
	special("a start section with parameters", refused("start"), func(b *Builder) uint32 {
		return b.Func(Sig{Params: I32s(1)}, nil)
	})
	special("an entrypoint as start section that fills its stack", traps("stack_overflow"), func(b *Builder) uint32 {
		f := b.Declare(Sig{})
		b.Define(f, repeated(1000, V128), Call(f), Call(f))
		return f
	})
}
