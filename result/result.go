package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
)

// Result is what a check found. The zero value is an UNKNOWN without a
// summary, which Validate refuses. A Result is plain data: copying it shares
// its slices and maps, and goroutines that only read may share it.
type Result struct {
	// Status is the outcome; zero is Unknown.
	Status Status
	// Summary is one line for people, at most 2,048 bytes. Required.
	Summary string
	// Details is longer text, at most 64 KiB unless it is a JSON document.
	Details string
	// Perfdata is text as ParsePerfdata reads it; Points has it parsed.
	Perfdata string
	// Metrics are numbers by name, at most 1,024.
	Metrics []Metric
	// Labels say what the result is about, at most 64. Nil when there are none.
	Labels map[string]string
	// ObservedAt is when it was found, in UTC. Zero means not said.
	ObservedAt time.Time
	// SchemaVersion is 1; zero is written as 1.
	SchemaVersion int
	// Display holds widgets for a screen, at most 64.
	Display []Widget
	// Events holds OCSF events as written, at most 256.
	Events []json.RawMessage
	// AlertHint is the plugin's wish for an alert at once, ConditionID the key
	// of its condition, at most 128 bytes.
	AlertHint   bool
	ConditionID string
	// Extra holds every other field as written and in order: fields unknown
	// here, those that are known but passed through (device_discovery and its
	// like), and known ones of a wrong type. MarshalJSON writes them back,
	// except where a field above has the name and a value.
	Extra []Field
	// Issues says what Parse repaired or dropped. It is not written back.
	Issues []Issue
}

// Field is one field of a document whose value is kept as written.
type Field struct {
	Name  string
	Value json.RawMessage
}

// Issue is one finding in a document. As an error it says why the document is
// invalid.
type Issue struct {
	// Code is a stable word such as "duplicate_key".
	Code string `json:"code"`
	// Pointer is a JSON pointer to the place, "" for the whole document. Names
	// longer than 128 bytes are cut.
	Pointer string `json:"pointer"`
	// Message explains it to people.
	Message string `json:"message,omitempty"`
}

// Error is "CODE at POINTER: MESSAGE".
func (i *Issue) Error() string {
	return fmt.Sprintf("%s at %q: %s", i.Code, i.Pointer, i.Message)
}

// FromError returns the UNKNOWN result that a host submits in place of a check
// that failed with err. Its summary is err's text on one line of at most 2,048
// bytes, without control characters, without a stack trace, and with the file
// of an *fs.PathError reduced to its name: summaries are read by people who
// may not know this machine. ObservedAt is left to the host.
func FromError(err error) *Result {
	summary := "unknown error"
	if err != nil {
		if text := summaryOf(err); text != "" {
			summary = text
		}
	}
	return &Result{Status: Unknown, Summary: summary, SchemaVersion: 1}
}

func summaryOf(err error) string {
	text := err.Error()
	var path *fs.PathError
	if errors.As(err, &path) && path.Path != "" {
		text = strings.ReplaceAll(text, path.Path, filepath.Base(path.Path))
	}
	var parts []string
	for line := range strings.Lines(head(text, 4*maxSummary)) {
		line = strings.TrimSpace(oneLine(line))
		if startsStack(line) {
			break
		}
		if line != "" {
			parts = append(parts, line)
		}
	}
	text, _ = cut(strings.Join(parts, "; "), maxSummary)
	return text
}

// startsStack knows the first lines of stack traces: Go's and the engine's.
func startsStack(line string) bool {
	lower := strings.ToLower(line)
	return strings.HasPrefix(lower, "goroutine ") || strings.Contains(lower, "stack trace") || strings.HasPrefix(lower, "stack backtrace")
}

// Points returns perfdata and metrics as one list: the items of Perfdata, good
// ones only, then each metric whose name is not among them.
func (r *Result) Points() []Perfdata {
	items, metrics := r.points()
	return append(items, metrics...)
}

func (r *Result) points() (items, metrics []Perfdata) {
	items, _ = scanPerfdata(r.Perfdata) // Parse has listed its problems in Issues
	labels := map[string]bool{}
	for _, p := range items {
		labels[p.Label] = true
	}
	for _, m := range r.Metrics {
		if !labels[m.Name] {
			metrics = append(metrics, m.point())
		}
	}
	return items, metrics
}
