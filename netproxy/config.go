package netproxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"

	"github.com/sandcheck/sandcheck/limits"
)

// A Dialer opens connections. *net.Dialer is one. Implementations keep these
// rules; netproxytest.TestDialer checks them:
//
//  1. network is "tcp" or "udp" and address a literal IP and port. Connect to
//     exactly that address; resolve nothing, use no other address.
//  2. The connection's RemoteAddr is that address, unless Config.Tunnel says
//     that a relay stands between.
//  3. DialContext ends when ctx does and then returns an error.
//  4. Either the connection or the error is nil.
//  5. Read returns io.EOF once the peer has sent everything and closed.
//  6. Deadlines and Close interrupt a blocked Read.
//  7. DialContext may be called from many goroutines.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// A Resolver looks up names. *net.Resolver is one. Implementations keep these
// rules; netproxytest.TestResolver checks them:
//
//  1. network is "ip"; host is a name in lower-case ASCII, with a final dot
//     where it has more than one label (no search list applies then).
//  2. A name that does not exist is a *net.DNSError with IsNotFound set.
//  3. LookupNetIP ends when ctx does and then returns an error.
//  4. It may be called from many goroutines, and the answer belongs to the
//     caller.
//
// Answers need no judging: the Guard judges them.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Config is what the embedding program decides for its Guards. The zero value
// dials directly with the system's resolver and is safe. New copies it.
type Config struct {
	// Dialer opens every connection. Default: a plain *net.Dialer. One of type
	// *net.Dialer is copied and gets a further check of its own; other types
	// are checked by their connections' RemoteAddr.
	Dialer Dialer
	// Resolver is the only source of addresses. Default: Go's own resolver.
	Resolver Resolver
	// Transport replaces the Guard's HTTP transports. It gets decided requests
	// and must dial TargetFrom(ctx).Addrs and nothing else; see
	// netproxytest.TestTransport. It makes TLS itself, so it cannot be combined
	// with an Identity that holds a certificate or with unverified TLS, and
	// RootCAs does not reach it.
	Transport http.RoundTripper
	// DenyNetworks and DenyAddrs are refused whatever a grant says. The
	// program's own listeners belong there.
	DenyNetworks []netip.Prefix
	// NAT64Prefixes are the translators of this site (RFC 6052, lengths 32, 40,
	// 48, 56, 64 and 96). Addresses in them are judged by the IPv4 address that
	// they carry.
	NAT64Prefixes []netip.Prefix
	// DenyAddrs are single address and port pairs to refuse.
	DenyAddrs []netip.AddrPort
	// Identities are credentials that the host adds to matching requests.
	Identities []Identity
	// RootCAs verify server certificates. Default: the system's.
	RootCAs *x509.CertPool
	// Tunnel declares that Dialer or Transport goes through a relay, so that
	// RemoteAddr is not the destination. Decisions then say so.
	Tunnel bool
	// StrictAnswers refuses a name if any of its addresses is not permitted.
	// Default: such addresses are dropped.
	StrictAnswers bool
	// OpaqueWildcardDNS refuses names that only a wildcard covers and that do
	// not resolve, so that a plugin cannot tell which names exist.
	OpaqueWildcardDNS bool
	// HTTP2 adds HTTP/2 where the server offers it. Default: HTTP/1.1.
	HTTP2 bool
	// Limits bounds one run. A zero field means the default of
	// limits.Default, never "no limit".
	Limits limits.Limits
	// Pace paces all runs of one plugin. Nil: a new one for this Guard.
	Pace *Pace
	// Plugin and Run are copied into each Decision.
	Plugin, Run string
	// Audit gets every Decision, with the values of the context of the call
	// that made the attempt. It is called synchronously, from many goroutines,
	// and must be quick; it must not call back into the Guard. Nil: nobody
	// listens.
	Audit func(context.Context, Decision)
}

// An Identity is a credential held by the host: a client certificate, headers,
// or both. It is used for https and wss requests with verification on, to a
// host of Domains on a port of Ports, decided anew for each hop. The first of
// Config.Identities that matches is used. Plugins never see it and may not set
// a header of its names anywhere.
type Identity struct {
	// ID names the identity in decisions.
	ID string
	// Domains and Ports bind it. Both must be set.
	Domains []Domain
	Ports   []PortRange
	// Certificate is presented to servers that ask for one. Optional.
	Certificate *tls.Certificate
	// Certificates is Certificate for those that rotate: it is asked at each
	// TLS handshake in which the server wants one. Give one of the two. It must
	// honour ctx and may run concurrently; an error fails the handshake.
	Certificates func(context.Context) (*tls.Certificate, error)
	// Headers are called once per hop, so that secrets may rotate. An error
	// fails the request. They must honour ctx and may run concurrently.
	Headers map[string]func(context.Context) (string, error)
}

// A Target is a destination that was judged.
type Target struct {
	// Network is "tcp" or "udp".
	Network string
	// Host is the name or address in canonical form, Port the remote port.
	Host string
	Port uint16
	// Addrs are the permitted addresses, in the order in which they are tried.
	// Nothing else may be dialled.
	Addrs []netip.AddrPort
	// Hop counts redirects, zero for the first request.
	Hop int
}

type targetKey struct{}

// TargetFrom returns the Target of the request or dial that ctx belongs to.
// It is for a Config.Transport or Config.Dialer, which find it in the context
// they are called with.
func TargetFrom(ctx context.Context) (Target, bool) {
	t, ok := ctx.Value(targetKey{}).(Target)
	return t, ok
}
