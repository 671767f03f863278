package result_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sandcheck/sandcheck/result"
)

func TestParseKeepsNoReference(t *testing.T) {
	t.Parallel()
	doc := []byte(with(`"vendor":{"a":1},"events":[{"m":1}],"display":[{"widget":"gauge"}],"metrics":[{"name":"a","value":1,"x":2}]`))
	r, err := result.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := r.MarshalJSON()
	for i := range doc {
		doc[i] = '#'
	}
	if got, err := r.MarshalJSON(); err != nil || !bytes.Equal(got, want) {
		t.Errorf("after the guest reused its memory: %s, %v; want %s", got, err, want)
	}
	r.Extra[0].Value = append(r.Extra[0].Value, "overwritten"...)
	if got := string(r.Events[0]); got != `{"m":1}` {
		t.Errorf("an append to one field changed another: %s", got)
	}
}

func TestMarshalKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"order and text of unknown fields", `{"z":1.50,"status":"ok","a":{"b":1, "a":2},"summary":"<&>"}`,
			`{"status":"OK","summary":"<&>","schema_version":1,"z":1.50,"a":{"b":1, "a":2}}`},
		{"metric", with(`"metrics":[{"x":1.50,"value":9007199254740993,"name":"a","warn":1.0}]`),
			`{"status":"OK","summary":"x","metrics":[{"x":1.50,"value":9007199254740993,"name":"a","warn":1.0}],"schema_version":1}`},
		{"metric repaired", with(`"metrics":[{"name":"a","value":"42","min":null,"max":"x"}]`),
			`{"status":"OK","summary":"x","metrics":[{"name":"a","value":42,"min":null,"max":"x"}],"schema_version":1}`},
		{"wrong type", with(`"labels":[1],"alert_hint":"yes"`), `{"status":"OK","summary":"x","schema_version":1,"labels":[1],"alert_hint":"yes"}`},
		{"time", with(`"observed_at":"2025-01-01T12:00:00.500+02:00"`), `{"status":"OK","summary":"x","observed_at":"2025-01-01T10:00:00.5Z","schema_version":1}`},
		{"broken text", "{\"status\":\"OK\",\"summary\":\"x\",\"v\":\"\\ud800 \xff\"}", "{\"status\":\"OK\",\"summary\":\"x\",\"schema_version\":1,\"v\":\"\\ufffd \ufffd\"}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := mustParse(t, tt.in).MarshalJSON()
			if err != nil || string(got) != tt.want {
				t.Errorf("%s is written as\n%s, %v; want\n%s", tt.in, got, err, tt.want)
			}
		})
	}
}

func TestMarshalAfterAChange(t *testing.T) {
	t.Parallel()
	r := mustParse(t, with(`"labels":"none","metrics":[{"name":"a","value":1.50,"vendor":true,"warn":2.0}],"display":[{"widget":"stat_card","label":"L","tone":"red","value":"5"}]`))
	r.Labels = map[string]string{"plugin_id": "p"}
	r.Metrics[0].Value = 3
	r.Metrics[0].Warn = nil
	r.Metrics[0].Crit = ptr(9)
	r.Display[0].Label = "M"
	r.Display[0].Tone = "success"
	want := `{"status":"OK","summary":"x","metrics":[{"name":"a","value":3,"vendor":true,"crit":9}],"labels":{"plugin_id":"p"},"schema_version":1,` +
		`"display":[{"label":"M","tone":"success","widget":"stat_card","value":"5"}]}`
	if got, err := r.MarshalJSON(); err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	if got, err := json.Marshal(map[string]any{"r": *r}); err != nil || !strings.Contains(string(got), `"status":"OK"`) {
		t.Errorf("as a value: %s, %v", got, err)
	}
	var back result.Result
	if err := json.Unmarshal([]byte(want), &back); err != nil || back.Metrics[0].Value != 3 {
		t.Errorf("json.Unmarshal: %+v, %v", back, err)
	}
}

// full is a result built in Go that uses every field.
func full() *result.Result {
	return &result.Result{
		Status: result.Critical, Summary: "down", Details: "long\ntext", Perfdata: "a=1",
		Metrics:    []result.Metric{{Name: "m", Value: 1.5, Unit: "ms", Warn: ptr(2), Crit: ptr(3), Min: ptr(0), Max: ptr(9)}},
		Labels:     map[string]string{"k": "v"},
		ObservedAt: time.Date(2025, 1, 2, 3, 4, 5, 6, time.UTC), SchemaVersion: 1,
		Display:   []result.Widget{{Kind: "stat_card", Label: "L", Tone: "critical", Layout: "full", Raw: json.RawMessage(`{"value":"5"}`)}},
		Events:    []json.RawMessage{json.RawMessage(`{"class_uid":1008}`)},
		AlertHint: true, ConditionID: "c",
		Extra: []result.Field{{Name: "vendor", Value: json.RawMessage(`[1]`)}},
	}
}

func TestBuiltInGo(t *testing.T) {
	t.Parallel()
	r := full()
	if err := r.Validate(); err != nil {
		t.Fatalf("Validate() = %v", err)
	}
	doc, err := r.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	back := mustParse(t, string(doc))
	r.Display[0].Raw = back.Display[0].Raw // the parsed one holds the whole object
	if diff := cmp.Diff(r, back); diff != "" {
		t.Errorf("round trip of %s (-built +read):\n%s", doc, diff)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	inf := math.Inf(1)
	for _, tt := range []struct {
		name   string
		change func(*result.Result)
		want   []string
	}{
		{"zero value", func(r *result.Result) { *r = result.Result{} }, []string{"summary_blank /summary"}},
		{"status", func(r *result.Result) { r.Status = 9 }, []string{"status_value /status"}},
		{"several", func(r *result.Result) {
			r.Summary, r.Metrics[0].Value, r.Metrics[0].Warn, r.Labels["\xff"] = "a\xff", math.NaN(), &inf, "x"
		}, []string{"invalid_utf8 /summary", "invalid_utf8 /labels", "not_finite /metrics/0/value", "not_finite /metrics/0/warn"}},
		{"raw parts", func(r *result.Result) {
			r.Events = append(r.Events, nil, json.RawMessage(`{`))
			r.Display = append(r.Display, result.Widget{Kind: "x", Raw: json.RawMessage(`{"a":1,"a":2}`)})
			r.Extra = append(r.Extra, result.Field{Name: "vendor", Value: json.RawMessage(`1`)}, result.Field{Name: "status", Value: json.RawMessage(`1`)}, result.Field{Name: "n", Value: json.RawMessage(`NaN`)}, result.Field{Name: "\xff", Value: json.RawMessage(`1`)})
		}, []string{"widget_invalid /display/1", "event_invalid /events/1", "event_invalid /events/2", "duplicate_key /vendor", "duplicate_key /status", "extra_invalid /n", "key_utf8 /\xff"}},
		{"bounds", func(r *result.Result) {
			r.Summary, r.ConditionID, r.Perfdata = text(2049), text(129), "a=1,5"
			r.Metrics[0].Unit = text(33)
		}, []string{"text_truncated /summary", "perfdata /perfdata", "text_truncated /metrics/0/unit", "text_truncated /condition_id"}},
		{"widgets", func(r *result.Result) {
			r.Display[0].Label, r.Display[0].Tone = text(1025), "red"
			r.Display = append(r.Display, result.Widget{Kind: "gauge"})
		}, []string{"text_truncated /display/0/label", "tone_unknown /display/0/tone"}},
		{"year 10000", func(r *result.Result) { r.ObservedAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, []string{"observed_at_invalid /observed_at"}},
		{"past issues are no matter", func(r *result.Result) { r.Issues = []result.Issue{{Code: "text_truncated"}} }, nil},
		{"newer", func(r *result.Result) { r.SchemaVersion = 2 }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := full()
			tt.change(r)
			err := r.Validate()
			var got []string
			if err != nil {
				for _, line := range strings.Split(strings.TrimPrefix(err.Error(), "result: "), "\n") {
					got = append(got, line[:strings.Index(line, ": ")])
				}
			}
			var want []string
			for _, w := range tt.want {
				code, pointer, _ := strings.Cut(w, " ")
				want = append(want, fmt.Sprintf("%s at %q", code, pointer))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Validate() (-want +got):\n%s", diff)
			}
			var first *result.Issue
			if err != nil && !errors.As(err, &first) {
				t.Errorf("no *Issue in %v", err)
			}
		})
	}
}

func TestCompatAliases(t *testing.T) {
	t.Parallel()
	doc := []byte(`{"status":"OK","message":"m","long_output":"d","perfData":"a=1","observedAt":"2025-01-01T10:00:00Z","schemaVersion":1,"alertHint":true,"conditionID":"c",` +
		`"metrics":[{"label":"a","val":9007199254740993,"uom":"ms","warning":1,"critical":"2","minimum":0,"maximum":9,"x":1},{"metric":"b","label":"kept","value":null,"val":"12abc"}]}`)
	if got := refusal(string(doc)); got != "summary_missing" {
		t.Errorf("Parse reads aliases: %q", got)
	}
	r, err := result.CompatAliases(doc)
	if err != nil {
		t.Fatal(err)
	}
	want := &result.Result{
		Status: result.OK, Summary: "m", Details: "d", Perfdata: "a=1", ObservedAt: time.Date(2025, 1, 1, 10, 0, 0, 0, time.UTC), SchemaVersion: 1, AlertHint: true, ConditionID: "c",
		Metrics: []result.Metric{{Name: "a", Value: 9007199254740993, Unit: "ms", Warn: ptr(1), Crit: ptr(2), Min: ptr(0), Max: ptr(9)}},
	}
	if diff := cmp.Diff(want, r, cmpopts.IgnoreFields(result.Result{}, "Issues")); diff != "" {
		t.Errorf("CompatAliases(%s) (-want +got):\n%s", doc, diff)
	}
	issues := strings.Join(found(r.Issues), "\n")
	for _, want := range []string{"alias_used /message", "alias_used /metrics/0/val", "metric_string /metrics/0/crit", "metric_invalid /metrics/1"} {
		if !strings.Contains(issues, want) {
			t.Errorf("no issue %q in\n%s", want, issues)
		}
	}
	again, err := r.MarshalJSON()
	if err != nil || !strings.Contains(string(again), `{"name":"a","value":9007199254740993,"unit":"ms","warn":1,"crit":2,"min":0,"max":9,"x":1}`) {
		t.Errorf("written as %s, %v", again, err)
	}

	r, err = result.CompatAliases([]byte(`{"status":"OK","summary":null,"message":"m","observed_at":"2025-01-01T10:00:00Z","observedAt":"x","timestamp":"y"}`))
	if err != nil || r.Summary != "m" || r.ObservedAt.IsZero() || len(r.Extra) != 2 {
		t.Errorf("a proper name does not win, or null does: %+v, %v", r, err)
	}
	if _, err := result.CompatAliases([]byte(`{"status":"OK","message":" "}`)); err == nil || !strings.Contains(err.Error(), "summary_blank") {
		t.Errorf("blank message: %v", err)
	}
}

func TestAPlainMetricIsPlainData(t *testing.T) {
	t.Parallel()
	r := mustParse(t, with(`"metrics":[{"value":1.5,"name":"a","unit":"ms"},{"name":"a","value":1.50}]`))
	if want := (result.Metric{Name: "a", Value: 1.5, Unit: "ms"}); r.Metrics[0] != want {
		t.Errorf("got %+v, want %+v", r.Metrics[0], want)
	}
	if r.Metrics[1].Equal(r.Metrics[0]) || !r.Metrics[1].Equal(result.Metric{Name: "a", Value: 1.5}) {
		t.Error("Equal does not compare what metrics say")
	}
	var m result.Metric
	if err := json.Unmarshal([]byte(`{"name":"a","value":"x"}`), &m); err == nil {
		t.Error("a metric without a value was read")
	}
	if err := json.Unmarshal([]byte(`{"name":"a","value":2,"warn":1}`), &m); err != nil || !m.Equal(result.Metric{Name: "a", Value: 2, Warn: ptr(1)}) {
		t.Errorf("json.Unmarshal: %+v, %v", m, err)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	for i, want := range []struct {
		text string
		exit int
	}{{"UNKNOWN", 3}, {"OK", 0}, {"WARNING", 1}, {"CRITICAL", 2}, {"UNKNOWN", 3}} {
		if s := result.Status(i); s.String() != want.text || s.ExitCode() != want.exit {
			t.Errorf("Status(%d) = %v, exit %d; want %+v", i, s, s.ExitCode(), want)
		}
	}
	for _, s := range []result.Status{result.Unknown, result.OK, result.Warning, result.Critical} {
		if got, err := result.ParseStatus(" " + strings.ToLower(s.String()) + "\n"); err != nil || got != s {
			t.Errorf("ParseStatus(%v) = %v, %v", s, got, err)
		}
		var back result.Status
		if text, _ := s.MarshalText(); back.UnmarshalText(text) != nil || back != s {
			t.Errorf("%v reads back as %v", s, back)
		}
	}
	for _, bad := range []string{"", "0", "OKAY", "O K", "ſtatus"} {
		if got, err := result.ParseStatus(bad); err == nil || got != result.Unknown {
			t.Errorf("ParseStatus(%q) = %v, %v; want an error", bad, got, err)
		}
	}
	for _, tt := range []struct {
		in   []result.Status
		want result.Status
	}{
		{nil, result.Unknown}, {[]result.Status{result.OK, result.OK}, result.OK}, {[]result.Status{result.OK, result.Unknown}, result.Unknown},
		{[]result.Status{result.Unknown, result.Warning}, result.Warning}, {[]result.Status{result.Critical, result.Warning}, result.Critical}, {[]result.Status{result.OK, 77}, result.Unknown},
	} {
		if got := result.Worst(tt.in...); got != tt.want {
			t.Errorf("Worst(%v) = %v, want %v", tt.in, got, tt.want)
		}
	}
}

// TestHostileDocuments holds the promised cost: under 64 MB and 100 ms each.
// Time is the best of three, times ten for a race build or a busy machine.
func TestHostileDocuments(t *testing.T) {
	const most = 2_097_152
	fill := func(prefix, unit, suffix string) string {
		n := (most - len(prefix) - len(suffix)) / len(unit)
		return prefix + strings.Repeat(unit, n) + suffix
	}
	tokens := func(prefix, unit, suffix string, n int) string { return prefix + strings.Repeat(unit, n) + suffix }
	manyKeys := tokens("", `{"a":1,`, "", 1) + list(1023, func(i int) string { return fmt.Sprintf(`"k%d":1`, i) }) + "},"
	for name, doc := range map[string]string{
		"one long text":           fill(`{"status":"OK","summary":"`, "a", `"}`),
		"escapes":                 fill(`{"status":"OK","summary":"x","details":"`, `\u00e9`, `"}`),
		"broken bytes":            fill(`{"status":"OK","summary":"x","details":"`, "\xff", `"}`),
		"broken bytes in extra":   fill(`{"status":"OK","summary":"x","device_discovery":["`, "\xff", `"]}`),
		"JSON details":            fill(`{"status":"OK","summary":"x","details":"[`, "1,", `1]"}`),
		"many broken texts":       tokens(`{"status":"OK","summary":"x","n":[`, "\"\xff\",", `1]}`, 199_000),
		"bad metrics":             tokens(`{"status":"OK","summary":"x","metrics":[`, "1,", `1]}`, 199_000),
		"empty metrics":           tokens(`{"status":"OK","summary":"x","metrics":[`, "{},", `1]}`, 99_000),
		"metrics of many fields":  tokens(`{"status":"OK","summary":"x","metrics":[`, manyKeys, `1]}`, 95),
		"objects of many fields":  tokens(`{"status":"OK","summary":"x","n":[`, manyKeys, `1]}`, 95),
		"empty objects":           tokens(`{"status":"OK","summary":"x","n":[`+manyKeys, "{},", `1]}`, 98_000),
		"events":                  tokens(`{"status":"OK","summary":"x","events":[`, `{"class_uid":"x"},`, `1]}`, 49_000),
		"wide tables":             tokens(`{"status":"OK","summary":"x","display":[`, `{"widget":"table","rows":[`+strings.Repeat(`{"a":1},`, 600)+`1]},`, `1]}`, 70),
		"sparklines":              tokens(`{"status":"OK","summary":"x","display":[`, `{"widget":"sparkline","values":[`+strings.Repeat(`"1",`, 2900)+`1]},`, `1]}`, 64),
		"perfdata of bad items":   with(`"perfdata":"` + strings.Repeat("= ", 32_000) + `"`),
		"perfdata of stray words": with(`"perfdata":"` + strings.Repeat("a 'b' ", 10_000) + `=1"`),
		"perfdata of fields":      with(`"perfdata":"a=1` + strings.Repeat(";", 65_000) + `"`),
		"long keys":               tokens(`{"status":"OK","summary":"x","n":{`, `"`+text(100_000)+`":1,`, `"a":1}}`, 20),
		"deep":                    tokens(`{"status":"OK","summary":"x","n":`, "[", "", most-100),
		"digits":                  fill(`{"status":"OK","summary":"x","n":`, "9", `}`),
		"exponent":                fill(`{"status":"OK","summary":"x","n":1e`, "9", `}`),
		"spaces":                  fill(`{"status":"OK","summary":"x"`, " ", `}`),
		"case variants":           `{"status":"OK","summary":"x",` + list(1000, func(i int) string { return fmt.Sprintf(`"%s%d":1`, strings.Repeat("S", 1000), i) }) + `}`,
		"stat":                    fill(`{"status":"`, "a", `","summary":"x"}`),
	} {
		best, bytes := time.Duration(math.MaxInt64), uint64(math.MaxUint64)
		for range 3 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			r, err := result.Parse([]byte(doc))
			if err == nil {
				_, err = r.MarshalJSON()
			}
			best = min(best, time.Since(start))
			runtime.ReadMemStats(&after)
			bytes = min(bytes, after.TotalAlloc-before.TotalAlloc)
			var i *result.Issue
			if err != nil && !errors.As(err, &i) {
				t.Errorf("%s: %v", name, err)
			}
		}
		t.Logf("%-24s %8v %6.1f MB", name, best.Round(100*time.Microsecond), float64(bytes)/1e6)
		if bytes > 64<<20 {
			t.Errorf("%s: allocates %d MB in all, want under 64", name, bytes>>20)
		}
		if best > 10*100*time.Millisecond {
			t.Errorf("%s: takes %v", name, best)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		with(`"a":1`), with(`"metrics":[{"name":"a","value":"1","warn":2}]`), with(`"labels":{"a":1}`), with(`"perfdata":"a=1;2 b"`),
		with(`"display":[{"widget":"sparkline","data":{"values":["1",null]}},{"widget":"markdown","data":{"content":"x"}}]`),
		with(`"events":[{"time":1,"severity_id":9}],"observed_at":"2025-01-01T10:00:00Z","alert_hint":true`), "{\"status\":\"OK\",\"summary\":\"\xff\"}", `{"status":"x"}`,
	} {
		f.Add([]byte(s), false)
	}
	f.Add([]byte(`{"status":"OK","message":"m","metrics":[{"metric":"a","val":1}]}`), true)
	f.Fuzz(func(t *testing.T, doc []byte, aliases bool) {
		read := result.Parse
		if aliases {
			read = result.CompatAliases
		}
		r, err := read(doc)
		if err != nil {
			var i *result.Issue
			if r != nil || !errors.As(err, &i) || i.Code == "" {
				t.Errorf("refused with %v, %v", r, err)
			}
			return
		}
		text, err := r.MarshalJSON()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		back, err := result.Parse(text)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, text)
		}
		if diff := cmp.Diff(r, back, cmpopts.IgnoreFields(result.Result{}, "Issues"), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("round trip of %q through %s:\n%s", doc, text, diff)
		}
		if again, err := back.MarshalJSON(); err != nil || !bytes.Equal(again, text) {
			t.Errorf("written twice: %s and %s, %v", text, again, err)
		}
		_ = r.Validate()
		var out strings.Builder
		if err := r.WriteNagios(&out); err != nil || out.Len() > 8192 {
			t.Errorf("WriteNagios: %d bytes, %v", out.Len(), err)
		}
		checkPrintable(t, out.String())
		out.Reset()
		if err := result.WriteOpenMetrics(&out, r, back); err != nil {
			t.Error(err)
		}
		checkExposition(t, out.String())
	})
}
