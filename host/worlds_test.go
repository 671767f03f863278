package host_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/host/hosttest"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy"
)

// world is a Runtime and services that its plugins can reach: real sockets on
// loopback, or a network in memory. A guest must not tell the two apart.
type world struct {
	*host.Runtime
	memory *hosttest.Host // nil on loopback
	next   uint16         // port of the next service in memory
}

// place is where a service listens.
type place struct {
	host string
	port uint16
}

func (p place) url() string { return fmt.Sprintf("http://%s:%d", p.host, p.port) }

// grant reaches the place and nothing else, by any of the network functions.
func (p place) grant() capability.Grant { return p.grantPort(p.port) }

func (p place) grantPort(port uint16) capability.Grant {
	g := capability.Grant{Capabilities: networkNames, Permissions: netproxy.Rules{Ports: netproxy.Ports(port)}}
	if addr, err := netip.ParseAddr(p.host); err == nil {
		g.Permissions.Networks = []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen())}
	} else {
		g.Permissions.Domains = []netproxy.Domain{netproxy.Domain(p.host)}
	}
	return g
}

// unpaced are the limits of tests that make many attempts in a short time; by
// default a plugin is held to ten dials a second.
func unpaced() limits.Limits {
	const fast = 1e6
	return limits.Limits{Wall: 10 * time.Second, DialRate: fast, LookupRate: fast, DatagramRate: fast, DatagramBytes: limits.MiB << 10}
}

// worlds runs a test on loopback and in memory.
func worlds(t *testing.T, test func(t *testing.T, w *world), opts ...host.Option) {
	t.Helper()
	t.Run("loopback", func(t *testing.T) { t.Parallel(); test(t, loopback(t, opts...)) })
	t.Run("memory", func(t *testing.T) { t.Parallel(); test(t, inMemory(t, opts...)) })
}

// everywhere runs a test in each world on each engine.
func everywhere(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	engines(t, func(t *testing.T, engine ...host.Option) { worlds(t, test, engine...) })
}

// onceEach is for guests that take seconds to compile and little to interpret.
func onceEach(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	if testing.Short() {
		t.Log("on the interpreter only with -short: the race detector makes compiling Go take a minute")
	} else {
		t.Run("loopback compiler", func(t *testing.T) { t.Parallel(); test(t, loopback(t)) })
	}
	t.Run("memory interpreter", func(t *testing.T) { t.Parallel(); test(t, inMemory(t, host.WithInterpreter())) })
}

func loopback(t *testing.T, opts ...host.Option) *world {
	t.Helper()
	return &world{Runtime: newRuntime(t, append(opts, host.WithLimits(unpaced()))...)}
}

func inMemory(t *testing.T, opts ...host.Option) *world {
	t.Helper()
	h := hosttest.New(t, append(opts, host.WithLimits(unpaced()))...)
	return &world{Runtime: h.Runtime, memory: h, next: 2000}
}

func (w *world) load(t *testing.T, pkg *manifest.Package, g capability.Grant) *host.Plugin {
	t.Helper()
	return load(t, w.Runtime, pkg, host.WithGrant(g))
}

// pass lets d go by on the guests' clock.
func (w *world) pass(d time.Duration) {
	if w.memory != nil {
		w.memory.Advance(d)
		return
	}
	time.Sleep(d)
}

// free is a place in memory that nothing was declared for.
func (w *world) free() (place, string) {
	w.next++
	p := place{"api.example.com", w.next}
	return p, fmt.Sprintf("%s:%d", p.host, p.port)
}

func (w *world) http(t *testing.T, h http.Handler) place {
	t.Helper()
	if w.memory != nil {
		p, _ := w.free()
		w.memory.Network.HandleHTTP(p.url(), h)
		return p
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return placeOf(s.Listener.Addr())
}

// tcp serves connections, each closed when serve returns, until the test ends.
func (w *world) tcp(t *testing.T, serve func(net.Conn)) place {
	t.Helper()
	if w.memory != nil {
		p, where := w.free()
		w.memory.Network.HandleTCP(where, serve)
		return p
	}
	l := listen(t)
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() { defer c.Close(); serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); served.Wait() })
	return placeOf(l.Addr())
}

// udp takes datagrams; the function waits for the next one.
func (w *world) udp(t *testing.T) (place, func() string) {
	t.Helper()
	if w.memory != nil {
		p, where := w.free()
		took := make(chan string, 16)
		w.memory.Network.HandleUDP(where, func(b []byte) { took <- string(b) })
		return p, func() string { return <-took }
	}
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return placeOf(c.LocalAddr()), func() string {
		buf := make([]byte, 2048)
		if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			t.Errorf("no datagram: %v", err)
		}
		return string(buf[:n])
	}
}

// refuses is a place where nobody listens. On loopback it is the client's end
// of a connection, so that no other test is given the port.
func (w *world) refuses(t *testing.T) place {
	t.Helper()
	if w.memory != nil {
		p, where := w.free()
		w.memory.Network.Refuse(where)
		return p
	}
	c, err := net.Dial("tcp4", listen(t).Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return placeOf(c.LocalAddr())
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func placeOf(a net.Addr) place {
	to := netip.MustParseAddrPort(a.String())
	return place{to.Addr().String(), to.Port()}
}

// packageNamed reads a package of testdata. Those in Go are built, so a test
// reads them once; no Runtime changes a package.
func packageNamed(t testing.TB, name string) *manifest.Package {
	t.Helper()
	pkg, err := manifest.ReadPackage(wasmgen.Package(t, name))
	if err != nil {
		t.Fatal(err)
	}
	// The race detector makes the interpreter many times slower.
	pkg.Manifest.Resources.CPU = unpaced().Wall
	return pkg
}

// execute runs a plugin that must end by itself with a result of its own that
// needed no repair.
func execute(t *testing.T, p *host.Plugin, cfg any) *host.Report {
	t.Helper()
	return executeIn(t, t.Context(), p, cfg)
}

func executeIn(t *testing.T, ctx context.Context, p *host.Plugin, cfg any) *host.Report {
	t.Helper()
	r, err := p.Execute(ctx, cfg)
	if err != nil || r.Cause != nil || r.Ended != host.Returned {
		t.Fatalf("%s with %v ended %v, cause %v: %v\nstderr: %s", p.Manifest().ID, cfg, r.Ended, r.Cause, err, r.Stderr)
	}
	if len(r.Result.Issues) > 0 {
		t.Errorf("%s with %v: the result had to be repaired: %v", p.Manifest().ID, cfg, r.Result.Issues)
	}
	if err := r.Result.Validate(); err != nil {
		t.Errorf("%s with %v: %v", p.Manifest().ID, cfg, err)
	}
	if len(r.Notes) > 0 || r.Stdout+r.Stderr != "" {
		t.Errorf("%s with %v: notes %q, stdout %q, stderr %q", p.Manifest().ID, cfg, r.Notes, r.Stdout, r.Stderr)
	}
	return r
}

// logged are the lines of a report as "LEVEL text".
func logged(r *host.Report) []string {
	var lines []string
	for _, l := range r.Logs {
		lines = append(lines, l.Level.String()+" "+l.Text)
	}
	return lines
}

// decided are the decisions of a report as "func reason".
func decided(r *host.Report) []string {
	var lines []string
	for _, d := range r.Decisions {
		lines = append(lines, d.Func+" "+string(d.Reason))
	}
	return lines
}

func equal[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
