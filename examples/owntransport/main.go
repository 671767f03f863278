// Owntransport runs a checker package in a network that this program can only
// reach through a SOCKS5 relay: an own Dialer and an own Resolver, and
// Config.Tunnel to say that the far end of a connection is the relay.
//
//	go run ./examples/owntransport
//
// The rules stay in front: the Guard judges a destination first and then hands
// the Dialer one literal address that it allowed. What the plugin may not reach
// is never named to the relay, which the program shows by printing what the
// relay was asked for.
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
	"strings"
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
	if err := owntransport(context.Background(), os.Stdout, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "owntransport:", err)
		os.Exit(1)
	}
}

// site is the name server of the network behind the relay. Somebody in that
// network can put any address into it.
var site = zone{
	"status.example.com":   {"10.20.0.5"},
	"both.example.com":     {"10.30.0.1", "10.20.0.5"},
	"admin.example.com":    {"10.30.0.1"},
	"metadata.example.com": {"169.254.169.254"},
	"rebound.example.com":  {"127.0.0.1"},
}

// checks are what the plugin is configured to ask for, one run each.
var checks = []string{
	"http://status.example.com/",
	"http://both.example.com/",        // one answer of two may be used
	"http://admin.example.com/",       // a granted name that leads elsewhere
	"http://metadata.example.com/",    // likewise
	"http://rebound.example.com/",     // likewise
	"http://status.example.com:8080/", // a port that is not granted
	"http://elsewhere.test/",          // a name that is not, and is not looked up
	"http://10.20.0.5/",               // an address that the manifest does not ask for
}

func owntransport(ctx context.Context, w io.Writer, dir string) error {
	// The service to watch, at 10.20.0.5 as far as anybody behind the relay
	// knows, and the relay, which knows all of that network.
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "hello from behind the relay")
	}))
	defer service.Close()
	at := service.Listener.Addr().String()
	relay, err := startRelay(map[string]string{"10.20.0.5:80": at, "10.30.0.1:80": at, "169.254.169.254:80": at, "127.0.0.1:80": at})
	if err != nil {
		return err
	}
	defer relay.Close()

	// How this program reaches a network is its own affair: a Dialer that gets
	// addresses, a Resolver whose answers are judged. Neither decides.
	dialer, err := throughRelay(relay.Addr())
	if err != nil {
		return err
	}
	rt, err := host.New(
		host.WithCapabilities(capability.HTTP()...),
		host.WithNetwork(netproxy.Config{Dialer: dialer, Resolver: site, Tunnel: true}),
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
	// The manifest asks for *.example.com. Where such names may lead inside the
	// network is for the operator to say: to 10.20.0.0/16, on one port.
	plugin, err := rt.Load(ctx, pkg, host.WithGrant(capability.Grant{
		Capabilities: []string{"http_request"},
		Permissions: netproxy.Rules{
			Domains:  []netproxy.Domain{"*.example.com"},
			Networks: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")},
			Ports:    netproxy.Ports(80),
		},
		Limits: limits.Limits{Memory: 32 * limits.MiB, Wall: 5 * time.Second},
	}))
	if err != nil {
		return err
	}

	for _, url := range checks {
		report, err := plugin.Execute(ctx, map[string]any{"url": url})
		if err != nil {
			return err // the host made the result itself; a CRITICAL is no error
		}
		fmt.Fprintf(w, "%-34s %v\n", url, report.Result.Status)
		for _, d := range report.Decisions {
			fmt.Fprintf(w, "  %s\n", verdict(d))
		}
	}
	fmt.Fprintf(w, "\nthe relay was asked for\n  %s\n", strings.Join(relay.Asked(), "\n  "))
	return nil
}

// verdict is one decision for a person.
func verdict(d netproxy.Decision) string {
	if !d.Allowed {
		return fmt.Sprintf("refused: %s", d.Reason)
	}
	text := fmt.Sprintf("allowed: %v", d.Target.Addrs)
	if d.Tunnel {
		text += " through the relay"
	}
	if len(d.Dropped) > 0 {
		text += fmt.Sprintf(", not %v", d.Dropped)
	}
	return text
}
