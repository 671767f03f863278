//go:build wasip1

// Command http-check asks for a URL and judges status, content and latency.
package main

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"guests/check"
)

// config is what an operator sets. Zero thresholds are off.
type config struct {
	URL          string            `json:"url"`
	Method       string            `json:"method"`
	Headers      map[string]string `json:"headers"`
	ExpectStatus int               `json:"expect_status"` // 0: any below 400
	ExpectBody   string            `json:"expect_body"`
	WarnMS       int               `json:"warn_ms"`
	CritMS       int               `json:"crit_ms"`
	TimeoutMS    int               `json:"timeout_ms"` // 0: the host's own
}

func main() {}

//go:wasmexport run_check
func runCheck() {
	var c config
	if err := check.Config(&c); err != nil {
		check.Fail(err)
		return
	}
	if c.URL == "" {
		check.Result{Status: "UNKNOWN", Summary: "config has no url"}.Submit()
		return
	}
	before := time.Now()
	resp, err := check.Request{Method: c.Method, URL: c.URL, Headers: c.Headers, TimeoutMS: c.TimeoutMS}.Do()
	if err != nil {
		check.Fail(err)
		return
	}
	latency := int(time.Since(before).Milliseconds())
	status, summary := c.judge(resp, latency)
	if status != "OK" {
		check.Log(check.Warn, summary)
	}
	c.result(resp, latency, status, summary).Submit()
}

// judge names the first thing that is wrong, the gravest first.
func (c config) judge(resp *check.Response, latency int) (status, summary string) {
	switch {
	case c.ExpectStatus != 0 && resp.Status != c.ExpectStatus:
		return "CRITICAL", fmt.Sprintf("HTTP %d, expected %d", resp.Status, c.ExpectStatus)
	case c.ExpectStatus == 0 && resp.Status >= 400:
		return "CRITICAL", fmt.Sprintf("HTTP %d", resp.Status)
	case !bytes.Contains(resp.Body, []byte(c.ExpectBody)):
		return "CRITICAL", fmt.Sprintf("HTTP %d, expected text is missing", resp.Status)
	}
	summary = fmt.Sprintf("HTTP %d in %d ms", resp.Status, latency)
	switch {
	case c.CritMS > 0 && latency >= c.CritMS:
		return "CRITICAL", summary
	case c.WarnMS > 0 && latency >= c.WarnMS:
		return "WARNING", summary
	}
	return "OK", summary
}

func (c config) result(resp *check.Response, latency int, status, summary string) check.Result {
	bound := func(v int) string {
		if v <= 0 {
			return ""
		}
		return strconv.Itoa(v)
	}
	zero := new(float64)
	code, kind := strconv.Itoa(resp.Status), resp.Headers["content-type"]
	return check.Result{
		Status:   status,
		Summary:  summary,
		Details:  c.URL,
		Perfdata: fmt.Sprintf("latency=%dms;%s;%s;0 size=%dB;;;0", latency, bound(c.WarnMS), bound(c.CritMS), len(resp.Body)),
		Metrics: []check.Metric{
			{Name: "latency", Value: float64(latency), Unit: "ms", Warn: check.Bound(c.WarnMS), Crit: check.Bound(c.CritMS), Min: zero},
			{Name: "size", Value: float64(len(resp.Body)), Unit: "B", Min: zero},
			{Name: "http_status", Value: float64(resp.Status), Min: zero},
		},
		Labels: map[string]string{"http_status": code, "content_type": kind},
		Display: []check.Widget{
			{Widget: "status_badge", Label: "HTTP", Status: status},
			{Widget: "stat_card", Label: "Latency", Value: fmt.Sprint(latency, " ms"), Tone: check.Tone(status)},
			{Widget: "table", Layout: "full", Data: map[string]string{"Status": code, "Content-Type": kind, "Size": fmt.Sprint(len(resp.Body), " B")}},
			{Widget: "markdown", Content: "**" + status + "**"},
			{Widget: "sparkline", Label: "Latency", Data: []int{latency}},
		},
	}
}
