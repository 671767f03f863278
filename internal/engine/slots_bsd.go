//go:build (darwin || freebsd) && (amd64 || arm64) && !sandcheck_portable

package engine

// noReserve is not needed: these systems set nothing aside for a mapping.
const noReserve = 0

func smallPages([]byte) {}

// discard reports that the bytes were not made zero: there is no advice that
// does so here, so the slot is unmapped and a new one mapped.
func discard([]byte) bool { return false }
