package netproxy

import (
	"errors"
	"net/netip"
	"time"
)

// A Decision is one answer of a Guard: what was attempted, whether it was
// allowed, by or for want of which rule, and how an allowed attempt went. Each
// attempt, and each hop of a redirect chain, makes exactly one. It never holds
// query strings, header values, bodies, user information or secrets.
type Decision struct {
	// Plugin and Run are those of Config, Func the host function behind the
	// attempt; whoever hands out Config.Audit fills in Func.
	Plugin, Run, Func string
	// Target is the destination in canonical form. Addrs holds the addresses
	// that may be dialled.
	Target Target
	// Allowed says whether the rules let the attempt through. A failed lookup,
	// connect or exchange of an allowed attempt stays allowed.
	Allowed bool
	// Reason is a stable word; Granted when Allowed.
	Reason Reason
	// Rule is the entry that allowed or refused, or the limit that was
	// exceeded. Hint is the line of a manifest or grant that would allow the
	// attempt; empty if none would. Err is the class of failure of an allowed
	// attempt, such as "connect:refused" or "timeout:tls", and the hop's own
	// reason behind BadRedirect.
	Rule, Hint, Err string
	// At is when the attempt began, Took how long it lasted; Lookup, Connect,
	// TLS and FirstByte are the parts of it that happened.
	At                                    time.Time
	Took, Lookup, Connect, TLS, FirstByte time.Duration
	// BytesIn and BytesOut count what the plugin received and sent: payload of
	// sockets, bodies of HTTP.
	BytesIn, BytesOut int64
	// Status is the HTTP status, zero if none came.
	Status int
	// Method and Scheme describe an HTTP attempt; Identity is the ID of the
	// Identity used for it.
	Method, Scheme, Identity string
	// Peer is the address that was connected to.
	Peer netip.AddrPort
	// Dropped are answers of the resolver that were not permitted.
	Dropped []netip.Addr
	// Pooled: an open connection was used again. Tunnel: the peer could not be
	// checked, since a relay stands between. InsecureTLS: the certificate was
	// not verified.
	Pooled, Tunnel, InsecureTLS bool
}

// A Reason says in one stable word why an attempt was allowed or refused.
type Reason string

// The reasons. NotGranted and NotOffered are used by hosts, for whole
// capabilities.
const (
	Granted     Reason = "granted"
	NotGranted  Reason = "capability_not_granted"
	NotOffered  Reason = "capability_not_offered"
	BadTarget   Reason = "malformed_target"
	BadDomain   Reason = "domain_not_allowed"
	BadPort     Reason = "port_not_allowed"
	BadAddress  Reason = "address_not_allowed"
	HostDenied  Reason = "denied_by_host"
	BadRedirect Reason = "redirect_not_allowed"
	BadTLS      Reason = "insecure_tls_not_allowed"
	BadHeader   Reason = "reserved_header"
	BadMethod   Reason = "method_not_allowed"
	OverLimit   Reason = "limit_exceeded"
	CircuitOpen Reason = "too_many_denials"
)

// Sentinels for errors.Is.
var (
	// ErrDenied matches every *DeniedError.
	ErrDenied = errors.New("netproxy: denied")
	// ErrInvalid matches errors about text that is no destination, URL, method
	// or header at all.
	ErrInvalid = errors.New("netproxy: invalid")
)

// A DeniedError is a refusal. Its text is always the same, so that a plugin
// that sees it learns nothing; the Decision is for the operator.
type DeniedError struct{ Decision Decision }

// Error is constant.
func (e *DeniedError) Error() string { return "netproxy: denied" }

// Is matches ErrDenied.
func (e *DeniedError) Is(target error) bool { return target == ErrDenied }

// invalidError names the argument that is malformed. Its text is for the
// plugin, which wrote the argument.
type invalidError struct{ field, message string }

func (e *invalidError) Error() string { return "netproxy: " + e.field + " " + e.message }

func (e *invalidError) Is(target error) bool { return target == ErrInvalid }
