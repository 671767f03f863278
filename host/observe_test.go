package host_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/host/hosttest"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/netproxy"
)

// What a guest logs and what was decided about it reach every logger.
func TestLoggersSeeLinesAndDecisions(t *testing.T) {
	t.Parallel()
	var out [2]bytes.Buffer
	logger := func(i int) host.Option {
		return host.WithLogger(slog.New(slog.NewTextHandler(&out[i], &slog.HandlerOptions{Level: slog.LevelDebug})))
	}
	h := hosttest.New(t, logger(0), logger(1), host.WithRedactor(func(s string) string { return strings.ReplaceAll(s, "hunter2", "***") }))
	wasm := wasmgen.Proxy(wasmgen.Script{Entry: []wasmgen.Step{
		wasmgen.Do("log", wasmgen.Lit(2), wasmgen.Text("password hunter2")),
		wasmgen.Do("tcp_connect", wasmgen.Text("db.example.com"), wasmgen.Lit(5432), wasmgen.Lit(0)),
		wasmgen.Do("udp_sendto", wasmgen.Text("x"), wasmgen.Lit(1), wasmgen.Text("x"), wasmgen.Lit(0)),
	}})
	pkg := packageOf(wasm, "log", "submit_result", "tcp_connect")
	pkg.Manifest.Permissions = netproxy.Rules{Domains: []netproxy.Domain{"db.example.com"}, Ports: netproxy.Ports(443)}
	p := h.MustLoad(pkg, host.WithGrant(capability.Grant{Capabilities: networkNames, Permissions: pkg.Manifest.Permissions}))
	if _, err := p.Execute(t.Context(), nil, host.WithRunID("run-7")); err != nil {
		t.Fatal(err)
	}
	for i := range out {
		for _, want := range []string{
			`level=WARN msg="password ***" plugin=test-plugin run=run-7`,
			`level=WARN msg="decision: refused" plugin=test-plugin run=run-7 func=tcp_connect reason=port_not_allowed`,
			`hint="allowed_ports: [5432]"`,
			`func=udp_sendto reason=capability_not_granted`,
		} {
			if !strings.Contains(out[i].String(), want) {
				t.Errorf("logger %d lacks %s:\n%s", i, want, out[i].String())
			}
		}
	}
}
