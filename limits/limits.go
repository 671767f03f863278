// Package limits says how much one run, and all runs together, may use, and
// reports what was used.
//
// Limits is plain data: a zero field means "not said", never "no limit".
// Whoever enforces a limit starts from Default and narrows it with Min, so that
// every limit always has a value. The package knows nothing of Wasm and is
// usable on its own.
package limits

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"
)

// Bytes is a size in bytes. It prints with a binary unit, "32 MiB".
type Bytes int64

// Binary multiples of a byte.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
)

// String writes b with the largest binary unit that divides it: "32 MiB",
// "1200 B".
func (b Bytes) String() string {
	const gib = MiB << 10
	switch {
	case b != 0 && b%gib == 0:
		return fmt.Sprintf("%d GiB", int64(b/gib))
	case b != 0 && b%MiB == 0:
		return fmt.Sprintf("%d MiB", int64(b/MiB))
	case b != 0 && b%KiB == 0:
		return fmt.Sprintf("%d KiB", int64(b/KiB))
	default:
		return fmt.Sprintf("%d B", int64(b))
	}
}

// Limits bounds one run. A zero field is "not said": the default of Default
// holds, never "no limit".
type Limits struct {
	// Memory bounds the guest's linear memory, in whole pages of 64 KiB.
	// Default 64 MiB, at most 4096 MiB.
	Memory Bytes
	// Module bounds plugin.wasm. Default 64 MiB.
	Module Bytes
	// Payload bounds one document or message that crosses the guest boundary:
	// a submitted result, an HTTP request document, a WebSocket message.
	// Default 2 MiB.
	Payload Bytes
	// Body bounds one HTTP response body after decompression. Default 2 MiB,
	// at most 16 MiB.
	Body Bytes
	// Log bounds the text of all log lines of a run. Default 1 MiB.
	Log Bytes
	// Stderr bounds what is kept of stdout and of stderr: the last bytes of
	// each. Default 64 KiB.
	Stderr Bytes

	// CPU bounds the time spent in guest code. Default: as Wall.
	CPU time.Duration
	// Wall bounds a run from its start to its end, waits included. Default 10 s.
	Wall time.Duration
	// Compile bounds the compilation of one module. Default 60 s.
	Compile time.Duration

	// Connections bounds the connections that are open at one time: TCP,
	// WebSocket and HTTP share the count. Default 4.
	Connections int
	// HostCalls bounds the host function calls of a run. Default 1,000,000.
	HostCalls int
	// Redirects bounds the redirects that one HTTP request follows. Default 10.
	Redirects int
	// Submits bounds the calls of submit_result in a run. Default 1,024.
	Submits int
	// LogLines bounds the log lines of a run. Default 1,000.
	LogLines int
	// Dials bounds the connection attempts of a run, Lookups the distinct names
	// that it looks up, Targets those names and the distinct address and port
	// pairs that it sends datagrams to. Default 64 each.
	Dials, Lookups, Targets int
	// Denials is the number of refused network attempts after which every
	// later attempt of the run is refused unjudged. Default 16.
	Denials int
	// TableElems bounds the entries of all tables of a module. Default 65,536.
	TableElems int

	// CallRate bounds host function calls per second. Default 1,000,000.
	CallRate float64
	// DialRate and LookupRate pace the dials and lookups of one plugin over
	// all its runs, per second, with a burst of 20. Default 10 each.
	DialRate, LookupRate float64
	// DatagramRate paces the datagrams of one plugin, per second. Default 50.
	DatagramRate float64

	// Submitted bounds the bytes of all submits of a run. Default 32 MiB.
	Submitted Bytes
	// Datagram bounds one datagram. Default 1200 B, at most 8 KiB.
	Datagram Bytes
	// DatagramBytes paces the datagram bytes of one plugin, per second.
	// Default 256 KiB.
	DatagramBytes Bytes
}

// Hard maxima, which no operator can lift.
const (
	maxMemory   = 4096 * MiB // the 32-bit address space of a Wasm memory
	maxBody     = 16 * MiB
	maxDatagram = 8 * KiB
)

// Default returns the limits that hold where nothing is said.
func Default() Limits {
	return Limits{
		Memory: 64 * MiB, Module: 64 * MiB, Payload: 2 * MiB, Body: 2 * MiB,
		Log: MiB, Stderr: 64 * KiB,
		CPU: 10 * time.Second, Wall: 10 * time.Second, Compile: 60 * time.Second,
		Connections: 4, HostCalls: 1_000_000, Redirects: 10, Submits: 1024,
		LogLines: 1000, Dials: 64, Lookups: 64, Targets: 64, Denials: 16,
		TableElems: 65_536,
		CallRate:   1_000_000, DialRate: 10, LookupRate: 10, DatagramRate: 50,
		Submitted: 32 * MiB, Datagram: 1200, DatagramBytes: 256 * KiB,
	}
}

// Min returns the tighter of l and o, field by field. A zero field says
// nothing, so the other side's value stands.
func (l Limits) Min(o Limits) Limits {
	return Limits{
		Memory: tighter(l.Memory, o.Memory), Module: tighter(l.Module, o.Module),
		Payload: tighter(l.Payload, o.Payload), Body: tighter(l.Body, o.Body),
		Log: tighter(l.Log, o.Log), Stderr: tighter(l.Stderr, o.Stderr),
		CPU: tighter(l.CPU, o.CPU), Wall: tighter(l.Wall, o.Wall), Compile: tighter(l.Compile, o.Compile),
		Connections: tighter(l.Connections, o.Connections), HostCalls: tighter(l.HostCalls, o.HostCalls),
		Redirects: tighter(l.Redirects, o.Redirects), Submits: tighter(l.Submits, o.Submits),
		LogLines: tighter(l.LogLines, o.LogLines), Dials: tighter(l.Dials, o.Dials),
		Lookups: tighter(l.Lookups, o.Lookups), Targets: tighter(l.Targets, o.Targets),
		Denials: tighter(l.Denials, o.Denials), TableElems: tighter(l.TableElems, o.TableElems),
		CallRate: tighter(l.CallRate, o.CallRate), DialRate: tighter(l.DialRate, o.DialRate),
		LookupRate: tighter(l.LookupRate, o.LookupRate), DatagramRate: tighter(l.DatagramRate, o.DatagramRate),
		Submitted: tighter(l.Submitted, o.Submitted), Datagram: tighter(l.Datagram, o.Datagram),
		DatagramBytes: tighter(l.DatagramBytes, o.DatagramBytes),
	}
}

// Or returns l with o's value in every field where l says nothing.
func (l Limits) Or(o Limits) Limits {
	return Limits{
		Memory: cmp.Or(l.Memory, o.Memory), Module: cmp.Or(l.Module, o.Module),
		Payload: cmp.Or(l.Payload, o.Payload), Body: cmp.Or(l.Body, o.Body),
		Log: cmp.Or(l.Log, o.Log), Stderr: cmp.Or(l.Stderr, o.Stderr),
		CPU: cmp.Or(l.CPU, o.CPU), Wall: cmp.Or(l.Wall, o.Wall), Compile: cmp.Or(l.Compile, o.Compile),
		Connections: cmp.Or(l.Connections, o.Connections), HostCalls: cmp.Or(l.HostCalls, o.HostCalls),
		Redirects: cmp.Or(l.Redirects, o.Redirects), Submits: cmp.Or(l.Submits, o.Submits),
		LogLines: cmp.Or(l.LogLines, o.LogLines), Dials: cmp.Or(l.Dials, o.Dials),
		Lookups: cmp.Or(l.Lookups, o.Lookups), Targets: cmp.Or(l.Targets, o.Targets),
		Denials: cmp.Or(l.Denials, o.Denials), TableElems: cmp.Or(l.TableElems, o.TableElems),
		CallRate: cmp.Or(l.CallRate, o.CallRate), DialRate: cmp.Or(l.DialRate, o.DialRate),
		LookupRate: cmp.Or(l.LookupRate, o.LookupRate), DatagramRate: cmp.Or(l.DatagramRate, o.DatagramRate),
		Submitted: cmp.Or(l.Submitted, o.Submitted), Datagram: cmp.Or(l.Datagram, o.Datagram),
		DatagramBytes: cmp.Or(l.DatagramBytes, o.DatagramBytes),
	}
}

func tighter[T ~int | ~int64 | ~float64](a, b T) T {
	switch {
	case a == 0:
		return b
	case b == 0:
		return a
	default:
		return min(a, b)
	}
}

// Validate reports every field that is negative, not a number, or above a hard
// maximum: Memory 4096 MiB, Body 16 MiB, Datagram 8 KiB. Zero fields are valid.
func (l Limits) Validate() error {
	var errs []error
	bad := func(field string, why string, args ...any) {
		errs = append(errs, fmt.Errorf("limits: %s: %s", field, fmt.Sprintf(why, args...)))
	}
	for _, f := range []struct {
		name string
		size Bytes
		most Bytes
	}{
		{"Memory", l.Memory, maxMemory}, {"Module", l.Module, math.MaxInt64},
		{"Payload", l.Payload, math.MaxInt64}, {"Body", l.Body, maxBody},
		{"Log", l.Log, math.MaxInt64}, {"Stderr", l.Stderr, math.MaxInt64},
		{"Submitted", l.Submitted, math.MaxInt64}, {"Datagram", l.Datagram, maxDatagram},
		{"DatagramBytes", l.DatagramBytes, math.MaxInt64},
	} {
		switch {
		case f.size < 0:
			bad(f.name, "%d B is negative", int64(f.size))
		case f.size > f.most:
			bad(f.name, "%v is above the maximum of %v", f.size, f.most)
		}
	}
	for _, f := range []struct {
		name string
		d    time.Duration
	}{{"CPU", l.CPU}, {"Wall", l.Wall}, {"Compile", l.Compile}} {
		if f.d < 0 {
			bad(f.name, "%v is negative", f.d)
		}
	}
	for _, f := range []struct {
		name string
		n    int
	}{
		{"Connections", l.Connections}, {"HostCalls", l.HostCalls}, {"Redirects", l.Redirects},
		{"Submits", l.Submits}, {"LogLines", l.LogLines}, {"Dials", l.Dials}, {"Lookups", l.Lookups},
		{"Targets", l.Targets}, {"Denials", l.Denials}, {"TableElems", l.TableElems},
	} {
		if f.n < 0 {
			bad(f.name, "%d is negative", f.n)
		}
	}
	for _, f := range []struct {
		name string
		rate float64
	}{
		{"CallRate", l.CallRate}, {"DialRate", l.DialRate},
		{"LookupRate", l.LookupRate}, {"DatagramRate", l.DatagramRate},
	} {
		if !(f.rate >= 0) || math.IsInf(f.rate, 1) {
			bad(f.name, "%v is not a rate", f.rate)
		}
	}
	return errors.Join(errs...)
}
