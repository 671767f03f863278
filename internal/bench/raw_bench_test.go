package bench_test

import (
	"context"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// referenceFuncs are the functions of module env that a host of such checks
// offers, with the number of their i32 parameters. All but log have an i32
// result.
var referenceFuncs = map[string]int{
	"get_config": 2, "log": 3, "submit_result": 2, "http_request": 4,
	"tcp_connect": 4, "tcp_read": 4, "tcp_write": 4, "tcp_close": 1, "udp_sendto": 6,
	"websocket_connect": 3, "websocket_send": 4, "websocket_recv": 4, "websocket_close": 1,
	"camera_media_open": 2, "camera_media_write": 5, "camera_media_heartbeat": 3, "camera_media_close": 3,
}

// answers is what a raw host says to a guest, and what it was told.
type answers struct {
	config, response []byte
	submitted        []byte
}

func (a *answers) getConfig(m api.Module, ptr, size uint32) uint32 {
	return reply(m, a.config, ptr, size)
}

func (a *answers) httpRequest(m api.Module, ptr, size uint32) uint32 {
	return reply(m, a.response, ptr, size)
}

func (a *answers) submit(m api.Module, ptr, n uint32) uint32 {
	doc, ok := m.Memory().Read(ptr, n)
	if !ok {
		return ^uint32(0)
	}
	a.submitted = append(a.submitted[:0], doc...)
	return 0
}

func reply(m api.Module, text []byte, ptr, size uint32) uint32 {
	if uint32(len(text)) > size {
		return ^uint32(2) // too large
	}
	m.Memory().Write(ptr, text)
	return uint32(len(text))
}

// fast offers the functions in the way that costs least per call.
func (a *answers) fast(b wazero.HostModuleBuilder) wazero.HostModuleBuilder {
	does := map[string]func(m api.Module, s []uint64) uint32{
		"get_config":    func(m api.Module, s []uint64) uint32 { return a.getConfig(m, uint32(s[0]), uint32(s[1])) },
		"http_request":  func(m api.Module, s []uint64) uint32 { return a.httpRequest(m, uint32(s[2]), uint32(s[3])) },
		"submit_result": func(m api.Module, s []uint64) uint32 { return a.submit(m, uint32(s[0]), uint32(s[1])) },
	}
	offer := func(name string, params int) {
		do := does[name]
		var results []api.ValueType
		if name != "log" {
			results = i32s(1)
		}
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, s []uint64) {
			switch {
			case do != nil:
				s[0] = uint64(do(m, s))
			case name != "log":
				s[0] = 0
			}
		}), i32s(params), results).Export(name)
	}
	for name, params := range referenceFuncs {
		offer(name, params)
	}
	offer("last_error", 2) // guests of this library import it
	return b
}

// reflective offers the functions in the way that is shortest to write.
func (a *answers) reflective(b wazero.HostModuleBuilder) wazero.HostModuleBuilder {
	type ctx = context.Context
	type mod = api.Module
	by := map[string]any{
		"get_config":    func(_ ctx, m mod, p, n uint32) uint32 { return a.getConfig(m, p, n) },
		"http_request":  func(_ ctx, m mod, _, _, p, n uint32) uint32 { return a.httpRequest(m, p, n) },
		"submit_result": func(_ ctx, m mod, p, n uint32) uint32 { return a.submit(m, p, n) },
		"log":           func(ctx, mod, uint32, uint32, uint32) {},
	}
	none := map[int]any{
		1: func(ctx, mod, uint32) uint32 { return 0 },
		2: func(ctx, mod, uint32, uint32) uint32 { return 0 },
		3: func(ctx, mod, uint32, uint32, uint32) uint32 { return 0 },
		4: func(ctx, mod, uint32, uint32, uint32, uint32) uint32 { return 0 },
		5: func(ctx, mod, uint32, uint32, uint32, uint32, uint32) uint32 { return 0 },
		6: func(ctx, mod, uint32, uint32, uint32, uint32, uint32, uint32) uint32 { return 0 },
	}
	for name, params := range referenceFuncs {
		f, ok := by[name]
		if !ok {
			f = none[params]
		}
		b.NewFunctionBuilder().WithFunc(f).Export(name)
	}
	b.NewFunctionBuilder().WithFunc(none[2]).Export("last_error")
	return b
}

func i32s(n int) []api.ValueType {
	list := make([]api.ValueType, n)
	for i := range list {
		list[i] = api.ValueTypeI32
	}
	return list
}

// raw is a runtime with one module, as a program has it that uses wazero
// without this library and keeps what it compiled.
type raw struct {
	b        *testing.B
	ctx      context.Context
	rt       wazero.Runtime
	compiled wazero.CompiledModule
	answers  *answers
}

// alone instantiates a module without a name and without starting it.
var alone = wazero.NewModuleConfig().WithName("").WithStartFunctions()

// newRaw compiles wasm in a runtime of its own, with wazero's WASI and the
// functions of a.
func newRaw(b *testing.B, cfg wazero.RuntimeConfig, wasm []byte, a *answers) *raw {
	b.Helper()
	r := &raw{b: b, ctx: context.Background(), answers: a}
	r.rt = wazero.NewRuntimeWithConfig(r.ctx, cfg)
	b.Cleanup(func() { r.rt.Close(r.ctx) })
	if _, err := wasi_snapshot_preview1.Instantiate(r.ctx, r.rt); err != nil {
		b.Fatal(err)
	}
	if _, err := a.fast(r.rt.NewHostModuleBuilder("env")).Instantiate(r.ctx); err != nil {
		b.Fatal(err)
	}
	var err error
	if r.compiled, err = r.rt.CompileModule(r.ctx, wasm); err != nil {
		b.Fatal(err)
	}
	return r
}

// plain is newRaw with wazero's own settings.
func plain(b *testing.B, wasm []byte, a *answers) *raw {
	return newRaw(b, wazero.NewRuntimeConfig(), wasm, a)
}

// switched is plain with wazero's own way to stop a guest, and a deadline far
// away.
func switched(b *testing.B, wasm []byte, a *answers) *raw {
	r := newRaw(b, wazero.NewRuntimeConfig().WithCloseOnContextDone(true), wasm, a)
	var cancel context.CancelFunc
	r.ctx, cancel = context.WithTimeout(r.ctx, time.Hour)
	b.Cleanup(cancel)
	return r
}

// instance makes an instance that is ready for its entrypoint.
func (r *raw) instance() api.Module {
	m, err := r.rt.InstantiateModule(r.ctx, r.compiled, alone)
	if err != nil {
		r.b.Fatal(err)
	}
	r.initialize(m)
	return m
}

func (r *raw) initialize(m api.Module) {
	if f := m.ExportedFunction("_initialize"); f != nil {
		if _, err := f.Call(r.ctx); err != nil {
			r.b.Fatal(err)
		}
	}
}

// caller returns a function that calls run_check of one instance that is kept.
func (r *raw) caller() func() {
	f := r.instance().ExportedFunction("run_check")
	return func() {
		if _, err := f.Call(r.ctx); err != nil {
			r.b.Fatal(err)
		}
	}
}

// once makes an instance, calls run_check and closes it.
func (r *raw) once() {
	m := r.instance()
	if _, err := m.ExportedFunction("run_check").Call(r.ctx); err != nil {
		r.b.Fatal(err)
	}
	if err := m.Close(r.ctx); err != nil {
		r.b.Fatal(err)
	}
}

// reference does all that a host does that keeps nothing between two runs.
func reference(b *testing.B, wasm []byte, a *answers) {
	r := &raw{b: b, ctx: context.Background(), answers: a}
	r.rt = wazero.NewRuntime(r.ctx)
	if _, err := a.reflective(r.rt.NewHostModuleBuilder("env")).Instantiate(r.ctx); err != nil {
		b.Fatal(err)
	}
	if _, err := wasi_snapshot_preview1.Instantiate(r.ctx, r.rt); err != nil {
		b.Fatal(err)
	}
	var err error
	if r.compiled, err = r.rt.CompileModule(r.ctx, wasm); err != nil {
		b.Fatal(err)
	}
	r.once()
	if err := r.rt.Close(r.ctx); err != nil {
		b.Fatal(err)
	}
}
