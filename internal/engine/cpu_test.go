package engine

import (
	"context"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
)

// spend works until the segment of m has lasted d.
func spend(m *meter, d time.Duration) {
	for m.running(time.Now()) < d {
		for range 1000 {
			_ = m.adapt
		}
	}
}

// TestSegments: time between Resume and Pause is the guest's, all other is not.
func TestSegments(t *testing.T) {
	t.Parallel()
	const work, wait = 20 * time.Millisecond, 200 * time.Millisecond
	r := newRun()
	m := newMeter(r.Begin(t.Context(), nil, false), r)
	r.Meter = m
	m.Pause() // nothing has begun
	if m.cpu != 0 {
		t.Fatalf("%v before anything ran", m.cpu)
	}
	m.Resume()
	spend(m, work)
	m.Pause()
	first := m.cpu
	if first < work {
		t.Fatalf("charged %v for %v of work", first, work)
	}
	if m.Pause(); m.cpu != first {
		t.Errorf("a second Pause charged %v", m.cpu-first)
	}
	m.Resume()
	done := r.Waiting()
	time.Sleep(wait)
	took := done()
	spend(m, work)
	m.Pause()
	if second := m.cpu - first; second < work || took < wait {
		t.Errorf("charged %v for %v of work, after a wait of %v", second, work, took)
	}
	if m.clock.works() && m.cpu >= 2*work+wait {
		t.Errorf("charged %v in all: the wait too", m.cpu)
	}
}

func TestCheckCPU(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		cpu     time.Duration // of segments before
		read    time.Duration // since the clock was last read
		stopped bool
	}{
		{"far below", 0, time.Hour, false},
		{"above", time.Second + 1, time.Hour, true},
		{"above, but looked at just now", time.Second + 1, 0, false},
	} {
		r := newRun()
		r.Limits.CPU = time.Second
		m := newMeter(r.Begin(t.Context(), nil, false), r)
		m.Resume()
		m.cpu = tt.cpu
		m.read = time.Now().Add(-tt.read)
		over := exceeded(unwound(func() { m.refill(-1) }))
		m.Pause()
		if stopped := over != nil; stopped != tt.stopped {
			t.Errorf("%s: got %v, want stopped %v", tt.name, over, tt.stopped)
		}
		if over != nil && (over.Resource != "cpu" || over.Limit != int64(time.Second) || over.Used <= over.Limit) {
			t.Errorf("%s: got %+v", tt.name, over)
		}
	}
}

// TestBudgetCPU ends a loop in guest code by its CPU budget, long before its
// deadline, and says so however the end is found.
func TestBudgetCPU(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, e *Engine) {
		const budget = 30 * time.Millisecond
		p := programOf(t, e, wasmgen.Loops(), "")
		r := newRun()
		r.Limits.CPU = budget
		ctx, cancel := context.WithTimeout(t.Context(), plenty)
		defer cancel()
		out := p.Run(ctx, r)
		over := exceeded(out.Err)
		if over == nil || over.Resource != "cpu" || over.Limit != int64(budget) || out.CPU < budget {
			t.Errorf("ended with %v after %v", out.Err, out.CPU)
		}
	})
}

// TestWaitingIsFree: a guest that waits in host functions for longer than its
// CPU budget ends by itself.
func TestWaitingIsFree(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, e *Engine) {
		const budget, wait = 300 * time.Millisecond, 200 * time.Millisecond
		var b wasmgen.Builder
		f := b.ImportFunc("env", "wait", wasmgen.Sig{})
		b.Memory(1)
		b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, wasmgen.I32s(1),
			wasmgen.Call(f), burn(20_000), wasmgen.Call(f), burn(20_000)))
		p := programOf(t, e, b.Bytes(), "", binding("wait", func(context.Context) { time.Sleep(wait) }))
		r := newRun()
		r.Limits.CPU = budget
		out := p.Run(t.Context(), r)
		if out.Err != nil || out.CPU <= 0 || out.CPU > budget {
			t.Errorf("ended with %v after %v of CPU time", out.Err, out.CPU)
		}
		var u limits.Usage
		if r.Counts(&u); u.HostWait < 2*wait {
			t.Errorf("waited %v, want %v", u.HostWait, 2*wait)
		}
	})
}

// TestCoreIsCharged: a Func that does not wait runs on the guest's account.
func TestCoreIsCharged(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Options{})
	const budget = 20 * time.Millisecond
	var b wasmgen.Builder
	f := b.ImportFunc("env", "work", wasmgen.Sig{})
	b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, nil, wasmgen.Call(f)))
	r := newRun()
	work := binding("work", func(context.Context) { spend(r.Meter.(*meter), 2*budget) })
	work.Core = true
	p := programOf(t, e, b.Bytes(), "", work)
	r.Limits.CPU = budget
	out := p.Run(t.Context(), r)
	if _, stopped := out.Err.(*abi.Stop); !stopped || exceeded(out.Err).Resource != "cpu" || out.CPU < 2*budget {
		t.Errorf("ended with %v after %v", out.Err, out.CPU)
	}
}
