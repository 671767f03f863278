package hosttest

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/internal/engine"
	"github.com/sandcheck/sandcheck/internal/wasmbin"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
)

// CallFunc calls f once from a real guest, through real guest memory, and
// returns the code and what was written to the guest's buffer: as many bytes as
// the code says. args are one per parameter of f: an int or uint32 for I32, a
// string or []byte for In, the capacity as an int for Out (at most 16 MiB). The
// call ends after 10 s at the latest; a trap, such as a panic of the handler,
// fails the test.
func CallFunc(t testing.TB, s *capability.Session, f capability.Func, args ...any) (capability.Code, []byte) {
	t.Helper()
	if err := f.Validate(); err != nil {
		t.Fatalf("hosttest: %v", err)
	}
	c := &callFunc{session: s, f: f}
	if err := c.run(t.Context(), args); err != nil {
		t.Fatalf("hosttest: call of %s: %v", f.Name, err)
	}
	return c.code, c.out
}

type callFunc struct {
	session *capability.Session
	f       capability.Func
	code    capability.Code
	out     []byte
}

// watched is f, with what it answered kept.
func (c *callFunc) watched() capability.Func {
	f := c.f
	f.Handle = func(ctx context.Context, call *capability.Call) capability.Code {
		c.code = c.f.Handle(ctx, call)
		if n := int(c.code); n > 0 && n <= len(call.Out) {
			c.out = slices.Clone(call.Out[:n])
		}
		return c.code
	}
	return f
}

func (c *callFunc) run(ctx context.Context, args []any) error {
	wasm, err := c.guest(args)
	if err != nil {
		return err
	}
	m, err := wasmbin.Decode(wasm, wasmbin.Limits{})
	if err != nil {
		return err
	}
	metered, meta, err := m.Instrument(wasmbin.InstrumentOptions{})
	if err != nil {
		return err
	}
	bindings, err := abi.Link(
		[]abi.Import{{Module: abi.ModuleEnv, Name: c.f.Name, Func: true, Type: abi.TypeOf(c.f)}},
		abi.Offer{Funcs: []capability.Func{c.watched()}, Granted: func(string) bool { return true }})
	if err != nil {
		return err
	}
	e, err := engine.New(engine.Options{})
	if err != nil {
		return err
	}
	defer e.Close() // drops code; there is nothing to lose
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	code, err := e.Compile(ctx, metered, time.Minute)
	if err != nil {
		return err
	}
	p, err := e.NewProgram(code, engine.ProgramOptions{Entrypoint: "run_check", Bindings: bindings, Meta: meta})
	if err != nil {
		return err
	}
	defer p.Close()
	l := c.session.Limits.Or(limits.Default())
	l.Memory = max(l.Memory, limits.Bytes(meta.MemoryMin))
	return p.Run(ctx, &abi.Run{
		Session: c.session, Limits: l, Now: time.Now, Epoch: time.Now(), Rand: rand.Reader,
		Stdout: abi.NewTail(0), Stderr: abi.NewTail(0),
	}).Err
}

// guest makes the module that calls f with args.
func (c *callFunc) guest(args []any) ([]byte, error) {
	if len(args) != len(c.f.Params) {
		return nil, fmt.Errorf("%d arguments for %d parameters", len(args), len(c.f.Params))
	}
	var passed []wasmgen.Arg
	for i, p := range c.f.Params {
		a, err := argument(p, args[i])
		if err != nil {
			return nil, err
		}
		passed = append(passed, a)
	}
	t := abi.TypeOf(c.f)
	sig := wasmgen.Sig{Params: wasmgen.I32s(len(t.Params)), Results: wasmgen.I32s(len(t.Results))}
	return wasmgen.Proxy(wasmgen.Script{
		Imports: []wasmgen.Func{{Module: abi.ModuleEnv, Name: c.f.Name, Sig: sig}},
		Entry:   []wasmgen.Step{wasmgen.Do(c.f.Name, passed...)},
		Report:  wasmgen.ReportNone,
	}), nil
}

func argument(p capability.Param, v any) (wasmgen.Arg, error) {
	const mostOut = 16 << 20
	switch v := v.(type) {
	case int:
		switch {
		case p.Kind == capability.I32:
			return wasmgen.Lit(int64(v)), nil
		case p.Kind == capability.Out && 0 <= v && v <= mostOut:
			return wasmgen.Out(uint32(v)), nil
		}
	case uint32:
		if p.Kind == capability.I32 {
			return wasmgen.Lit(int64(v)), nil
		}
	case string:
		if p.Kind == capability.In {
			return wasmgen.Text(v), nil
		}
	case []byte:
		if p.Kind == capability.In {
			return wasmgen.Text(string(v)), nil
		}
	}
	return wasmgen.Arg{}, fmt.Errorf("parameter %s of kind %v does not take %T %v", p.Name, p.Kind, v, v)
}
