package host_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/host/hosttest"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/result"
)

// socketGuest is a check over TCP or UDP.
type socketGuest struct {
	pkg      *manifest.Package
	explains bool // asks last_error and labels its result with the code
	matches  bool // has regular expressions
}

func TestGuestTCPBannerC(t *testing.T) {
	t.Parallel()
	everywhere(t, socketGuest{pkg: packageNamed(t, "tcp-banner")}.testBanner)
}

func TestGuestTCPBannerGo(t *testing.T) {
	t.Parallel()
	onceEach(t, socketGuest{packageNamed(t, "tcp-banner-go"), true, true}.testBanner)
}

func TestGuestUDPSenderAssemblyScript(t *testing.T) {
	t.Parallel()
	everywhere(t, socketGuest{pkg: packageNamed(t, "udp-sender-as")}.testSender)
}

func TestGuestUDPSenderGo(t *testing.T) {
	t.Parallel()
	onceEach(t, socketGuest{packageNamed(t, "udp-sender-go"), true, false}.testSender)
}

// greet sends a banner in three pieces, so that one read does not bring it all,
// and answers the first line that it is sent.
func greet(c net.Conn) {
	for _, piece := range []string{"220 mail.exa", "mple.com ESM", "TP\r\n250 late"} {
		if _, err := io.WriteString(c, piece); err != nil {
			return
		}
	}
	io.Copy(io.Discard, c)
}

// echoLine says back what it is told.
func echoLine(c net.Conn) {
	buf := make([]byte, 1024)
	n, _ := c.Read(buf)
	c.Write(buf[:n])
}

func (g socketGuest) testBanner(t *testing.T, w *world) {
	const banner = "220 mail.example.com ESMTP"
	for _, tt := range []struct {
		name    string
		serve   func(net.Conn)
		config  map[string]any
		want    result.Status
		summary string
		details string
	}{
		{"as expected", greet, map[string]any{"expect": "220 ", "contains": "ESMTP"}, result.OK, "banner as expected", banner},
		{"nothing is expected", greet, nil, result.OK, "banner as expected", banner},
		{"another beginning", greet, map[string]any{"expect": "221 "}, result.Critical, "banner begins otherwise", banner},
		{"a part is missing", greet, map[string]any{"contains": "Postfix"}, result.Warning, "banner lacks the expected text", banner},
		{"answer to a line", echoLine, map[string]any{"send": "PING é", "expect": "PING é"}, result.OK, "banner as expected", "PING é"},
		{"closed at once", func(net.Conn) {}, map[string]any{"expect": "220"}, result.Critical, "banner begins otherwise", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := w.tcp(t, tt.serve)
			report := execute(t, w.load(t, g.pkg, at.grant()), g.config(at, tt.config))
			if r := report.Result; r.Status != tt.want || r.Summary != tt.summary || r.Details != tt.details {
				t.Errorf("got %v %q %q, want %v %q %q", r.Status, r.Summary, r.Details, tt.want, tt.summary, tt.details)
			}
			checkLabels(t, report, nil)
			checkMetrics(t, report.Result.Metrics, []result.Metric{{Name: "time", Unit: "ms", Value: g.took(report), Min: new(float64)}})
			equal(t, "decisions", decided(report), []string{"tcp_connect granted"})
			if u := report.Usage; u.Calls["tcp_connect"] != 1 || u.Calls["tcp_close"] != 1 || u.Calls["tcp_read"] < 1 ||
				u.PeakConnections != 1 || u.Dials != 1 || u.BytesIn < int64(len(tt.details)) || len(u.Failed) > 0 {
				t.Errorf("usage %+v", u)
			}
		})
	}
	if g.matches {
		t.Run("regular expression", func(t *testing.T) { g.testMatch(t, w) })
	}
	silence := func(c net.Conn) { io.Copy(io.Discard, c) }
	for _, tt := range []struct {
		name, call string
		at         place
		port       uint16 // what is granted, 0 for the right one
		code       capability.Code
	}{
		{"refused connection", "tcp_connect", w.refuses(t), 0, capability.Internal},
		{"denied port", "tcp_connect", w.tcp(t, silence), 25, capability.Denied},
		{"no answer", "tcp_read", w.tcp(t, silence), 0, capability.Timeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			grant := tt.at.grant()
			if tt.port != 0 {
				grant = tt.at.grantPort(tt.port)
			}
			report := execute(t, w.load(t, g.pkg, grant), g.config(tt.at, map[string]any{"timeout_ms": 100}))
			g.checkCode(t, report, tt.call, tt.code)
		})
	}
}

func (socketGuest) config(at place, extra map[string]any) map[string]any {
	cfg := map[string]any{"host": at.host, "port": at.port, "timeout_ms": 5000}
	for k, v := range extra {
		cfg[k] = v
	}
	return cfg
}

// took is the value of the only metric, which is a time.
func (socketGuest) took(r *host.Report) float64 {
	if len(r.Result.Metrics) != 1 || r.Result.Metrics[0].Value > 5000 {
		return -1
	}
	return r.Result.Metrics[0].Value
}

func (g socketGuest) testMatch(t *testing.T, w *world) {
	at := w.tcp(t, greet)
	p := w.load(t, g.pkg, at.grant())
	for match, want := range map[string]result.Status{`^220 [a-z.]+ E?SMTP$`: result.OK, `^220 \d+`: result.Warning, `(`: result.Unknown} {
		if r := execute(t, p, g.config(at, map[string]any{"match": match})).Result; r.Status != want {
			t.Errorf("%q: %v %q, want %v", match, r.Status, r.Summary, want)
		}
	}
}

// checkCode checks the result of a call that ended in a code.
func (g socketGuest) checkCode(t *testing.T, report *host.Report, call string, code capability.Code) {
	t.Helper()
	summary, labels := fmt.Sprintf("%s answered %d", call, code), map[string]string(nil)
	if g.explains {
		labels = map[string]string{"code": fmt.Sprint(int(code))}
	}
	r := report.Result
	if r.Status != result.Critical || !strings.HasPrefix(r.Summary, summary) || !g.explains && r.Summary != summary {
		t.Errorf("got %v %q, want CRITICAL %q", r.Status, r.Summary, summary)
	}
	checkLabels(t, report, labels)
	equal(t, "log", logged(report), []string{"ERROR " + r.Summary})
	if n := report.Usage.Failed[fmt.Sprintf("%s %d", call, code)]; n != 1 || len(report.Usage.Failed) != 1 {
		t.Errorf("failed calls %v", report.Usage.Failed)
	}
	reason := netproxy.Granted
	if code == capability.Denied {
		reason = netproxy.BadPort
		if u := report.Usage; u.Dials+u.Lookups > 0 || u.Denials != 1 {
			t.Errorf("usage of a denied call: %+v", u)
		}
	}
	if ds := report.Decisions; len(ds) != 1 || ds[0].Reason != reason {
		t.Errorf("decisions %v, want %s", decided(report), reason)
	}
}

func (g socketGuest) testSender(t *testing.T, w *world) {
	at, next := w.udp(t)
	p := w.load(t, g.pkg, at.grant())
	for _, payload := range []string{"hello", "", "<14>é\x00\n", strings.Repeat("x", 1200)} {
		report := execute(t, p, g.config(at, map[string]any{"payload": payload}))
		if got := next(); got != payload {
			t.Errorf("sent %.80q, arrived %.80q", payload, got)
		}
		if r, want := report.Result, fmt.Sprintf("sent %d bytes", len(payload)); r.Status != result.OK || r.Summary != want {
			t.Errorf("got %v %q, want OK %q", r.Status, r.Summary, want)
		}
		checkMetrics(t, report.Result.Metrics, []result.Metric{{Name: "sent", Unit: "B", Value: float64(len(payload)), Min: new(float64)}})
		checkUsage(t, report, map[string]int{"get_config": 1, "udp_sendto": 1, "submit_result": 1})
		equal(t, "decisions", decided(report), []string{"udp_sendto granted"})
		if report.Usage.BytesOut != int64(len(payload)) {
			t.Errorf("%d bytes out, want %d", report.Usage.BytesOut, len(payload))
		}
	}
	t.Run("denied port", func(t *testing.T) {
		report := execute(t, w.load(t, g.pkg, at.grantPort(53)), g.config(at, map[string]any{"payload": "x"}))
		g.checkCode(t, report, "udp_sendto", capability.Denied)
	})
	t.Run("above the cap of a datagram", func(t *testing.T) {
		report := execute(t, p, g.config(at, map[string]any{"payload": strings.Repeat("x", 1201)}))
		if r := report.Result; r.Status != result.Critical || !strings.HasPrefix(r.Summary, "udp_sendto answered -3") {
			t.Errorf("got %v %q", r.Status, r.Summary)
		}
		if report.Usage.BytesOut != 0 {
			t.Errorf("%d bytes went out", report.Usage.BytesOut)
		}
	})
	t.Run("no destination", func(t *testing.T) {
		if r := execute(t, p, map[string]any{"payload": "x"}).Result; r.Status != result.Unknown || r.Summary != "config has no host or port" {
			t.Errorf("got %v %q", r.Status, r.Summary)
		}
	})
}

// redirected dials address whatever it is told: the guest's own port may be
// taken on the machine that runs the tests.
type redirected struct {
	address string
	asked   chan string
}

func (d redirected) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d.asked <- network + " " + address
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, network, d.address)
	if err != nil {
		return nil, err
	}
	return claims{c, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address))}, nil
}

// claims says that it leads elsewhere: the Guard compares.
type claims struct {
	net.Conn
	remote net.Addr
}

func (c claims) RemoteAddr() net.Addr { return c.remote }

// names answers lookups from a map.
type names map[string]string

func (n names) LookupNetIP(_ context.Context, _, name string) ([]netip.Addr, error) {
	if a, ok := n[strings.TrimSuffix(name, ".")]; ok { // with a dot, so that no search domain is tried
		return []netip.Addr{netip.MustParseAddr(a)}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// statsd sends to a name; where names may lead, the operator says.
func TestGuestStatsDLoopback(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, engine ...host.Option) {
		at, next := (&world{}).udp(t)
		d := redirected{fmt.Sprintf("%s:%d", at.host, at.port), make(chan string, 4)}
		rt := newRuntime(t, append(engine, host.WithNetwork(netproxy.Config{Dialer: d, Resolver: names{"statsd.test": "127.0.0.1"}}))...)
		grant := capability.Grant{Capabilities: []string{"udp_sendto"}, Permissions: netproxy.Rules{
			Domains: []netproxy.Domain{"statsd.test"}, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Ports: netproxy.Ports(8125),
		}}
		pkg := packageNamed(t, "statsd")
		report := execute(t, load(t, rt, pkg, host.WithGrant(grant)), nil)
		if r := report.Result; r.Status != result.OK || r.Summary != "sent" {
			t.Fatalf("got %v %q; decisions %+v", r.Status, r.Summary, report.Decisions)
		}
		if got := next(); got != "sandcheck.alive:1|c" {
			t.Errorf("arrived %q", got)
		}
		if got := <-d.asked; got != "udp 127.0.0.1:8125" {
			t.Errorf("the dialer was handed %q, want the judged address", got)
		}
		grant.Permissions.Networks = nil
		report = execute(t, load(t, rt, pkg, host.WithGrant(grant)), nil)
		if r := report.Result; r.Status != result.Critical || r.Summary != "udp_sendto answered -2" {
			t.Errorf("a name that leads to loopback: %v %q", r.Status, r.Summary)
		}
		equal(t, "decisions", decided(report), []string{"udp_sendto " + string(netproxy.BadAddress)})
		if len(d.asked) > 0 {
			t.Errorf("dialled %q", <-d.asked)
		}
	})
}

func TestGuestStatsDInMemory(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, engine ...host.Option) {
		h := hosttest.New(t, engine...)
		h.Network.HandleUDP("statsd.test:8125", nil)
		p := h.MustLoad(packageNamed(t, "statsd"), host.GrantRequested())
		if r := execute(t, p, nil).Result; r.Status != result.OK || r.Summary != "sent" {
			t.Errorf("got %v %q", r.Status, r.Summary)
		}
		if ds := h.Network.Datagrams(); len(ds) != 1 || string(ds[0].Payload) != "sandcheck.alive:1|c" || ds[0].To.Port() != 8125 {
			t.Errorf("datagrams %v", ds)
		}
		if want := "udp_sendto in 30 = 19\nsubmit_result in 32 = ok\n"; h.Trace() != want {
			t.Errorf("trace %q, want %q", h.Trace(), want)
		}
	})
}

// Guests that only submit, and what the report says of them.
func TestGuestsWithoutNetwork(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, summary string
		calls         map[string]int
		init          bool // does something before its entrypoint
	}{
		{"alive", "alive", map[string]int{"submit_result": 1}, false},
		{"start-submit", "submitted while starting", map[string]int{"submit_result": 1}, true},
		{"command", "initialised", map[string]int{"submit_result": 1}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pkg := packageNamed(t, tt.name)
			everywhere(t, func(t *testing.T, w *world) {
				p := w.load(t, pkg, capability.Grant{})
				if n := len(p.Inspection().Warnings) + len(p.Inspection().Problems); n > 0 && tt.name != "command" {
					t.Errorf("inspection: %q %q", p.Inspection().Warnings, p.Inspection().Problems)
				}
				for run := range 3 {
					report := execute(t, p, nil)
					if r := report.Result; r.Status != result.OK || r.Summary != tt.summary || len(report.Submits) != 1 {
						t.Errorf("run %d: got %v %q of %d submits, want OK %q", run, r.Status, r.Summary, len(report.Submits), tt.summary)
					}
					checkLabels(t, report, nil)
					checkUsage(t, report, tt.calls)
					if got := report.Usage.InitFuel > 0; got != tt.init {
						t.Errorf("fuel of initialisation: %d", report.Usage.InitFuel)
					}
				}
			})
		})
	}
}

func TestGuestSmallConfig(t *testing.T) {
	t.Parallel()
	pkg := packageNamed(t, "small-config")
	engines(t, func(t *testing.T, engine ...host.Option) {
		p := load(t, newRuntime(t, engine...), pkg)
		for size, want := range map[int]int{0: 0, 1: 1, 511: 511, 512: 512, 513: -3, 100 << 10: -3, 2 << 20: -3} {
			report := execute(t, p, configOf(size))
			if got := report.Result.Summary; report.Result.Status != result.OK || !strings.HasSuffix(got, fmt.Sprintf(" %d.", want)) {
				t.Errorf("config of %d bytes: %v %q, want %d", size, report.Result.Status, got, want)
			}
			if failed := report.Usage.Failed["get_config -3"]; failed != min(1, -min(want, 0)) {
				t.Errorf("config of %d bytes: failed calls %v", size, report.Usage.Failed)
			}
		}
	})
}

// configOf is one JSON value of n bytes, nil for none.
func configOf(n int) any {
	const shell = `{"pad":""}`
	switch {
	case n == 0:
		return nil
	case n < len(shell):
		return []byte(strings.Repeat("7", n))
	}
	return []byte(`{"pad":"` + strings.Repeat("x", n-len(shell)) + `"}`)
}

func TestGuestUnknownImports(t *testing.T) {
	t.Parallel()
	unknown := []string{"camera_media_open", "artifact_abort", "emit_telemetry", "moon_phase"}
	pkg := packageNamed(t, "unknown-imports")
	engines(t, func(t *testing.T, engine ...host.Option) {
		p := load(t, newRuntime(t, engine...), pkg)
		var listed []string
		for _, im := range p.Inspection().Imports {
			if im.Code == capability.NotFound {
				listed = append(listed, im.Name)
			}
		}
		equal(t, "listed by Inspect", listed, unknown)
		report := execute(t, p, nil)
		if r := report.Result; r.Status != result.OK || r.Summary != "all answered -4" {
			t.Errorf("got %v %q", r.Status, r.Summary)
		}
		for _, name := range unknown {
			if report.Usage.Failed[name+" -4"] != 1 {
				t.Errorf("%s is not among the failed calls %v", name, report.Usage.Failed)
			}
			if !slices.Contains(decided(report), name+" "+string(netproxy.NotOffered)) {
				t.Errorf("%s is not among the decisions %v", name, decided(report))
			}
		}
		_, err := newRuntime(t, append(engine, host.WithStrictImports())...).Load(t.Context(), pkg)
		for _, name := range unknown {
			if err == nil || !strings.Contains(err.Error(), "env."+name) {
				t.Errorf("strict imports: %s is not named: %v", name, err)
			}
		}
	})
}

func TestGuestImportMemoryDoesNotLoad(t *testing.T) {
	t.Parallel()
	pkg := packageNamed(t, "import-memory")
	engines(t, func(t *testing.T, engine ...host.Option) {
		rt := newRuntime(t, engine...)
		in, err := rt.Inspect(t.Context(), pkg)
		if err != nil || !slices.ContainsFunc(in.Problems, func(p string) bool { return strings.Contains(p, "env.memory") }) {
			t.Errorf("Inspect: problems %q, %v", in.Problems, err)
		}
		for _, grant := range []host.LoadOption{host.GrantRequested(), host.WithGrant(capability.Grant{})} {
			_, err := rt.Load(t.Context(), pkg, grant)
			if !errors.Is(err, host.ErrInvalidModule) || !strings.Contains(err.Error(), "env.memory") {
				t.Errorf("Load: %v, want ErrInvalidModule that names env.memory", err)
			}
		}
		if s := rt.Stats(); s.Plugins != 0 || s.Compiles != 0 {
			t.Errorf("stats %+v: something was compiled", s)
		}
	})
}

// A guest is held to what its package asks for, however much it is given.
func TestGuestMemoryIsWhatThePackageAsksFor(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t, host.WithLimits(limits.Limits{Memory: 256 * limits.MiB, Wall: 10 * time.Second}))
	for name, want := range map[string]limits.Bytes{"alive": limits.MiB, "http-check": 16 * limits.MiB, "http-check-rust": 32 * limits.MiB} {
		p := load(t, rt, packageNamed(t, name), host.WithGrant(capability.Grant{Limits: limits.Limits{Memory: 128 * limits.MiB}}))
		if got := p.Grant().Limits.Memory; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
