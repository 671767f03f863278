//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSignals interrupts the command in the middle of a run: when the guest has
// connected to a server that never answers.
func TestSignals(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			config := fmt.Sprintf(`{"url":"http://%s/","timeout_ms":60000}`, l.Addr())
			cmd := exec.Command(built, "run", "--unsigned", "--grant-requested", "--timeout", "1m", "--config", config, shared("http-check"))
			var out, errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			// A command that ends without connecting must not hold the test.
			_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(30 * time.Second))
			conn, err := l.Accept()
			if err != nil {
				t.Fatalf("%v\nstdout:\n%s\nstderr:\n%s", err, &out, &errs)
			}
			defer conn.Close()
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			wantExit3(t, cmd.Wait(), out.String(), "UNKNOWN: cancelled")
			wantIn(t, "stderr", errs.String(), "sandcheck: cancelled")
		})
	}
}

// TestSignalWhileReading interrupts the command while it reads a config that
// does not end. That more than a pipe holds was taken shows that it reads.
func TestSignalWhileReading(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(built, "run", "--unsigned", "--config", "@-", shared("alive"))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdin.Write(bytes.Repeat([]byte(" "), 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	wantExit3(t, cmd.Wait(), out.String(), "UNKNOWN: --config: standard input: cancelled")
}

func wantExit3(t *testing.T, err error, out, want string) {
	t.Helper()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.HasPrefix(out, want) {
		t.Errorf("ended with %v and %q, want exit code 3 and %q...", err, out, want)
	}
}
