package sandcheck_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
	"github.com/sandcheck/sandcheck/result"
)

// check loads a package, grants it one host on one port, and runs it once.
func check(ctx context.Context, opts ...host.Option) (*result.Result, error) {
	offered := []host.Option{host.WithCapabilities(capability.HTTP()...), host.WithUnsigned()}
	rt, err := host.New(append(offered, opts...)...)
	if err != nil {
		return nil, err
	}
	defer rt.Close(ctx)
	pkg, err := manifest.ReadPackage(os.DirFS("testdata/packages/http-check"))
	if err != nil {
		return nil, err
	}
	plugin, err := rt.Load(ctx, pkg, host.WithGrant(capability.Grant{
		Capabilities: []string{"http_request"},
		Permissions:  netproxy.Rules{Domains: []netproxy.Domain{"api.example.com"}, Ports: netproxy.Ports(443)},
	}))
	if err != nil {
		return nil, err
	}
	return plugin.Run(ctx, map[string]any{"url": "https://api.example.com/"})
}

// A package is loaded under a grant and run. The network is in memory and the
// clock stands still; without WithNetwork and WithClock both are real.
func Example() {
	var network netproxytest.Network
	network.HandleHTTP("https://api.example.com", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "all is well")
	}))
	defer network.Close()
	frozen := func() time.Time { return time.Date(2025, 1, 1, 10, 0, 0, 0, time.UTC) }

	res, err := check(context.Background(), host.WithNetwork(network.Config()), host.WithClock(frozen))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Status, res.Summary)
	for _, m := range res.Metrics {
		fmt.Println(m.Name, m.Value, m.Unit)
	}
	// Output:
	// OK HTTP 200 in 0 ms
	// latency 0 ms
	// size 12 B
	// http_status 200
}

// A refusal tells the guest nothing and the operator everything: the report has
// the reason, and the line of a grant that would have allowed the attempt.
func Example_refused() {
	var network netproxytest.Network // nothing exists on it, and nothing is asked
	defer network.Close()
	hook := host.Hooks{Decision: func(_ context.Context, d netproxy.Decision) {
		fmt.Printf("%s to %s port %d: %s; would allow it: %s\n", d.Func, d.Target.Host, d.Target.Port, d.Reason, d.Hint)
	}}
	rt, err := host.New(host.WithCapabilities(capability.HTTP()...), host.WithUnsigned(),
		host.WithNetwork(network.Config()), host.WithHooks(hook))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close(context.Background())
	pkg, err := manifest.ReadPackage(os.DirFS("testdata/packages/http-check"))
	if err != nil {
		fmt.Println(err)
		return
	}
	plugin, err := rt.Load(context.Background(), pkg, host.WithGrant(capability.Grant{
		Capabilities: []string{"http_request"},
		Permissions:  netproxy.Rules{Domains: []netproxy.Domain{"www.example.com"}, Ports: netproxy.Ports(443)},
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := plugin.Run(context.Background(), map[string]any{"url": "https://api.example.com/"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Status, res.Summary)
	// Output:
	// http_request to api.example.com port 443: domain_not_allowed; would allow it: allowed_domains: ["api.example.com"]
	// CRITICAL http_request answered -2: denied: http_request
}
