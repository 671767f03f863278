package wasmgen

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
)

const (
	scriptBase = 4096     // literals and buffers begin here; below is Script.Data
	noted      = 16 << 10 // bytes of an Out buffer that a note shows in full
	checked    = 4 << 10  // bytes behind an answer that are compared with untouched
	untouched  = 0xa5     // what Out buffers hold before each call
	biggestOut = 16 << 20 // of one Out buffer
	page       = 64 << 10 // of a Wasm memory
	reportRoom = 1 << 10  // for what stands around the notes
	reportHead = `{"status":"OK","summary":"script","steps":[`
	reportTail = `]}`
)

// Proxy makes the guest that executes a script. A mistake in the script, such
// as an unknown function or a wrong number of arguments, panics.
func Proxy(s Script) []byte {
	g := &proxy{script: s, interned: map[string]uint32{}, imports: map[string]imported{}, results: map[string]uint32{}, buffers: map[string]uint32{}, next: scriptBase}
	g.addImports()
	g.addReport()
	if len(s.Start) > 0 {
		g.b.Start(g.addPhase(s.Start, false))
	}
	if len(s.Initialize) > 0 {
		g.b.ExportFunc("_initialize", g.addPhase(s.Initialize, false))
	}
	if len(s.Command) > 0 {
		g.b.ExportFunc("_start", g.addPhase(s.Command, false))
	}
	g.b.ExportFunc(cmp.Or(s.Entrypoint, "run_check"), g.addPhase(s.Entry, true))
	for _, name := range s.Traps {
		g.b.ExportFunc(name, g.b.Func(Sig{}, nil, Unreachable()))
	}
	return g.finish()
}

// proxy is a script on its way to a module.
type proxy struct {
	script   Script
	b        Builder
	imports  map[string]imported
	interned map[string]uint32
	results  map[string]uint32 // global of a named step
	buffers  map[string]uint32 // Out buffer of a named step
	next     uint32            // first free address
	room     uint64            // that all notes need
	rt       helpers
}

type imported struct {
	index uint32
	sig   Sig
}

func (g *proxy) steps() []Step {
	return slices.Concat(g.script.Start, g.script.Initialize, g.script.Command, g.script.Entry)
}

// addImports imports what is listed, then what the steps need.
func (g *proxy) addImports() {
	for _, f := range g.script.Imports {
		g.addImport(f)
	}
	need := func(name string) {
		if _, ok := g.imports[name]; ok {
			return
		}
		f, ok := Known(name)
		if !ok {
			misuse("script calls %q, which is neither known nor in Imports", name)
		}
		g.addImport(f)
	}
	for _, s := range g.steps() {
		switch s.op {
		case opCall:
			need(s.call)
		case opSleep:
			need("wasi.poll_oneoff")
		case opExit:
			need("wasi.proc_exit")
		case opPrint:
			need("wasi.fd_write")
		case opFlush:
			need("submit_result")
		}
	}
	switch g.script.Report {
	case ReportSubmit:
		need("submit_result")
	case ReportLog:
		need("log")
	}
}

func (g *proxy) addImport(f Func) {
	names := []string{f.Name, f.Module + "." + f.Name}
	if f.Module == "wasi_snapshot_preview1" {
		names = []string{wasiPrefix + f.Name, f.Module + "." + f.Name}
	}
	entry := imported{g.b.ImportFunc(f.Module, f.Name, f.Sig), f.Sig}
	for _, name := range names {
		if _, taken := g.imports[name]; !taken {
			g.imports[name] = entry
		}
	}
}

// intern places bytes in memory once and returns their address.
func (g *proxy) intern(text string) uint32 {
	if at, ok := g.interned[text]; ok {
		return at
	}
	at := g.reserve(uint32(len(text)))
	if text != "" {
		g.b.Data(at, []byte(text))
	}
	g.interned[text] = at
	return at
}

// reserve finds room for n bytes, on an address that suits every type.
func (g *proxy) reserve(n uint32) uint32 {
	at := g.next
	g.next += (n + 8) &^ 7
	return at
}

// addPhase makes one function of the steps. Only the entrypoint reports by
// itself: elsewhere a host call would change how the guest is initialised.
func (g *proxy) addPhase(steps []Step, entry bool) uint32 {
	var body []byte
	for _, s := range steps {
		body = Seq(body, g.phaseStep(s))
		if entry && g.script.Report == ReportLog {
			body = Seq(body, Call(g.rt.logReport))
		}
	}
	if entry && g.script.Report == ReportSubmit {
		body = Seq(body, Call(g.rt.submitReport))
	}
	return g.b.Func(Sig{}, I32s(1), body)
}

// phaseStep is the code of one step in its phase; local 0 counts rounds.
func (g *proxy) phaseStep(s Step) []byte {
	switch s.op {
	case opTrap:
		return Unreachable()
	case opSpin:
		return Loop(Br(0))
	case opExit:
		return Call(g.imports["wasi.proc_exit"].index, I32Const(int32(s.n)))
	case opFlush:
		return Call(g.rt.submitReport)
	case opBurn:
		return Seq(LocalSet(0, I32Const(int32(s.n))),
			Loop(BrIf(0, LocalTee(0, I32Sub(LocalGet(0), I32Const(1))))))
	}
	index := g.addStep(s)
	if s.rounds() == 1 {
		return Call(index, I32Const(1))
	}
	note := I32Const(1)
	if s.last {
		note = I32Eq(LocalGet(0), I32Const(1))
	}
	return Seq(LocalSet(0, I32Const(int32(s.rounds()))), Loop(
		Call(index, note),
		BrIf(0, LocalTee(0, I32Sub(LocalGet(0), I32Const(1)))),
	))
}

// addStep makes the function of one step that has a result. Its parameter
// says whether to note it.
func (g *proxy) addStep(s Step) uint32 {
	code, results, out := g.stepCode(s)
	locals := append([]ValType{}, results...)
	body := code
	for i := range slices.Backward(results) {
		body = Seq(body, LocalSet(uint32(1+i)))
	}
	if s.name != "" && len(results) > 0 {
		body = Seq(body, GlobalSet(g.result(s.name), widen(results[0], LocalGet(1))))
	}
	body = Seq(body, If(LocalGet(0), g.note(s, results, out)))
	return g.b.Func(Sig{Params: I32s(1)}, locals, body)
}

// buffer is the Out buffer of a step.
type buffer struct {
	at, size uint32
	fixed    bool
}

// stepCode is the code that leaves the step's results on the stack.
func (g *proxy) stepCode(s Step) (code []byte, results []ValType, out *buffer) {
	switch s.op {
	case opGrow:
		return MemoryGrow(I32Const(int32(s.n))), I32s(1), nil
	case opSleep:
		in, events := g.intern(string(clockSubscription(s.n))), g.reserve(40)
		return Call(g.imports["wasi.poll_oneoff"].index, I32Const(int32(in)), I32Const(int32(events)),
			I32Const(1), I32Const(int32(events+32))), I32s(1), nil
	case opPrint:
		vector := g.intern(string(little32(g.intern(s.text), uint32(len(s.text)))))
		return Call(g.imports["wasi.fd_write"].index, I32Const(int32(s.n)), I32Const(int32(vector)),
			I32Const(1), I32Const(int32(g.reserve(4)))), I32s(1), nil
	}
	f := g.imports[s.call]
	var filled, pushed []byte
	param := 0
	for _, a := range s.args {
		if param+a.width() > len(f.sig.Params) {
			misuse("%q takes %d parameters, got more", s.call, len(f.sig.Params))
		}
		if a.kind == argOut || a.kind == argFixed {
			if out != nil || a.n > biggestOut {
				misuse("%q: one Out of at most %d bytes per call", s.call, biggestOut)
			}
			out = &buffer{g.reserve(uint32(a.n)), uint32(a.n), a.kind == argFixed}
			filled = MemoryFill(I32Const(int32(out.at)), I32Const(untouched), I32Const(int32(out.size)))
			if s.name != "" {
				g.buffers[s.name] = out.at
			}
		}
		pushed = Seq(pushed, g.push(a, f.sig.Params[param], out))
		param += a.width()
	}
	if param != len(f.sig.Params) {
		misuse("%q takes %d parameters, got %d", s.call, len(f.sig.Params), param)
	}
	return Seq(filled, pushed, Call(f.index)), f.sig.Results, out
}

// push is the code of one argument.
func (g *proxy) push(a Arg, t ValType, out *buffer) []byte {
	pair := func(at, n uint32) []byte { return Seq(I32Const(int32(at)), I32Const(int32(n))) }
	size := I32Mul(MemorySize(), I32Const(page))
	switch a.kind {
	case argText:
		if a.text == "" {
			return pair(0, 0)
		}
		return pair(g.intern(a.text), uint32(len(a.text)))
	case argPtr:
		return I32Const(int32(g.intern(a.text)))
	case argOut:
		return pair(out.at, out.size)
	case argFixed:
		return I32Const(int32(out.at))
	case argSize:
		return size
	case argEnd:
		return I32Add(size, I32Const(int32(a.n)))
	case argRef:
		return I32WrapI64(GlobalGet(g.result(a.text)))
	case argGot:
		at, ok := g.buffers[a.text]
		if !ok {
			misuse("Got(%q): no earlier step of that name has an Out", a.text)
		}
		return Seq(I32Const(int32(at)), I32WrapI64(GlobalGet(g.result(a.text))))
	}
	switch t {
	case I64:
		return I64Const(a.n)
	case F32:
		return F32Const(float32(a.n))
	case F64:
		return F64Const(float64(a.n))
	}
	return I32Const(int32(uint32(a.n)))
}

// result is the global that keeps the result of a named step.
func (g *proxy) result(name string) uint32 {
	if _, ok := g.results[name]; !ok {
		g.results[name] = g.b.Global(I64, true, I64Const(0))
	}
	return g.results[name]
}

// note is the code that appends a step's entry to the report.
func (g *proxy) note(s Step, results []ValType, out *buffer) []byte {
	label := map[string]string{"call": s.call}
	if s.name != "" {
		label["name"] = s.name
	}
	text, err := json.Marshal(label)
	if err != nil {
		misuse("step %q: %v", s.call, err) // strings always marshal
	}
	code := Seq(Call(g.rt.comma), g.put(string(text[:len(text)-1])))
	for i, t := range results {
		key := `,"r":`
		if i > 0 {
			key = `,"r` + string(rune('1'+i)) + `":`
		}
		code = Seq(code, g.put(key), Call(g.rt.putInt, widen(t, LocalGet(uint32(1+i)))))
	}
	room := uint64(len(text) + 64 + 32*len(results))
	if out != nil {
		n := I32Const(int32(out.size))
		if !out.fixed && len(results) == 1 && results[0] == I32 {
			n = LocalGet(1)
		}
		code = Seq(code, Call(g.rt.putOut, I32Const(int32(out.at)), I32Const(int32(out.size)), n))
		room += 2 * min(uint64(out.size), noted)
	}
	if !s.last {
		room *= uint64(s.rounds())
	}
	g.room += room
	return Seq(code, g.put("}"))
}

func (g *proxy) put(text string) []byte {
	return Call(g.rt.put, I32Const(int32(g.intern(text))), I32Const(int32(len(text))))
}

// finish places the report behind everything else and sizes the memory.
func (g *proxy) finish() []byte {
	head := (g.next + page) &^ (page - 1)
	end := uint64(head) + reportRoom + g.room
	if end > 1<<31 {
		misuse("the notes of this script need %d bytes; use TimesLast", g.room)
	}
	g.b.Data(head, []byte(reportHead))
	g.b.Define(g.rt.begin, nil, I32Const(int32(head)))
	for _, at := range slices.Sorted(maps.Keys(g.script.Data)) {
		text := g.script.Data[at]
		if uint64(at)+uint64(len(text)) > scriptBase {
			misuse("Data at %d is not below %d", at, scriptBase)
		}
		g.b.Data(at, []byte(text))
	}
	pages := max(uint32((end+page-1)/page), g.script.Pages)
	if g.script.MaxPages == 0 {
		g.b.Memory(pages)
	} else {
		g.b.Memory(pages, g.script.MaxPages)
	}
	return g.b.Bytes()
}

// widen converts a result to what notes and globals hold.
func widen(t ValType, code []byte) []byte {
	switch t {
	case I32:
		return I64ExtendI32S(code)
	case F32:
		return I64TruncSatF32S(code)
	case F64:
		return I64TruncSatF64S(code)
	}
	return code
}
