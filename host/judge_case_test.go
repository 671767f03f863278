package host_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
	"github.com/sandcheck/sandcheck/result"
)

const (
	judgeMemory    = 64 * limits.MiB
	judgeSlack     = 250 * time.Millisecond // after a deadline or budget
	judgeRefusal   = time.Second            // for a module that must not load
	judgeGC        = 250 * time.Millisecond // a collection beside a guest
	judgeStack     = 40                     // MB that a run may take for a guest stack of 1 MiB
	judgeTries     = 3                      // of a case that was only too slow
	judgeShortWall = 100 * time.Millisecond
)

// judgeAll is the child: it runs the cases and prints what became of each.
func judgeAll(interpreter bool) {
	cases, _ := judgeCases(interpreter)
	from, _ := strconv.Atoi(os.Getenv(judgeFrom)) // the parent wrote it
	c := newCollector()
	// What the process opens and starts once, for all cases.
	(&trial{h: wasmgen.Hostile{Class: "warm-up", Wasm: wasmgen.Silent, Want: wasmgen.Verdict{Ended: "returned"}}, interpreter: interpreter, collector: c}).run()
	tell := func(j judged) {
		text, err := json.Marshal(j)
		if err != nil {
			panic(err) // plain data
		}
		fmt.Printf("%s%s\n", judgePrefix, text)
	}
	for i := from; i < len(cases); i++ {
		h := cases[i]
		tell(judged{Index: i, Class: h.Class, Name: h.Name})
		var j judged
		for try := 1; ; try++ {
			trial := &trial{h: h, interpreter: interpreter, collector: c}
			j = trial.run()
			j.Index, j.Class, j.Name, j.Done, j.Tries = i, h.Class, h.Name, true, try
			if len(trial.slow) == 0 || len(trial.wrong) > 0 || try == judgeTries {
				break
			}
		}
		tell(j)
	}
	tell(judged{Index: len(cases), Done: true, Notes: c.stop()})
}

// collector forces garbage collections all the time, and stops the world
// besides, and notes how long each took: compiled code that never asks for more
// fuel would keep both waiting.
type collector struct {
	inRun   atomic.Bool
	longest atomic.Int64 // of the current run
	quit    chan struct{}
	done    chan struct{}
	gc, stw []time.Duration
}

func newCollector() *collector {
	c := &collector{quit: make(chan struct{}), done: make(chan struct{})}
	go c.loop()
	return c
}

func (c *collector) loop() {
	defer close(c.done)
	var stats runtime.MemStats
	for {
		select {
		case <-c.quit:
			return
		default:
		}
		beside := c.inRun.Load()
		start := time.Now()
		runtime.GC()
		collected := time.Since(start)
		start = time.Now()
		runtime.ReadMemStats(&stats)
		stopped := time.Since(start)
		if beside && c.inRun.Load() {
			c.gc, c.stw = append(c.gc, collected), append(c.stw, stopped)
			c.longest.Store(max(c.longest.Load(), int64(collected), int64(stopped)))
		}
		time.Sleep(time.Millisecond)
	}
}

// stop ends the collector and describes what it saw.
func (c *collector) stop() string {
	close(c.quit)
	<-c.done
	describe := func(name string, all []time.Duration) string {
		if len(all) == 0 {
			return name + " never beside a run"
		}
		slices.Sort(all)
		at := func(p float64) time.Duration { return all[int(p*float64(len(all)-1))].Round(time.Microsecond) }
		return fmt.Sprintf("%s beside runs: %d, p50 %v, p99 %v, max %v", name, len(all), at(0.5), at(0.99), at(1))
	}
	return describe("runtime.GC", c.gc) + "; " + describe("stop-the-world", c.stw)
}

// trial is one try of one case.
type trial struct {
	h           wasmgen.Hostile
	interpreter bool
	collector   *collector

	rt          *host.Runtime
	net         *netproxytest.Network
	out         judged
	wrong, slow []string
}

func (t *trial) fail(format string, args ...any) {
	t.wrong = append(t.wrong, fmt.Sprintf(format, args...))
}

func (t *trial) late(format string, args ...any) {
	t.slow = append(t.slow, fmt.Sprintf(format, args...))
}

func (t *trial) run() judged {
	wasm := t.h.Wasm()
	debug.FreeOSMemory()
	goroutines, files := runtime.NumGoroutine(), openFiles()
	resetPeak()
	t.net = judgeNetwork()
	opts := []host.Option{host.WithUnsigned(), host.WithCapabilities(capability.Network()...),
		host.WithNetwork(t.net.Config()), host.WithMemoryLimit(judgeMemory)}
	if t.interpreter {
		opts = append(opts, host.WithInterpreter())
	}
	rt, err := host.New(opts...)
	if err != nil {
		t.fail("New: %v", err)
		return t.out
	}
	t.rt = rt
	stop := t.neighbour()
	t.judge(wasm)
	stop()
	t.close(goroutines)
	if n := openFiles(); n > files {
		t.fail("%d files are open, %d before", n, files)
	}
	t.out.RSS = max(t.out.RSS, peakRSS())
	if t.out.RSS > judgeMostRSS && !raceDetector {
		t.fail("RSS grew to %d MB, at most %d", t.out.RSS, judgeMostRSS)
	}
	t.out.Faults = slices.Concat(t.wrong, t.slow)
	return t.out
}

// neighbour runs a well-behaved plugin of the same Runtime until stop.
func (t *trial) neighbour() (stop func()) {
	p, err := t.rt.Load(context.Background(), packageOf(wasmgen.Submits(`{"status":"OK","summary":"fine"}`), "submit_result"))
	if err != nil {
		t.fail("the neighbour does not load: %v", err)
		return func() {}
	}
	quit, done := make(chan struct{}), make(chan error)
	go func() {
		var bad error
		for runs := 0; ; runs++ { // the last one follows the case
			if r, err := p.Run(context.Background(), nil); err != nil || r.Status != result.OK || r.Summary != "fine" {
				bad = fmt.Errorf("run %d of the neighbour: %v %q: %w", runs, r.Status, r.Summary, err)
			}
			select {
			case <-quit:
				done <- bad
				return
			case <-time.After(500 * time.Microsecond):
			}
		}
	}()
	return func() {
		close(quit)
		if bad := <-done; bad != nil {
			t.fail("%v", bad)
		}
	}
}

// judge loads and runs the module.
func (t *trial) judge(wasm []byte) {
	want := t.h.For(t.interpreter)
	pkg := packageOf(wasm)
	pkg.Manifest.Permissions = judgePermissions()
	l := t.limits(want)
	start := time.Now()
	p, err := t.rt.Load(context.Background(), pkg, host.WithGrant(capability.Grant{
		Capabilities: everything(), Permissions: judgePermissions(), Limits: l,
	}))
	t.out.Load = time.Since(start)
	t.out.RSS = peakRSS()
	if err != nil {
		t.refused(want, err)
		return
	}
	if want.Refused != "" {
		t.fail("it loads, want an error with %q", want.Refused)
	}
	debug.FreeOSMemory()
	resetPeak()
	loaded := peakRSS()
	t.collector.longest.Store(0)
	t.collector.inRun.Store(true)
	for range max(t.h.Runs, 1) {
		t.execute(p, want, l)
	}
	t.collector.inRun.Store(false)
	t.out.GC = time.Duration(t.collector.longest.Load())
	if grown := peakRSS() - loaded; t.h.Class == "recursion" && grown > judgeStack && !raceDetector {
		t.fail("a stack of 1 MiB took %d MB", grown)
	}
	if t.out.GC > judgeGC && !raceDetector {
		t.late("a collection waited %v", t.out.GC)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		t.fail("closing the plugin: %v", err)
	}
}

// limits gives a case that is to be stopped little time, others enough.
func (t *trial) limits(want wasmgen.Verdict) limits.Limits {
	l := limits.Limits{CPU: t.h.CPU, Wall: t.h.Wall}
	switch {
	case l.Wall != 0:
	case want.Ended == "timed_out" && want.Summary == "":
		l.Wall = judgeShortWall
	case want.Ended == "timed_out":
		l.Wall = 5 * judgeShortWall
	default:
		l.Wall = 30 * time.Second
	}
	return l
}

// refused judges the error of Load.
func (t *trial) refused(want wasmgen.Verdict, err error) {
	text := err.Error()
	t.out.Verdict = "refused"
	switch {
	case want.Refused == "":
		t.fail("it does not load: %.300s", text)
	case !errors.Is(err, host.ErrInvalidModule):
		t.fail("%.300q is not ErrInvalidModule", text)
	case !strings.Contains(text, want.Refused):
		t.fail("the error lacks %q: %.300s", want.Refused, text)
	case len(text) > 64<<10 || !printable(strings.ReplaceAll(text, "\n", "")):
		t.fail("an error of %d bytes: %.300q", len(text), text)
	}
	if t.out.Load > judgeRefusal && !raceDetector {
		t.late("refused after %v", t.out.Load)
	}
}

// execute is one run and what is told of it.
func (t *trial) execute(p *host.Plugin, want wasmgen.Verdict, l limits.Limits) {
	start := time.Now()
	report, err := p.Execute(context.Background(), nil)
	took := time.Since(start)
	t.out.Run = max(t.out.Run, took)
	got := report.Ended.String()
	var trap *host.TrapError
	if errors.As(report.Cause, &trap) {
		got += " " + trap.Kind
		t.frames(trap.Frames)
	}
	t.out.Verdict = got
	if wanted := strings.TrimSpace(want.Ended + " " + want.Trap); want.Refused == "" && got != wanted {
		t.fail("ended %s after %v (%v), want %s", got, took, report.Cause, wanted)
	}
	if !strings.Contains(report.Result.Summary, want.Summary) {
		t.fail("summary %q, want %q", report.Result.Summary, want.Summary)
	}
	most := l.Wall
	if l.CPU != 0 {
		most = 5 * l.CPU // beside the collector and the neighbour
	}
	if took > most+judgeSlack && !raceDetector {
		t.late("ran %v, at most %v", took, most)
	}
	t.report(report, err)
}

// report checks what holds for the report of any run.
func (t *trial) report(r *host.Report, err error) {
	accepted := slices.ContainsFunc(r.Submits, func(s host.Submit) bool { return s.Err == nil })
	if accepted != (err == nil) {
		t.fail("a result was accepted: %v, but err is %v", accepted, err)
	}
	sentinel := map[host.Ending]error{host.TimedOut: host.ErrTimeout, host.Limited: host.ErrCPULimit, host.Trapped: host.ErrTrap}[r.Ended]
	if sentinel != nil && !errors.Is(r.Cause, sentinel) {
		t.fail("%v: cause %v", r.Ended, r.Cause)
	}
	for _, c := range []struct {
		what      string
		got, most int
	}{
		{"decisions", len(r.Decisions), 1000}, {"failures", len(r.Failures), 32}, {"submits", len(r.Submits), 1024},
		{"log lines", len(r.Logs), 1000}, {"bytes of stdout", len(r.Stdout), 3 * 64 << 10}, {"bytes of stderr", len(r.Stderr), 3 * 64 << 10},
		{"bytes of summary", len(r.Result.Summary), 2048}, {"bytes of memory", int(r.Usage.PeakMemory), int(judgeMemory)},
		{"connections", r.Usage.PeakConnections, 4}, {"dials", r.Usage.Dials, 64}, {"bytes of details", len(r.Result.Details), 64 << 10},
	} {
		if c.got > c.most {
			t.fail("%d %s, at most %d", c.got, c.what, c.most)
		}
	}
	for _, f := range r.Failures {
		if len(f.Detail) > 1024 || !printable(f.Detail) {
			t.fail("a failure of %s with %d bytes: %.200q", f.Func, len(f.Detail), f.Detail)
		}
	}
	if err != nil && !printable(r.Result.Summary) { // a guest's own is as it wrote it
		t.fail("summary %q", r.Result.Summary)
	}
}

// frames checks the names of a trap: few, short, and none of the host's.
func (t *trial) frames(frames []string) {
	if len(frames) > 30 {
		t.fail("%d frames", len(frames))
	}
	for _, f := range frames {
		if len(f) > 300 || !printable(f) || strings.Contains(f, "sandcheck") {
			t.fail("frame %.300q", f)
		}
	}
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x202a && r <= 0x202e })
}

// close frees everything and looks for what is left.
func (t *trial) close(goroutines int) {
	if s := t.rt.Stats(); s.Active != 0 || s.Connections != 0 {
		t.fail("%d runs and %d connections are left", s.Active, s.Connections)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := t.rt.Close(ctx); err != nil {
		t.fail("closing the runtime: %v", err)
	}
	if n := t.net.Open(); n != 0 {
		t.fail("%d connections are left open", n)
	}
	_ = t.net.Close() // waits for servers; what is left shows below
	deadline := time.Now().Add(2 * time.Second)
	for runtime.NumGoroutine() > goroutines && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		stacks := make([]byte, 16<<10)
		t.fail("%d goroutines, %d before\n%s", n, goroutines, stacks[:runtime.Stack(stacks, true)])
	}
}

func judgePermissions() netproxy.Rules {
	return netproxy.Rules{
		Domains: []netproxy.Domain{"silent.example", "web.example", "tcp.example", "dark.example", "deaf.example"},
		Ports:   netproxy.AnyPort(),
	}
}

// judgeNetwork is what the corpus finds out there.
func judgeNetwork() *netproxytest.Network {
	n := &netproxytest.Network{}
	n.Silent("silent.example:80")
	n.Blackhole("dark.example:80")
	n.AddHost("dark.example")
	n.FailDNS("deaf.example", nil)
	n.HandleTCP("tcp.example:7", func(c net.Conn) {
		for buf := make([]byte, 4096); ; {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	})
	n.HandleUDP("tcp.example:7", nil)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	mux.HandleFunc("/circle", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/circle", http.StatusFound) })
	mux.HandleFunc("/bomb", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		zeros := make([]byte, 1<<20)
		for range 200 {
			if _, err := z.Write(zeros); err != nil {
				return
			}
		}
		_ = z.Close() // the reader has gone
	})
	mux.HandleFunc("/headers", func(w http.ResponseWriter, _ *http.Request) {
		for i := range 20_000 {
			w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("v", 100))
		}
	})
	n.HandleHTTP("http://web.example", mux)
	return n
}

// resetPeak makes peakRSS start anew, where the system can.
func resetPeak() {
	// A kernel that refuses leaves the peak of all cases, which the bound is for as well.
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// openFiles counts file descriptors, 0 where nothing tells.
func openFiles() int {
	list, _ := os.ReadDir("/proc/self/fd") // elsewhere nothing is compared
	return len(list)
}

// peakRSS is the largest resident size in MB, 0 where nothing tells.
func peakRSS() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kb >> 10
		}
	}
	return 0
}
