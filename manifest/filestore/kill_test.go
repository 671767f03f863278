//go:build unix

package filestore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/manifest/filestore"
)

// Set, these make the test binary a writer: it puts blob FIRST, FIRST+1, ...
// into the folder DIR, COUNT of them or without end, and says each that is
// stored on its standard output.
const (
	writerDir   = "SANDCHECK_WRITER_DIR"
	writerFirst = "SANDCHECK_WRITER_FIRST"
	writerCount = "SANDCHECK_WRITER_COUNT"
)

// TestWriterProcess is the other process of the tests below.
func TestWriterProcess(t *testing.T) {
	dir, first, count := os.Getenv(writerDir), number(os.Getenv(writerFirst)), number(os.Getenv(writerCount))
	if dir == "" {
		return // started like any other test
	}
	s := open(t, dir, filestore.Options{})
	// The line that starts it lets two of them start at once.
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	for n := first; count == 0 || n < first+count; n++ {
		text := blob(n)
		if err := s.Put(context.Background(), digestOf(text), &slowly{strings.NewReader(text)}); err != nil {
			t.Fatal(err)
		}
		fmt.Println("stored", n)
	}
}

// slowly hands a blob over in parts, so that a kill finds one that is unfinished.
type slowly struct{ r io.Reader }

func (s *slowly) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), 1024)]) }

// blob is the text of a blob of its own, up to 64 KiB long.
func blob(n int) string {
	return strings.Repeat(fmt.Sprintf("blob %d\n", n), 1+n*577%7000)
}

func number(text string) int {
	n, _ := strconv.Atoi(text) // none is zero
	return n
}

// writer starts another process that waits for a line before it writes.
func writer(t *testing.T, dir string, first, count int) (cmd *exec.Cmd, in io.Writer, out *bufio.Scanner) {
	t.Helper()
	cmd = exec.Command(os.Args[0], "-test.run=^TestWriterProcess$", "-test.timeout=60s") //nolint:gosec // this program
	cmd.Env = append(os.Environ(), writerDir+"="+dir, fmt.Sprint(writerFirst, "=", first), fmt.Sprint(writerCount, "=", count))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // where the test fails; else it has ended
	out = bufio.NewScanner(pipe)
	if !out.Scan() || out.Text() != "ready" {
		t.Fatalf("the writer says %q, %v", out.Text(), out.Err())
	}
	return cmd, in, out
}

// storedBy reads what a writer says until it ends, and calls after once some
// blobs are stored.
func storedBy(out *bufio.Scanner, some int, after func()) (stored []int) {
	if some == 0 {
		after()
	}
	for out.Scan() {
		n, ok := strings.CutPrefix(out.Text(), "stored ")
		if !ok {
			continue
		}
		if stored = append(stored, number(n)); len(stored) == some {
			after()
		}
	}
	return stored
}

// TestKilledWriter kills a process that writes, again and again, in one folder.
// What it said to be stored stays, and what it was at is not there or whole.
func TestKilledWriter(t *testing.T) {
	t.Parallel()
	const kills = 30
	dir := t.TempDir()
	var all []int
	next, interrupted := 0, 0
	for range kills {
		cmd, in, out := writer(t, dir, next, 0)
		if _, err := io.WriteString(in, "go\n"); err != nil {
			t.Fatal(err)
		}
		stored := storedBy(out, rand.IntN(6), func() {
			time.AfterFunc(time.Duration(rand.Int64N(int64(20*time.Millisecond))), func() { _ = cmd.Process.Kill() }) // Wait tells
		})
		err := cmd.Wait()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
			t.Fatalf("the writer was not killed: %v", err)
		}
		all = append(all, stored...)
		if len(stored) > 0 {
			next = stored[len(stored)-1] + 1
		}
		// The blob that it was at, and one that nobody began.
		interrupted += checkUnsaid(t, dir, next)
		checkUnsaid(t, dir, next+1)
		next += rand.IntN(2) // half of the time the next one starts with it
	}
	checkStored(t, dir, all)
	t.Logf("%d blobs were stored, %d more without being said, %d temporary files stay", len(all), interrupted, checkFolder(t, dir))
	if len(all) == 0 {
		t.Errorf("nothing was stored before %d kills", kills)
	}
}

// checkUnsaid reads a blob that nobody said to be stored: none, or the right
// one, which is counted.
func checkUnsaid(t *testing.T, dir string, n int) int {
	t.Helper()
	s := open(t, dir, filestore.Options{Corrupt: func(d manifest.Digest) { t.Errorf("blob %d is under its name, and damaged: %s", n, d) }})
	got, err := s.Get(context.Background(), digestOf(blob(n)))
	if err == nil && string(got) == blob(n) {
		return 1
	}
	if err == nil || got != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("blob %d: Get returns %d bytes, %v", n, len(got), err)
	}
	return 0
}

func checkStored(t *testing.T, dir string, all []int) {
	t.Helper()
	s := open(t, dir, filestore.Options{Corrupt: func(d manifest.Digest) { t.Errorf("blob %s is damaged", d) }})
	for _, n := range all {
		if got, err := s.Get(context.Background(), digestOf(blob(n))); err != nil || string(got) != blob(n) {
			t.Errorf("blob %d was said to be stored: Get returns %d bytes, %v", n, len(got), err)
		}
	}
}

// checkFolder reads every file that has a blob's name, around the Store, and
// counts the temporary ones.
func checkFolder(t *testing.T, dir string) (unfinished int) {
	t.Helper()
	kept, temps := files(t, dir)
	for _, name := range kept {
		content, err := os.ReadFile(name) //nolint:gosec // a file of this test
		if err != nil || digestOf(string(content)).String() != filepath.Base(name) {
			t.Errorf("%s holds %d other bytes, %v", name, len(content), err)
		}
	}
	for _, name := range temps {
		if _, err := manifest.ParseDigest(filepath.Base(name)); err == nil {
			t.Errorf("the temporary file %s has the name of a blob", name)
		}
	}
	return len(temps)
}

// TestTwoWriters has two processes put the same blobs at once.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	const count = 40
	dir := t.TempDir()
	type process struct {
		cmd *exec.Cmd
		in  io.Writer
		out *bufio.Scanner
	}
	var both [2]process
	for i := range both {
		cmd, in, out := writer(t, dir, 0, count)
		both[i] = process{cmd, in, out}
	}
	for _, p := range both {
		if _, err := io.WriteString(p.in, "go\n"); err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range both {
		stored := storedBy(p.out, 0, func() {})
		if err := p.cmd.Wait(); err != nil || len(stored) != count {
			t.Errorf("writer %d stored %d of %d blobs: %v", i, len(stored), count, err)
		}
		checkStored(t, dir, stored)
	}
	kept, temps := files(t, dir)
	if len(kept) != count || len(temps) != 0 {
		t.Errorf("%d blobs and the temporary files %q stay, want %d and none", len(kept), temps, count)
	}
	checkFolder(t, dir)
}
