//go:build (linux || darwin || freebsd) && !sandcheck_portable

package engine

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuClock reads the CPU time of the calling thread.
type cpuClock struct{ broken bool }

func newCPUClock() cpuClock {
	var ts unix.Timespec
	return cpuClock{broken: unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil}
}

// works reports whether the system has such a clock.
func (c cpuClock) works() bool { return !c.broken }

func (c cpuClock) now() time.Duration {
	var ts unix.Timespec
	if c.broken || unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
