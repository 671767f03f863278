package host_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/result"
)

// httpGuest is one of the HTTP checks. They do the same as far as their
// languages let them.
type httpGuest struct {
	pkg      *manifest.Package
	latency  bool // has a clock, so it judges latency
	explains bool // asks last_error and labels its result with the code
}

func TestGuestHTTPCheckC(t *testing.T) {
	t.Parallel()
	everywhere(t, httpGuest{packageNamed(t, "http-check"), true, true}.test)
}

func TestGuestHTTPCheckRust(t *testing.T) {
	t.Parallel()
	everywhere(t, httpGuest{packageNamed(t, "http-check-rust"), true, false}.test)
}

func TestGuestHTTPCheckAssemblyScript(t *testing.T) {
	t.Parallel()
	everywhere(t, httpGuest{packageNamed(t, "http-check-as"), false, false}.test)
}

func TestGuestHTTPCheckGo(t *testing.T) {
	t.Parallel()
	onceEach(t, httpGuest{packageNamed(t, "http-check-go"), true, true}.test)
}

func (g httpGuest) test(t *testing.T, w *world) {
	g.testAnswers(t, w)
	t.Run("asks as it is told", func(t *testing.T) { g.testRequest(t, w) })
	t.Run("refused connection", func(t *testing.T) {
		g.testFailure(t, w, w.refuses(t), nil, capability.Internal, "connect")
	})
	t.Run("denied port", func(t *testing.T) { g.testDenied(t, w) })
	t.Run("timeout", func(t *testing.T) {
		at := w.http(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		g.testFailure(t, w, at, map[string]any{"timeout_ms": 50}, capability.Timeout, "")
	})
	t.Run("config that the schema refuses", func(t *testing.T) { g.testBadConfig(t, w) })
}

// answer is one response and what a guest makes of it.
type answer struct {
	name    string
	status  int           // of HTTP
	slow    time.Duration // passes before the response
	config  map[string]any
	want    result.Status
	summary string // what follows "HTTP 200"; without one it is the latency
}

func (g httpGuest) testAnswers(t *testing.T, w *world) {
	const slow = 40 * time.Millisecond
	for _, tt := range []answer{
		{name: "healthy", status: 200, config: map[string]any{"warn_ms": 5000, "crit_ms": 10000}},
		{name: "without thresholds", status: 204},
		{name: "slow enough to warn", status: 200, slow: slow, config: map[string]any{"warn_ms": 40, "crit_ms": 10000}, want: result.Warning},
		{name: "slow enough to be critical", status: 200, slow: slow, config: map[string]any{"warn_ms": 20, "crit_ms": 40}, want: result.Critical},
		{name: "unavailable", status: 503, want: result.Critical, summary: " "},
		{name: "not what is expected", status: 200, config: map[string]any{"expect_status": 201}, want: result.Critical, summary: ", expected 201"},
		{name: "an error that is expected", status: 404, config: map[string]any{"expect_status": 404}},
		{name: "text is there", status: 200, config: map[string]any{"expect_body": "ell"}},
		{name: "text is missing", status: 200, config: map[string]any{"expect_body": "goodbye"}, want: result.Critical, summary: ", expected text is missing"},
	} {
		if tt.want == result.Unknown {
			tt.want = result.OK
		}
		if _, judged := tt.config["warn_ms"]; judged && !g.latency {
			tt.config, tt.want = nil, result.OK // its schema has no thresholds
		}
		t.Run(tt.name, func(t *testing.T) { g.testAnswer(t, w, tt) })
	}
}

func (g httpGuest) testAnswer(t *testing.T, w *world, tt answer) {
	at := w.http(t, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		w.pass(tt.slow)
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		rw.WriteHeader(tt.status)
		if tt.status != http.StatusNoContent {
			io.WriteString(rw, "hello")
		}
	}))
	cfg := map[string]any{"url": at.url() + "/health?q=1"}
	maps.Copy(cfg, tt.config)
	report := execute(t, w.load(t, g.pkg, at.grant()), cfg)
	res := report.Result
	ms := g.checkNumbers(t, w, tt, report)

	summary := strings.TrimSpace(fmt.Sprintf("HTTP %d%s", tt.status, tt.summary))
	switch {
	case tt.summary != "":
	case g.latency:
		summary += fmt.Sprintf(" in %d ms", ms)
	default:
		summary += fmt.Sprintf(", %d characters", tt.size())
	}
	if res.Status != tt.want || res.Summary != summary || res.Details != cfg["url"] {
		t.Errorf("got %v %q, details %q; want %v %q, details %q", res.Status, res.Summary, res.Details, tt.want, summary, cfg["url"])
	}
	checkLabels(t, report, map[string]string{"http_status": fmt.Sprint(tt.status), "content_type": "text/plain; charset=utf-8"})
	g.checkDisplay(t, tt, res)
	want := []string{}
	if tt.want != result.OK {
		want = append(want, slog.LevelWarn.String()+" "+summary)
	}
	equal(t, "log", logged(report), want)
	equal(t, "decisions", decided(report), []string{"http_request granted"})
	if d := report.Decisions[0]; d.Target.Host != at.host || d.Target.Port != at.port || d.Status != tt.status {
		t.Errorf("decision %+v, want %v with status %d", d, at, tt.status)
	}
	checkUsage(t, report, map[string]int{"get_config": 1, "http_request": 1, "submit_result": 1})
}

func (tt answer) size() int {
	if tt.status == http.StatusNoContent {
		return 0
	}
	return len("hello")
}

func (tt answer) bound(name string) *float64 {
	n, ok := tt.config[name].(int)
	if !ok {
		return nil
	}
	v := float64(n)
	return &v
}

// checkNumbers checks metrics and perfdata, and returns the latency, which is
// exact where time passes only when told to.
func (g httpGuest) checkNumbers(t *testing.T, w *world, tt answer, report *host.Report) int {
	t.Helper()
	res, zero := report.Result, new(float64)
	if !g.latency {
		checkMetrics(t, res.Metrics, []result.Metric{
			{Name: "http_status", Value: float64(tt.status)},
			{Name: "length", Value: float64(tt.size()), Min: zero},
		})
		if want := fmt.Sprintf("http_status=%d length=%d", tt.status, tt.size()); res.Perfdata != want {
			t.Errorf("perfdata %q, want %q", res.Perfdata, want)
		}
		return 0
	}
	if len(res.Metrics) == 0 {
		t.Fatalf("no metrics in %+v", res)
	}
	ms := int(res.Metrics[0].Value)
	if least := int(tt.slow.Milliseconds()); ms < least || w.memory != nil && ms != least || ms > 5000 {
		t.Errorf("latency of %d ms, want %d", ms, least)
	}
	checkMetrics(t, res.Metrics, []result.Metric{
		{Name: "latency", Unit: "ms", Value: float64(ms), Warn: tt.bound("warn_ms"), Crit: tt.bound("crit_ms"), Min: zero},
		{Name: "size", Unit: "B", Value: float64(tt.size()), Min: zero},
		{Name: "http_status", Value: float64(tt.status), Min: zero},
	})
	text := func(name string) string {
		if v := tt.bound(name); v != nil {
			return fmt.Sprint(*v)
		}
		return ""
	}
	want := fmt.Sprintf("latency=%dms;%s;%s;0 size=%dB;;;0", ms, text("warn_ms"), text("crit_ms"), tt.size())
	if res.Perfdata != want {
		t.Errorf("perfdata %q, want %q", res.Perfdata, want)
	}
	points := map[string]float64{}
	for _, p := range res.Points() {
		points[p.Label+" "+p.Unit] = p.Value
	}
	if wantPoints := map[string]float64{"latency ms": float64(ms), "size B": float64(tt.size()), "http_status ": float64(tt.status)}; !maps.Equal(points, wantPoints) {
		t.Errorf("points %v, want %v", points, wantPoints)
	}
	return ms
}

func checkMetrics(t *testing.T, got, want []result.Metric) {
	t.Helper()
	if !slices.EqualFunc(got, want, result.Metric.Equal) {
		t.Errorf("metrics: got %v, want %v", mustText(t, got), mustText(t, want))
	}
}

func mustText(t *testing.T, v any) string { return string(mustJSON(t, v)) }

func (g httpGuest) checkDisplay(t *testing.T, tt answer, res *result.Result) {
	t.Helper()
	var kinds []string
	for _, w := range res.Display {
		kinds = append(kinds, w.Kind)
	}
	want := []string{"status_badge", "stat_card"}
	if g.latency {
		want = append(want, "table", "markdown", "sparkline")
	}
	equal(t, "widgets", kinds, want)
	tone := map[result.Status]string{result.OK: "success", result.Warning: "warning", result.Critical: "error"}[tt.want]
	if len(res.Display) < 2 || res.Display[0].Label != "HTTP" || res.Display[1].Tone != tone {
		t.Errorf("display %s, want a tone of %q", mustText(t, res.Display), tone)
	}
	shown := mustText(t, res.Display)
	for _, text := range []string{fmt.Sprintf(`"status":%q`, tt.want), fmt.Sprintf(`"%d"`, tt.status)} {
		if !strings.Contains(shown, text) {
			t.Errorf("display lacks %s: %s", text, shown)
		}
	}
	if text := fmt.Sprintf(`"Size":"%d B"`, tt.size()); g.latency && !strings.Contains(shown, text) {
		t.Errorf("display lacks %s: %s", text, shown)
	}
}

// checkLabels compares the labels with those of the guest and the host.
func checkLabels(t *testing.T, r *host.Report, want map[string]string) {
	t.Helper()
	want = maps.Clone(want)
	if want == nil {
		want = map[string]string{}
	}
	want["plugin_id"], want["plugin_name"] = r.ID, r.Result.Labels["plugin_name"]
	if diff := cmp.Diff(want, r.Result.Labels); diff != "" || want["plugin_name"] == "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

// checkUsage checks how often each function was called, log and last_error
// aside, and that the meters moved.
func checkUsage(t *testing.T, r *host.Report, calls map[string]int) {
	t.Helper()
	got := maps.Clone(r.Usage.Calls)
	delete(got, "log")
	delete(got, "last_error")
	if !maps.Equal(got, calls) {
		t.Errorf("calls %v, want %v", got, calls)
	}
	if u := r.Usage; u.Wall <= 0 || u.Fuel == 0 || u.PeakMemory == 0 || u.HostWait > u.Wall {
		t.Errorf("usage %+v", u)
	}
}

// testRequest checks what arrives at a server.
func (g httpGuest) testRequest(t *testing.T, w *world) {
	type seen struct{ Method, Path, Query, Probe, Agent, Host string }
	got := make(chan seen, 1)
	at := w.http(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		got <- seen{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("X-Probe"), r.Header.Get("Cookie"), r.Host}
		rw.WriteHeader(http.StatusCreated)
	}))
	cfg := map[string]any{"url": at.url() + "/a%20b?x=1&y=%C3%A9", "method": "PUT", "headers": map[string]any{"x-probe": `a "quoted" é`}, "expect_status": 201}
	if r := execute(t, w.load(t, g.pkg, at.grant()), cfg).Result; r.Status != result.OK {
		t.Errorf("got %v %q", r.Status, r.Summary)
	}
	want := seen{Method: "PUT", Path: "/a b", Query: "x=1&y=%C3%A9", Probe: `a "quoted" é`, Host: fmt.Sprintf("%s:%d", at.host, at.port)}
	if s := <-got; s != want {
		t.Errorf("the server saw %+v, want %+v", s, want)
	}
}

// testFailure is a request that ends in a code.
func (g httpGuest) testFailure(t *testing.T, w *world, at place, extra map[string]any, code capability.Code, phase string) *host.Report {
	t.Helper()
	cfg := map[string]any{"url": at.url()}
	maps.Copy(cfg, extra)
	report := execute(t, w.load(t, g.pkg, at.grant()), cfg)
	g.checkFailure(t, report, code, phase)
	equal(t, "decisions", decided(report), []string{"http_request granted"})
	return report
}

func (g httpGuest) checkFailure(t *testing.T, report *host.Report, code capability.Code, phase string) {
	t.Helper()
	res := report.Result
	summary := fmt.Sprintf("http_request answered %d", code)
	switch {
	case !g.explains:
		checkLabels(t, report, nil)
	case !strings.HasPrefix(res.Summary, fmt.Sprintf("%s: %v: http_request", summary, code)) || !strings.Contains(res.Summary, phase):
		t.Errorf("summary %q explains nothing", res.Summary)
	default:
		summary = res.Summary
		checkLabels(t, report, map[string]string{"code": fmt.Sprint(int(code))})
	}
	if res.Status != result.Critical || res.Summary != summary || len(res.Metrics) > 0 || len(res.Display) > 0 {
		t.Errorf("got %v %q, want CRITICAL %q", res.Status, res.Summary, summary)
	}
	equal(t, "log", logged(report), []string{"ERROR " + summary})
	if n := report.Usage.Failed[fmt.Sprintf("http_request %d", code)]; n != 1 || len(report.Usage.Failed) != 1 {
		t.Errorf("failed calls %v", report.Usage.Failed)
	}
	if len(report.Failures) != 1 || report.Failures[0].Code != code || report.Failures[0].Detail == "" {
		t.Errorf("failures %+v", report.Failures)
	}
}

// testDenied reaches for a port that is not granted: nothing is sent, the guest
// learns no reason, and the report has it all.
func (g httpGuest) testDenied(t *testing.T, w *world) {
	at := w.http(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the request arrived") }))
	report := execute(t, w.load(t, g.pkg, at.grantPort(443)), map[string]any{"url": at.url()})
	g.checkFailure(t, report, capability.Denied, "")
	if g.explains && report.Result.Summary != "http_request answered -2: denied: http_request" {
		t.Errorf("the guest learnt %q", report.Result.Summary)
	}
	equal(t, "decisions", decided(report), []string{"http_request " + string(netproxy.BadPort)})
	if d := report.Decisions[0]; d.Allowed || !strings.Contains(d.Hint, fmt.Sprint(at.port)) || d.Target.Port != at.port {
		t.Errorf("the decision does not help: %+v", d)
	}
	if u := report.Usage; u.Denials != 1 || u.Dials != 0 || u.Lookups != 0 {
		t.Errorf("usage %+v", u)
	}
}

func (g httpGuest) testBadConfig(t *testing.T, w *world) {
	at := w.refuses(t)
	p := w.load(t, g.pkg, at.grant())
	for _, cfg := range []any{
		nil, map[string]any{}, map[string]any{"url": at.url(), "unknown": 1}, map[string]any{"url": 7},
		map[string]any{"url": at.url(), "method": "get"}, []byte(`{"url":`),
	} {
		r, err := p.Execute(t.Context(), cfg)
		if !errors.Is(err, host.ErrInvalidConfig) || r.Ended != host.NotStarted || r.Result.Status != result.Unknown {
			t.Errorf("config %v: %v, ended %v", cfg, err, r.Ended)
		}
		if u := r.Usage; len(u.Calls) > 0 || u.Fuel+u.InitFuel > 0 {
			t.Errorf("config %v: guest code ran: %+v", cfg, u)
		}
	}
	if !slices.Contains(p.Grant().Capabilities, "http_request") {
		t.Errorf("grant %v", p.Grant())
	}
}
