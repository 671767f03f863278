package result

import (
	"encoding/json"
	"io"
	"strings"
	"time"
)

// IcingaOptions are what Icinga is told beside the result. The zero value is a
// service, and says nothing about times.
type IcingaOptions struct {
	// Host makes it the check of a host, which is up (0) when Status is
	// OK or Warning and down (1) otherwise. Services have Status.ExitCode.
	Host bool
	// Start and End are when the check ran; a zero one is left out.
	Start, End time.Time
	// TTL is how long Icinga may take the result for fresh. It is left out
	// unless it is positive.
	TTL time.Duration
}

type icingaBody struct {
	ExitStatus int      `json:"exit_status"`
	Output     string   `json:"plugin_output"`
	Perfdata   []string `json:"performance_data"`
	Start      *float64 `json:"execution_start,omitempty"`
	End        *float64 `json:"execution_end,omitempty"`
	TTL        float64  `json:"ttl,omitempty"`
}

// WriteIcinga writes the body of a request to process-check-result of the
// Icinga 2 API, a JSON object on one line. Which host or service it is about
// stands in the request's URL.
//
// plugin_output is "STATUS: summary" and Details below it, together at most
// 8,192 bytes, cleaned as by WriteNagios. performance_data has the items that
// WriteNagios writes, up to 64 KiB; items that do not fit are left out whole.
// Times are in seconds.
func (r *Result) WriteIcinga(w io.Writer, o IcingaOptions) error {
	body := icingaBody{
		ExitStatus: r.Status.ExitCode(),
		Output:     r.icingaOutput(),
		Perfdata:   r.icingaPerfdata(),
		Start:      icingaTime(o.Start),
		End:        icingaTime(o.End),
		TTL:        max(o.TTL.Seconds(), 0),
	}
	if o.Host {
		body.ExitStatus = 1
		if r.Status == OK || r.Status == Warning {
			body.ExitStatus = 0
		}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // it is read by Icinga, not by a browser
	return e.Encode(body)
}

func (r *Result) icingaOutput() string {
	summary, _ := cut(pipeless(oneLine(r.Summary)), maxSummary)
	text := r.Status.String() + ": " + strings.TrimSpace(summary)
	details := strings.Trim(pipeless(lines(head(r.Details, 2*maxOutput))), blanks)
	if details != "" {
		text, _ = cut(text+"\n"+details, maxOutput)
	}
	return text
}

func (r *Result) icingaPerfdata() []string {
	all, size := []string{}, 0 // an empty list, never null
	items, metrics := r.points()
	for _, p := range append(items, lastOfEach(metrics)...) {
		if !unitFits(p.Unit) {
			p.Unit = ""
		}
		text, _ := FormatPerfdata(p) // what cannot be written is left out
		if text == "" || size+len(text) > maxPerfdata {
			continue
		}
		size += len(text)
		all = append(all, text)
	}
	return all
}

// icingaTime is t in seconds, exact to about a microsecond.
func icingaTime(t time.Time) *float64 {
	if t.IsZero() {
		return nil
	}
	seconds := float64(t.UnixMicro()) / 1e6
	return &seconds
}
