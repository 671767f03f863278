package netproxy

import "syscall"

// clearBroadcast undoes what package net does to every UDP socket. Without the
// option the system refuses broadcast addresses that no table knows.
func clearBroadcast(raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(syscall.Handle(fd), syscall.SOL_SOCKET, syscall.SO_BROADCAST, 0)
	})
	if err != nil {
		return err
	}
	return failed
}
