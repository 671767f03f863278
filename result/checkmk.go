package result

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxService bounds the name of a service, in bytes.
const maxService = 255

// WriteCheckmk writes the line of a Checkmk local check, at most 8,192 bytes:
//
//	CODE "service" PERFDATA text
//
// CODE is Status.ExitCode. PERFDATA is that of Points, of metrics with one name
// the last, joined by "|", or "-" if there is none. Checkmk reads bare numbers,
// split at blanks: units are left out without scaling, values that are not
// known and "@" ranges too, and blanks in a name become "_". The text is
// Summary, and Details after it with line ends written as `\n`; control
// characters and terminal escape sequences are removed, "|" becomes "/", and so
// does the backslash of a `\n` that the plugin wrote itself.
//
// The service must be 1 to 255 bytes of UTF-8 that are not all blank, without
// double quotes and control characters. It is never mended: another name would
// be another service.
func (r *Result) WriteCheckmk(w io.Writer, service string) error {
	if err := checkService(service); err != nil {
		return err
	}
	start := strconv.Itoa(r.Status.ExitCode()) + ` "` + service + `" `
	summary, _ := cut(checkmkText(oneLine(r.Summary)), maxSummary)
	if summary = strings.TrimSpace(summary); summary == "" {
		summary = r.Status.String() // a line without text is not understood
	}
	room := maxOutput - len(start) - len(summary) - len(" \n")
	perf := r.checkmkPerfdata(room)
	line := start + perf + " " + summary

	const lineEnd = `\n`
	details := strings.Trim(checkmkText(lines(head(r.Details, 2*maxOutput))), blanks)
	details = strings.ReplaceAll(details, "\n", lineEnd)
	if room := maxOutput - len(line) - len(lineEnd) - 1; details != "" && room > len("...") {
		details, _ = cut(details, room)
		line += lineEnd + details
	}
	_, err := io.WriteString(w, line+"\n")
	return err
}

func checkService(name string) error {
	why := ""
	switch {
	case strings.TrimSpace(name) == "":
		why = "is blank"
	case len(name) > maxService:
		why = fmt.Sprintf("has %d bytes: at most %d are allowed", len(name), maxService)
	case !utf8.ValidString(name):
		why = "is not UTF-8"
	case strings.ContainsFunc(name, func(c rune) bool { return c == '"' || unicode.IsControl(c) }):
		why = "holds a double quote or a control character"
	default:
		return nil
	}
	return fmt.Errorf("result: service name %q %s", head(name, 64), why)
}

// checkmkText keeps Checkmk from seeing a line end where the plugin had none.
func checkmkText(s string) string {
	return strings.ReplaceAll(pipeless(s), `\n`, "/n")
}

// checkmkPerfdata is the third field of the line, of at most room bytes.
func (r *Result) checkmkPerfdata(room int) string {
	points := r.Points()
	for i := range points {
		points[i] = checkmkPoint(points[i])
	}
	var b strings.Builder
	for _, p := range lastOfEach(points) {
		text, _ := FormatPerfdata(p) // what cannot be written is left out
		text = strings.ReplaceAll(text, "'", "")
		if text == "" || !finite(p.Value) || b.Len()+1+len(text) > room {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('|')
		}
		b.WriteString(text)
	}
	if b.Len() == 0 {
		return "-"
	}
	return b.String()
}

// checkmkPoint leaves in p what Checkmk can read. Its reader knows no quotes.
func checkmkPoint(p Perfdata) Perfdata {
	p.Label = strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) || c == ';' {
			return '_'
		}
		return c
	}, safeLabel(p.Label))
	p.Unit = ""
	for _, bound := range []**Range{&p.Warn, &p.Crit} {
		if *bound != nil && (*bound).Inside {
			*bound = nil
		}
	}
	return p
}
