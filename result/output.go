package result

import "strings"

// SplitOutput takes the output of a classic check apart: the first line up to
// its "|" is the summary, the following lines are long text up to a line with a
// "|", and what stands behind the two is perfdata, joined by one blank. A "|"
// counts only when a "=" follows on its line. The parts are views of s where
// possible; nothing in them is checked.
func SplitOutput(s string) (summary, long, perfdata string) {
	first, rest, _ := strings.Cut(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	var perf []string
	keep := func(part string) {
		if part = strings.Trim(part, blanks); part != "" {
			perf = append(perf, part)
		}
	}
	summary, part, _ := cutPerfdata(first)
	keep(part)

	var text []string
	for line, inPerf := "", false; rest != ""; {
		line, rest, _ = strings.Cut(rest, "\n")
		if inPerf {
			keep(line)
			continue
		}
		var before string
		before, part, inPerf = cutPerfdata(line)
		text = append(text, before)
		keep(part)
	}
	return strings.Trim(summary, blanks), strings.Trim(strings.Join(text, "\n"), blanks), strings.Join(perf, " ")
}

const blanks = " \t\r\n"

// cutPerfdata cuts a line at the "|" that separates text from perfdata.
func cutPerfdata(line string) (text, perf string, found bool) {
	text, perf, found = strings.Cut(line, "|")
	if !found || !strings.Contains(perf, "=") {
		return line, "", false
	}
	return text, perf, true
}
