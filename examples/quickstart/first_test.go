package main

import (
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/sandcheck/sandcheck/host"
)

// The first Runtimes of a process, several at one time: wazero caches its own
// version in an unguarded variable. Only a new process has first ones, only a
// main package is built with the versions of its modules, and only the race
// detector sees it.
func TestFirstRuntimesAtOnce(t *testing.T) {
	t.Parallel()
	const child = "SANDCHECK_TEST_FIRST_RUNTIMES"
	if os.Getenv(child) == "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestFirstRuntimesAtOnce$", "-test.count=1")
		cmd.Env = append(os.Environ(), child+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range 8 {
		wg.Go(func() {
			<-start
			rt, err := host.New()
			if err != nil {
				t.Error(err)
				return
			}
			if err := rt.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
}
