//go:build (linux || darwin || freebsd) && (amd64 || arm64) && !sandcheck_portable

package engine

import "golang.org/x/sys/unix"

// reserve maps size bytes of zeros, without setting memory aside for them. It
// answers nil where the system refuses, as under a limit on address space.
func reserve(size uint64) []byte {
	slot, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|noReserve)
	if err != nil {
		return nil
	}
	smallPages(slot)
	return slot
}

// release unmaps a slot. It fails only for what is not a mapping.
func release(slot []byte) { _ = unix.Munmap(slot) }
