package result_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sandcheck/sandcheck/result"
)

// refusal is the first reason why a document is invalid, "" when it is not.
func refusal(doc string) string {
	_, err := result.Parse([]byte(doc))
	var i *result.Issue
	if !errors.As(err, &i) {
		return ""
	}
	return i.Code
}

func TestW50_WhatIsNoResultIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		"not json": "not_json", "": "empty", "{}": "status_missing", `{"status":"OK"}`: "summary_missing",
		`{"schema":"serviceradar.northbound_action_result.v1","status":"success","summary":"done"}`: "status_value",
		`{"schema":"serviceradar.northbound_action_result.v1","status":"OK","summary":"done"}`:      "status_value",
	} {
		if got := refusal(doc); got != want {
			t.Errorf("Parse(%q): %q, want %q", doc, got, want)
		}
	}
	_, err := result.Parse([]byte(`{"status":5,"summary":" "}`))
	if text := fmt.Sprint(err); !strings.Contains(text, "status_type") || !strings.Contains(text, "summary_blank") {
		t.Errorf("the error %q does not name both problems", text)
	}
}

func TestW53_NothingGoesUnchecked(t *testing.T) {
	t.Parallel()
	if got := refusal(`{"status":"OK","summary":"x"} junk`); got != "trailing_data" {
		t.Errorf("trailing text: %q", got)
	}
	r := mustParse(t, with(`"observed_at":"yesterday","labels":["a"],"metrics":"none","display":5`))
	want := []string{"observed_at_invalid /observed_at", "type_mismatch /labels", "type_mismatch /metrics", "type_mismatch /display"}
	if diff := cmp.Diff(want, found(r.Issues)); diff != "" {
		t.Errorf("issues (-want +got):\n%s", diff)
	}
	if !r.ObservedAt.IsZero() {
		t.Errorf("an unreadable time became %v", r.ObservedAt)
	}
}

func TestW55_SummariesAreCutBetweenCharactersAndHoldNoStack(t *testing.T) {
	t.Parallel()
	for pad := range 4 {
		r := mustParse(t, `{"status":"OK","summary":"`+text(pad)+strings.Repeat("😀", 600)+`"}`)
		if len(r.Summary) > 2048 || !utf8.ValidString(r.Summary) || !strings.HasSuffix(r.Summary, "😀...") {
			t.Errorf("pad %d: %d bytes, ends in %q", pad, len(r.Summary), r.Summary[len(r.Summary)-8:])
		}
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, "unknown error"},
		{errors.New("  \n "), "unknown error"},
		{errors.New("timeout after 10s"), "timeout after 10s"},
		{errors.Join(errors.New("first"), errors.New("second")), "first; second"},
		{errors.New("wasm error: unreachable\nwasm stack trace:\n\t.main()\n\t\t/home/ci/src/main.go:5"), "wasm error: unreachable"},
		{errors.New("panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\t/home/ci/main.go:5 +0x1d"), "panic: boom"},
		{fmt.Errorf("load: %w", &fs.PathError{Op: "open", Path: "/var/lib/agent/plugin.wasm", Err: fs.ErrNotExist}), "load: open plugin.wasm: file does not exist"},
		{errors.New("a\x1b[31mred\x1b[0m\tb\x00\u009bc"), "ared b"},
	} {
		r := result.FromError(tt.err)
		if r.Summary != tt.want || r.Status != result.Unknown || r.SchemaVersion != 1 {
			t.Errorf("FromError(%q) = %v %q, want UNKNOWN %q", tt.err, r.Status, r.Summary, tt.want)
		}
		if err := r.Validate(); err != nil {
			t.Errorf("FromError(%q).Validate() = %v", tt.err, err)
		}
	}
	if r := result.FromError(errors.New(strings.Repeat("é", 1_000_000))); len(r.Summary) > 2048 || !utf8.ValidString(r.Summary) {
		t.Errorf("a long error: %d bytes", len(r.Summary))
	}
}

func TestW56_DuplicateKeysDecideNothing(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{
		`{"status":"OK","summary":"x","status":"CRITICAL"}`,
		`{"status":"OK","summary":"x","\u0073tatus":"CRITICAL"}`,
		`{"status":"OK","summary":"x","metrics":[{"name":"a","value":1,"value":2}]}`,
		`{"status":"OK","summary":"x","vendor":[[{"a":1,"a":1}]]}`,
	} {
		if got := refusal(doc); got != "duplicate_key" {
			t.Errorf("Parse(%s): %q, want duplicate_key", doc, got)
		}
	}
	r := mustParse(t, `{"Status":"CRITICAL","status":"OK","STATUS":"WARNING","summary":"x"}`)
	if r.Status != result.OK || len(r.Issues) != 2 {
		t.Errorf("Status beside status: %v, %v", r.Status, found(r.Issues))
	}
}

func TestW58_MetricsAndPerfdataAreParsed(t *testing.T) {
	t.Parallel()
	r := mustParse(t, with(`"perfdata":"time=0.25s;1;2 bad=x 'disk used'=94%","metrics":[{"name":"time","value":9},{"name":"free","value":8.5,"unit":"GB","warn":10,"crit":-5}]`))
	points := r.Points()
	var labels []string
	for _, p := range points {
		labels = append(labels, p.Label)
	}
	if diff := cmp.Diff([]string{"time", "disk used", "free"}, labels); diff != "" {
		t.Fatalf("points (-want +got):\n%s", diff)
	}
	if got := fmt.Sprint(points[0].Warn, points[0].Crit, points[2].Warn, points[2].Crit); got != "1 2 10 ~:-5" {
		t.Errorf("thresholds %s", got)
	}
	if !points[0].Warn.Alerts(1.5) || points[0].Crit.Alerts(1.5) {
		t.Error("thresholds of perfdata do not alert as ranges do")
	}
	if len(r.Issues) != 1 || !strings.Contains(r.Issues[0].Message, "value_invalid") || !strings.Contains(r.Issues[0].Message, "19") {
		t.Errorf("issues %+v, want value_invalid at 19", r.Issues)
	}
}

func TestW84_BothShapesOfAWidgetReadAlike(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"texts and NaN", `{"widget":"sparkline","label":"l","data":{"values":["1",2.50,"NaN",null,"+3e1",1e400]}}`, `{"widget":"sparkline","label":"l","data":[1,2.50,30]}`},
		{"a list beats values", `{"widget":"sparkline","data":[1],"values":[2]}`, `{"widget":"sparkline","data":[1],"values":[2]}`},
		{"a map without values", `{"widget":"sparkline","data":{"x":1}}`, `{"widget":"sparkline","data":{"x":1}}`},
		{"null data", `{"widget":"sparkline","data":null,"values":[2]}`, `{"widget":"sparkline","data":[2]}`},
		{"data.content", `{"widget":"markdown","data":{"content":"# a"}}`, `{"widget":"markdown","content":"# a"}`},
		{"other data stays", `{"widget":"markdown","data":{"v":1,"markdown":"# a"}}`, `{"widget":"markdown","data":{"v":1},"content":"# a"}`},
		{"content beats data", `{"widget":"markdown","content":"a","data":{"content":"b"}}`, `{"widget":"markdown","content":"a","data":{"content":"b"}}`},
		{"critical stays", `{"widget":"stat_card","tone":"critical"}`, `{"widget":"stat_card","tone":"critical"}`},
		{"unknown tone stays in the document", `{"widget":"stat_card","tone":"red"}`, `{"widget":"stat_card","tone":"red"}`},
		{"status beats value", `{"widget":"status_badge","status":"up","value":"1"}`, `{"widget":"status_badge","status":"up","value":"1"}`},
		{"unknown kind", `{"widget":"gauge", "values":["1"] }`, `{"widget":"gauge", "values":["1"] }`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := mustParse(t, with(`"display":[`+tt.in+`]`))
			if got := string(r.Display[0].Raw); got != tt.want {
				t.Errorf("Raw of %s = %s, want %s", tt.in, got, tt.want)
			}
			doc, err := r.MarshalJSON()
			if err != nil || !strings.Contains(string(doc), tt.want) {
				t.Errorf("MarshalJSON of %s = %s, %v; want it to hold %s", tt.in, doc, err, tt.want)
			}
		})
	}
	r := mustParse(t, with(`"display":[{"widget":"stat_card","label":"L","color":"critical"},{"widget":"table","tone":"odd","layout":"odd"}]`))
	for i, want := range []result.Widget{
		{Kind: "stat_card", Label: "L", Tone: "critical", Layout: "half"},
		{Kind: "table", Tone: "neutral", Layout: "half"},
	} {
		want.Raw = r.Display[i].Raw
		if diff := cmp.Diff(want, r.Display[i]); diff != "" {
			t.Errorf("widget %d (-want +got):\n%s", i, diff)
		}
	}
}
