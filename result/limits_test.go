package result_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sandcheck/sandcheck/result"
)

// with is an OK document with more fields.
func with(fields string) string { return `{"status":"OK","summary":"x",` + fields + `}` }

func mustParse(t testing.TB, doc string) *result.Result {
	t.Helper()
	r, err := result.Parse([]byte(doc))
	if err != nil {
		t.Fatalf("Parse(%.300q): %v", doc, err)
	}
	return r
}

// found lists "code pointer" of each issue.
func found(issues []result.Issue) []string {
	var out []string
	for _, i := range issues {
		out = append(out, i.Code+" "+i.Pointer)
	}
	return out
}

func list(n int, item func(i int) string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = item(i)
	}
	return strings.Join(parts, ",")
}

func text(n int) string { return strings.Repeat("a", n) }

// TestLimits asks one below, at and one above each bound of a document. kept is
// the size of what is kept, which never passes the bound.
func TestLimits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		most  int
		doc   func(n int) string
		issue string
		kept  func(*result.Result) int
	}{
		{"summary", 2048, func(n int) string { return `{"status":"OK","summary":"` + text(n) + `"}` },
			"text_truncated /summary", func(r *result.Result) int { return len(r.Summary) }},
		{"details", 65536, func(n int) string { return with(`"details":"` + text(n) + `"`) },
			"text_truncated /details", func(r *result.Result) int { return len(r.Details) }},
		{"perfdata", 65536, func(n int) string { return with(`"perfdata":"a=1` + strings.Repeat(" ", n-6) + `b=2"`) },
			"text_truncated /perfdata", func(r *result.Result) int { return len(r.Perfdata) }},
		{"label value", 1024, func(n int) string { return with(`"labels":{"k":"` + text(n) + `"}`) },
			"text_truncated /labels/k", func(r *result.Result) int { return len(r.Labels["k"]) }},
		{"label key", 128, func(n int) string { return with(`"labels":{"` + text(n) + `":""}`) },
			"label_dropped /labels/" + text(128) + "...", func(r *result.Result) int {
				for k := range r.Labels {
					return len(k)
				}
				return 0
			}},
		{"labels", 64, func(n int) string {
			return with(`"labels":{` + list(n, func(i int) string { return fmt.Sprintf(`"k%d":""`, i) }) + `}`)
		}, "count_truncated /labels", func(r *result.Result) int { return len(r.Labels) }},
		{"widget label", 1024, func(n int) string { return with(`"display":[{"widget":"stat_card","label":"` + text(n) + `"}]`) },
			"text_truncated /display/0/label", func(r *result.Result) int { return len(r.Display[0].Label) }},
		{"widget value", 1024, func(n int) string { return with(`"display":[{"widget":"stat_card","value":"` + text(n) + `"}]`) },
			"text_truncated /display/0/value", func(r *result.Result) int { return len(member(r.Display[0].Raw, "value")) - 2 }},
		{"status badge", 1024, func(n int) string { return with(`"display":[{"widget":"status_badge","value":"` + text(n) + `"}]`) },
			"text_truncated /display/0/status", func(r *result.Result) int { return len(member(r.Display[0].Raw, "status")) - 2 }},
		{"markdown", 32768, func(n int) string {
			return with(`"display":[{"widget":"markdown","data":{"markdown":"` + text(n) + `"}}]`)
		},
			"text_truncated /display/0/content", func(r *result.Result) int { return len(member(r.Display[0].Raw, "content")) - 2 }},
		{"condition_id", 128, func(n int) string { return with(`"condition_id":"` + text(n) + `"`) },
			"text_truncated /condition_id", func(r *result.Result) int { return len(r.ConditionID) }},
		{"metrics", 1024, func(n int) string {
			return with(`"metrics":[` + list(n, func(i int) string { return fmt.Sprintf(`{"name":"m%d","value":1}`, i) }) + `]`)
		}, "count_truncated /metrics", func(r *result.Result) int { return len(r.Metrics) }},
		{"metric name", 255, func(n int) string { return with(`"metrics":[{"name":"` + text(n) + `","value":1}]`) },
			"metric_invalid /metrics/0", func(r *result.Result) int {
				if len(r.Metrics) == 0 {
					return 0
				}
				return len(r.Metrics[0].Name)
			}},
		{"metric unit", 32, func(n int) string { return with(`"metrics":[{"name":"a","value":1,"unit":"` + text(n) + `"}]`) },
			"text_truncated /metrics/0/unit", func(r *result.Result) int { return len(r.Metrics[0].Unit) }},
		{"display", 64, func(n int) string {
			return with(`"display":[` + list(n, func(int) string { return `{"widget":"stat_card"}` }) + `]`)
		}, "count_truncated /display", func(r *result.Result) int { return len(r.Display) }},
		{"table rows", 500, func(n int) string {
			return with(`"display":[{"widget":"table","rows":[` + list(n, func(int) string { return `{"key":"a","value":"b"}` }) + `]}]`)
		}, "count_truncated /display/0/rows", func(r *result.Result) int { return count(member(r.Display[0].Raw, "rows")) }},
		{"table map", 500, func(n int) string {
			return with(`"display":[{"widget":"table","data":{` + list(n, func(i int) string { return fmt.Sprintf(`"k%d":1`, i) }) + `}}]`)
		}, "count_truncated /display/0/data", func(r *result.Result) int { return count(member(r.Display[0].Raw, "data")) }},
		{"table columns", 16, func(n int) string {
			return with(`"display":[{"widget":"table","rows":[{` + list(n, func(i int) string { return fmt.Sprintf(`"k%d":1`, i) }) + `}]}]`)
		}, "count_truncated /display/0/rows/0", func(r *result.Result) int {
			var rows []json.RawMessage
			_ = json.Unmarshal(member(r.Display[0].Raw, "rows"), &rows)
			return count(rows[0])
		}},
		{"sparkline", 1024, func(n int) string {
			return with(`"display":[{"widget":"sparkline","values":[` + list(n, func(int) string { return `1.50` }) + `]}]`)
		}, "count_truncated /display/0/data", func(r *result.Result) int { return count(member(r.Display[0].Raw, "data")) }},
		{"events", 256, func(n int) string { return with(`"events":[` + list(n, func(int) string { return `{}` }) + `]`) },
			"count_truncated /events", func(r *result.Result) int { return len(r.Events) }},
		{"event", 65536, func(n int) string { return with(`"events":[{"m":"` + text(n-8) + `"}]`) },
			"event_too_large /events/0", func(r *result.Result) int {
				if len(r.Events) == 0 {
					return 0
				}
				return len(r.Events[0])
			}},
		{"extra", 262144, func(n int) string { return with(`"vendor":"` + text(n-8) + `"`) },
			"extra_dropped /vendor", func(r *result.Result) int {
				if len(r.Extra) == 0 {
					return 0
				}
				return len(r.Extra[0].Name) + len(r.Extra[0].Value)
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, n := range []int{tt.most - 1, tt.most, tt.most + 1} {
				r := mustParse(t, tt.doc(n))
				var want []string
				if n > tt.most {
					want = []string{tt.issue}
				}
				if diff := cmp.Diff(want, found(r.Issues)); diff != "" {
					t.Errorf("%d of at most %d: issues (-want +got):\n%s", n, tt.most, diff)
				}
				if got := tt.kept(r); got > tt.most || n <= tt.most && got != n {
					t.Errorf("%d of at most %d: kept %d", n, tt.most, got)
				}
				doc, err := r.MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				if again := mustParse(t, string(doc)); len(again.Issues) > 0 && tt.name != "perfdata" {
					t.Errorf("%d of at most %d: what was cut once is cut again: %v", n, tt.most, found(again.Issues))
				}
			}
		})
	}
}

func member(raw json.RawMessage, name string) json.RawMessage {
	var m map[string]json.RawMessage
	_ = json.Unmarshal(raw, &m)
	return m[name]
}

func count(raw json.RawMessage) int {
	var l []json.RawMessage
	if json.Unmarshal(raw, &l) == nil {
		return len(l)
	}
	var m map[string]json.RawMessage
	_ = json.Unmarshal(raw, &m)
	return len(m)
}

func TestExtraKeepsTheFirstAndTheOpaque(t *testing.T) {
	t.Parallel()
	big := text(150_000)
	r := mustParse(t, with(`"a":"`+big+`","device_discovery":["`+big+`"],"threat_intel":"`+big+`","b":"`+big+`","c":1`))
	var names []string
	for _, f := range r.Extra {
		names = append(names, f.Name)
	}
	if diff := cmp.Diff([]string{"a", "device_discovery", "threat_intel"}, names); diff != "" {
		t.Errorf("extra (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"extra_dropped /b", "extra_dropped /c"}, found(r.Issues)); diff != "" {
		t.Errorf("issues (-want +got):\n%s", diff)
	}
}

func TestSoftProblems(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, fields string
		want         []string
	}{
		{"wrong types", `"details":1,"perfdata":[],"metrics":{},"labels":"x","observed_at":5,"schema_version":"1","display":{},"events":1,"alert_hint":1,"condition_id":true,"device_uid":7`, []string{
			"type_mismatch /details", "type_mismatch /perfdata", "type_mismatch /metrics", "type_mismatch /labels", "type_mismatch /observed_at",
			"type_mismatch /schema_version", "type_mismatch /display", "type_mismatch /events", "type_mismatch /alert_hint", "type_mismatch /condition_id", "type_mismatch /device_uid",
		}},
		{"nulls", `"details":null,"perfdata":null,"metrics":null,"labels":null,"observed_at":null,"schema_version":null,"display":null,"events":null,"alert_hint":null,"condition_id":null,"device_uid":null`, nil},
		{"case", `"Metrics":1,"DEVICE_UID":1,"ſchema_version":1,"other":1`, []string{"case_mismatch /Metrics", "case_mismatch /DEVICE_UID", "case_mismatch /ſchema_version"}},
		{"schema_version zero", `"schema_version":0`, []string{"type_mismatch /schema_version"}},
		{"schema_version fraction", `"schema_version":1.5`, []string{"type_mismatch /schema_version"}},
		{"schema_version huge", `"schema_version":99999999999999999999`, []string{"type_mismatch /schema_version"}},
		{"times that time.Parse takes", `"observed_at":"2025-01-01T1:00:00Z"`, []string{"observed_at_invalid /observed_at"}},
		{"comma in a time", `"observed_at":"2025-01-01T10:00:00,5Z"`, []string{"observed_at_invalid /observed_at"}},
		{"time without a zone", `"observed_at":"2025-01-01T10:00:00"`, []string{"observed_at_invalid /observed_at"}},
		{"zone of a day", `"observed_at":"2025-01-01T10:00:00+24:00"`, []string{"observed_at_invalid /observed_at"}},
		{"zone", `"observed_at":"2025-01-01T10:00:00.5-23:59"`, nil},
		{"lower-case time", `"observed_at":" 2025-01-01t10:00:00.123456789z "`, nil},
		{"metrics", `"metrics":[1,{},{"name":" ","value":1},{"name":"a"},{"name":"a","value":null},{"name":"a","value":true},{"name":5,"value":1}]`, []string{
			"metric_invalid /metrics/0", "metric_invalid /metrics/1", "metric_invalid /metrics/2", "metric_invalid /metrics/3",
			"metric_invalid /metrics/4", "metric_invalid /metrics/5", "metric_invalid /metrics/6",
		}},
		{"metric numbers as text", `"metrics":[{"name":"a","value":"+1.5e3","warn":"2"},{"name":"b","value":"0x10"},{"name":"c","value":" 1"},{"name":"d","value":"1e400"},{"name":"e","value":"nan"}]`, []string{
			"metric_string /metrics/0/value", "metric_string /metrics/0/warn", "metric_invalid /metrics/1", "metric_invalid /metrics/2", "metric_invalid /metrics/3", "metric_invalid /metrics/4",
		}},
		{"metric bounds", `"metrics":[{"name":"a","value":1,"warn":1e400,"crit":"x","min":null,"max":[],"unit":5}]`, []string{
			"metric_number /metrics/0/warn", "type_mismatch /metrics/0/crit", "type_mismatch /metrics/0/max", "type_mismatch /metrics/0/unit",
		}},
		{"metric case", `"metrics":[{"name":"a","value":1,"Value":2}]`, []string{"case_mismatch /metrics/0/Value"}},
		{"metric twice", `"metrics":[{"name":"a","value":1},{"name":"a","value":2}]`, []string{"metric_duplicate /metrics/1"}},
		{"labels", `"labels":{"a":[],"b":{},"c":null,"d":1.50,"e/f":false}`, []string{"label_dropped /labels/a", "label_dropped /labels/b", "label_dropped /labels/c", "label_converted /labels/d", "label_converted /labels/e~1f"}},
		{"events", `"events":[5,{"class_uid":"1008"},{"severity_id":7},{"severity_id":99},{"severity_id":1.5},{"time":"now"},{"time":1735725600000},{"time":"2025-01-01T10:00:00Z"},{"time":1.5},{"class_uid":null}]`, []string{
			"event_invalid /events/0", "event_invalid /events/1", "event_invalid /events/2", "event_invalid /events/4", "event_invalid /events/5", "event_invalid /events/8",
		}},
		{"broken text deep inside", `"vendor":{"a":["x\ud800"]}`, []string{"invalid_utf8 /vendor/a/0"}},
		{"perfdata", `"perfdata":"a=1,5 b=2 c"`, []string{"perfdata /perfdata", "perfdata /perfdata"}},
		{"widgets", `"display":[1,{"widget":"gauge","tone":"x"},{"widget":"stat_card","tone":"red","layout":"wide"},{"widget":"stat_card","tone":5,"label":5}]`, []string{
			"unsupported_widget /display/0", "unsupported_widget /display/1", "tone_unknown /display/2/tone", "layout_unknown /display/2/layout", "type_mismatch /display/3/tone",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := mustParse(t, with(tt.fields))
			if diff := cmp.Diff(tt.want, found(r.Issues)); diff != "" {
				t.Errorf("Parse(%s): issues (-want +got):\n%s", with(tt.fields), diff)
			}
			doc, err := r.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			again := mustParse(t, string(doc))
			if diff := cmp.Diff(r, again, cmpopts.IgnoreFields(result.Result{}, "Issues")); diff != "" {
				t.Errorf("round trip of %s (-first +second):\n%s", doc, diff)
			}
		})
	}
}

func TestIssuesAreBounded(t *testing.T) {
	t.Parallel()
	r := mustParse(t, with(`"metrics":[`+list(60_000, func(int) string { return `1` })+`]`))
	if n := len(r.Issues); n != 1024 || r.Issues[n-1].Code != "issues_truncated" {
		t.Errorf("60,000 problems: %d issues, the last %+v", n, r.Issues[n-1])
	}
	for _, i := range mustParse(t, with(`"`+strings.Repeat("ü", 100_000)+`":1,"Status":2`)).Issues {
		if len(i.Pointer) > 200 || !utf8.ValidString(i.Pointer) {
			t.Errorf("pointer of %d bytes", len(i.Pointer))
		}
	}
}
