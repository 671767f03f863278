package limits

import (
	"errors"
	"fmt"
	"time"
)

// Usage is what one run used. Submits and log lines are in Calls, redirects in
// the decisions of the run.
type Usage struct {
	// CPU is time spent in guest code, Wall the whole run, HostWait the part
	// spent inside host functions, Instantiate the part before the entrypoint.
	CPU, Wall, HostWait, Instantiate time.Duration
	// Fuel counts the metered units of the entrypoint, InitFuel those of
	// initialisation. Zero where the engine does not meter.
	Fuel, InitFuel uint64
	// PeakMemory is the largest size that the guest's linear memory had.
	PeakMemory Bytes
	// PeakConnections is the largest number of connections open at one time.
	PeakConnections int
	// RefusedGrows counts memory.grow beyond the limit; FirstRefused is the
	// size that was asked for first.
	RefusedGrows int
	// Dials, Lookups, Targets and Denials count network attempts.
	Dials, Lookups, Targets, Denials int
	FirstRefused                     Bytes
	// Calls counts host calls by function name, Failed those that answered a
	// negative code, by "name code".
	Calls, Failed map[string]int
	// BytesIn and BytesOut count network payload. LogDropped counts log lines
	// and OutputDropped stdout and stderr bytes that the caps cut off.
	BytesIn, BytesOut, LogDropped, OutputDropped int64
}

// Sentinels for errors.Is.
var (
	// ErrExceeded matches every *ExceededError.
	ErrExceeded = errors.New("limit exceeded")
	// ErrAdmission matches a run that a Budget did not let in.
	ErrAdmission = errors.New("admission denied")
)

// ExceededError says which limit was reached, what it is and how much was used
// or asked for. Units are those of the field of Limits: bytes, nanoseconds or a
// plain count.
type ExceededError struct {
	Resource    string
	Limit, Used int64
}

// Error names the resource, the limit and the use.
func (e *ExceededError) Error() string {
	return fmt.Sprintf("%s limit exceeded: %d of at most %d", e.Resource, e.Used, e.Limit)
}

// Is matches ErrExceeded.
func (e *ExceededError) Is(target error) bool { return target == ErrExceeded }
