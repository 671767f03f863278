package netproxy

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/sandcheck/sandcheck/limits"
)

// Caps on the headers of one request.
const (
	maxHeaders     = 64
	maxHeaderBytes = 32 * limits.KiB
)

// reservedHeader reports fields that belong to the connection. Plugins may not
// set them; they are refused, not dropped, so that nobody relies on them.
func reservedHeader(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length", "expect", "http2-settings":
		return true
	}
	return strings.HasPrefix(name, "proxy-")
}

// checkHeader judges a plugin's headers for a request to where.
func (p *policy) checkHeader(where origin, h http.Header) error {
	count, size := 0, limits.Bytes(0)
	for name, values := range h {
		count += max(1, len(values))
		size += limits.Bytes(len(name))
		for _, v := range values {
			size += limits.Bytes(len(v))
		}
	}
	if count > maxHeaders {
		return &limits.ExceededError{Resource: "headers", Limit: maxHeaders, Used: int64(count)}
	}
	if size > maxHeaderBytes {
		return &limits.ExceededError{Resource: "header bytes", Limit: int64(maxHeaderBytes), Used: int64(size)}
	}
	if err := checkFields(h); err != nil {
		return err
	}
	for name, values := range h {
		if !p.mayset(where, name, values) {
			return &DeniedError{Decision{Reason: BadHeader, Rule: http.CanonicalHeaderKey(name)}}
		}
	}
	return nil
}

// checkFields judges the syntax of all fields before any rule is consulted.
func checkFields(h http.Header) error {
	for name, values := range h {
		if !httpguts.ValidHeaderFieldName(name) {
			return &invalidError{"header name", "is not a token"}
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return &invalidError{"header " + name, "holds a control character"}
			}
		}
	}
	return nil
}

func (p *policy) mayset(where origin, name string, values []string) bool {
	lower := strings.ToLower(name)
	switch {
	case reservedHeader(lower), p.injectable(name):
		return false
	case lower == "host":
		for _, v := range values {
			if !where.sameAuthority(v) {
				return false
			}
		}
		return true
	case strings.HasPrefix(lower, "sec-websocket-") && (where.scheme == "ws" || where.scheme == "wss"):
		return lower == "sec-websocket-protocol"
	default:
		return true
	}
}

// sameAuthority reports whether a Host header names the URL's own destination.
// Any other value would let a plugin pick a tenant that was not granted.
func (o origin) sameAuthority(host string) bool {
	h, port, err := splitAuthority(host, defaultPort(o.scheme))
	return err == nil && h == o.host && port == o.port
}

// VetHeader judges the headers that a plugin wants to send to u, before a
// request is made of them: http, https, ws or wss, as the plugin wrote it. A
// refusal is counted and makes its Decision here, delivered without the values
// of a context; with nil the RoundTrip that follows makes the Decision. Errors
// match ErrInvalid, ErrDenied or limits.ErrExceeded.
//
// RoundTrip itself takes the fields that a client library sets, such as
// Upgrade, so whoever passes a plugin's headers on must call VetHeader first.
func (g *Guard) VetHeader(u *url.URL, h http.Header) error {
	a := g.begin(context.Background(), "tcp")
	leave, err := g.enter()
	if err != nil {
		return a.finish(err)
	}
	defer leave()
	if u == nil {
		return a.finish(&invalidError{"url", "is missing"})
	}
	where, err := parseWhere(u, "http", "https", "ws", "wss")
	if err != nil {
		return a.finish(err)
	}
	a.aim(destination{"tcp", where.host, where.port})
	a.note(func(x *Decision) { x.Scheme = where.scheme })
	if err := g.policy.checkHeader(where, h); err != nil {
		return a.finish(err)
	}
	a.drop()
	return nil
}
