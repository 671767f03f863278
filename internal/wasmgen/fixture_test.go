package wasmgen_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/sandcheck/sandcheck/internal/wasmgen"
)

// world is what a guest from testdata sees: fixed answers, and a record of
// what it did.
type world struct {
	config   string
	answer   func(request map[string]any) string // of http_request
	took     time.Duration                       // by http_request, on the guest's clock
	code     int32                               // answered instead, when negative
	banner   []string                            // chunks that tcp_read hands out
	requests []map[string]any
	sent     []string
	calls    []string
	logs     []string
	docs     []string
	elapsed  atomic.Int64
}

// call answers one host function; p are its parameters.
func (w *world) call(name string, m api.Memory, p []uint32) int32 {
	text := func(i int) string {
		b, ok := m.Read(p[i], p[i+1])
		if !ok {
			return "outside of memory"
		}
		return string(b)
	}
	reply := func(i int, s string) int32 {
		if len(s) > int(p[i+1]) {
			return -3
		}
		m.WriteString(p[i], s)
		return int32(len(s))
	}
	switch name {
	case "get_config":
		w.calls = append(w.calls, fmt.Sprintf("get_config %d", p[1]))
		return reply(0, w.config)
	case "log":
		w.logs = append(w.logs, fmt.Sprintf("%d %s", p[0], text(1)))
		return 0
	case "submit_result":
		w.docs = append(w.docs, text(0))
		return 0
	case "last_error":
		return reply(0, "denied: "+"a function")
	}
	w.calls = append(w.calls, name)
	if w.code < 0 {
		return w.code
	}
	switch name {
	case "http_request":
		var request map[string]any
		if json.Unmarshal([]byte(text(0)), &request) != nil {
			return -1
		}
		w.requests = append(w.requests, request)
		w.elapsed.Add(int64(w.took))
		return reply(2, w.answer(request))
	case "tcp_connect":
		return 1
	case "tcp_write":
		w.sent = append(w.sent, text(1))
		return int32(p[2])
	case "tcp_read":
		if len(w.banner) == 0 {
			return 0
		}
		chunk := w.banner[0]
		w.banner = w.banner[1:]
		return reply(1, chunk)
	case "tcp_close":
		if slices.Index(w.calls, name) < len(w.calls)-1 {
			return -7
		}
		return 0
	case "udp_sendto":
		w.sent = append(w.sent, fmt.Sprintf("%s:%d %s", text(0), p[2], text(3)))
		return int32(p[4])
	}
	return -4
}

// guest is a module that many runs share.
type guest struct {
	wasm   []byte
	config wazero.RuntimeConfig
}

func load(t *testing.T, name string) guest {
	t.Helper()
	cache := wazero.NewCompilationCache()
	t.Cleanup(func() { cache.Close(context.Background()) })
	config := wazero.NewRuntimeConfig()
	if strings.HasSuffix(name, "-go") {
		config = wazero.NewRuntimeConfigInterpreter() // ready at once; compiling megabytes takes seconds
	}
	return guest{wasmgen.Guest(t, name), config.WithCompilationCache(cache)}
}

// run loads a guest as a host does and calls its entrypoint.
func (w *world) run(t *testing.T, g guest) {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, g.config)
	defer r.Close(ctx)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	compiled, err := r.CompileModule(ctx, g.wasm)
	if err != nil {
		t.Fatal(err)
	}
	env := r.NewHostModuleBuilder("env")
	for _, f := range compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		if module != "env" {
			continue
		}
		params, results := f.ParamTypes(), f.ResultTypes()
		if known, ok := wasmgen.Known(name); ok && len(known.Sig.Params) != len(params) {
			t.Errorf("%s imports %s with %d parameters, want %d", t.Name(), name, len(params), len(known.Sig.Params))
		}
		env.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, stack []uint64) {
			p := make([]uint32, len(params))
			for i := range p {
				p[i] = uint32(stack[i])
			}
			if got := w.call(name, m.Memory(), p); len(results) > 0 {
				stack[0] = uint64(int64(got)) // an i64 result needs all bits, an i32 the lower ones
			}
		}), params, results).Export(name)
	}
	if _, err := env.Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	mod, err := r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithStartFunctions("_initialize").
		WithWalltime(func() (int64, int32) { return 1709208306, 7_000_000 }, 1).
		WithNanotime(func() int64 { return w.elapsed.Add(1000) }, 1)) // never standing still: Go's scheduler waits for it
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mod.ExportedFunction("run_check").Call(ctx); err != nil {
		t.Fatal(err)
	}
}

// submitted is the last document, decoded.
func (w *world) submitted(t *testing.T) (doc struct {
	Status, Summary, Details, Perfdata string
	Metrics                            []map[string]any
	Labels                             map[string]string
	Observed                           string `json:"observed_at"`
	Display                            []map[string]any
}) {
	t.Helper()
	if len(w.docs) == 0 {
		t.Fatal("nothing was submitted")
	}
	if err := json.Unmarshal([]byte(w.docs[len(w.docs)-1]), &doc); err != nil {
		t.Fatalf("submitted %s: %v", w.docs[0], err)
	}
	return doc
}

func envelope(status int, body string) func(map[string]any) string {
	return func(map[string]any) string {
		return fmt.Sprintf(`{"status":%d,"headers":{"content-type":"text/plain","set-cookie":"a=1; Path=/\nb=2"},"body_base64":%q,"body_encoding":"base64"}`,
			status, base64.StdEncoding.EncodeToString([]byte(body)))
	}
}

func httpGuests() []string {
	return []string{"http-check", "http-check-rust", "http-check-as", "http-check-go"}
}

func TestHTTPGuests(t *testing.T) {
	t.Parallel()
	for _, name := range httpGuests() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := load(t, name)
			for _, tt := range []struct {
				name, config string
				answer       func(map[string]any) string
				code         int32
				status       string
				summary      string
			}{
				{name: "good", config: `{"url":"http://h/é\u00e9\"","method":"PUT","headers":{"A":"b"},"expect_status":200,"expect_body":"ell","timeout_ms":70}`, answer: envelope(200, "hello"), status: "OK", summary: "^HTTP 200"},
				{name: "no expectation", config: `{"url":"http://h/"}`, answer: envelope(399, ""), status: "OK", summary: "^HTTP 399"},
				{name: "error status", config: `{"url":"http://h/"}`, answer: envelope(400, ""), status: "CRITICAL", summary: "^HTTP 400$"},
				{name: "other status", config: `{"url":"http://h/", "expect_status": 204}`, answer: envelope(200, ""), status: "CRITICAL", summary: "^HTTP 200, expected 204$"},
				{name: "text missing", config: `{"url":"http://h/","expect_body":"bye"}`, answer: envelope(200, "hello"), status: "CRITICAL", summary: "text is missing"},
				{name: "code", config: `{"url":"http://h/"}`, code: -2, status: "CRITICAL", summary: "^http_request answered -2"},
				{name: "no url", config: ``, status: "UNKNOWN", summary: "^config has no url$"},
				{name: "long config", config: `{"pad":"` + strings.Repeat("x", 300<<10) + `","url":"http://h/"}`, answer: envelope(200, "hello"), status: "OK", summary: "^HTTP 200"},
			} {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					w := &world{config: tt.config, answer: tt.answer, code: tt.code}
					w.run(t, g)
					doc := w.submitted(t)
					if doc.Status != tt.status || !regexp.MustCompile(tt.summary).MatchString(doc.Summary) {
						t.Errorf("submitted %s %q, want %s %q", doc.Status, doc.Summary, tt.status, tt.summary)
					}
					if bad := doc.Status == "CRITICAL"; bad != (len(w.logs) > 0) {
						t.Errorf("logged %q with status %s", w.logs, doc.Status)
					}
					if tt.code < 0 && !strings.HasPrefix(w.logs[0], "3 ") {
						t.Errorf("logged %q, want level 3", w.logs)
					}
					if tt.name == "good" {
						want := map[string]any{"url": `http://h/éé"`, "method": "PUT", "headers": map[string]any{"A": "b"}, "timeout_ms": 70.0}
						if diff := cmp.Diff(want, w.requests[0]); diff != "" {
							t.Errorf("request (-want +got):\n%s", diff)
						}
						checkFields(t, name, w)
					}
					if tt.name == "long config" {
						want := []string{"get_config 16384", "get_config 65536", "get_config 262144", "get_config 2097152", "http_request"}
						if diff := cmp.Diff(want, w.calls); diff != "" {
							t.Errorf("calls (-want +got):\n%s", diff)
						}
					}
				})
			}
		})
	}
}

// checkFields looks at what a good result carries besides its status.
func checkFields(t *testing.T, name string, w *world) {
	doc := w.submitted(t)
	if doc.Labels["content_type"] != "text/plain" || doc.Labels["http_status"] != "200" {
		t.Errorf("labels = %v", doc.Labels)
	}
	if name == "http-check-as" {
		return // no clock, and two widgets only
	}
	if want := "2024-02-29T12:05:06.007Z"; doc.Observed != want {
		t.Errorf("observed_at = %q, want %q", doc.Observed, want)
	}
	if !regexp.MustCompile(`^latency=\d+ms;;;0 size=5B;;;0$`).MatchString(doc.Perfdata) {
		t.Errorf("perfdata = %q", doc.Perfdata)
	}
	var widgets []any
	for _, d := range doc.Display {
		widgets = append(widgets, d["widget"])
	}
	if diff := cmp.Diff([]any{"status_badge", "stat_card", "table", "markdown", "sparkline"}, widgets); diff != "" {
		t.Errorf("display (-want +got):\n%s", diff)
	}
	if len(doc.Metrics) != 3 || doc.Metrics[0]["unit"] != "ms" || doc.Metrics[1]["value"] != 5.0 {
		t.Errorf("metrics = %v", doc.Metrics)
	}
}

func TestLatency(t *testing.T) {
	t.Parallel()
	for _, name := range httpGuests() {
		if name == "http-check-as" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := load(t, name)
			for _, tt := range []struct {
				took       time.Duration
				warn, crit int
				want       string
				perfdata   string
			}{
				{49 * time.Millisecond, 50, 80, "OK", "latency=49ms;50;80;0"},
				{50 * time.Millisecond, 50, 80, "WARNING", "latency=50ms;50;80;0"},
				{79 * time.Millisecond, 50, 80, "WARNING", "latency=79ms;50;80;0"},
				{80 * time.Millisecond, 50, 80, "CRITICAL", "latency=80ms;50;80;0"},
				{80 * time.Millisecond, 0, 80, "CRITICAL", "latency=80ms;;80;0"},
				{time.Minute, 50, 0, "WARNING", "latency=60000ms;50;;0"},
				{time.Minute, 0, 0, "OK", "latency=60000ms;;;0"},
			} {
				w := &world{config: fmt.Sprintf(`{"url":"http://h/","warn_ms":%d,"crit_ms":%d}`, tt.warn, tt.crit), answer: envelope(200, ""), took: tt.took}
				w.run(t, g)
				doc := w.submitted(t)
				if doc.Status != tt.want || !strings.HasPrefix(doc.Perfdata, tt.perfdata+" ") {
					t.Errorf("%v with %d, %d: %s, perfdata %q, want %s, %q", tt.took, tt.warn, tt.crit, doc.Status, doc.Perfdata, tt.want, tt.perfdata)
				}
				warn, crit := doc.Metrics[0]["warn"], doc.Metrics[0]["crit"]
				if (warn == nil) != (tt.warn == 0) || (crit == nil) != (tt.crit == 0) || doc.Metrics[0]["value"] != float64(tt.took.Milliseconds()) {
					t.Errorf("%v with %d, %d: metric %v", tt.took, tt.warn, tt.crit, doc.Metrics[0])
				}
			}
		})
	}
}

func TestTCPGuests(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"tcp-banner", "tcp-banner-go"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := load(t, name)
			for _, tt := range []struct {
				name, config string
				banner       []string
				code         int32
				status, sent string
			}{
				{name: "good", config: `{"host":"h","port":22,"expect":"SSH-2","contains":"x1"}`, banner: []string{"SSH", "-2.0 x1\r", "\nmore"}, status: "OK"},
				{name: "sends", config: `{"host":"h","port":22,"send":"EHLO"}`, banner: []string{"250 hi\n"}, status: "OK", sent: "EHLO\r\n"},
				{name: "other beginning", config: `{"host":"h","port":22,"expect":"SSH-2"}`, banner: []string{"220 ftp\n"}, status: "CRITICAL"},
				{name: "lacks text", config: `{"host":"h","port":22,"contains":"esmtp"}`, banner: []string{"220 ftp\n"}, status: "WARNING"},
				{name: "ends early", config: `{"host":"h","port":22,"expect":"SSH"}`, status: "CRITICAL"},
				{name: "no end of line", config: `{"host":"h","port":22,"expect":"SSH"}`, banner: []string{"SSH"}, status: "OK"},
				{name: "refused", config: `{"host":"h","port":22}`, code: -5, status: "CRITICAL"},
				{name: "no host", config: `{"port":22}`, status: "UNKNOWN"},
			} {
				w := &world{config: tt.config, banner: tt.banner, code: tt.code}
				w.run(t, g)
				doc := w.submitted(t)
				if doc.Status != tt.status || strings.Join(w.sent, "") != tt.sent {
					t.Errorf("%s: %s %q, sent %q, want %s, sent %q", tt.name, doc.Status, doc.Summary, w.sent, tt.status, tt.sent)
				}
				if slices.Contains(w.calls, "tcp_read") && w.calls[len(w.calls)-1] != "tcp_close" {
					t.Errorf("%s: calls %v do not end in tcp_close", tt.name, w.calls)
				}
				if tt.code < 0 && !strings.Contains(doc.Summary, "-5") {
					t.Errorf("%s: summary %q does not name the code", tt.name, doc.Summary)
				}
			}
		})
	}
}

func TestUDPGuests(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"udp-sender-as", "udp-sender-go", "statsd"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := load(t, name)
			config, sent := `{"host":"h","port":53,"payload":"ping\n"}`, "h:53 ping\n"
			if name == "statsd" {
				sent = "statsd.test:8125 sandcheck.alive:1|c"
			}
			w := &world{config: config}
			w.run(t, g)
			if doc := w.submitted(t); doc.Status != "OK" || len(w.sent) != 1 || w.sent[0] != sent {
				t.Errorf("%s %q, sent %q, want %q", doc.Status, doc.Summary, w.sent, sent)
			}
			w = &world{config: config, code: -2}
			w.run(t, g)
			if doc := w.submitted(t); doc.Status != "CRITICAL" || !strings.Contains(doc.Summary, "udp_sendto answered -2") {
				t.Errorf("%s %q after -2", doc.Status, doc.Summary)
			}
		})
	}
}

func TestSmallGuests(t *testing.T) {
	t.Parallel()
	statusBody := func(request map[string]any) string {
		if request["response_mode"] == "status_body" {
			return "200\nhello"
		}
		return envelope(200, "hello")(nil)
	}
	for _, tt := range []struct {
		name, config, want string
		logs               []string
	}{
		{name: "alive", want: "OK alive"},
		{name: "start-submit", want: "OK submitted while starting"},
		{name: "unknown-imports", want: "OK all answered -4"},
		{name: "command", want: "WARNING not initialised"}, // this test does not call _start
		{name: "small-config", config: strings.Repeat("x", 512), want: "OK config answered 512."},
		{name: "small-config", config: strings.Repeat("x", 513), want: "OK config answered -3."},
		{name: "small-config", want: "OK config answered 0."},
		{name: "sdk-mimic", want: "OK config 0", logs: []string{"0 debug", "1 info", "2 warn", "3 error", "1 "}},
		{name: "sdk-mimic", config: `{"url":"http://h/"}`, want: "OK config 19 http status_body 200 body 5"},
		{name: "sdk-mimic", config: `{"url":"u","mode":"envelope"}`, want: "OK config 29 http envelope 200 type text/plain cookie a=1 body 5"},
		{name: "sdk-mimic", config: `{"host":"h","port":9}`, want: "OK config 21 connect 1 write 0 close 0 again -7"},
		{name: "sdk-mimic-rust", config: `{"url":"u"}`, want: "OK envelope 200 type text/plain cookie a=1 body 5", logs: []string{"0 debug", "1 "}},
	} {
		t.Run(tt.name+" "+strconv.Itoa(len(tt.config)), func(t *testing.T) {
			t.Parallel()
			w := &world{config: tt.config, answer: statusBody}
			w.run(t, load(t, tt.name))
			doc := w.submitted(t)
			if got := doc.Status + " " + strings.Join(strings.Fields(doc.Summary), " "); strings.ReplaceAll(got, " .", ".") != tt.want {
				t.Errorf("submitted %q, want %q", got, tt.want)
			}
			if diff := cmp.Diff(tt.logs, w.logs); tt.logs != nil && diff != "" {
				t.Errorf("logs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCommittedGuests compares the modules with the table that build.sh wrote.
func TestCommittedGuests(t *testing.T) {
	t.Parallel()
	data := filepath.Join("..", "..", "testdata")
	readme, err := os.ReadFile(filepath.Join(data, "guests", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (\\S+) \\| [^|]+ \\| (\\d+) \\| `([0-9a-f]{64})` \\|").FindAllStringSubmatch(string(readme), -1) {
		wasm, err := os.ReadFile(filepath.Join(data, "packages", row[1], "plugin.wasm"))
		if err != nil {
			t.Error(err)
			continue
		}
		listed[row[1]] = true
		if got := fmt.Sprintf("%x", sha256.Sum256(wasm)); got != row[3] || strconv.Itoa(len(wasm)) != row[2] {
			t.Errorf("%s: %d bytes, sha256 %s; README.md says %s, %s: run testdata/guests/build.sh", row[1], len(wasm), got, row[2], row[3])
		}
	}
	folders, err := os.ReadDir(filepath.Join(data, "packages"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if f.IsDir() && !listed[f.Name()] && !strings.HasSuffix(f.Name(), "-go") {
			t.Errorf("testdata/packages/%s is not in the table of testdata/guests/README.md", f.Name())
		}
	}
}

// TestImportMemory is well-formed: only a host that owns guest memory could
// load it.
func TestImportMemory(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	if _, err := r.CompileModule(ctx, wasmgen.Guest(t, "import-memory")); err != nil {
		t.Error(err)
	}
	if _, err := r.Instantiate(ctx, wasmgen.Guest(t, "import-memory")); err == nil {
		t.Error("instantiated without a memory")
	}
}

func TestPackage(t *testing.T) {
	t.Parallel()
	if files := wasmgen.Package(t, "http-check"); len(files) != 3 {
		t.Errorf("http-check has %d files, want 3", len(files))
	}
	if files := wasmgen.Package(t, "alive"); len(files) != 2 {
		t.Errorf("alive has %d files, want 2", len(files))
	}
}
