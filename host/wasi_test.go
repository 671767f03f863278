package host_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
)

// wasiCase is one case of key "wasi".
type wasiCase struct {
	ID, Function, Note, Ending string
	Args                       map[string]any
	Setup                      struct {
		RunMS int `json:"run_ms"`
	}
	Errno *int64
	Out   map[string]uint32
}

type wasiVectors struct {
	Names    []string
	MustLink map[string][]string `json:"must_link"`
	Errno    map[string]int64
	Cases    []wasiCase
}

func TestVectorsWASI(t *testing.T) {
	t.Parallel()
	var v wasiVectors
	vectors(t, "wasi", &v)
	for _, c := range v.Cases {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			engines(t, func(t *testing.T, engine ...host.Option) { runWASICase(t, c, engine...) })
		})
	}
	for word, n := range map[string]int64{"success": 0, "badf": 8, "fault": 21, "inval": 28, "nosys": 52, "spipe": 70} {
		if v.Errno[word] != n {
			t.Errorf("errno %s is %d in the cases; the code has %d", word, v.Errno[word], n)
		}
	}
	t.Logf("%d cases on both engines", len(v.Cases))
}

// wasiRun runs the steps twice and returns the notes and reports of both.
func wasiRun(t *testing.T, steps []wasmgen.Step, data map[uint32]string, opts ...host.Option) ([2][]wasmgen.Note, [2]*host.Report) {
	t.Helper()
	wasm := wasmgen.Proxy(wasmgen.Script{Entry: steps, Data: data})
	p := load(t, newRuntime(t, opts...), packageOf(wasm, "submit_result"))
	var notes [2][]wasmgen.Note
	var reports [2]*host.Report
	for i := range reports {
		report, err := p.Execute(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if notes[i], err = wasmgen.Notes(report.Submits[0].Raw); err != nil || len(notes[i]) != len(steps) {
			t.Fatalf("%d notes for %d steps, %v", len(notes[i]), len(steps), err)
		}
		reports[i] = report
	}
	return notes, reports
}

func runWASICase(t *testing.T, c wasiCase, engine ...host.Option) {
	steps, data := wasiSteps(t, c)
	if c.Ending != "" {
		checkWASIEnding(t, c, steps, engine...)
		return
	}
	notes, reports := wasiRun(t, steps, data, engine...)
	for _, n := range notes[0] {
		if n.Call == "wasi."+c.Function && n.R != *c.Errno {
			t.Errorf("%s: %v, want errno %d", c.Note, n, *c.Errno)
		}
	}
	first := notes[0][0].Out
	switch {
	case len(c.Out) > 0:
		unread, i := maps.Clone(c.Out), 0 // both engines read the case
		for _, key := range []string{"count", "bytes", "written", "read"} {
			want, ok := c.Out[key]
			if !ok {
				continue
			}
			if got := binary.LittleEndian.Uint32(notes[0][i].Out); got != want {
				t.Errorf("%s is %d, want %d", key, got, want)
			}
			delete(unread, key)
			i++
		}
		for key := range unread {
			t.Fatalf("output %q is not understood", key)
		}
	case c.Note == "within 1 s of the host clock":
		at := time.Unix(0, int64(binary.LittleEndian.Uint64(first)))
		if d := time.Since(at); d < -time.Second || d > 5*time.Second {
			t.Errorf("the guest's clock is %v off", d)
		}
	case c.Note == "never decreases, advances with real time":
		checkAdvance(t, notes[0])
	case c.Note == "two runs differ":
		if slices.Equal(first, notes[1][0].Out) {
			t.Errorf("W11: two runs got %x", first)
		}
	}
	if strings.HasPrefix(c.Note, "report keeps the last") {
		checkKeptOutput(t, reports[0])
	}
}

// wasiSteps turns a case into calls; where a function has two answers, one call
// looks at each.
func wasiSteps(t *testing.T, c wasiCase) ([]wasmgen.Step, map[uint32]string) {
	t.Helper()
	arg := func(name string) wasmgen.Arg {
		switch v := c.Args[name].(type) {
		case float64:
			return wasmgen.Lit(int64(v))
		case string:
			if v == "memory_size" {
				return wasmgen.MemSize()
			}
		case nil:
			return wasmgen.Lit(0)
		}
		t.Fatalf("argument %s = %v is not understood", name, c.Args[name])
		return wasmgen.Arg{}
	}
	name := "wasi." + c.Function
	zero := wasmgen.Lit(0)
	do := func(args ...wasmgen.Arg) wasmgen.Step { return wasmgen.Do(name, args...) }
	switch c.Function {
	case "args_sizes_get", "environ_sizes_get":
		return []wasmgen.Step{do(wasmgen.OutPtr(4), wasmgen.Lit(64)), do(wasmgen.Lit(64), wasmgen.OutPtr(4))}, nil
	case "clock_time_get":
		once := do(arg("id"), zero, wasmgen.OutPtr(8))
		return []wasmgen.Step{once, wasmgen.Sleep(20), once, once}, nil
	case "random_get":
		if c.Args["ptr"] != nil {
			return []wasmgen.Step{do(arg("ptr"), arg("len"))}, nil
		}
		n, _ := c.Args["len"].(float64)
		return []wasmgen.Step{do(wasmgen.OutPtr(uint32(n)), arg("len"))}, nil
	case "fd_write":
		n, _ := c.Args["bytes"].(float64)
		// A hundred bytes, named again and again.
		var list []byte
		for range int(n) / 100 {
			list = binary.LittleEndian.AppendUint64(list, 100<<32|1024)
		}
		return []wasmgen.Step{do(arg("fd"), wasmgen.Ptr(string(list)), wasmgen.Lit(int64(len(list)/8)), wasmgen.OutPtr(4))},
			map[uint32]string{1024: strings.Repeat("0123456789", 10)}
	case "fd_read":
		return []wasmgen.Step{do(arg("fd"), wasmgen.Lit(64), wasmgen.Lit(1), wasmgen.OutPtr(4))}, nil
	case "poll_oneoff":
		if ms, ok := c.Args["sleep_ms"].(float64); ok {
			return []wasmgen.Step{wasmgen.Sleep(uint32(ms))}, nil
		}
		return []wasmgen.Step{do(zero, zero, arg("subscriptions"), zero)}, nil
	}
	known, ok := wasmgen.Known(name)
	if !ok {
		t.Fatalf("function %q is not known", c.Function)
	}
	args := make([]wasmgen.Arg, len(known.Sig.Params))
	for i := range args {
		args[i] = zero
	}
	if len(args) > 0 {
		args[0] = arg("fd")
	}
	return []wasmgen.Step{do(args...)}, nil
}

func checkAdvance(t *testing.T, notes []wasmgen.Note) {
	t.Helper()
	var at []uint64
	for _, n := range notes {
		if len(n.Out) == 8 {
			at = append(at, binary.LittleEndian.Uint64(n.Out))
		}
	}
	if len(at) != 3 || at[2] < at[1] || time.Duration(at[1]-at[0]) < 20*time.Millisecond || time.Duration(at[1]-at[0]) > 10*time.Second {
		t.Errorf("times %d around a sleep of 20 ms", at)
	}
}

func checkKeptOutput(t *testing.T, r *host.Report) {
	t.Helper()
	if len(r.Stderr) != 65_536 || r.Usage.OutputDropped != 34_464 || !strings.HasSuffix(r.Stderr, "0123456789") || r.Stdout != "" {
		t.Errorf("kept %d bytes ending in %q, dropped %d", len(r.Stderr), r.Stderr[max(0, len(r.Stderr)-10):], r.Usage.OutputDropped)
	}
}

func checkWASIEnding(t *testing.T, c wasiCase, steps []wasmgen.Step, engine ...host.Option) {
	run := time.Duration(c.Setup.RunMS) * time.Millisecond
	wasm := wasmgen.Proxy(wasmgen.Script{Entry: steps})
	p := load(t, newRuntime(t, append(engine, wall(run))...), packageOf(wasm, "submit_result"))
	start := time.Now()
	report, err := p.Execute(t.Context(), nil)
	if took := time.Since(start); took < run || took > run+2*time.Second {
		t.Errorf("%s: back after %v", c.Note, took)
	}
	if report.Ended.String() != c.Ending || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%s: ended %v, %v", c.Note, report.Ended, err)
	}
}

// TestAllWASILinks loads a module that imports all of preview1, and one for each
// set that real toolchains are known to import.
func TestAllWASILinks(t *testing.T) {
	t.Parallel()
	var v wasiVectors
	vectors(t, "wasi", &v)
	sets := map[string][]string{"all": v.Names}
	for toolchain, names := range v.MustLink {
		sets[toolchain] = names
	}
	engines(t, func(t *testing.T, engine ...host.Option) {
		rt := newRuntime(t, engine...)
		for set, names := range sets {
			var imports []wasmgen.Func
			for _, name := range names {
				f, ok := wasmgen.Known("wasi." + name)
				if !ok {
					t.Fatalf("%s: %q is not known", set, name)
				}
				imports = append(imports, f)
			}
			wasm := wasmgen.Proxy(wasmgen.Script{Imports: imports})
			p := load(t, rt, packageOf(wasm, "submit_result"))
			if _, err := p.Run(t.Context(), nil); err != nil {
				t.Errorf("%s: %v", set, err)
			}
			pkg := packageOf(wasm, "submit_result")
			pkg.Manifest.Runtime = "none"
			if _, err := rt.Load(t.Context(), pkg); !errors.Is(err, host.ErrInvalidModule) {
				t.Errorf("%s with runtime: none: %v", set, err)
			}
		}
		for name, change := range map[string]func(*wasmgen.Func){
			"another parameter": func(f *wasmgen.Func) { f.Sig.Params = append(f.Sig.Params, wasmgen.I32) },
			"another result":    func(f *wasmgen.Func) { f.Sig.Results = []wasmgen.ValType{wasmgen.I64} },
			"no result":         func(f *wasmgen.Func) { f.Sig.Results = nil },
		} {
			f, _ := wasmgen.Known("wasi.fd_write")
			change(&f)
			wasm := wasmgen.Proxy(wasmgen.Script{Imports: []wasmgen.Func{f}})
			if _, err := rt.Load(t.Context(), packageOf(wasm, "submit_result")); !errors.Is(err, host.ErrInvalidModule) {
				t.Errorf("fd_write with %s: %v", name, err)
			}
		}
	})
}

// TestWASIPointersOutsideMemory calls through real guests: the table of every
// pointer is in internal/wasi.
func TestWASIPointersOutsideMemory(t *testing.T) {
	t.Parallel()
	const fault = 21
	end, zero := wasmgen.MemEnd, wasmgen.Lit(0)
	steps := []wasmgen.Step{
		wasmgen.Do("wasi.args_sizes_get", end(-3), zero),
		wasmgen.Do("wasi.environ_sizes_get", zero, end(-3)),
		wasmgen.Do("wasi.clock_time_get", zero, zero, end(-7)),
		wasmgen.Do("wasi.clock_res_get", zero, end(-7)),
		wasmgen.Do("wasi.random_get", zero, end(1)),
		wasmgen.Do("wasi.random_get", end(-8), wasmgen.Lit(-1)),
		wasmgen.Do("wasi.fd_write", wasmgen.Lit(1), end(-7), wasmgen.Lit(1), zero),
		wasmgen.Do("wasi.fd_write", wasmgen.Lit(1), wasmgen.Lit(64), wasmgen.Lit(1), zero), // a buffer outside
		wasmgen.Do("wasi.fd_write", wasmgen.Lit(1), zero, zero, end(-3)),
		wasmgen.Do("wasi.fd_read", zero, end(-7), wasmgen.Lit(1), zero),
		wasmgen.Do("wasi.fd_fdstat_get", zero, end(-23)),
		wasmgen.Do("wasi.fd_filestat_get", zero, end(-63)),
		wasmgen.Do("wasi.poll_oneoff", end(-47), zero, wasmgen.Lit(1), zero),
		wasmgen.Do("wasi.poll_oneoff", zero, end(-31), wasmgen.Lit(1), zero),
		wasmgen.Do("wasi.poll_oneoff", zero, zero, wasmgen.Lit(1), end(-3)),
	}
	buffer := string(binary.LittleEndian.AppendUint64(nil, 16<<32|0xfffffff8))
	engines(t, func(t *testing.T, engine ...host.Option) {
		notes, reports := wasiRun(t, steps, map[uint32]string{64: buffer}, engine...)
		for i, n := range notes[0] {
			if n.R != fault {
				t.Errorf("step %d: %v, want errno %d", i, n, fault)
			}
		}
		if reports[0].Stdout != "" {
			t.Errorf("printed %q", reports[0].Stdout)
		}
	})
}

// TestWASICallsAreNotHostCalls: the limits of host calls and their counts are
// those of module env.
func TestWASICallsAreNotHostCalls(t *testing.T) {
	t.Parallel()
	_, reports := wasiRun(t, []wasmgen.Step{wasmgen.Do("wasi.sched_yield").TimesLast(1000)}, nil)
	if got := mustJSON(t, reports[0].Usage.Calls); string(got) != `{"submit_result":1}` {
		t.Errorf("calls %s", got)
	}
	var decoded map[string]int
	if err := json.Unmarshal(mustJSON(t, reports[0].Usage.Failed), &decoded); err != nil || len(decoded) != 0 {
		t.Errorf("failed %v, %v", decoded, err)
	}
}
