package netproxy

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"github.com/sandcheck/sandcheck/limits"
)

// Pace holds the rate limiters of one plugin. It outlives runs, so that
// starting a run again resets nothing. Goroutines and Guards may share it.
type Pace struct {
	dials, lookups, packets, bytes *rate.Limiter
}

// pacedBurst is how many dials, or lookups, may come at once.
const pacedBurst = 20

// NewPace returns limiters for DialRate, LookupRate, DatagramRate and
// DatagramBytes of l; a zero field means its default. Dials and lookups have a
// burst of 20, datagrams one second's worth.
func NewPace(l limits.Limits) *Pace {
	l = withDefaults(l)
	return &Pace{
		dials:   rate.NewLimiter(rate.Limit(l.DialRate), pacedBurst),
		lookups: rate.NewLimiter(rate.Limit(l.LookupRate), pacedBurst),
		packets: rate.NewLimiter(rate.Limit(l.DatagramRate), max(1, int(l.DatagramRate))),
		// The burst must hold the largest datagram, or it could never be sent.
		bytes: rate.NewLimiter(rate.Limit(l.DatagramBytes), int(max(l.DatagramBytes, maxDatagram))),
	}
}

const maxDatagram = 8 * limits.KiB

// withDefaults fills the fields that l leaves open. It does not narrow: what an
// operator set above a default stands.
func withDefaults(l limits.Limits) limits.Limits {
	d := limits.Default()
	fill(&l.Body, d.Body)
	fill(&l.Payload, d.Payload)
	fill(&l.Connections, d.Connections)
	fill(&l.Redirects, d.Redirects)
	fill(&l.Dials, d.Dials)
	fill(&l.Lookups, d.Lookups)
	fill(&l.Targets, d.Targets)
	fill(&l.Denials, d.Denials)
	fill(&l.DialRate, d.DialRate)
	fill(&l.LookupRate, d.LookupRate)
	fill(&l.DatagramRate, d.DatagramRate)
	fill(&l.Datagram, d.Datagram)
	fill(&l.DatagramBytes, d.DatagramBytes)
	return l
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// wait takes n from l, waiting under ctx. If the wait cannot fit it fails at
// once with an *limits.ExceededError.
func wait(ctx context.Context, l *rate.Limiter, n int, resource string) error {
	err := l.WaitN(ctx, n)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case expired(ctx): // its timer is late
		return context.DeadlineExceeded
	default:
		return &limits.ExceededError{Resource: resource, Limit: int64(l.Limit()), Used: int64(l.Limit()) + int64(n)}
	}
}

func expired(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}
