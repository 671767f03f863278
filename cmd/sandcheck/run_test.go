package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/manifest"
)

// server answers /slow after a while, /broken with 500 and /hang never, all else
// with 200.
func server(t *testing.T) string {
	t.Helper()
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			time.Sleep(5 * time.Millisecond) // what the check measures
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "/hang":
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}
		_, _ = io.WriteString(w, "hello")
	}))
	t.Cleanup(func() {
		close(hang)
		s.Close()
	})
	return s.URL
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	url := server(t)
	for _, tt := range []struct {
		name, config string
		code         int
		nagios       string // the start of the output
	}{
		{"ok", `{"url":"` + url + `/"}`, 0, "OK: HTTP 200 in "},
		{"warning", `{"url":"` + url + `/slow","warn_ms":1}`, 1, "WARNING: HTTP 200 in "},
		{"critical by latency", `{"url":"` + url + `/slow","crit_ms":1}`, 2, "CRITICAL: HTTP 200 in "},
		{"critical by status", `{"url":"` + url + `/broken"}`, 2, "CRITICAL: HTTP 500 | latency="},
		{"critical by text", `{"url":"` + url + `/","expect_body":"goodbye"}`, 2, "CRITICAL: HTTP 200, expected text is missing | latency="},
		{"no url", `{}`, 3, "UNKNOWN: config invalid: "},
		{"wrong type", `{"url":7}`, 3, "UNKNOWN: config invalid: "},
		{"not JSON", `{"url":`, 3, "UNKNOWN: config invalid: "},
		{"empty", ``, 3, "UNKNOWN: config invalid: the document is empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := invoke(t, "run", "--unsigned", "--grant-requested", "--format", "nagios", "--config", tt.config, shared("http-check"))
			got.wantCode(t, tt.code)
			if !strings.HasPrefix(got.out, tt.nagios) {
				t.Errorf("got %q, want %q...", got.out, tt.nagios)
			}
			if failed := tt.code == 3; failed != (got.err != "") {
				t.Errorf("stderr is %q", got.err)
			}
		})
	}
}

func TestTextOfARun(t *testing.T) {
	t.Parallel()
	url := server(t)
	got := invoke(t, "run", "--unsigned", "--grant-requested", "--config", `{"url":"`+url+`/broken"}`, shared("http-check"))
	got.wantCode(t, 2)
	host := strings.TrimPrefix(url, "http://")
	wantIn(t, "stdout", got.out,
		"CRITICAL: HTTP 500\n  "+url+"/broken\n",
		"\nmetrics\n  latency ", "\n  http_status  500, min 0\n",
		"\nlabels\n  content_type text/plain",
		"\nrun\n  plugin       http-check 1.0.0\n", "\n  ended        returned\n", "guest code ",
		"\n  calls        get_config 1, http_request 1, log 1, submit_result 1\n",
		"\ndecisions\n  allowed      http_request GET http://"+host+" by 127.0.0.1/32 at "+host+", status 500, 5 bytes in",
		"\nlog\n", " WARN  HTTP 500\n",
	)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	url := server(t)
	port := strings.TrimPrefix(url, "http://127.0.0.1:")
	grant := func(permissions string) string {
		return "capabilities: [http_request]\npermissions: " + permissions + "\n"
	}
	for _, tt := range []struct {
		name, grant, url string
		reason, hint     string
	}{
		{"nothing granted", "", url, "http_request: capability_not_granted", "in both plugin.yaml and the grant: capabilities: [http_request]"},
		{"other capability granted", "capabilities: [tcp_connect]", url, "http_request: capability_not_granted", "in both plugin.yaml and the grant: capabilities: [http_request]"},
		{"port not granted", grant("{allowed_networks: [127.0.0.1], allowed_ports: [80]}"), url, "port_not_allowed", "in the permissions of both plugin.yaml and the grant: allowed_ports: [" + port + "]"},
		{"network not granted", grant("{allowed_ports: [" + port + "]}"), url, "address_not_allowed", `allowed_networks: ["127.0.0.1/32"]`},
		{"name not granted", grant("{allowed_domains: [example.com], allowed_ports: [80]}"), "http://api.example.com/", "domain_not_allowed", `allowed_domains: ["api.example.com"]`},
		{"name not requested", grant(`{allowed_domains: ["*"], allowed_ports: [80]}`), "http://example.org/", "domain_not_allowed", `allowed_domains: ["example.org"]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := []string{"run", "--unsigned", "--config", `{"url":"` + tt.url + `"}`, shared("http-check")}
			if tt.grant != "" {
				args = append(args, "--grant", file(t, "grant.yaml", tt.grant))
			}
			text := invoke(t, args...)
			text.wantCode(t, 2)
			wantIn(t, "stdout", text.out, "CRITICAL: http_request answered -2", "\n  refused      http_request", tt.reason, "to allow it, ", tt.hint)

			nagios := invoke(t, append(args, "--format", "nagios")...)
			nagios.wantCode(t, 2)
			wantIn(t, "stderr", nagios.err, "sandcheck: refused http_request", tt.reason, "sandcheck: to allow it, ", tt.hint)
			if strings.Contains(nagios.out, "to allow it") {
				t.Errorf("stdout tells the hint: %q", nagios.out)
			}
		})
	}
}

func TestGrantOpens(t *testing.T) {
	t.Parallel()
	url := server(t)
	port := netip.MustParseAddrPort(strings.TrimPrefix(url, "http://")).Port()
	grant := file(t, "grant.yaml", fmt.Sprintf("capabilities: [http_request]\npermissions:\n  allowed_networks: [127.0.0.1/32]\n  allowed_ports: [%d]\nlimits: {wall_ms: 30000}\n", port))
	got := invoke(t, "run", "--unsigned", "--grant", grant, "--config", `{"url":"`+url+`"}`, shared("http-check"))
	got.wantCode(t, 0)
}

func TestRunsWithoutResult(t *testing.T) {
	t.Parallel()
	url := server(t)
	for _, tt := range []struct {
		name  string
		args  []string
		out   string
		ended string
	}{
		{"timeout in guest code", []string{"--timeout", "150ms", own("loop")}, "UNKNOWN: timeout after 150ms\n", "timed_out: timeout after 150ms"},
		{"timeout in the host", []string{"--timeout", "150ms", "--grant-requested", "--config", `{"url":"` + url + `/hang"}`, shared("http-check")}, "UNKNOWN: timeout after 150ms\n", "timed_out: timeout after 150ms"},
		{"timeout of the grant", []string{"--grant", file(t, "grant.yaml", "limits: {wall_ms: 150}"), own("loop")}, "UNKNOWN: timeout after 150ms\n", "timed_out: timeout after 150ms"},
		{"cpu limit of the grant", []string{"--grant", file(t, "grant.yaml", "limits: {cpu_ms: 50}"), own("loop")}, "UNKNOWN: ", "limited: "},
		{"trap", []string{own("trap")}, "UNKNOWN: trap: unreachable: panicked at check.rs:7\n", "trapped: trap: unreachable"},
		{"no result", []string{own("silent")}, "UNKNOWN: no result submitted\n", "returned: no result submitted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"run", "--unsigned"}, tt.args...)
			nagios := invoke(t, append(args, "--format", "nagios")...)
			nagios.wantUnknown(t)
			text := invoke(t, args...)
			text.wantCode(t, 3)
			wantIn(t, "text", text.out, "\n  ended        "+tt.ended)
			for _, got := range []invocation{nagios, text} {
				if !strings.HasPrefix(got.out, tt.out) {
					t.Errorf("got %q, want %q...", got.out, tt.out)
				}
				if got.err == "" {
					t.Error("nothing on stderr")
				}
			}
		})
	}
}

func TestResultBeforeATrap(t *testing.T) {
	t.Parallel()
	text := invoke(t, "run", "--unsigned", own("late"))
	text.wantCode(t, 0)
	wantIn(t, "stdout", text.out, "OK: in time\n", "\n  ended        trapped: trap: unreachable\n")
	nagios := invoke(t, "run", "--unsigned", "--format", "nagios", own("late"))
	nagios.wantCode(t, 0)
	wantIn(t, "stderr", nagios.err, "trap: unreachable")
}

func TestCancelledRun(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, f := range []string{"text", "nagios", "json"} {
		var out, errs bytes.Buffer
		code := run(ctx, []string{"run", "--unsigned", "--format", f, own("loop")}, strings.NewReader(""), &out, &errs)
		if code != 3 || !strings.Contains(out.String(), "UNKNOWN") || !strings.Contains(out.String(), "cancel") {
			t.Errorf("%s: exit code %d and %q, want UNKNOWN", f, code, &out)
		}
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	args := []string{"run", "--unsigned", shared("http-check"), "--memory"}
	small := invoke(t, append(args, "8")...)
	small.wantUnknown(t)
	wantIn(t, "stdout", small.out, "its memory starts at 8384 KiB, and the plugin may have 8 MiB")
	enough := invoke(t, append(args, "9", "--config", `{"url":"http://127.0.0.1/"}`)...)
	enough.wantCode(t, 2) // it runs, and nothing is granted
}

func TestConfig(t *testing.T) {
	t.Parallel()
	const most = 2 << 20
	text := func(size int) string { return `"` + strings.Repeat("a", size-2) + `"` }
	name := func(size int) string { return "@" + file(t, "config.json", text(size)) }
	for _, tt := range []struct {
		name, config, stdin string
		want                string // of an UNKNOWN, "" for none
	}{
		{"none given", `null`, "", ""},
		{"any JSON", `[1,2]`, "", ""},
		{"one byte below the most", name(most - 1), "", ""},
		{"the most", name(most), "", ""},
		{"one byte above the most", name(most + 1), "", `is larger than 2 MiB, the most it may have`},
		{"standard input", "@-", `{"a":1}`, ""},
		{"standard input, the most", "@-", text(most), ""},
		{"standard input, one byte above", "@-", text(most + 1), "--config: standard input is larger than 2 MiB"},
		{"standard input, empty", "@-", "", "config invalid: the document is empty"},
		{"file, empty", "@" + file(t, "empty.json", ""), "", "config invalid: the document is empty"},
		{"argument above the most", text(most + 1), "", "config invalid: 2097153 bytes, at most 2097152"},
		{"a directory", "@" + t.TempDir(), "", "--config: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			args := []string{"run", "--unsigned", "--format", "nagios", "--config", tt.config, shared("small-config")}
			code := run(context.Background(), args, strings.NewReader(tt.stdin), &out, &errs)
			got := invocation{code, out.String(), errs.String()}
			if tt.want == "" {
				got.wantCode(t, 0)
				return
			}
			got.wantUnknown(t)
			wantIn(t, "stdout", got.out, tt.want)
		})
	}
}

// TestConfigThatNeverEnds shows that reading ends with the context.
func TestConfigThatNeverEnds(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	var out, errs bytes.Buffer
	code := run(ctx, []string{"run", "--unsigned", "--config", "@-", shared("alive")}, r, &out, &errs)
	got := invocation{code, out.String(), errs.String()}
	got.wantUnknown(t)
	wantIn(t, "stdout", got.out, "cancelled before its end")
}

func TestBrokenPackages(t *testing.T) {
	t.Parallel()
	wasm, err := os.ReadFile(filepath.Join(shared("alive"), "plugin.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(shared("alive"), "plugin.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		files  map[string]string
		out    string
		errors []string
	}{
		{"empty", nil, "plugin.wasm: is missing or empty", []string{"plugin.wasm: is missing", "plugin.yaml: is missing"}},
		{
			"broken manifest",
			map[string]string{
				"plugin.wasm": string(wasm),
				"plugin.yaml": strings.NewReplacer("requested_memory_mb: 1", "requested_memory_mb: 64MB", "id: alive", "id: Alive!").Replace(string(good)),
			},
			"plugin.yaml: is not valid",
			[]string{
				"sandcheck: plugin.yaml:1:1: id: ", "\n    id: Alive!\n    ^\n",
				"sandcheck: plugin.yaml:11:3: resources.requested_memory_mb: ", "\n      requested_memory_mb: 64MB\n      ^\n",
			},
		},
		{
			"manifest full of terminal sequences",
			map[string]string{"plugin.wasm": string(wasm), "plugin.yaml": "id: \"a\\e[31m\"\n\u009b31m: 1\nname: \u202ename\n\"\\e[1m\": 1\n"},
			"plugin.yaml: is not valid",
			[]string{"sandcheck: plugin.yaml:"},
		},
		{"no wasm", map[string]string{"plugin.yaml": string(good), "plugin.wasm": "hello"}, "plugin.wasm: ", []string{"sandcheck: plugin.wasm: "}},
		{
			"entrypoint missing",
			map[string]string{"plugin.wasm": string(wasm), "plugin.yaml": strings.Replace(string(good), "entrypoint: run_check", "entrypoint: main", 1)},
			`invalid module: entrypoint "main" is not exported`,
			[]string{`sandcheck: invalid module: entrypoint "main" is not exported`},
		},
		{
			"capability not offered",
			map[string]string{"plugin.wasm": string(wasm), "plugin.yaml": strings.Replace(string(good), "- submit_result", "- submit_result\n  - websocket_connect", 1)},
			`plugin.yaml:10:5: capabilities[1]: "websocket_connect" is not offered`,
			[]string{`sandcheck: plugin.yaml:10:5: capabilities[1]: "websocket_connect" is not offered`, "\n      - websocket_connect\n        ^\n"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, content := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ran := invoke(t, "run", "--unsigned", dir)
			ran.wantUnknown(t)
			wantIn(t, "stdout", ran.out, "UNKNOWN: "+tt.out)
			wantIn(t, "stderr", ran.err, tt.errors...)
			wantHarmless(t, ran.out+ran.err)

			looked := invoke(t, "inspect", dir)
			looked.wantCode(t, 3)
			for _, want := range tt.errors {
				if strings.HasSuffix(want, "^\n") && looked.err == "" {
					continue // problems that need the module are told without the line
				}
				want = strings.TrimPrefix(strings.TrimPrefix(want, "sandcheck: "), "invalid module: ")
				wantIn(t, "inspect", looked.out+looked.err, want)
			}
		})
	}
}

func TestImportMemoryDoesNotLoad(t *testing.T) {
	t.Parallel()
	got := invoke(t, "run", "--unsigned", shared("import-memory"))
	got.wantUnknown(t)
	wantIn(t, "stdout", got.out, "UNKNOWN: invalid module: import env.memory")
}

// TestOddGuests runs the shared guests that exercise the edges of the host.
func TestOddGuests(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"alive": "OK: alive\n", "command": "OK: initialised\n", "unknown-imports": "OK: all answered -4\n",
		"start-submit": "OK: ", "small-config": "OK: ",
	} {
		got := invoke(t, "run", "--unsigned", "--format", "nagios", shared(name))
		if got.code != 0 || !strings.HasPrefix(got.out, want) {
			t.Errorf("%s: exit code %d and %q, want %q", name, got.code, got.out, want)
		}
	}
}

// TestUnknownOfThePlugin is an UNKNOWN that is a finding, not a failure.
func TestUnknownOfThePlugin(t *testing.T) {
	t.Parallel()
	got := invoke(t, "run", "--unsigned", "--grant-requested", "--format", "nagios", "--config", "{}", shared("tcp-banner"))
	got.wantCode(t, 3)
	if !strings.HasPrefix(got.out, "UNKNOWN: config has no host or port |") || got.err != "" {
		t.Errorf("got %q and %q on stderr", got.out, got.err)
	}
}

func TestBannerFromAHostilePeer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "220 \x1b[2J\u009b31mready\x1b]0;owned\a\r\n")
			conn.Close()
		}
	}()
	for _, f := range []string{"text", "nagios", "json"} {
		config := fmt.Sprintf(`{"host":"127.0.0.1","port":%d,"expect":"220","contains":"missing"}`, l.Addr().(*net.TCPAddr).Port)
		got := invoke(t, "run", "--unsigned", "--grant-requested", "--format", f, "--config", config, shared("tcp-banner"))
		got.wantCode(t, 1)
		wantIn(t, f, got.out, "220 ", "ready")
		wantHarmless(t, got.out+got.err)
	}
}

func TestBundle(t *testing.T) {
	t.Parallel()
	pkg, err := manifest.ReadPackage(os.DirFS(shared("alive")))
	if err != nil {
		t.Fatal(err)
	}
	var zip bytes.Buffer
	if err := manifest.WriteBundle(&zip, pkg); err != nil {
		t.Fatal(err)
	}
	path := file(t, "alive.zip", zip.String())
	invoke(t, "run", "--unsigned", path).wantCode(t, 0)
	invoke(t, "inspect", path).wantCode(t, 0)
	invoke(t, "run", "--unsigned", file(t, "broken.zip", zip.String()[:zip.Len()-1])).wantUnknown(t)
	invoke(t, "run", "--unsigned", filepath.Join(shared("alive"), "plugin.wasm")).wantUnknown(t)
}
