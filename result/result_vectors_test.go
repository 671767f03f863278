package result_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sandcheck/sandcheck/result"
)

type resultCase struct {
	ID, Name, Payload string
	PayloadHex        string `json:"payload_hex"`
	PayloadRepeat     *struct {
		Prefix, Text, Suffix string
		Count                int
		TotalBytes           int `json:"total_bytes"`
	} `json:"payload_repeat"`
	PayloadNested *struct {
		Prefix, Open, Close, Suffix string
		Count                       int
	} `json:"payload_nested"`
	SubmitCode     int `json:"submit_code"`
	Error, Pointer *string
	Expect         *resultExpect
}

type resultExpect struct {
	Status, Summary    *string
	Available          *bool
	Labels             map[string]string
	LabelsInclude      map[string]string `json:"labels_include"`
	ObservedAt         *string           `json:"observed_at"`
	SchemaVersion      *int              `json:"schema_version"`
	Issues             *[][2]string
	TokensKept         []string  `json:"tokens_kept"`
	Metrics            *[]string `json:"metrics"`
	PerfdataItems      *[]string `json:"perfdata_items"`
	SummaryBytesAtMost int       `json:"summary_bytes_at_most"`
	SummarySuffix      string    `json:"summary_suffix"`
	DetailsBytes       *int      `json:"details_bytes"`
}

func (c *resultCase) doc(t *testing.T) []byte {
	t.Helper()
	switch {
	case c.PayloadHex != "":
		b, err := hex.DecodeString(c.PayloadHex)
		if err != nil {
			t.Fatal(err)
		}
		return b
	case c.PayloadRepeat != nil:
		r := c.PayloadRepeat
		n := r.Count
		if r.TotalBytes > 0 {
			n = (r.TotalBytes - len(r.Prefix) - len(r.Suffix)) / len(r.Text)
		}
		return []byte(r.Prefix + strings.Repeat(r.Text, n) + r.Suffix)
	case c.PayloadNested != nil:
		n := c.PayloadNested
		return []byte(n.Prefix + strings.Repeat(n.Open, n.Count) + strings.Repeat(n.Close, n.Count) + n.Suffix)
	}
	return []byte(c.Payload)
}

// asHost does what a host does to an accepted result: its labels win, it fills
// in the time and judges times in the future.
func asHost(r *result.Result, now time.Time, labels map[string]string) {
	if r.Labels == nil {
		r.Labels = map[string]string{}
	}
	maps.Copy(r.Labels, labels)
	switch {
	case r.ObservedAt.IsZero():
		r.ObservedAt = now
	case r.ObservedAt.After(now.Add(5 * time.Minute)):
		r.ObservedAt = now
		r.Issues = append(r.Issues, result.Issue{Code: "observed_at_future", Pointer: "/observed_at"})
	}
}

func TestResultVectors(t *testing.T) {
	t.Parallel()
	var file struct {
		Result struct {
			Context struct {
				Now        time.Time
				HostLabels map[string]string `json:"host_labels"`
			}
			Cases []json.RawMessage
		}
	}
	readVectors(t, "abi.json", &file)
	if len(file.Result.Cases) < 50 {
		t.Fatalf("only %d cases", len(file.Result.Cases))
	}
	for _, raw := range file.Result.Cases {
		var c resultCase
		strictly(t, raw, &c)
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			doc := c.doc(t)
			r, err := result.Parse(doc)
			if c.SubmitCode != 0 {
				checkRefused(t, &c, r, err)
				return
			}
			if err != nil || c.Expect == nil {
				t.Fatalf("Parse(%.200q) = %v, want it accepted", doc, err)
			}
			asHost(r, file.Result.Context.Now, file.Result.Context.HostLabels)
			c.Expect.check(t, doc, r)
		})
	}
}

func checkRefused(t *testing.T, c *resultCase, r *result.Result, err error) {
	t.Helper()
	var first *result.Issue
	if r != nil || !errors.As(err, &first) || first.Code != *c.Error {
		t.Fatalf("Parse(%.200q) = %v, %v; want %s", c.doc(t), r, err, *c.Error)
	}
	if c.Pointer != nil && first.Pointer != *c.Pointer {
		t.Errorf("Parse(%.200q): pointer %q, want %q", c.doc(t), first.Pointer, *c.Pointer)
	}
	if tooLarge := first.Code == "too_large"; tooLarge != (c.SubmitCode == -3) {
		t.Errorf("code %s is not told apart for submit code %d", first.Code, c.SubmitCode)
	}
}

func (e *resultExpect) check(t *testing.T, doc []byte, r *result.Result) {
	t.Helper()
	equal(t, "status", e.Status, r.Status.String())
	equal(t, "summary", e.Summary, r.Summary)
	equal(t, "available", e.Available, r.Status == result.OK || r.Status == result.Warning)
	equal(t, "observed_at", e.ObservedAt, r.ObservedAt.Format(time.RFC3339Nano))
	equal(t, "schema_version", e.SchemaVersion, r.SchemaVersion)
	equal(t, "details bytes", e.DetailsBytes, len(r.Details))
	if e.Labels != nil {
		equal(t, "labels", &e.Labels, r.Labels)
	}
	for k, v := range e.LabelsInclude {
		if r.Labels[k] != v {
			t.Errorf("label %q = %q, want %q", k, r.Labels[k], v)
		}
	}
	issues := [][2]string{}
	for _, i := range r.Issues {
		issues = append(issues, [2]string{i.Code, i.Pointer})
	}
	equal(t, "issues", e.Issues, issues)
	names := []string{}
	for _, m := range r.Metrics {
		names = append(names, m.Name)
	}
	equal(t, "metrics", e.Metrics, names)
	if e.PerfdataItems != nil {
		var labels []string
		for _, p := range r.Points() {
			labels = append(labels, p.Label)
		}
		equal(t, "perfdata", e.PerfdataItems, labels)
	}
	if e.SummaryBytesAtMost > 0 && len(r.Summary) > e.SummaryBytesAtMost || !strings.HasSuffix(r.Summary, e.SummarySuffix) {
		t.Errorf("summary has %d bytes and ends in %q", len(r.Summary), r.Summary[max(0, len(r.Summary)-9):])
	}
	if hosted, err := r.MarshalJSON(); err != nil {
		t.Errorf("MarshalJSON: %v", err)
	} else if _, err := result.Parse(hosted); err != nil {
		t.Errorf("what a host hands on is refused: %v\n%s", err, hosted)
	}
	e.checkRoundTrip(t, doc)
}

func (e *resultExpect) checkRoundTrip(t *testing.T, doc []byte) {
	t.Helper()
	r, err := result.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.MarshalJSON()
	if err != nil {
		t.Fatalf("MarshalJSON of %.200q: %v", doc, err)
	}
	for _, token := range e.TokensKept {
		if !strings.Contains(string(again), token) {
			t.Errorf("MarshalJSON = %s, want it to hold %s", again, token)
		}
	}
	back, err := result.Parse(again)
	if err != nil {
		t.Fatalf("Parse(MarshalJSON) of %.200q: %v", doc, err)
	}
	if diff := cmp.Diff(r, back, cmpopts.IgnoreFields(result.Result{}, "Issues"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("round trip of %.200q (-first +second):\n%s", doc, diff)
	}
}

func equal[T any](t *testing.T, what string, want *T, got T) {
	t.Helper()
	if want == nil {
		return
	}
	if diff := cmp.Diff(*want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestWidgetAliasVectors holds every accepted shape against the exported one.
func TestWidgetAliasVectors(t *testing.T) {
	t.Parallel()
	var file struct {
		WidgetAliases struct {
			Accepted    map[string][]string
			Export      map[string]string
			ToneAliases map[string]string `json:"tone_aliases"`
		} `json:"widget_aliases"`
	}
	readVectors(t, "abi.json", &file)
	v := file.WidgetAliases
	shapes := map[string]string{ // kind/shape -> the widget, less its name
		"sparkline/data.values":   `"data":{"values":[1,2.50]}`,
		"sparkline/data (list)":   `"data":[1,2.50]`,
		"sparkline/values":        `"values":[1,2.50]`,
		"markdown/data.markdown":  `"data":{"markdown":"# hi"}`,
		"markdown/content":        `"content":"# hi"`,
		"table/data (map)":        `"data":{"a":"1"}`,
		"table/rows[{key,value}]": `"rows":[{"key":"a","value":"1"}]`,
		"status_badge/status":     `"status":"up"`,
		"status_badge/value":      `"value":"up"`,
		"stat_card_tone/tone":     `"tone":"success"`,
		"stat_card_tone/color":    `"color":"success"`,
	}
	exports := map[string]string{
		"sparkline": "data (list)", "markdown": "content", "status_badge": "status", "stat_card_tone": "tone",
		"table": "data (map) or rows[{key,value}]",
	}
	if diff := cmp.Diff(exports, v.Export); diff != "" {
		t.Fatalf("the exports are not what this test knows (-known +file):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"critical": "error"}, v.ToneAliases); diff != "" {
		t.Fatalf("the tones are not what this test knows (-known +file):\n%s", diff)
	}
	for kind, accepted := range v.Accepted {
		for _, shape := range accepted {
			t.Run(kind+" "+shape, func(t *testing.T) {
				t.Parallel()
				body, known := shapes[kind+"/"+shape]
				if !known {
					t.Fatalf("unknown shape %q of %q", shape, kind)
				}
				export := body
				if kind != "table" {
					export = shapes[kind+"/"+v.Export[kind]]
				}
				name := strings.TrimSuffix(kind, "_tone")
				r, err := result.Parse([]byte(`{"status":"OK","summary":"x","display":[{"widget":"` + name + `",` + body + `}]}`))
				if err != nil || len(r.Issues) > 0 || len(r.Display) != 1 {
					t.Fatalf("Parse = %+v, %v", r, err)
				}
				want := `{"widget":"` + name + `",` + export + `}`
				if got := string(r.Display[0].Raw); got != want {
					t.Errorf("Raw = %s, want %s", got, want)
				}
				if got, err := r.Display[0].MarshalJSON(); err != nil || string(got) != want {
					t.Errorf("MarshalJSON = %s, %v; want %s", got, err, want)
				}
			})
		}
	}
	for tone := range v.ToneAliases {
		r, err := result.Parse([]byte(`{"status":"OK","summary":"x","display":[{"widget":"stat_card","tone":"` + tone + `"}]}`))
		if err != nil || len(r.Issues) > 0 || r.Display[0].Tone != tone {
			t.Errorf("tone %q: %+v, %v; want it kept without an issue", tone, r, err)
		}
	}
	if !slices.Contains(v.Accepted["sparkline"], "values") {
		t.Error("the file lists no top-level values for sparkline")
	}
}
