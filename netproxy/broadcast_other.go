//go:build !unix && !windows

package netproxy

import "syscall"

// clearBroadcast has nothing to do where sockets have no such option; the table
// of special addresses still refuses broadcast.
func clearBroadcast(syscall.RawConn) error { return nil }
