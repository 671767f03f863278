package abi

import "github.com/tetratelabs/wazero/api"

// Memory is a guest's linear memory as host functions may touch it: bounded
// views, never past the end, never a copy. The zero value is a guest without
// memory, of size 0.
type Memory struct{ m api.Memory }

// View returns the n bytes at ptr. They alias guest memory and are good until
// the guest runs again. An empty range is good anywhere, even without a memory.
// The sum is taken in 64 bits by the engine, so it cannot wrap.
func (m Memory) View(ptr, n uint32) ([]byte, bool) {
	if n == 0 {
		return []byte{}, true
	}
	if m.m == nil {
		return nil, false
	}
	return m.m.Read(ptr, n)
}
