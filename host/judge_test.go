package host_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/internal/wasmgen"
)

// The judge runs the hostile corpus in a process of its own: what hangs, dies or
// eats all memory there is named here, and nothing else disturbs what is
// measured.

const (
	judgeEngine = "SANDCHECK_JUDGE_ENGINE" // set in the child
	judgeFrom   = "SANDCHECK_JUDGE_FROM"   // index of its first case
	judgeOnly   = "SANDCHECK_JUDGE_ONLY"   // for people: run cases that match this
	judgeTable  = "SANDCHECK_JUDGE_TABLE"  // for people: write the table to this file

	// A case that says nothing for so long hangs.
	judgePatience = 60 * time.Second
	judgePrefix   = "judge: "
	judgeMostRSS  = 250 // MB, of the whole child
)

// judged is what became of one case.
type judged struct {
	Index       int
	Class, Name string
	Done        bool // false: begins now
	Verdict     string
	Load, Run   time.Duration
	GC          time.Duration // longest wait of a collection beside the run
	RSS         int           // MB at the peak
	Tries       int
	Faults      []string
	Notes       string // of the last line: about all cases
}

// TestHostile runs every case of the corpus with the compiler and with the
// interpreter, each cold, beside a well-behaved plugin and a goroutine that
// collects garbage all the time.
func TestHostile(t *testing.T) {
	if os.Getenv(judgeEngine) != "" {
		judgeAll(os.Getenv(judgeEngine) == "interpreter")
		return
	}
	for _, engine := range []string{"compiler", "interpreter"} {
		t.Run(engine, func(t *testing.T) {
			cases, reduced := judgeCases(engine == "interpreter")
			if reduced {
				t.Logf("reduced sample of %d cases, because of -short or -race", len(cases))
			}
			all := judgeInChild(t, engine, len(cases))
			for _, j := range all {
				if len(j.Faults) > 0 {
					t.Errorf("%s: %s: %s", j.Class, j.Name, strings.Join(j.Faults, "; "))
				}
			}
			report := judgeReport(engine, all)
			t.Log(report)
			if file := os.Getenv(judgeTable); file != "" {
				appendTo(t, file, report)
			}
		})
	}
}

// judgeCases lists the corpus, or a sample of each class where time is short.
func judgeCases(interpreter bool) (cases []wasmgen.Hostile, reduced bool) {
	all := append(wasmgen.HostileCorpus(), bombCases(interpreter)...)
	if only := os.Getenv(judgeOnly); only != "" {
		wanted := regexp.MustCompile(only)
		return slices.DeleteFunc(all, func(h wasmgen.Hostile) bool { return !wanted.MatchString(h.Class + ": " + h.Name) }), false
	}
	if !testing.Short() && !raceDetector {
		return all, false
	}
	const each = 3
	classes := map[string]int{}
	return slices.DeleteFunc(all, func(h wasmgen.Hostile) bool {
		classes[h.Class]++
		return classes[h.Class] > each
	}), true
}

// judgeInChild runs the cases in children, a new one after each that died.
func judgeInChild(t *testing.T, engine string, n int) []judged {
	var all []judged
	for from := 0; from < n; {
		some, why := judgeChild(t, engine, from)
		all = append(all, some...)
		if why == "" {
			return all
		}
		last := &judged{Index: from, Class: "judge", Name: "before the first case"}
		if len(all) > 0 {
			last = &all[len(all)-1]
		}
		last.Faults = append(last.Faults, why)
		from = last.Index + 1
	}
	return all
}

// judgeChild runs cases until the last or until the child dies, and says why.
func judgeChild(t *testing.T, engine string, from int) (all []judged, why string) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHostile$", "-test.short="+fmt.Sprint(testing.Short()), "-test.timeout=0")
	cmd.Env = append(os.Environ(), judgeEngine+"="+engine, fmt.Sprintf("%s=%d", judgeFrom, from))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var hung bool
	var mu sync.Mutex
	patience := time.AfterFunc(judgePatience, func() {
		mu.Lock()
		hung = true
		mu.Unlock()
		_ = cmd.Process.Signal(syscall.SIGQUIT) // a dump, where it still can
		time.Sleep(2 * time.Second)
		_ = cmd.Process.Kill()
	})
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		patience.Reset(judgePatience)
		text, ok := strings.CutPrefix(lines.Text(), judgePrefix)
		if !ok {
			continue
		}
		var j judged
		if err := json.Unmarshal([]byte(text), &j); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if j.Done && len(all) > 0 && all[len(all)-1].Index == j.Index {
			all[len(all)-1] = j
		} else {
			all = append(all, j)
		}
	}
	err = cmd.Wait()
	patience.Stop()
	mu.Lock()
	defer mu.Unlock()
	switch {
	case hung:
		return all, fmt.Sprintf("hangs: nothing happened for %v\n%s", judgePatience, excerpt(stderr.String()))
	case err != nil:
		return all, fmt.Sprintf("the process died: %v\n%s", err, excerpt(stderr.String()))
	}
	return all, ""
}

func excerpt(s string) string {
	const most = 6000
	if len(s) > most {
		return s[:most]
	}
	return s
}

// judgeReport is a table of the cases and a line for each class.
func judgeReport(engine string, all []judged) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n| case | class | engine | verdict | load ms | run ms | gc ms | RSS MB |\n|---|---|---|---|---|---|---|---|\n")
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1000) }
	classes, cases := map[string]int{}, 0
	var peak judged
	var notes string
	for _, j := range all {
		if j.Notes != "" {
			notes = j.Notes
			continue
		}
		verdict := j.Verdict
		if j.Tries > 1 {
			verdict += fmt.Sprintf(" (try %d)", j.Tries)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %d |\n", j.Name, j.Class, engine, verdict, ms(j.Load), ms(j.Run), ms(j.GC), j.RSS)
		classes[j.Class]++
		cases++
		if j.RSS > peak.RSS {
			peak = j
		}
	}
	var names []string
	for c, n := range classes {
		names = append(names, fmt.Sprintf("%s %d", c, n))
	}
	slices.Sort(names)
	fmt.Fprintf(&b, "\n%s: %d cases (%s); peak RSS %d MB in %q; %s\n", engine, cases, strings.Join(names, ", "), peak.RSS, peak.Name, notes)
	return b.String()
}

func appendTo(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := cmp.Or(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
