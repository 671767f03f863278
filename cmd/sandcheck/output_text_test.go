package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/result"
)

// TestTextOfAFullReport shows every part of the text that no guest of these
// tests brings about.
func TestTextOfAFullReport(t *testing.T) {
	t.Parallel()
	report := &host.Report{
		Result: &result.Result{
			Status: result.Warning, Summary: "disk is full", Details: "one\r\ntwo\n",
			Perfdata: "'disk used'=94%;80;@90:95;0;100 free=U big=12345678901234567890B",
			Metrics:  []result.Metric{{Name: "load", Value: 1e300}},
			Issues:   []result.Issue{{Code: "tone_unknown", Pointer: "/display/0", Message: "no such tone"}},
		},
		Submits: []host.Submit{{Err: errors.New("not_json at \"\": two\nlines")}, {}},
		Ended:   host.Trapped, Cause: errors.New("trap: unreachable"),
		Usage: limits.Usage{
			CPU: 1234567 * time.Nanosecond, Wall: 2 * time.Second, PeakMemory: limits.MiB, RefusedGrows: 2, FirstRefused: 8 * limits.MiB,
			Calls: map[string]int{"b": 2, "a": 1}, Failed: map[string]int{"b -6": 1}, LogDropped: 3, OutputDropped: 4,
		},
		Decisions: []netproxy.Decision{
			{Func: "tcp_connect", Target: netproxy.Target{Network: "tcp", Host: "2001:db8::1", Port: 22}, Allowed: true, Rule: "2001:db8::/32", Err: "connect:refused", Took: time.Millisecond},
			{Func: "http_request", Method: "GET", Scheme: "https", Target: netproxy.Target{Network: "tcp", Host: "db.example.com", Port: 443, Hop: 2}, Reason: netproxy.BadAddress, Rule: "rule", Err: "why", Dropped: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, Hint: `allowed_networks: ["10.0.0.1/32"]`},
			{Func: "http_request", Method: "GET", Scheme: "https", Target: netproxy.Target{Host: "a", Port: 1}, Allowed: true, InsecureTLS: true, Status: 204, Peer: netip.MustParseAddrPort("192.0.2.1:1")},
			{Func: "moon_phase", Reason: netproxy.NotOffered},
		},
		Failures: []host.HostCall{
			{Func: "tcp_read", Code: capability.Timeout, Took: time.Second, Detail: "nothing\ncame"},
			{Func: "http_request", Code: capability.Denied, Detail: "told above"},
		},
		Logs:   []host.LogLine{{At: time.Date(2025, 1, 2, 3, 4, 5, 678e6, time.UTC), Level: slog.LevelDebug, Text: "a\nb"}},
		Stdout: "out\n\nput\n", Notes: []string{"_start was discarded"}, ID: "id", Version: "1.2.3", RunID: "RUN",
	}
	got := reportToText(report, nil)
	wantIn(t, "text", got,
		"WARNING: disk is full\n  one\n  two\n\nmetrics\n  disk used    94%, warn 80, crit @90:95, min 0, max 100\n  free         U\n  big          12345678901234567890B\n  load         1e+300\n",
		"\nrun\n  plugin       id 1.2.3\n", "\n  run id       RUN\n  ended        trapped: trap: unreachable\n",
		"\n  time         2s in all: guest code 1.2ms, host functions 0s, before the entrypoint 0s\n",
		"\n  memory       1 MiB at most, growing refused 2 times, first to 8 MiB\n  calls        a 1, b 2\n  failed       b -6 1\n  cut off      log lines 3, bytes of output 4\n",
		"\ndecisions\n  allowed      tcp_connect tcp [2001:db8::1]:22 by 2001:db8::/32, failed: connect:refused, 0 bytes in, 0 out, 1ms\n",
		"\n  refused      http_request GET https://db.example.com:443 (redirect 2): address_not_allowed, by rule, why, it resolves to [10.0.0.1]\n"+
			"               to allow it, in the permissions of both plugin.yaml and the grant: allowed_networks: [\"10.0.0.1/32\"]\n",
		"\n  allowed      http_request GET https://a:1 at 192.0.2.1:1, status 204, 0 bytes in, 0 out, 0s, certificate not verified\n",
		"\n  refused      moon_phase: capability_not_offered\n",
		"\nfailed calls\n  tcp_read     answered -6 (timeout) after 1s: nothing came\n\nremarks\n",
		"\nremarks\n  host         _start was discarded\n  submit       number 1 was refused: not_json at \"\": two lines\n  result       tone_unknown at \"/display/0\": no such tone\n",
		"\nlog\n  03:04:05.678 DEBUG a b\n\nstdout\n  out\n  \n  put\n",
	)
	if strings.Contains(got, "told above") || strings.Contains(got, "stderr") {
		t.Errorf("the text repeats itself:\n%s", got)
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", 1.5: "1.5", -200: "-200", 999999999999999: "999999999999999", 1e15: "1e+15", 1e-6: "0.000001", 1e-7: "1e-07"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

// broken is a standard output that is gone.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestOutputThatIsGone(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"run", "--unsigned", shared("alive")}, {"run", "--unsigned", "--format", "json", shared("alive")}, {"run", "--unsigned", "--format", "nagios", shared("alive")},
		{"inspect", shared("alive")}, {"inspect", "--format", "json", shared("alive")}, {"run"}, {"--help"},
	} {
		var errs bytes.Buffer
		if code := run(context.Background(), args, strings.NewReader(""), broken{}, &errs); code != 3 {
			t.Errorf("sandcheck %q with nowhere to write: exit code %d, want 3", args, code)
		} else if args[0] != "--help" && !strings.Contains(errs.String(), "cannot be written: broken pipe") {
			t.Errorf("sandcheck %q with nowhere to write says %q", args, &errs)
		}
	}
}
