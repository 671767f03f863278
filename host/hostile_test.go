package host_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
)

// hostileCase finds a case of the corpus.
func hostileCase(t *testing.T, class, name string) []byte {
	t.Helper()
	for _, h := range wasmgen.HostileCorpus() {
		if h.Class == class && h.Name == name {
			return h.Wasm()
		}
	}
	t.Fatalf("no case %q in class %q", name, class)
	return nil
}

// TestBrokenModules flips bits of every byte of small modules and cuts them at
// every length. What still loads runs for a moment; nothing panics, hangs or
// ends in a way of its own.
func TestBrokenModules(t *testing.T) {
	t.Parallel()
	modules := map[string][]byte{
		"loops":    wasmgen.Loops(),
		"submits":  wasmgen.Submits(`{"status":"OK","summary":"x"}`),
		"a bit of": worker(10),
		"table":    hostileCase(t, "fuel forgery", "the same through a table, a reference and an export"),
	}
	flips := []byte{0x01, 0x80, 0xff}
	if testing.Short() || raceDetector {
		t.Log("one flip instead of three, because of -short or -race")
		flips = flips[1:2]
	}
	for name, wasm := range modules {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt := newRuntime(t, wall(10*time.Millisecond))
			var refused, ran int
			try := func(what string, wasm []byte) {
				p, err := rt.Load(t.Context(), packageOf(wasm))
				if err != nil {
					if refused++; !errors.Is(err, host.ErrInvalidModule) {
						t.Errorf("%s: %v", what, err)
					}
					return
				}
				ran++
				start := time.Now()
				r, _ := p.Execute(t.Context(), nil) // any end will do
				if took := time.Since(start); took > 10*time.Second || r.Result == nil || r.Ended == host.NotStarted {
					t.Errorf("%s: ended %v after %v", what, r.Ended, took)
				}
				if err := p.Close(t.Context()); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			for at := range wasm {
				try(fmt.Sprintf("cut at %d", at), wasm[:at])
				for _, bits := range flips {
					broken := slices.Clone(wasm)
					broken[at] ^= bits
					try(fmt.Sprintf("byte %d ^ %#x", at, bits), broken)
				}
			}
			t.Logf("%d bytes: %d modules refused, %d ran", len(wasm), refused, ran)
			if refused < len(wasm) {
				t.Errorf("only %d modules of %d were refused", refused, refused+ran)
			}
		})
	}
}

// TestEightHostileAtOnce runs guests of several kinds at one time, and each must
// end as it does alone.
func TestEightHostileAtOnce(t *testing.T) {
	engines(t, func(t *testing.T, engine ...host.Option) {
		rt := newRuntime(t, append(engine, wall(300*time.Millisecond))...)
		var runs sync.WaitGroup
		for _, c := range []struct {
			class, name string
			ended       host.Ending
		}{
			{"loops", "empty loop", host.TimedOut},
			{"loops", "random loads", host.TimedOut},
			{"call bombs", "45 functions, each calls the next twice", host.TimedOut},
			{"recursion", "again and again up to the limit", host.TimedOut},
			{"bulk", "copies in a loop, backwards", host.TimedOut},
			{"floods", "log of 62 MiB", host.TimedOut},
			{"waiting", "a sleep of ten years", host.TimedOut},
			{"meter", "a loop that skips nearly all of itself", host.TimedOut},
		} {
			p := load(t, rt, packageOf(hostileCase(t, c.class, c.name)))
			runs.Go(func() {
				start := time.Now()
				r, _ := p.Execute(context.Background(), nil) // without a result
				// Eight guests share two cores, and the tests beside them.
				if took := time.Since(start); r.Ended != c.ended || took > 3*time.Second {
					t.Errorf("%s: %s ended %v after %v, want %v", c.class, c.name, r.Ended, took, c.ended)
				}
			})
		}
		runs.Wait()
		if s := rt.Stats(); s.Active != 0 || s.Runs != 8 {
			t.Errorf("%d runs active, %d in all", s.Active, s.Runs)
		}
	})
}

// TestFloodsAreCounted looks at what the report says of guests that do too much
// of something.
func TestFloodsAreCounted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		class, name string
		ok          func(r *host.Report) bool
	}{
		{"floods", "log of one byte", func(r *host.Report) bool { return r.Usage.Calls["log"] > 1000 }},
		{"floods", "stdout, byte by byte", func(r *host.Report) bool { return len(r.Stdout) > 0 }},
		{"floods", "stderr, 64 KiB at a time", func(r *host.Report) bool {
			return r.Usage.OutputDropped > 1<<20 && len(r.Stderr) > 0
		}},
		{"floods", "a stub, again and again", func(r *host.Report) bool {
			return len(r.Decisions) == 1000 && r.Usage.Failed["emit_telemetry -4"] == r.Usage.Calls["emit_telemetry"] && r.Usage.Calls["emit_telemetry"] > 1000 && len(r.Notes) > 0
		}},
		{"floods", "a host call that always fails", func(r *host.Report) bool {
			return len(r.Failures) == 32 && r.Usage.Failed["tcp_read -2"]+r.Usage.Failed["tcp_read -7"] > 1000
		}},
		{"floods", "submits white space", func(r *host.Report) bool { return r.Result.Summary == "x" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, _ := load(t, newRuntime(t, wall(400*time.Millisecond)), packageOf(hostileCase(t, tt.class, tt.name))).Execute(t.Context(), nil)
			if r.Ended != host.TimedOut || !tt.ok(r) {
				t.Errorf("ended %v: calls %v, failed %v, dropped %d log lines and %d bytes, %d decisions, %d failures, %d submits, notes %q", r.Ended,
					r.Usage.Calls, r.Usage.Failed, r.Usage.LogDropped, r.Usage.OutputDropped, len(r.Decisions), len(r.Failures), len(r.Submits), r.Notes)
			}
		})
	}
}

// TestCompileLimit stops a compilation that takes long without being a bomb.
func TestCompileLimit(t *testing.T) {
	t.Parallel()
	const most = 100 * time.Millisecond
	var wasm []byte
	for _, b := range wasmgen.Bombs() {
		if b.Name == "small functions with a loop and a call" {
			wasm = b.Shape(60_000)
		}
	}
	rt := newRuntime(t, host.WithLimits(limits.Limits{Compile: most}))
	start := time.Now()
	_, err := rt.Load(t.Context(), packageOf(wasm))
	took := time.Since(start)
	if !errors.Is(err, host.ErrInvalidModule) || !strings.Contains(err.Error(), "compiling took more than 100ms") {
		t.Errorf("%v, want a compilation of more than %v", err, most)
	}
	if took > 5*time.Second {
		t.Errorf("refused after %v", took)
	}
	if _, err := rt.Load(t.Context(), packageOf(wasmgen.Silent())); err != nil {
		t.Errorf("the next module: %v", err)
	}
}

// TestHostileFuncs gives guests functions of an embedder that do what they must
// not.
func TestHostileFuncs(t *testing.T) {
	t.Parallel()
	var rt *host.Runtime
	release := make(chan struct{})
	var kept []byte
	funcs := []capability.Func{
		{Name: "panics", Params: []capability.Param{{Name: "text", Kind: capability.In}},
			Handle: func(context.Context, *capability.Call) capability.Code { panic("secret \x1b[2J /etc/path") }},
		{Name: "panics_nil", Handle: func(context.Context, *capability.Call) capability.Code { panic(nil) }},
		{Name: "dereferences", Handle: func(context.Context, *capability.Call) capability.Code {
			var f *capability.Func
			return capability.Code(len(f.Name))
		}},
		{Name: "hangs", Handle: func(context.Context, *capability.Call) capability.Code { <-release; return 0 }},
		{Name: "keeps", Params: []capability.Param{{Name: "text", Kind: capability.In}},
			Handle: func(_ context.Context, c *capability.Call) capability.Code { kept = c.In[0]; return 0 }},
		{Name: "closes", Handle: func(ctx context.Context, _ *capability.Call) capability.Code {
			if err := rt.Close(ctx); err == nil || !strings.Contains(err.Error(), "closes") {
				panic(err)
			}
			return 0
		}},
		{Name: "positive", Handle: func(context.Context, *capability.Call) capability.Code { return 1 << 30 }},
		{Name: "negative", Handle: func(context.Context, *capability.Call) capability.Code { return -1 << 31 }},
	}
	var names []string
	for _, f := range funcs {
		names = append(names, f.Name)
	}
	rt = newRuntime(t, host.WithCapabilities(funcs...), wall(time.Second))
	plugin := func(step wasmgen.Step, types ...wasmgen.Func) *host.Plugin {
		wasm := wasmgen.Proxy(wasmgen.Script{Imports: types, Entry: []wasmgen.Step{step}})
		pkg := packageOf(wasm, append(slices.Clone(names), "submit_result")...)
		return load(t, rt, pkg, host.GrantRequested())
	}
	for _, name := range []string{"panics_nil", "dereferences", "panics"} {
		args, params := []wasmgen.Arg{}, 0
		if name == "panics" {
			args, params = append(args, wasmgen.Text("x")), 2
		}
		r, err := plugin(wasmgen.Do(name, args...), wasmgen.Env(name, params)).Execute(t.Context(), nil)
		var trap *host.TrapError
		if !errors.As(err, &trap) || trap.Kind != "host_panic" || r.Ended != host.Trapped {
			t.Errorf("%s: ended %v: %v, want a trap of kind host_panic", name, r.Ended, err)
		}
		if text := r.Result.Summary + r.Result.Details; strings.Contains(text, "goroutine") || strings.Contains(text, ".go:") || strings.Contains(text, "/root") {
			t.Errorf("%s: the result tells too much: %q", name, text)
		}
	}
	for _, name := range []string{"positive", "negative", "closes"} {
		r, err := plugin(wasmgen.Do(name), wasmgen.Env(name, 0)).Execute(t.Context(), nil)
		if err != nil || r.Ended != host.Returned {
			t.Errorf("%s: ended %v: %v", name, r.Ended, err)
		}
	}
	if r, err := plugin(wasmgen.Do("keeps", wasmgen.Text("view")), wasmgen.Env("keeps", 2)).Execute(t.Context(), nil); err != nil {
		t.Errorf("keeps: ended %v: %v", r.Ended, err)
	}
	if len(kept) != 4 || cap(kept) != 4 { // reading it must not crash, whatever it says
		t.Errorf("the view that was kept has %d bytes, room for %d", len(kept), cap(kept))
	}

	// A Func that ignores ctx holds its run, and Close names it.
	p := plugin(wasmgen.Do("hangs"), wasmgen.Env("hangs", 0))
	ended := make(chan host.Ending)
	go func() {
		r, _ := p.Execute(context.Background(), nil)
		ended <- r.Ended
	}()
	for rt.Stats().Active == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := p.Close(ctx); err == nil || !strings.Contains(err.Error(), "hangs") {
		t.Errorf("closing a plugin that hangs: %v, want the name of the function", err)
	}
	close(release)
	if e := <-ended; e != host.TimedOut && e != host.Cancelled {
		t.Errorf("the run ended %v, after its function had gone on for too long", e)
	}
}

// TestManyDistinctModules loads many modules of types that no other has.
func TestManyDistinctModules(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t, host.WithInterpreter())
	for i := range 200 {
		var b wasmgen.Builder
		b.Memory(1)
		for k := range 20 {
			b.Type(wasmgen.Sig{Params: wasmgen.I32s(i%200 + k)})
		}
		b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil))
		p := load(t, rt, packageOf(b.Bytes(), "submit_result"))
		if _, err := p.Execute(t.Context(), nil); !errors.Is(err, host.ErrNoResult) {
			t.Fatalf("module %d: %v", i, err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if s := rt.Stats(); s.Plugins != 0 {
		t.Errorf("%d plugins are left", s.Plugins)
	}
}

// endless is a source of randomness that never ends, and failing one that never
// gives anything.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestHostileRandomness: what an embedder gives for random bytes may fail.
func TestHostileRandomness(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		source io.Reader
		answer int64
	}{"endless": {endless{}, 0}, "empty": {strings.NewReader(""), 52}} {
		wasm := wasmgen.Proxy(wasmgen.Script{Entry: []wasmgen.Step{wasmgen.Do("wasi.random_get", wasmgen.OutPtr(64), wasmgen.Lit(64))}})
		r, err := load(t, newRuntime(t, host.WithRand(tt.source)), packageOf(wasm, "submit_result")).Execute(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		notes, err := wasmgen.Notes(r.Submits[0].Raw)
		if err != nil || len(notes) != 1 || notes[0].R != tt.answer {
			t.Errorf("%s: %v, %v, want %d", name, notes, err, tt.answer)
		}
	}
}
