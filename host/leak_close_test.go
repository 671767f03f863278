package host_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
)

// underWay starts runs of plugins, n in turn, and waits until all are inside.
func (l *lab) underWay(t *testing.T, n int, plugins ...*host.Plugin) (wait func() []error) {
	t.Helper()
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			r, err := plugins[i%len(plugins)].Execute(context.WithoutCancel(t.Context()), nil)
			if errs[i] = err; r.Ended != host.Cancelled {
				t.Errorf("ended %v: %v", r.Ended, err)
			}
		})
	}
	for range n {
		select {
		case <-l.entered:
		case <-time.After(10 * time.Second):
			t.Fatal("the runs do not start")
		}
	}
	return func() []error { all.Wait(); return errs }
}

// waiting are plugins that wait in each way a guest can.
func (l *lab) waiting(t *testing.T, rt *host.Runtime) []*host.Plugin {
	t.Helper()
	read := wasmgen.Do("tcp_read", wasmgen.Ref("conn"), wasmgen.Out(64), wasmgen.Lit(0))
	var plugins []*host.Plugin
	for _, steps := range [][]wasmgen.Step{{read, read}, {l.get("/hang")}, {wasmgen.Sleep(60_000)}, {wasmgen.Spin()}} {
		plugins = append(plugins, l.plugin(t, rt, time.Minute, l.grant(), l.connected(steps...)...))
	}
	return plugins
}

const perClose = 12 // runs that a Close meets

func closedRuns(t *testing.T, errs []error) {
	t.Helper()
	for _, err := range errs {
		if !errors.Is(err, host.ErrClosed) {
			t.Errorf("a run that was closed ended with %v", err)
		}
	}
}

func TestLeaksOfRuntimeClose(t *testing.T) {
	l := newLab(t)
	round := func() {
		rt := l.runtime(t)
		wait := l.underWay(t, perClose, l.waiting(t, rt)...)
		if s := rt.Stats(); s.Active != perClose || s.Plugins != 4 {
			t.Errorf("stats %+v", s)
		}
		if err := rt.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		closedRuns(t, wait())
		if s := rt.Stats(); s.Active+s.Connections+s.Plugins != 0 {
			t.Errorf("stats after Close: %+v", s)
		}
		if err := rt.Close(t.Context()); err != nil {
			t.Errorf("second Close: %v", err)
		}
	}
	round()
	l.forget()
	asBefore(t, func() {
		for range manyRuns / perClose {
			round()
		}
		l.empty(t)
		l.forget()
	})
}

func TestLeaksOfManyRunsAtOnce(t *testing.T) {
	l := newLab(t)
	type loaded struct {
		scenario
		p *host.Plugin
	}
	var all []loaded
	for _, s := range l.scenarios() {
		if s.ended == host.Returned || s.ended == host.Trapped || s.ended == host.Exited {
			g := l.grant()
			if s.ungiven {
				g.Capabilities = nil
			}
			all = append(all, loaded{s, l.plugin(t, l.Runtime, time.Minute, g, s.steps...)})
		}
	}
	const n = 200
	burst := func() {
		var runs sync.WaitGroup
		var wrong endings
		for i := range n {
			runs.Go(func() { l.runOnce(t, all[i%len(all)].scenario, all[i%len(all)].p, &wrong) })
		}
		runs.Wait()
		wrong.tell(t)
	}
	burst()
	l.forget()
	asBefore(t, func() {
		burst()
		l.empty(t)
		l.forget()
	})
	if got := l.Stats().Runs; got != 2*n {
		t.Errorf("%d runs were counted, want %d", got, 2*n)
	}
}
