package host

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/result"
)

// Report is everything that is known of one run. It belongs to the caller.
type Report struct {
	// Result is what Run returns. It is never nil.
	Result *result.Result
	// Submits are the attempts to submit, in order.
	Submits []Submit
	// Ended says how the run ended, and Cause why, if it was not a plain
	// return: it is set also where a result was accepted before.
	Ended Ending
	Cause error
	Usage limits.Usage
	// Decisions are the first 1,000 decisions of the run, network and
	// capability alike, in the order in which they were made.
	Decisions []netproxy.Decision
	// Failures are the last host calls that failed, at most 32.
	Failures []HostCall
	Logs     []LogLine
	// Stdout and Stderr are the last bytes of what the guest printed, without
	// control sequences.
	Stdout, Stderr string
	// ID and Version are those of the plugin, Digest that of its module.
	ID, Version, RunID string
	Digest             manifest.Digest
	Started            time.Time
	// Notes are remarks of the host, such as a discarded _start.
	Notes []string
}

// Submit is one attempt to submit a result.
type Submit = capability.Submission

// Ending says how a run ended.
type Ending uint8

// The endings of a run.
const (
	NotStarted Ending = iota // refused before any guest code ran
	Returned                 // the entrypoint returned
	Exited                   // proc_exit, with any code
	Trapped                  // a Wasm trap, or a panic of a host function
	TimedOut                 // Limits.Wall or the deadline of ctx
	Limited                  // Limits.CPU or another limit that ends a run
	Cancelled                // ctx was cancelled, or the Plugin or Runtime closed
)

// String is the stable word for e, "timed_out".
func (e Ending) String() string {
	words := [...]string{"not_started", "returned", "exited", "trapped", "timed_out", "limited", "cancelled"}
	if int(e) < len(words) {
		return words[e]
	}
	return fmt.Sprintf("Ending(%d)", uint8(e))
}

// LogLine is one line that the guest logged.
type LogLine struct {
	At    time.Time
	Level slog.Level
	Text  string
}

// HostCall is one call of a host function. Detail is the reason of a failure,
// in full and for the admin; In and Out are the bytes that the guest named.
type HostCall struct {
	Func, Detail string
	Code         capability.Code
	Took         time.Duration
	In, Out      int
}
