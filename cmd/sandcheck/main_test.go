package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// built is the path of the command as it is shipped.
var built string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	flag.Parse()
	dir, err := os.MkdirTemp("", "sandcheck")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	built = filepath.Join(dir, "sandcheck")
	if runtime.GOOS == "windows" {
		built += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", built, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// invocation is what one invocation came to.
type invocation struct {
	code     int
	out, err string
}

// invoke runs the command inside the test.
func invoke(t *testing.T, args ...string) invocation {
	t.Helper()
	return invokeWith(t, "", args...)
}

func invokeWith(t *testing.T, stdin string, args ...string) invocation {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	code := run(ctx, args, strings.NewReader(stdin), &out, &errs)
	t.Logf("sandcheck %q\nexit %d\nstdout:\n%s\nstderr:\n%s", args, code, &out, &errs)
	return invocation{code, out.String(), errs.String()}
}

// shared is a package of the checkout, own one that only these tests need.
func shared(name string) string { return filepath.Join("..", "..", "testdata", "packages", name) }
func own(name string) string    { return filepath.Join("testdata", "packages", name) }

// file writes a file for one test and returns its path.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantCode fails t unless o has that exit code.
func (o invocation) wantCode(t *testing.T, want int) {
	t.Helper()
	if o.code != want {
		t.Errorf("exit code %d, want %d", o.code, want)
	}
}

// wantUnknown fails t unless o is one line UNKNOWN and exit code 3.
func (o invocation) wantUnknown(t *testing.T) {
	t.Helper()
	o.wantCode(t, 3)
	if !strings.HasPrefix(o.out, "UNKNOWN: ") || strings.Count(o.out, "\n") != 1 || !strings.HasSuffix(o.out, "\n") {
		t.Errorf("stdout is %q, want one line UNKNOWN", o.out)
	}
}

func wantIn(t *testing.T, what, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%s lacks %q:\n%s", what, want, text)
		}
	}
}

// TestBinary checks the exit codes as the operating system sees them.
func TestBinary(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		code int
		out  string
	}{
		{"ok", []string{"run", "--unsigned", "--format", "nagios", shared("alive")}, 0, "OK: alive\n"},
		{"warning", []string{"run", "--unsigned", "--format=nagios", own("hostile")}, 1, "WARNING: "},
		{"critical", []string{"run", "--unsigned", shared("statsd")}, 2, "CRITICAL: udp_sendto answered -2"},
		{"unknown", []string{"run", "--unsigned", shared("start-submit"), "--config", "{"}, 3, "UNKNOWN: config invalid"},
		{"no such package", []string{"run", "no-such-package"}, 3, "UNKNOWN: package: "},
		{"inspect", []string{"inspect", shared("alive")}, 0, "alive 1.0.0 would load\n"},
		{"help", []string{"--help"}, 3, "sandcheck runs untrusted"},
		{"version", []string{"--version"}, 3, "sandcheck "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(built, tt.args...)
			out, err := cmd.Output()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if got := cmd.ProcessState.ExitCode(); got != tt.code || !strings.HasPrefix(string(out), tt.out) {
				t.Errorf("sandcheck %q: exit code %d and %q, want %d and %q...", tt.args, got, out, tt.code, tt.out)
			}
		})
	}
}
