package result_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sandcheck/sandcheck/result"
)

func icinga(t *testing.T, r *result.Result, o result.IcingaOptions) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteIcinga(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWriteIcinga(t *testing.T) {
	t.Parallel()
	start := time.Date(2025, 1, 1, 10, 0, 0, 250_000_000, time.UTC)
	golden(t, "icinga.golden", icinga(t, disk(), result.IcingaOptions{Start: start, End: start.Add(1500 * time.Millisecond), TTL: time.Minute}))
	for _, tt := range []struct {
		name string
		r    result.Result
		o    result.IcingaOptions
		want string
	}{
		{"zero value", result.Result{}, result.IcingaOptions{}, `{"exit_status":3,"plugin_output":"UNKNOWN: ","performance_data":[]}`},
		{"perfdata", result.Result{Status: result.Warning, Summary: "x", Perfdata: "'a b'=1GB;2 c=U"}, result.IcingaOptions{}, `{"exit_status":1,"plugin_output":"WARNING: x","performance_data":["'a b'=1GB;2","c=U"]}`},
		{"negative ttl", result.Result{Status: result.OK, Summary: "x"}, result.IcingaOptions{TTL: -time.Second}, `{"exit_status":0,"plugin_output":"OK: x","performance_data":[]}`},
		{"start of the epoch", result.Result{Status: result.OK, Summary: "x"}, result.IcingaOptions{End: time.Unix(0, 0)}, `{"exit_status":0,"plugin_output":"OK: x","performance_data":[],"execution_end":0}`},
		{"quotes", result.Result{Status: result.OK, Summary: `"},"a":"<b>`, Details: "\x1b[31ml1|\r\nl2\xff"}, result.IcingaOptions{}, `{"exit_status":0,"plugin_output":"OK: \"},\"a\":\"<b>` + `\nl1/\nl2` + "\ufffd" + `","performance_data":[]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := icinga(t, &tt.r, tt.o); got != tt.want+"\n" {
				t.Errorf("WriteIcinga of %+v, %+v\ngot  %s\nwant %s", tt.r, tt.o, got, tt.want)
			}
		})
	}
	if err := disk().WriteIcinga(failingWriter{}, result.IcingaOptions{}); !errors.Is(err, errFull) {
		t.Errorf("WriteIcinga: %v", err)
	}
}

func TestIcingaExitStatus(t *testing.T) {
	t.Parallel()
	for status, want := range map[result.Status][2]int{
		result.OK: {0, 0}, result.Warning: {1, 0}, result.Critical: {2, 1}, result.Unknown: {3, 1}, 99: {3, 1},
	} {
		for i, host := range []bool{false, true} {
			got := icinga(t, &result.Result{Status: status, Summary: "x"}, result.IcingaOptions{Host: host})
			if !strings.HasPrefix(got, fmt.Sprintf(`{"exit_status":%d,`, want[i])) {
				t.Errorf("%v, host %v: %s, want %d", status, host, got, want[i])
			}
		}
	}
}

func TestWriteIcingaIsBounded(t *testing.T) {
	t.Parallel()
	r := &result.Result{Summary: strings.Repeat("é", 5000), Details: strings.Repeat("ü\n", 9000)}
	for i := range 1024 {
		r.Metrics = append(r.Metrics, result.Metric{Name: fmt.Sprintf("%d %s", i, strings.Repeat("x", 240)), Value: 1})
	}
	var body struct {
		Output   string   `json:"plugin_output"`
		Perfdata []string `json:"performance_data"`
	}
	if err := json.Unmarshal([]byte(icinga(t, r, result.IcingaOptions{})), &body); err != nil {
		t.Fatal(err)
	}
	if n := len(body.Output); n > 8192 || n < 8185 || !utf8.ValidString(body.Output) {
		t.Errorf("%d bytes of output", n)
	}
	if n := len(strings.Join(body.Perfdata, "")); n > 65536 || n < 65000 {
		t.Errorf("%d bytes of perfdata", n)
	}
}
