//go:build !((linux || darwin || freebsd) && (amd64 || arm64)) || sandcheck_portable

package engine

// There are no slots on this platform: linear memory is on the Go heap.

func reserve(uint64) []byte { return nil }

func release([]byte) {}

func discard([]byte) bool { return false }
