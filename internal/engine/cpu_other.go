//go:build !(linux || darwin || freebsd) || sandcheck_portable

package engine

import "time"

// cpuClock stands in where threads have no clock that is fine enough: guest time
// is then wall time without the waits in host functions, an upper bound.
type cpuClock struct{}

func newCPUClock() cpuClock { return cpuClock{} }

func (cpuClock) works() bool        { return false }
func (cpuClock) now() time.Duration { return 0 }
