// Quickstart runs a checker package twice against a small HTTP service on
// loopback, once healthy and once failing, and prints what a monitoring tool
// would want to know: the result, the decisions at the network gate, the usage.
//
//	go run ./examples/quickstart
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy"
)

func main() {
	dir := flag.String("package", "testdata/packages/http-check", "folder of the package to run")
	flag.Parse()
	if err := quickstart(context.Background(), os.Stdout, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func quickstart(ctx context.Context, w io.Writer, dir string) error {
	// The service to watch. It fails once told to.
	var failing atomic.Bool
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if failing.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintln(w, "hello from the service")
	}))
	defer service.Close()

	// A Runtime offers host functions; a plugin starts without any of them.
	rt, err := host.New(
		host.WithCapabilities(capability.Network()...),
		host.WithUnsigned(), // this package comes from our own disk
	)
	if err != nil {
		return err
	}
	defer rt.Close(ctx)

	pkg, err := manifest.ReadPackage(os.DirFS(dir))
	if err != nil {
		return err
	}

	// What the operator gives: HTTP, to this one address and port, no more.
	address := netip.MustParseAddrPort(service.Listener.Addr().String())
	plugin, err := rt.Load(ctx, pkg, host.WithGrant(capability.Grant{
		Capabilities: []string{"http_request"},
		Permissions: netproxy.Rules{
			Networks: []netip.Prefix{netip.PrefixFrom(address.Addr(), 32)},
			Ports:    netproxy.Ports(address.Port()),
		},
		Limits: limits.Limits{Memory: 32 * limits.MiB, Wall: 5 * time.Second},
	}))
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "loaded %s %s (%d bytes of Wasm)\n", plugin.Manifest().ID, plugin.Manifest().Version, len(pkg.Wasm))

	config := map[string]any{"url": service.URL, "warn_ms": 1000, "crit_ms": 2000}
	for _, state := range []string{"healthy", "failing"} {
		failing.Store(state == "failing")
		report, err := plugin.Execute(ctx, config)
		if err != nil {
			return err // the host made the result itself; a CRITICAL is no error
		}
		fmt.Fprintf(w, "\nthe service is %s\n", state)
		show(w, report)
	}

	// The same plugin under a grant that names another port: the gate says no,
	// the plugin learns nothing but that, and the admin is told what to add.
	refused, err := rt.Load(ctx, pkg, host.WithGrant(capability.Grant{
		Capabilities: []string{"http_request"},
		Permissions:  netproxy.Rules{Networks: []netip.Prefix{netip.PrefixFrom(address.Addr(), 32)}, Ports: netproxy.Ports(443)},
	}))
	if err != nil {
		return err
	}
	report, err := refused.Execute(ctx, config)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nthe port is not granted\n")
	show(w, report)
	return nil
}

// show prints a report for a person.
func show(w io.Writer, r *host.Report) {
	fmt.Fprintf(w, "  result    %v: %s\n", r.Result.Status, r.Result.Summary)
	for _, m := range r.Result.Metrics {
		fmt.Fprintf(w, "  metric    %s = %g %s\n", m.Name, m.Value, m.Unit)
	}
	for _, d := range r.Decisions {
		verdict := "allowed"
		if !d.Allowed {
			verdict = fmt.Sprintf("refused (%s; would allow it: %s)", d.Reason, d.Hint)
		}
		fmt.Fprintf(w, "  network   %s to %s port %d %s\n", d.Func, d.Target.Host, d.Target.Port, verdict)
	}
	u := r.Usage
	fmt.Fprintf(w, "  usage     %v CPU, %v wall, %v of it waiting, %v memory, %d fuel, %d host calls\n",
		u.CPU.Round(time.Microsecond), u.Wall.Round(time.Microsecond), u.HostWait.Round(time.Microsecond), u.PeakMemory, u.Fuel, total(u.Calls))
	fmt.Fprintf(w, "  ended     %v\n", r.Ended)
}

func total(calls map[string]int) (n int) {
	for _, c := range calls {
		n += c
	}
	return n
}
