//go:build (amd64 || arm64) && !sandcheck_portable

package engine

import "golang.org/x/sys/unix"

const noReserve = unix.MAP_NORESERVE

// smallPages asks for pages of the ordinary size: a guest that touches one byte
// is not to cost the 2 MiB of a huge one. Kernels without huge pages refuse, as
// there is nothing to ask for.
func smallPages(slot []byte) { _ = unix.Madvise(slot, unix.MADV_NOHUGEPAGE) }

// discard makes the bytes zero by giving their pages back.
func discard(b []byte) bool { return unix.Madvise(b, unix.MADV_DONTNEED) == nil }
