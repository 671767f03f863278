package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/result"
)

type lifecycleCase struct {
	ID, Note   string
	Exports    map[string]json.RawMessage
	Entrypoint string
	StartBody  string `json:"start_body"`
	Expect     struct {
		Calls        []string
		LoadError    bool     `json:"load_error"`
		ErrorNames   []string `json:"error_names"`
		InspectWarns bool     `json:"inspect_warns"`
		InspectNotes bool     `json:"inspect_notes"`
		ReportNotes  bool     `json:"report_notes"`
		Ending       string
		Status       string
		Err          bool
	}
}

// lifecycleModule exports what the case says. Every exported function leaves its
// mark in memory; the entrypoint submits the marks in order.
func lifecycleModule(t *testing.T, c lifecycleCase) []byte {
	var b wasmgen.Builder
	submit := b.ImportFunc("env", "submit_result", wasmgen.Env("", 2).Sig)
	exit := b.ImportFunc("wasi_snapshot_preview1", "proc_exit", wasmgen.Sig{Params: wasmgen.I32s(1)})
	logf := b.ImportFunc("env", "log", wasmgen.Log().Sig)
	b.Memory(1)
	const head = `{"status":"OK","summary":"`
	b.Data(1024, []byte(head))
	cursor := b.Global(wasmgen.I32, true, wasmgen.I32Const(1024+int32(len(head))))
	mark := func(r rune) []byte {
		return wasmgen.Seq(
			wasmgen.I32Store8(0, wasmgen.GlobalGet(cursor), wasmgen.I32Const(int32(r))),
			wasmgen.GlobalSet(cursor, wasmgen.I32Add(wasmgen.GlobalGet(cursor), wasmgen.I32Const(1))))
	}
	names := make([]string, 0, len(c.Exports))
	for name := range c.Exports {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		var sig struct{ Params, Results []string }
		if string(c.Exports[name]) == `"global"` {
			b.ExportGlobal(name, b.Global(wasmgen.I32, false, wasmgen.I32Const(0)))
			continue
		}
		if err := json.Unmarshal(c.Exports[name], &sig); err != nil {
			t.Fatal(err)
		}
		body := mark(markOf(t, name))
		if name == c.Entrypoint {
			body = wasmgen.Seq(body, mark('"'), mark('}'),
				wasmgen.Drop(wasmgen.Call(submit, wasmgen.I32Const(1024), wasmgen.I32Sub(wasmgen.GlobalGet(cursor), wasmgen.I32Const(1024)))))
		}
		if name == "_start" && name != c.Entrypoint {
			switch c.StartBody {
			case "log":
				body = wasmgen.Seq(body, wasmgen.Call(logf, wasmgen.I32Const(1), wasmgen.I32Const(1024), wasmgen.I32Const(4)))
			case "proc_exit 3":
				body = wasmgen.Seq(body, wasmgen.Call(exit, wasmgen.I32Const(3)))
			case "":
				if strings.Contains(c.Note, "its proc_exit(0)") {
					body = wasmgen.Seq(body, wasmgen.Call(exit, wasmgen.I32Const(0)))
				}
			default:
				t.Fatalf("unknown start_body %q", c.StartBody)
			}
		}
		if name == "_initialize" && strings.HasPrefix(c.Note, "proc_exit(0) inside _initialize") {
			body = wasmgen.Seq(body, wasmgen.Call(exit, wasmgen.I32Const(0)))
		}
		if len(sig.Results) > 0 {
			body = wasmgen.Seq(body, wasmgen.I32Const(0))
		}
		b.ExportFunc(name, b.Func(sigOf(sig.Params, sig.Results), nil, body))
	}
	return b.Bytes()
}

var marks = map[string]rune{"run_check": 'R', "_initialize": 'I', "_start": 'S', "run": 'r', "alloc": 'a', "dealloc": 'd'}

func markOf(t *testing.T, name string) rune {
	r, ok := marks[name]
	if !ok {
		t.Fatalf("no mark for export %q", name)
	}
	return r
}

func TestVectorsLifecycle(t *testing.T) {
	t.Parallel()
	var cases []lifecycleCase
	vectors(t, "lifecycle", &cases)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			engines(t, func(t *testing.T, engine ...host.Option) { runLifecycleCase(t, c, engine...) })
		})
	}
	t.Logf("%d cases on both engines", len(cases))
}

func runLifecycleCase(t *testing.T, c lifecycleCase, engine ...host.Option) {
	rt := newRuntime(t, engine...)
	pkg := packageOf(lifecycleModule(t, c), "log", "submit_result")
	pkg.Manifest.Entrypoint = c.Entrypoint
	p, err := rt.Load(t.Context(), pkg)
	if c.Expect.LoadError {
		if err == nil {
			t.Fatalf("%s: loaded", c.Note)
		}
		if !errors.Is(err, host.ErrInvalidModule) {
			t.Errorf("%v is not ErrInvalidModule", err)
		}
		for _, n := range c.Expect.ErrorNames {
			if !strings.Contains(err.Error(), n) {
				t.Errorf("error lacks %q: %v", n, err)
			}
		}
		return
	}
	if err != nil {
		t.Fatalf("%s: %v", c.Note, err)
	}
	if told := len(p.Inspection().Warnings) > 0; told != (c.Expect.InspectWarns || c.Expect.InspectNotes) && (c.Expect.InspectWarns || c.Expect.InspectNotes) {
		t.Errorf("%s: Inspect says nothing", c.Note)
	}
	for run := range 2 { // a discarded _start is not tried again
		report, err := p.Execute(t.Context(), nil)
		if (err != nil) != c.Expect.Err {
			t.Fatalf("%s: err = %v", c.Note, err)
		}
		if c.Expect.Ending != "" && report.Ended.String() != c.Expect.Ending {
			t.Errorf("%s: ended %v", c.Note, report.Ended)
		}
		if c.Expect.Status != "" && report.Result.Status != result.Unknown {
			t.Errorf("%s: status %v", c.Note, report.Result.Status)
		}
		if !c.Expect.Err {
			want := ""
			for _, name := range c.Expect.Calls {
				want += string(markOf(t, name))
			}
			if report.Result.Summary != want {
				t.Errorf("%s: called %q, want %q", c.Note, report.Result.Summary, want)
			}
		}
		if notes := len(report.Notes) > 0; notes != (c.Expect.ReportNotes && run == 0) {
			t.Errorf("%s: run %d: notes %q", c.Note, run, report.Notes)
		}
		if len(report.Logs) > 0 {
			t.Errorf("an env call in _start had an effect: %v", report.Logs)
		}
	}
}

type outcomeCase struct {
	ID, Run            string
	Accepted, Rejected int
	Expect             struct {
		Status, Ending string
		Err            bool
		SummaryPrefix  string `json:"summary_prefix"`
		ErrMatches     string `json:"err_matches"`
	}
}

func TestVectorsOutcomes(t *testing.T) {
	t.Parallel()
	var cases []outcomeCase
	vectors(t, "outcomes", &cases)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			engines(t, func(t *testing.T, engine ...host.Option) { runOutcomeCase(t, c, engine...) })
		})
	}
	t.Logf("%d cases on both engines", len(cases))
}

// outcome is how a case is set up.
type outcome struct {
	ending []wasmgen.Step
	opts   []host.Option
	cpu    time.Duration
	schema string
	config any
	wasm   []byte
	ctx    func(context.Context) (context.Context, context.CancelFunc)
	before func(*testing.T, *host.Plugin)
	want   error
}

const short = 200 * time.Millisecond

func outcomeOf(t *testing.T, c outcomeCase) outcome {
	switch c.Run {
	case "return", "submits CRITICAL, returns":
		o := outcome{}
		if c.Accepted == 0 {
			o.want = host.ErrNoResult
			if c.Rejected > 0 {
				o.want = host.ErrInvalidResult
			}
		}
		return o
	case "proc_exit(0)":
		return outcome{ending: []wasmgen.Step{wasmgen.Exit(0)}, want: host.ErrNoResult}
	case "proc_exit(3)":
		return outcome{ending: []wasmgen.Step{wasmgen.Exit(3)}, want: host.ErrExit}
	case "trap unreachable":
		return outcome{ending: []wasmgen.Step{wasmgen.Trap()}, want: host.ErrTrap}
	case "loop until the run timeout":
		return outcome{ending: []wasmgen.Step{wasmgen.Spin()}, opts: []host.Option{wall(short)}, want: host.ErrTimeout}
	case "loop until the ctx deadline":
		return outcome{ending: []wasmgen.Step{wasmgen.Spin()}, want: host.ErrTimeout,
			ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, short)
			}}
	case "loop until the CPU budget":
		return outcome{ending: []wasmgen.Step{wasmgen.Spin()}, cpu: 50 * time.Millisecond, want: host.ErrCPULimit}
	case "ctx cancelled during a host call":
		return outcome{ending: []wasmgen.Step{wasmgen.Sleep(60_000)}, want: context.Canceled,
			ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(short, cancel)
				return ctx, cancel
			}}
	case "config violates the schema":
		return outcome{schema: `{"type":"object","properties":{"n":{"type":"integer"}}}`, config: map[string]any{"n": "x"}, want: host.ErrInvalidConfig}
	case "plugin closed before the run":
		return outcome{want: host.ErrClosed, before: func(t *testing.T, p *host.Plugin) {
			if err := p.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
		}}
	case "no capacity before ctx ended":
		b := limits.NewBudget(limits.Limits{}, 1)
		return outcome{opts: []host.Option{host.WithBudget(b)}, want: limits.ErrAdmission,
			before: func(t *testing.T, _ *host.Plugin) {
				release, err := b.Acquire(t.Context(), limits.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(release)
			},
			ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, short)
			}}
	case "unbounded recursion":
		return outcome{wasm: wasmgen.Recurses(), want: host.ErrTrap}
	}
	t.Fatalf("unknown run %q", c.Run)
	return outcome{}
}

func runOutcomeCase(t *testing.T, c outcomeCase, engine ...host.Option) {
	o := outcomeOf(t, c)
	wasm := o.wasm
	if wasm == nil {
		doc := `{"status":"OK","summary":"fine"}`
		if c.Expect.Status == "CRITICAL" {
			doc = `{"status":"CRITICAL","summary":"broken"}`
		}
		var steps []wasmgen.Step
		for range c.Rejected {
			steps = append(steps, wasmgen.Do("submit_result", wasmgen.Text("{}")))
		}
		for i := range c.Accepted {
			last := doc
			if i == c.Accepted-1 {
				last = strings.Replace(doc, `"}`, ` last"}`, 1)
			}
			steps = append(steps, wasmgen.Do("submit_result", wasmgen.Text(last)))
		}
		wasm = wasmgen.Proxy(wasmgen.Script{Entry: append(steps, o.ending...), Report: wasmgen.ReportNone})
	}
	pkg := packageOf(wasm, "submit_result", "log")
	pkg.Manifest.Resources.CPU = o.cpu
	if o.schema != "" {
		schema, err := manifest.ParseConfigSchema([]byte(o.schema))
		if err != nil {
			t.Fatal(err)
		}
		pkg.Schema = schema
	}
	p := load(t, newRuntime(t, append(engine, o.opts...)...), pkg)
	if o.before != nil {
		o.before(t, p)
	}
	ctx := t.Context()
	if o.ctx != nil {
		var cancel context.CancelFunc
		ctx, cancel = o.ctx(ctx)
		defer cancel()
	}
	report, err := p.Execute(ctx, o.config)
	if (err != nil) != c.Expect.Err {
		t.Fatalf("%s: err = %v", c.Run, err)
	}
	if err != nil && !errors.Is(err, o.want) {
		t.Errorf("%v is not %v", err, o.want)
	}
	if got := report.Ended.String(); got != c.Expect.Ending {
		t.Errorf("ended %q, want %q", got, c.Expect.Ending)
	}
	if !strings.HasPrefix(report.Result.Summary, c.Expect.SummaryPrefix) {
		t.Errorf("summary %q, want it to start with %q", report.Result.Summary, c.Expect.SummaryPrefix)
	}
	if match := map[string]error{"context.DeadlineExceeded": context.DeadlineExceeded, "context.Canceled": context.Canceled, "": err}[c.Expect.ErrMatches]; !errors.Is(err, match) {
		t.Errorf("%v does not match %s", err, c.Expect.ErrMatches)
	}
	checkOutcomeStatus(t, c, report)
}

func checkOutcomeStatus(t *testing.T, c outcomeCase, report *host.Report) {
	switch c.Expect.Status {
	case "last accepted":
		if report.Result.Status != result.OK || report.Result.Summary != "fine last" {
			t.Errorf("result %v %q, want the last accepted", report.Result.Status, report.Result.Summary)
		}
	case "UNKNOWN":
		if report.Result.Status != result.Unknown {
			t.Errorf("status %v", report.Result.Status)
		}
	case "CRITICAL":
		if report.Result.Status != result.Critical {
			t.Errorf("status %v", report.Result.Status)
		}
	default:
		t.Fatalf("unknown status %q", c.Expect.Status)
	}
	if l := report.Result.Labels; l["plugin_id"] != "test-plugin" || l["plugin_name"] != "Test Plugin" {
		t.Errorf("host labels are missing: %v", l)
	}
	if report.Result.ObservedAt.IsZero() || report.Result.SchemaVersion != 1 {
		t.Errorf("observed_at %v, schema_version %d", report.Result.ObservedAt, report.Result.SchemaVersion)
	}
	accepted := 0
	for _, s := range report.Submits {
		if s.Err == nil {
			accepted++
		}
	}
	if accepted != c.Accepted || len(report.Submits)-accepted != c.Rejected {
		t.Errorf("%d of %d submits accepted, want %d and %d rejected", accepted, len(report.Submits), c.Accepted, c.Rejected)
	}
}

func TestVectorsLimits(t *testing.T) {
	t.Parallel()
	var v map[string]json.RawMessage
	vectors(t, "limits", &v)
	num := func(key string) int64 {
		var n int64
		if err := json.Unmarshal(v[key], &n); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		delete(v, key)
		return n
	}
	d := limits.Default()
	for key, got := range map[string]int64{
		"run_timeout_ms": d.Wall.Milliseconds(), "memory_default_mib": int64(d.Memory / limits.MiB),
		"module_bytes": int64(d.Module), "submit_bytes": int64(d.Payload), "submits_per_run": int64(d.Submits),
		"submit_bytes_per_run": int64(d.Submitted), "http_request_bytes": int64(d.Payload), "http_body_bytes": int64(d.Body),
		"open_connections_default": int64(d.Connections), "log_lines": int64(d.LogLines), "log_bytes": int64(d.Log),
		"stdio_bytes": int64(d.Stderr), "websocket_message_bytes": int64(d.Payload),
		"memory_max_mib": 4096, "log_line_bytes": 8192, "config_bytes": 2 << 20, "last_error_bytes": 1024, "http_timeout_ms": 15000,
	} {
		if want := num(key); got != want {
			t.Errorf("%s = %d, want %d", key, got, want)
		}
	}
	var pages []struct {
		RequestedMB *int64 `json:"requested_mb"`
		CeilingMB   *int64 `json:"ceiling_mb"`
		Pages       int64
		Error       bool
		Note        string
	}
	if err := json.Unmarshal(v["memory_pages"], &pages); err != nil {
		t.Fatal(err)
	}
	delete(v, "memory_pages")
	for _, c := range pages {
		var opts []host.Option
		switch {
		case c.CeilingMB != nil:
			opts = append(opts, host.WithMemoryLimit(limits.Bytes(*c.CeilingMB)*limits.MiB))
		case strings.Contains(c.Note, "ceiling that high"):
			opts = append(opts, host.WithMemoryLimit(4096*limits.MiB))
		}
		pkg := packageOf(wasmgen.Silent(), "submit_result")
		if c.RequestedMB != nil {
			m, err := manifest.Parse([]byte("id: x\nname: X\nversion: 1.0.0\nentrypoint: run_check\noutputs: serviceradar.plugin_result.v1\ncapabilities: [submit_result]\nresources: {requested_memory_mb: " +
				string(mustJSON(t, *c.RequestedMB)) + ", requested_cpu_ms: 100}\n"))
			if (err != nil) != c.Error {
				t.Errorf("requested %d: %v", *c.RequestedMB, err)
			}
			if err != nil {
				continue
			}
			pkg.Manifest = m
		}
		p := load(t, newRuntime(t, opts...), pkg)
		if got := int64(p.Grant().Limits.Memory / (64 * limits.KiB)); got != c.Pages {
			t.Errorf("%+v: %d pages, want %d", c, got, c.Pages)
		}
	}
	for key := range v {
		t.Errorf("limit %q is not looked at", key)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectorsFunctions(t *testing.T) {
	t.Parallel()
	var rows []struct {
		Name, Home      string
		Params, Results []string
		Capability      *string
	}
	vectors(t, "functions", &rows)
	have := map[string]capability.Func{}
	for _, f := range append(capability.Core(), capability.Network()...) {
		have[f.Name] = f
	}
	for _, r := range rows {
		f, ok := have[r.Name]
		delete(have, r.Name)
		if ok != (r.Home == "core") {
			t.Errorf("%s: built in %v, home %q", r.Name, ok, r.Home)
		}
		if !ok {
			continue
		}
		n := 0
		for _, p := range f.Params {
			n++
			if p.Kind != capability.I32 {
				n++
			}
		}
		if n != len(r.Params) || f.Void != (len(r.Results) == 0) {
			t.Errorf("%s: %d parameters, void %v; want %v -> %v", r.Name, n, f.Void, r.Params, r.Results)
		}
		if r.Capability != nil && f.Capability() != *r.Capability {
			t.Errorf("%s needs %q, want %q", r.Name, f.Capability(), *r.Capability)
		}
	}
	for name := range have {
		t.Errorf("%s is built in but not in the table", name)
	}
}
