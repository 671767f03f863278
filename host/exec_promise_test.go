package host_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

// TestP1 cancels a run in the middle of each host function: those that wait, in
// their wait; the others, in a guest that calls nothing else.
func TestP1(t *testing.T) {
	t.Parallel()
	zero, port := wasmgen.Lit(0), wasmgen.Lit(7)
	connect := func(host string) wasmgen.Step {
		return wasmgen.Do("tcp_connect", wasmgen.Text(host), port, zero).As("c")
	}
	forever := func(s wasmgen.Step) []wasmgen.Step { return []wasmgen.Step{s.TimesLast(1<<32 - 1)} }
	for _, tt := range []struct {
		name  string
		steps []wasmgen.Step
		waits string // the function that the run waits in
	}{
		{"get_config", forever(wasmgen.Do("get_config", wasmgen.Out(64))), ""},
		{"log", forever(wasmgen.Do("log", wasmgen.Lit(1), wasmgen.Text("x"))), ""},
		{"submit_result", forever(wasmgen.Do("submit_result", wasmgen.Text("{}"))), ""},
		{"last_error", forever(wasmgen.Do("last_error", wasmgen.Out(64))), ""},
		{"a stub", forever(wasmgen.Do("websocket_close", zero)), ""},
		{"http_request, connecting", []wasmgen.Step{fetchStep("http://drops.test:7/")}, "http_request"},
		{"http_request, no headers", []wasmgen.Step{fetchStep("http://silent.test:7/")}, "http_request"},
		{"http_request, no body", []wasmgen.Step{fetchStep("http://stalls.test/")}, "http_request"},
		{"http_request, no TLS", []wasmgen.Step{fetchStep("https://silent.test:7/")}, "http_request"},
		{"tcp_connect, looking up", []wasmgen.Step{connect("lost.test")}, "tcp_connect"},
		{"tcp_connect, dialling", []wasmgen.Step{connect("drops.test")}, "tcp_connect"},
		{"tcp_read", []wasmgen.Step{connect("silent.test"), wasmgen.Do("tcp_read", wasmgen.Ref("c"), wasmgen.Out(8), zero)}, "tcp_read"},
		{"tcp_write", []wasmgen.Step{connect("deaf.test"),
			wasmgen.Do("tcp_write", wasmgen.Ref("c"), zero, wasmgen.Lit(8<<20), zero).TimesLast(1000)}, "tcp_write"},
		{"tcp_close", forever(wasmgen.Do("tcp_close", wasmgen.Lit(9))), ""},
		{"udp_sendto, looking up", []wasmgen.Step{wasmgen.Do("udp_sendto", wasmgen.Text("lost.test"), port, wasmgen.Text("x"), zero)}, "udp_sendto"},
		{"udp_sendto, paced", forever(wasmgen.Do("udp_sendto", wasmgen.Text("sink.test"), port, wasmgen.Text("x"), zero)), ""},
		{"poll_oneoff", []wasmgen.Step{wasmgen.Sleep(1 << 31)}, "asleep"},
		{"random_get", forever(wasmgen.Do("wasi.random_get", zero, wasmgen.Lit(8<<20))), ""},
		{"fd_write", forever(wasmgen.Print(1, strings.Repeat("x", 4096))), ""},
		{"clock_time_get", forever(wasmgen.Do("wasi.clock_time_get", zero, zero, wasmgen.OutPtr(8))), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cancelMidCall(t, tt.steps, tt.waits)
		})
	}
}

func fetchStep(url string) wasmgen.Step {
	return wasmgen.Do("http_request", wasmgen.Text(`{"url":"`+url+`","timeout_ms":3600000}`), wasmgen.Out(64))
}

func cancelMidCall(t *testing.T, steps []wasmgen.Step, waits string) {
	n, network := inMemoryNetwork(t)
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	n.Silent("silent.test:7")
	n.Blackhole("drops.test:7")
	n.FailDNS("lost.test", nil)
	n.HandleUDP("sink.test:7", nil)
	n.HandleHTTP("http://stalls.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		select {
		case <-ended:
		case <-r.Context().Done():
		}
	}))
	n.HandleTCP("deaf.test:7", deafUntil(ended))
	script := wasmgen.Script{Entry: steps, Report: wasmgen.ReportNone, Pages: 160}
	pkg := anywhere(packageOf(wasmgen.Proxy(script)))
	var calls atomic.Int64
	hooks := host.Hooks{HostCall: func(context.Context, host.HostCall) { calls.Add(1) }}
	rt := newRuntime(t, network, host.WithHooks(hooks), host.WithLimits(limits.Limits{Wall: time.Minute, HostCalls: 1 << 40, CallRate: 1e12}))
	p := load(t, rt, pkg, host.GrantRequested())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cancelled := make(chan time.Time, 1)
	go func() {
		// WASI calls are not seen from outside; they begin soon enough.
		for start := time.Now(); calls.Load() == 0 && len(n.Lookups()) == 0 && time.Since(start) < 500*time.Millisecond; {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond)
		cancelled <- time.Now()
		cancel()
	}()
	report, err := p.Execute(ctx, nil)
	if ctx.Err() == nil {
		t.Fatalf("ended before it was cancelled: %v, %v", report.Ended, err)
	}
	soon(t, <-cancelled, 0, 2*time.Second)
	if report.Ended != host.Cancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("ended %v, %v", report.Ended, err)
	}
	switch {
	case waits == "":
	case waits == "asleep":
		if report.Usage.HostWait < 50*time.Millisecond {
			t.Errorf("waited %v", report.Usage.HostWait)
		}
	case report.Usage.Calls[waits] == 0 || report.Usage.HostWait < 50*time.Millisecond:
		t.Errorf("calls %v, waited %v: it was not in %s", report.Usage.Calls, report.Usage.HostWait, waits)
	}
	if open := n.Open(); open != 0 {
		t.Errorf("%d connections are left", open)
	}
}

// deafUntil serves connections that nobody reads.
func deafUntil(ended <-chan struct{}) func(net.Conn) {
	return func(net.Conn) {
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
		}
	}
}

// TestP3 runs a thousand traps and looks for what they left. It counts the
// process's goroutines and heap, so it runs alone.
func TestP3(t *testing.T) {
	n, network := inMemoryNetwork(t)
	n.HandleTCP("echo.test:7", netproxytest.Echo)
	pkg := anywhere(quietly(
		wasmgen.Do("tcp_connect", wasmgen.Text("echo.test"), wasmgen.Lit(7), wasmgen.Lit(0)).As("c"),
		wasmgen.Do("tcp_write", wasmgen.Ref("c"), wasmgen.Text("x"), wasmgen.Lit(0)),
		wasmgen.Print(2, "boom"),
		wasmgen.Grow(16),
		wasmgen.Trap(),
	))
	budget := limits.NewBudget(limits.Limits{}, 1)
	rt := newRuntime(t, network, host.WithBudget(budget), host.WithLimits(limits.Limits{DialRate: 1e6, LookupRate: 1e6}))
	p := load(t, rt, pkg, host.GrantRequested())
	runs := func(times int) {
		for range times {
			if report, err := p.Execute(t.Context(), nil); !errors.Is(err, host.ErrTrap) || report.Usage.Calls["tcp_write"] != 1 {
				t.Fatalf("ended %v: %v", report.Ended, err)
			}
		}
	}
	runs(20) // what is made once
	goroutines, before := runtime.NumGoroutine(), heap()
	runs(1000)
	settled(t, goroutines)
	if after := heap(); after > before+4<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
	if s := rt.Stats(); s.Active != 0 || s.Connections != 0 || n.Open() != 0 {
		t.Errorf("%+v, %d connections are left", s, n.Open())
	}
	release, err := budget.Acquire(t.Context(), limits.Limits{})
	if err != nil {
		t.Fatalf("the budget was not given back: %v", err)
	}
	release()
}

// heap is what is in use after a collection.
func heap() uint64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one's finalizers let go
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
