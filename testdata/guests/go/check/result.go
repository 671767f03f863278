//go:build wasip1

package check

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"
)

// Result is a plugin_result.v1.
type Result struct {
	Status     string            `json:"status"`
	Summary    string            `json:"summary"`
	Details    string            `json:"details,omitempty"`
	Perfdata   string            `json:"perfdata,omitempty"`
	Metrics    []Metric          `json:"metrics,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	ObservedAt string            `json:"observed_at,omitempty"`
	Display    []Widget          `json:"display,omitempty"`
}

// Metric is one number; thresholds that are nil are left out.
type Metric struct {
	Name  string   `json:"name"`
	Value float64  `json:"value"`
	Unit  string   `json:"unit,omitempty"`
	Warn  *float64 `json:"warn,omitempty"`
	Crit  *float64 `json:"crit,omitempty"`
	Min   *float64 `json:"min,omitempty"`
}

// Widget is one element of the display.
type Widget struct {
	Widget  string `json:"widget"`
	Label   string `json:"label,omitempty"`
	Status  string `json:"status,omitempty"`
	Value   string `json:"value,omitempty"`
	Tone    string `json:"tone,omitempty"`
	Layout  string `json:"layout,omitempty"`
	Content string `json:"content,omitempty"`
	Data    any    `json:"data,omitempty"`
}

// Submit fills in the time and hands the result to the host.
func (r Result) Submit() {
	if r.ObservedAt == "" {
		r.ObservedAt = time.Now().UTC().Format(time.RFC3339Nano)
	}
	doc, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and finite numbers always marshal
	}
	if n := submitResult(pointer(doc), uint32(len(doc))); n < 0 {
		Log(Alert, fail("submit_result", n).Error())
	}
}

// Fail logs an error and submits it as CRITICAL, with the code as a label.
func Fail(err error) {
	Log(Alert, err.Error())
	r := Result{Status: "CRITICAL", Summary: err.Error()}
	if e := new(Error); errors.As(err, &e) {
		r.Labels = map[string]string{"code": strconv.Itoa(int(e.Code))}
	}
	r.Submit()
}

// Tone is the colour of a status.
func Tone(status string) string {
	switch status {
	case "OK":
		return "success"
	case "WARNING":
		return "warning"
	}
	return "error"
}

// Bound is a threshold, or nil where it is not set.
func Bound(v int) *float64 {
	if v <= 0 {
		return nil
	}
	f := float64(v)
	return &f
}
