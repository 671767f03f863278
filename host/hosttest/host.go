// Package hosttest runs plugins in a world of its own: the real host.Runtime on
// a network in memory, with a clock that stands still and randomness from a
// seed. Nothing reaches a real network, by construction.
//
//	h := hosttest.New(t)
//	h.Network.HandleHTTP("https://api.example.com", handler)
//	plugin := h.MustLoad(pkg, host.GrantRequested())
//	res, err := plugin.Run(ctx, cfg)
//
// A destination that the test did not declare fails the test by its name.
// TestPackage checks a package in one call, CallFunc a single host function
// through real guest memory, and Record and Replay keep what was asked of a
// host function and answer from that.
package hosttest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

// Host is a Runtime in a world of its own. It is safe for concurrent use.
type Host struct {
	*host.Runtime
	// Network is all that plugins can reach. Declare on it what exists.
	Network *netproxytest.Network

	t testing.TB

	mu        sync.Mutex
	now       time.Time
	decisions []netproxy.Decision
	trace     strings.Builder
}

// start is the time on a Host's clock until Advance moves it.
var start = time.Date(2025, 1, 1, 10, 0, 0, 0, time.UTC)

// closePatience is how long the end of a test waits for runs to end.
const closePatience = 10 * time.Second

// New returns a Host that offers capability.Network and takes unsigned packages.
// opts are added to that; the network, clock and randomness are already given.
// The Host is closed with t, which fails if plugins tried to reach what the test
// did not declare.
func New(t testing.TB, opts ...host.Option) *Host {
	t.Helper()
	h, err := newHost(&netproxytest.Network{}, opts...)
	if err != nil {
		t.Fatalf("hosttest: %v", err)
	}
	h.t = t
	t.Cleanup(func() {
		if err := h.close(); err != nil {
			t.Errorf("hosttest: %v", err)
		}
	})
	return h
}

// newHost is New without a test, on a given network.
func newHost(n *netproxytest.Network, opts ...host.Option) (*Host, error) {
	h := &Host{Network: n, now: start}
	rt, err := host.New(append([]host.Option{
		host.WithUnsigned(),
		host.WithCapabilities(capability.Network()...),
		host.WithNetwork(n.Config()),
		host.WithClock(h.clock),
		host.WithRand(&seeded{src: rand.NewChaCha8([32]byte{})}),
		host.WithHooks(host.Hooks{Decision: h.decided, HostCall: h.called}),
	}, opts...)...)
	if err != nil {
		return nil, err
	}
	h.Runtime = rt
	return h, nil
}

// close ends everything and reports what should not have happened.
func (h *Host) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	errs := []error{h.Close(ctx), h.Network.Close()}
	if tried := h.Network.Undeclared(); len(tried) > 0 {
		errs = append(errs, fmt.Errorf("tried to reach what the test did not declare: %s", strings.Join(tried, ", ")))
	}
	return errors.Join(errs...)
}

// MustLoad is Load that fails the test.
func (h *Host) MustLoad(pkg *manifest.Package, opts ...host.LoadOption) *host.Plugin {
	h.t.Helper()
	p, err := h.Load(h.t.Context(), pkg, opts...)
	if err != nil {
		h.t.Fatalf("hosttest: %v", err)
	}
	return p
}

// Advance moves the clock of the guests, and of reports, by d.
func (h *Host) Advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// Decisions returns every decision so far, of all plugins and runs.
func (h *Host) Decisions() []netproxy.Decision {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]netproxy.Decision(nil), h.decisions...)
}

// Trace returns every host call so far as a line of text, without anything that
// changes from run to run, so that it can be compared with a golden file:
// "tcp_connect in 9 = 1", "http_request in 61 out 4194304 = denied". The numbers
// are the bytes that the guest named.
func (h *Host) Trace() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.trace.String()
}

func (h *Host) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *Host) decided(_ context.Context, d netproxy.Decision) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.decisions = append(h.decisions, d)
}

func (h *Host) called(_ context.Context, c host.HostCall) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trace.WriteString(c.Func)
	if c.In > 0 {
		fmt.Fprintf(&h.trace, " in %d", c.In)
	}
	if c.Out > 0 {
		fmt.Fprintf(&h.trace, " out %d", c.Out)
	}
	fmt.Fprintf(&h.trace, " = %v\n", c.Code)
}

// seeded is a source of randomness that is the same in every test.
type seeded struct {
	mu  sync.Mutex
	src *rand.ChaCha8
}

func (s *seeded) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.src.Read(p)
}
