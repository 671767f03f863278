package result

import (
	"io"
	"strings"
)

// maxOutput bounds the output of a classic check: readers cut there.
const maxOutput = 8192

// WriteNagios writes the output of a classic check, at most 8,192 bytes:
//
//	STATUS: summary | perfdata
//	details
//
// Perfdata is that of Points, of metrics with one name the last; a unit that
// perfdata cannot hold is left out, and items that do not fit are left out
// whole. In text "|" becomes "/", and control characters and terminal escape
// sequences are removed. The exit code is Status.ExitCode.
func (r *Result) WriteNagios(w io.Writer) error {
	var b strings.Builder
	summary, _ := cut(pipeless(oneLine(r.Summary)), maxSummary)
	b.WriteString(r.Status.String() + ": " + strings.TrimSpace(summary))

	sep := " | "
	items, metrics := r.points()
	for _, p := range append(items, lastOfEach(metrics)...) {
		if !unitFits(p.Unit) {
			p.Unit = ""
		}
		text, _ := FormatPerfdata(p) // what cannot be written is left out
		if text == "" || b.Len()+len(sep)+len(text) >= maxOutput {
			continue
		}
		b.WriteString(sep + text)
		sep = " "
	}
	b.WriteByte('\n')

	details := strings.Trim(pipeless(lines(head(r.Details, 2*maxOutput))), blanks)
	if room := maxOutput - b.Len() - 1; details != "" && room > len("...") {
		details, _ = cut(details, room)
		b.WriteString(details + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func pipeless(s string) string { return strings.ReplaceAll(s, "|", "/") }

// lastOfEach keeps of the points with one label the last.
func lastOfEach(points []Perfdata) []Perfdata {
	last := map[string]int{}
	for i, p := range points {
		last[p.Label] = i
	}
	var kept []Perfdata
	for i, p := range points {
		if last[p.Label] == i {
			kept = append(kept, p)
		}
	}
	return kept
}
