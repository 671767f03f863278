package wasmgen

import "time"

// Hostile is one module that means harm, and what a host must make of it.
type Hostile struct {
	Name, Class string
	// Wasm makes the module. Some are tens of megabytes, so none is kept.
	Wasm func() []byte
	// Want is the verdict, Interpreted that of an interpreter where it differs.
	Want, Interpreted Verdict
	// CPU and Wall are the limits of a run, where the case is about them. A
	// case without a Wall gets a short one if it is to be stopped, and enough
	// time if it is to end by itself.
	CPU, Wall time.Duration
	// Runs is how often the loaded module is run; every run must end alike.
	// Zero is once.
	Runs int
}

// Verdict is what must become of a module.
type Verdict struct {
	// Refused is a part of the error of a module that must not load.
	Refused string
	// Ended is the ending of the run of any other: "returned", "exited",
	// "trapped", "timed_out" or "limited". Trap is the kind of a trap.
	Ended, Trap string
	// Summary is a part of the result's summary.
	Summary string
}

// For returns the verdict for one of the engines.
func (h Hostile) For(interpreter bool) Verdict {
	if interpreter && h.Interpreted != (Verdict{}) {
		return h.Interpreted
	}
	return h.Want
}

var (
	spins   = Verdict{Ended: "timed_out"}
	returns = Verdict{Ended: "returned"}
)

func refused(text string) Verdict { return Verdict{Refused: text} }
func traps(kind string) Verdict {
	return Verdict{Ended: "trapped", Trap: kind, Summary: "trap: " + kind}
}
func submits(ended, summary string) Verdict {
	return Verdict{Ended: ended, Summary: summary}
}

// HostileCorpus lists the hostile modules, class by class. Hosts are asked for
// the functions of capability lists of a monitoring check; the network that
// they may reach has a silent peer on silent.example:80, an HTTP server on
// web.example and a TCP server on tcp.example:7, both answering at once, and
// dark.example:80, whose connections are never made.
func HostileCorpus() []Hostile {
	c := &corpus{}
	for _, class := range []struct {
		name string
		add  func()
	}{
		{"loops", c.loops},
		{"call bombs", c.callBombs},
		{"recursion", c.recursion},
		{"bulk", c.bulk},
		{"growth", c.growth},
		{"start and init", c.initialisers},
		{"meter", c.meter},
		{"compile bombs", c.compileBombs},
		{"counts", c.counts},
		{"malformed", c.malformed},
		{"indexes", c.indexes},
		{"features", c.features},
		{"imports", c.importTricks},
		{"fuel forgery", c.forgery},
		{"waiting", c.waiting},
		{"floods", c.floods},
		{"network", c.network},
		{"pointers", c.pointers},
		{"names", c.names},
		{"state leaks", c.leaks},
	} {
		c.class = class.name
		class.add()
	}
	return c.list
}

// corpus is the list on its way.
type corpus struct {
	class string
	list  []Hostile
}

// add appends a case and returns it for refinement.
func (c *corpus) add(name string, want Verdict, wasm func() []byte) *Hostile {
	c.list = append(c.list, Hostile{Name: name, Class: c.class, Wasm: wasm, Want: want})
	return &c.list[len(c.list)-1]
}

// run appends a case whose entrypoint has this body, over a memory of one page.
func (c *corpus) run(name string, want Verdict, body ...[]byte) *Hostile {
	return c.add(name, want, func() []byte { return guest(1, nil, body...) })
}

// bounded appends two cases, a module at a limit and one above it.
func (c *corpus) bounded(name string, most int, text string, wasm func(n int) []byte) {
	c.add("at the limit: "+name, returns, func() []byte { return wasm(most) })
	c.add("above the limit: "+name, refused(text), func() []byte { return wasm(most + 1) })
}

// guest makes a module whose run_check has these locals and this body.
func guest(pages uint32, locals []ValType, body ...[]byte) []byte {
	var b Builder
	b.Memory(pages)
	b.ExportFunc("run_check", b.Func(Sig{}, locals, body...))
	return b.Bytes()
}

// times repeats code without a loop.
func times(n int, code ...[]byte) []byte {
	one := Seq(code...)
	all := make([]byte, 0, n*len(one))
	for range n {
		all = append(all, one...)
	}
	return all
}

// typed opens a block, loop or if of the given type index.
func typed(opcode byte, typ uint32, body ...[]byte) []byte {
	return Seq([]byte{opcode}, Int(int64(typ)), Seq(body...), []byte{0x0b})
}

// Opcodes of blocks, for typed.
const (
	opcodeBlock byte = 0x02
	opcodeLoop  byte = 0x03
	opcodeIf    byte = 0x04
)

// forever repeats code.
func forever(code ...[]byte) []byte { return Loop(Seq(code...), Br(0)) }

// types is a list of n times one type.
func repeated(n int, t ValType) []ValType {
	list := make([]ValType, n)
	for i := range list {
		list[i] = t
	}
	return list
}
