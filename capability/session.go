package capability

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/result"
)

// Session is the state of one run as handlers see it. The host makes one per
// run; a literal is a working fake for tests, with the default of every limit
// that is zero. A Session without Net reaches no network, one without Log drops
// what the guest logs. It is used through a pointer and must not be copied.
type Session struct {
	Plugin, Run string          // ids of the plugin and of the run
	Config      []byte          // what get_config delivers
	Net         *netproxy.Guard // the only way to the network
	Log         *slog.Logger    // where the guest's log lines go
	Limits      limits.Limits   // every field filled in

	mu          sync.Mutex // guards all below
	closed      bool
	handles     map[uint32]io.Closer
	lastHandle  uint32
	peakHandles int

	submissions []Submission
	submits     int // attempts, also those past the limit
	submitted   limits.Bytes

	logLines   int
	logBytes   limits.Bytes
	logDropped int64

	failed struct { // the last host call that failed
		fn   string
		code Code
		err  error
	}
}

// Submission is one attempt to submit a result: the guest's own bytes and what
// they were read as, or why they were refused. Raw is nil for one refused by
// its size or a limit.
type Submission struct {
	Raw    []byte
	Result *result.Result
	Err    error
}

// limits fills the fields that a literal left out.
func (s *Session) limits() limits.Limits { return s.Limits.Or(limits.Default()) }

// Submit reads and validates a result document and keeps it, with a copy of its
// bytes. Every attempt counts toward Limits.Submits; documents above
// Limits.Payload, and those that would exceed Limits.Submitted together with
// the earlier ones, are refused with an error that matches limits.ErrExceeded.
// An invalid document joins a *result.Issue. Nil means that it is stored.
func (s *Session) Submit(doc []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.limits()
	s.submits++
	if s.submits > l.Submits {
		if len(doc) == 0 {
			_, err := result.Parse(doc) // what makes no sense is told first
			return err
		}
		// Not kept one by one: nothing bounds how many there are.
		return &limits.ExceededError{Resource: "submits", Limit: int64(l.Submits), Used: int64(s.submits)}
	}
	sub := Submission{Err: s.fits(l, limits.Bytes(len(doc)))}
	if sub.Err == nil {
		s.submitted += limits.Bytes(len(doc))
		sub.Raw = slices.Clone(doc)
		sub.Result, sub.Err = result.Parse(sub.Raw)
	}
	s.submissions = append(s.submissions, sub)
	return sub.Err
}

func (s *Session) fits(l limits.Limits, n limits.Bytes) error {
	switch {
	case s.closed:
		return errClosed
	case n > l.Payload:
		return &limits.ExceededError{Resource: "result", Limit: int64(l.Payload), Used: int64(n)}
	case s.submitted+n > l.Submitted:
		return &limits.ExceededError{Resource: "submitted bytes", Limit: int64(l.Submitted), Used: int64(s.submitted + n)}
	}
	return nil
}

// Results returns the results accepted so far, in order.
func (s *Session) Results() []*result.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	var accepted []*result.Result
	for _, sub := range s.submissions {
		if sub.Err == nil {
			accepted = append(accepted, sub.Result)
		}
	}
	return accepted
}

// Submissions returns the attempts to submit in order, at most Limits.Submits
// of them: those beyond are only counted.
func (s *Session) Submissions() []Submission {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.submissions)
}

// Usage returns what the Session itself counts: PeakConnections and LogDropped.
func (s *Session) Usage() limits.Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return limits.Usage{PeakConnections: s.peakHandles, LogDropped: s.logDropped}
}

// takeLogLine reports whether a line of n bytes may still be logged.
func (s *Session) takeLogLine(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.limits()
	if s.closed || s.logLines >= l.LogLines || s.logBytes+limits.Bytes(n) > l.Log {
		s.logDropped++
		return false
	}
	s.logLines++
	s.logBytes += limits.Bytes(n)
	return true
}

// noteFailure remembers the last failed call for last_error, whose own failures
// never replace what it is asked for.
func (s *Session) noteFailure(fn string, code Code, err error) {
	if fn == lastErrorName {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed.fn, s.failed.code, s.failed.err = fn, code, err
}

// lastError is the text of the last failed call, "" if none failed.
func (s *Session) lastError() string {
	s.mu.Lock()
	fn, code, err := s.failed.fn, s.failed.code, s.failed.err
	s.mu.Unlock()
	if err == nil {
		return ""
	}
	if code == Denied {
		return fmt.Sprintf("%s: %s", code, fn)
	}
	return fmt.Sprintf("%s: %s: %s", code, fn, guestReason(code, err))
}
