// Package netproxy is the only door to the network for code that is not
// trusted. It knows nothing of Wasm and is usable on its own.
//
// Rules say what may be reached; they are plain data, and their zero value
// reaches nothing. A Guard judges by them and dials, for one run:
//
//	guard, err := netproxy.New(rules, netproxy.Config{})
//	if err != nil {
//		return err
//	}
//	defer guard.Close()
//	resp, err := guard.HTTPClient(netproxy.HTTPOptions{}).Get(url)
//
// Newcomers need Rules, New, and of the Guard DialContext and HTTPClient. The
// rest is for hosts that review grants, inject credentials or bring a network
// of their own.
//
// # Threat model
//
// The caller owns every byte of host, URL, method, header and body, sees every
// error and measures time. It may also run name servers and web servers, and a
// granted destination may be hostile too: redirect, rebind its name, answer
// without end. Loopback, metadata services, private networks, the embedding
// program's own listeners, its credentials, memory, sockets and time are to be
// protected, and so is the knowledge of what exists inside. The operator, the
// embedding program and the Go standard library are trusted.
//
// The rule behind all others: data goes in, a verdict comes out, and only what
// the verdict carries can be dialled. Names are looked up once, every answer is
// judged, and the address that was judged is the one that is connected to.
//
// # Order of checks
//
// The run lives and has not been refused too often; the text is a destination;
// headers, method and TLS mode are allowed; the port; the name, or the class of
// a literal address; a connection slot and the rates; then the lookup, the
// class of each answer, the dial, the peer of the new connection, TLS,
// credentials, and the request. Nothing left of the lookup touches the network:
// a name that is not granted is not looked up, since the lookup itself would
// carry data out.
//
// # What a plugin learns
//
// Refusals are all alike: a DeniedError says "netproxy: denied" and keeps its
// Decision for the operator. Malformed arguments match ErrInvalid and name the
// argument. Limits are *limits.ExceededError. What goes wrong with an allowed
// destination says its phase, a class and milliseconds ("connect: refused, 3
// ms"), or the phase alone after a timeout, and never an address.
//
// # What may be replaced
//
// Dialer, Resolver and Transport of Config are small seams; each gets judged,
// pinned addresses and decides nothing. Package netproxytest has suites that
// check them, and a network in memory. There is no hook that could allow more:
// an embedder can only deny more, by DenyNetworks, DenyAddrs or narrower Rules.
//
// # Known limits
//
// Addresses of the host's own interfaces are closed only by DenyNetworks. Under
// "*" or a broad wildcard, a refusal differs from a name that does not exist,
// unless OpaqueWildcardDNS is set. Single-label names follow the host's search
// list. The far end of a Tunnel is taken on trust. A server that echoes request
// headers gives an Identity's header back to the plugin; prefer certificates.
package netproxy
