package host_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/result"
)

// The tests of this file count what the process holds, so none of them is
// parallel: parallel tests wait until all others are done.

const (
	manyRuns = 300
	atOnce   = 16 // runs under way at one time
)

// holdings are what a process holds. Files, and the bytes of executable memory
// that belong to no file, are counted on Linux only.
type holdings struct {
	goroutines, files int
	heap, code        uint64
}

// heapSlack is how much the heap may grow over many runs, which is some 400 bytes
// for each: less than a context or a timer that is left behind with its closure.
const heapSlack = 128 << 10

// codeSlack is how much executable memory may be kept: wazero's list of modules
// holds on to a few that it has dropped, until it puts others in their place.
const codeSlack = 64 << 10

func hold() holdings {
	runtime.GC()
	runtime.GC() // pools give up what they kept over one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h := holdings{goroutines: runtime.NumGoroutine(), heap: m.HeapAlloc}
	if runtime.GOOS != "linux" {
		return h
	}
	if files, err := os.ReadDir("/proc/self/fd"); err == nil {
		h.files = len(files)
	}
	maps, _ := os.ReadFile("/proc/self/maps") // without it the count is 0 both times
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		var mode string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); n == 3 && strings.Contains(mode, "x") && !strings.ContainsAny(line, "/[") {
			h.code += to - from
		}
	}
	return h
}

func (h holdings) atMost(o holdings) bool {
	return h.goroutines <= o.goroutines && h.files <= o.files && h.code <= o.code+codeSlack && h.heap <= o.heap+heapSlack
}

// steady waits until the process rests and returns what it holds then.
func steady() holdings {
	last := hold()
	for rest, tries := 0, 0; rest < 3 && tries < 200; tries++ {
		time.Sleep(5 * time.Millisecond)
		now := hold()
		if rest++; now.goroutines != last.goroutines || now.files != last.files {
			rest = 0
		}
		last = now
	}
	return last
}

// asBefore runs work and waits, for a bounded time, until the process holds no
// more than before it.
func asBefore(t *testing.T, work func()) {
	t.Helper()
	before := steady()
	work()
	var after holdings
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if after = hold(); after.atMost(before) {
			t.Logf("heap grew by %d bytes", int64(after.heap)-int64(before.heap))
			return
		}
	}
	t.Errorf("before: %+v\nafter:  %+v", before, after)
	if after.goroutines > before.goroutines {
		var stacks strings.Builder
		if err := pprof.Lookup("goroutine").WriteTo(&stacks, 1); err == nil {
			t.Logf("goroutines:\n%.8000s", stacks.String())
		}
	}
}

// lab is a Runtime beside servers on loopback, and everything that must be
// empty once its runs are over.
type lab struct {
	*host.Runtime
	budget   *limits.Budget
	tcp, web place
	serving  atomic.Int64 // connections at the TCP server

	mu       sync.Mutex
	sessions []*capability.Session // of the first runs
	entered  chan struct{}         // one for each run that called probe
}

var labLimits = limits.Limits{Memory: 1024 * limits.MiB, Connections: 256, CPU: time.Hour}

const labRuns = 256

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{budget: limits.NewBudget(labLimits, labRuns), entered: make(chan struct{}, manyRuns)}
	w := &world{}
	l.tcp = w.tcp(t, func(c net.Conn) {
		l.serving.Add(1)
		defer l.serving.Add(-1)
		io.WriteString(c, "hello")
		io.Copy(io.Discard, c)
	})
	l.web = w.http(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			<-r.Context().Done()
		}
		io.WriteString(rw, "hello")
	}))
	l.Runtime = l.runtime(t)
	t.Cleanup(func() {
		if err := l.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

func (l *lab) runtime(t *testing.T) *host.Runtime {
	t.Helper()
	rt, err := host.New(host.WithUnsigned(), host.WithBudget(l.budget), host.WithLimits(unpaced()),
		host.WithCapabilities(capability.Network()...), host.WithCapabilities(l.probe(), l.explode()))
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// probe keeps a few Sessions and tells that a run is under way.
func (l *lab) probe() capability.Func {
	return capability.Func{Name: "probe", Handle: func(_ context.Context, c *capability.Call) capability.Code {
		l.mu.Lock()
		if len(l.sessions) < 8 {
			l.sessions = append(l.sessions, c.Session)
		}
		l.mu.Unlock()
		select {
		case l.entered <- struct{}{}:
		default: // nobody counts that far
		}
		return capability.OK
	}}
}

// explode is an embedder's mistake: it dials, opens a handle, keeps neither, and
// panics, the second time inside of Open.
func (l *lab) explode() capability.Func {
	return capability.Func{
		Name: "explode", Params: []capability.Param{{Name: "inside", Kind: capability.I32}},
		Handle: func(ctx context.Context, c *capability.Call) capability.Code {
			dial := func() (io.Closer, error) {
				return c.Session.Net.DialContext(ctx, "tcp", fmt.Sprintf("%s:%d", l.tcp.host, l.tcp.port))
			}
			_, err := c.Session.Open(dial)
			if _, again := dial(); err != nil || again != nil {
				return c.Fail(errors.Join(err, again))
			}
			if c.Ints[0] != 0 {
				c.Session.Open(func() (io.Closer, error) { panic("inside of Open") })
			}
			panic("in a handler")
		},
	}
}

func (l *lab) grant() capability.Grant {
	g := l.tcp.grant()
	g.Permissions.Ports = append(g.Permissions.Ports, l.web.grant().Permissions.Ports...)
	g.Capabilities = append([]string{"probe", "explode"}, networkNames...)
	return g
}

// plugin loads a guest that does these steps, with so long for each run.
func (l *lab) plugin(t *testing.T, rt *host.Runtime, wall time.Duration, g capability.Grant, steps ...wasmgen.Step) *host.Plugin {
	t.Helper()
	pkg := packageOf(wasmgen.Proxy(wasmgen.Script{
		Imports: []wasmgen.Func{wasmgen.Env("probe", 0), wasmgen.Env("explode", 1)},
		Entry:   steps, Report: wasmgen.ReportNone,
	}), append(everything(), "probe", "explode")...)
	pkg.Manifest.Permissions = l.grant().Permissions
	pkg.Manifest.Resources.Memory = 4 * limits.MiB
	pkg.Manifest.Resources.Connections = 4
	g.Limits.Wall = wall
	return load(t, rt, pkg, host.WithGrant(g))
}

// empty checks that all that runs held has been given back.
func (l *lab) empty(t *testing.T) {
	t.Helper()
	if s := l.Stats(); s.Active != 0 || s.Connections != 0 {
		t.Errorf("stats %+v: runs or connections are left", s)
	}
	for _, s := range l.sessions {
		if n := s.Net.Open(); n != 0 {
			t.Errorf("%d connection slots are taken", n)
		}
		if _, err := capability.Get[io.Closer](s, 1); !errors.Is(err, capability.ErrBadHandle) {
			t.Errorf("handle 1 after the run: %v", err)
		}
		if _, err := s.Net.DialContext(context.Background(), "tcp", fmt.Sprintf("%s:%d", l.tcp.host, l.tcp.port)); err == nil {
			t.Error("dialled after the run")
		}
		if _, err := s.Open(func() (io.Closer, error) { return io.NopCloser(nil), nil }); err == nil {
			t.Error("opened a handle after the run")
		}
	}
	for deadline := time.Now().Add(5 * time.Second); l.serving.Load() > 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	if n := l.serving.Load(); n != 0 {
		t.Errorf("%d connections are open at the server", n)
	}
	l.wholeBudget(t)
}

// wholeBudget takes all that the budget has, which only fits if nothing is held.
func (l *lab) wholeBudget(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for i := range labRuns {
		want := limits.Limits{}
		if i == 0 {
			want = labLimits
		}
		release, err := l.budget.Acquire(ctx, want)
		if err != nil {
			t.Fatalf("after %d runs the budget is short: %v", i, err)
		}
		defer release()
	}
}

// forget drops what the lab itself keeps, before anything is counted.
func (l *lab) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions = nil
	for len(l.entered) > 0 {
		<-l.entered
	}
}

// scenario is one way for runs to end.
type scenario struct {
	name    string
	steps   []wasmgen.Step
	wall    time.Duration // 10 s where it says none
	cancel  time.Duration // after which the caller gives up
	ungiven bool          // nothing is granted
	ended   host.Ending
	err     error // nil where the guest submitted
}

// connected are steps of a guest that has opened much and closes nothing.
func (l *lab) connected(then ...wasmgen.Step) []wasmgen.Step {
	open := wasmgen.Do("tcp_connect", wasmgen.Text(l.tcp.host), wasmgen.Lit(int64(l.tcp.port)), wasmgen.Lit(0))
	return append([]wasmgen.Step{wasmgen.Do("probe"), open.As("conn"), open}, then...)
}

func (l *lab) get(path string) wasmgen.Step {
	return wasmgen.Do("http_request", wasmgen.Text(fmt.Sprintf(`{"url":"%s%s"}`, l.web.url(), path)), wasmgen.Out(1024))
}

func (l *lab) scenarios() []scenario {
	const soon, never = 25 * time.Millisecond, 60_000
	read := wasmgen.Do("tcp_read", wasmgen.Ref("conn"), wasmgen.Out(64), wasmgen.Lit(0))
	greeted := func(then ...wasmgen.Step) []wasmgen.Step {
		return l.connected(append([]wasmgen.Step{read}, then...)...)
	}
	submit := wasmgen.Do("submit_result", wasmgen.Text(`{"status":"OK","summary":"fine"}`))
	udp := wasmgen.Do("udp_sendto", wasmgen.Text(l.tcp.host), wasmgen.Lit(int64(l.tcp.port)), wasmgen.Text("x"), wasmgen.Lit(0))
	explode := func(inside int64) wasmgen.Step { return wasmgen.Do("explode", wasmgen.Lit(inside)) }
	return []scenario{
		{name: "normal end", steps: greeted(l.get("/"), udp, submit), ended: host.Returned},
		{name: "everything closed", steps: greeted(wasmgen.Do("tcp_close", wasmgen.Ref("conn")), submit), ended: host.Returned},
		{name: "trap", steps: greeted(l.get("/"), wasmgen.Trap()), ended: host.Trapped, err: host.ErrTrap},
		{name: "trap after a result", steps: greeted(submit, wasmgen.Trap()), ended: host.Trapped},
		{name: "proc_exit", steps: greeted(wasmgen.Exit(3)), ended: host.Exited, err: host.ErrExit},
		{name: "timeout in tcp_read", steps: greeted(read), wall: soon, ended: host.TimedOut, err: host.ErrTimeout},
		{name: "timeout in http_request", steps: greeted(l.get("/hang")), wall: soon, ended: host.TimedOut, err: host.ErrTimeout},
		{name: "timeout in poll_oneoff", steps: greeted(wasmgen.Sleep(never)), wall: soon, ended: host.TimedOut, err: host.ErrTimeout},
		{name: "timeout in guest code", steps: greeted(wasmgen.Spin()), wall: soon, ended: host.TimedOut, err: host.ErrTimeout},
		{name: "cancelled in tcp_read", steps: greeted(read), cancel: soon, ended: host.Cancelled, err: context.Canceled},
		{name: "cancelled in http_request", steps: greeted(l.get("/hang")), cancel: soon, ended: host.Cancelled, err: context.Canceled},
		{name: "cancelled in poll_oneoff", steps: greeted(wasmgen.Sleep(never)), cancel: soon, ended: host.Cancelled, err: context.Canceled},
		{name: "cancelled in guest code", steps: greeted(wasmgen.Spin()), cancel: soon, ended: host.Cancelled, err: context.Canceled},
		{name: "panic of a host function", steps: greeted(explode(0)), ended: host.Trapped, err: host.ErrTrap},
		{name: "panic inside of Open", steps: greeted(explode(1)), ended: host.Trapped, err: host.ErrTrap},
		{name: "garbage submitted", ended: host.Returned, err: host.ErrInvalidResult, steps: greeted(
			wasmgen.Do("submit_result", wasmgen.Text("{")), wasmgen.Do("submit_result", wasmgen.Text("\x00\xff")).TimesLast(50),
			wasmgen.Do("submit_result", wasmgen.Lit(0), wasmgen.MemSize()))},
		{name: "nothing submitted", steps: greeted(), ended: host.Returned, err: host.ErrNoResult},
		{name: "nothing granted", ungiven: true, ended: host.Returned, steps: l.connected(
			wasmgen.Do("tcp_read", wasmgen.Lit(1), wasmgen.Out(8), wasmgen.Lit(0)), l.get("/"), udp, submit)},
	}
}

func TestLeaksOfRuns(t *testing.T) {
	l := newLab(t)
	for _, s := range l.scenarios() {
		t.Run(s.name, func(t *testing.T) {
			g := l.grant()
			if s.ungiven {
				g = capability.Grant{}
			}
			wall := s.wall
			if wall == 0 {
				wall = 10 * time.Second
			}
			p := l.plugin(t, l.Runtime, wall, g, s.steps...)
			l.runMany(t, s, p, atOnce) // pools and caches fill
			l.empty(t)
			l.forget()
			asBefore(t, func() {
				l.runMany(t, s, p, manyRuns)
				l.empty(t)
				l.forget()
			})
			if err := p.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

// runMany runs a plugin n times, some at one time, and checks how they ended.
func (l *lab) runMany(t *testing.T, s scenario, p *host.Plugin, n int) {
	t.Helper()
	var left atomic.Int64
	left.Store(int64(n))
	var wrong endings
	var all sync.WaitGroup
	for range min(n, atOnce) {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				l.runOnce(t, s, p, &wrong)
			}
		})
	}
	all.Wait()
	wrong.tell(t)
}

// endings are runs that ended otherwise than they should, an example of each kind.
type endings struct {
	mu    sync.Mutex
	count map[string]int
	one   map[string]string
}

func (e *endings) add(kind, example string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.count == nil {
		e.count, e.one = map[string]int{}, map[string]string{}
	}
	e.count[kind]++
	e.one[kind] = example
}

func (e *endings) tell(t *testing.T) {
	t.Helper()
	for kind, n := range e.count {
		t.Errorf("%d runs: %s; for example %s", n, kind, e.one[kind])
	}
}

func (l *lab) runOnce(t *testing.T, s scenario, p *host.Plugin, wrong *endings) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if s.cancel > 0 {
		defer time.AfterFunc(s.cancel, cancel).Stop()
	}
	r, err := p.Execute(ctx, nil)
	want := result.OK
	if s.err != nil {
		want = result.Unknown
	}
	if r.Ended != s.ended || !errors.Is(err, s.err) || r.Result.Status != want {
		wrong.add(fmt.Sprintf("%s: ended %v, %v; want %v, %v", s.name, r.Ended, err, s.ended, s.err),
			fmt.Sprintf("result %v %q, failures %+v", r.Result.Status, r.Result.Summary, r.Failures))
	}
}
