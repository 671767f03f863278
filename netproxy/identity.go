package netproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// identity is an Identity, checked and copied.
type identity struct {
	id          string
	domains     []Domain
	ports       []PortRange
	certificate *tls.Certificate
	rotating    func(context.Context) (*tls.Certificate, error) // instead of certificate
	headers     map[string]func(context.Context) (string, error)
}

func compileIdentities(list []Identity) ([]identity, error) {
	var errs []error
	var out []identity
	seen := map[string]bool{}
	for i, in := range list {
		bad := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("config: Identities[%d] %q: %s", i, in.ID, fmt.Sprintf(format, args...)))
		}
		if in.ID == "" || seen[in.ID] {
			bad("needs an ID of its own")
		}
		seen[in.ID] = true
		if len(in.Domains) == 0 || len(in.Ports) == 0 {
			bad("is bound to nothing; set Domains and Ports")
		}
		if in.Certificate == nil && in.Certificates == nil && len(in.Headers) == 0 {
			bad("holds neither a certificate nor headers")
		}
		if in.Certificate != nil && in.Certificates != nil {
			bad("holds Certificate and Certificates; give one of them")
		}
		bound, err := Rules{Domains: in.Domains, Ports: in.Ports}.canonical()
		if err != nil {
			bad("%v", err)
		}
		id := identity{id: in.ID, domains: bound.Domains, ports: bound.Ports, rotating: in.Certificates, headers: map[string]func(context.Context) (string, error){}}
		if in.Certificate != nil {
			c := *in.Certificate
			id.certificate = &c
		}
		for name, value := range in.Headers {
			switch {
			case !httpguts.ValidHeaderFieldName(name):
				bad("%q is not a header name", name)
			case reservedHeader(name) || strings.EqualFold(name, "Host"):
				bad("%q is a header of the connection", name)
			case value == nil:
				bad("header %q has no function", name)
			default:
				id.headers[http.CanonicalHeaderKey(name)] = value
			}
		}
		out = append(out, id)
	}
	return out, errors.Join(errs...)
}

// identityFor picks the first identity bound to host and port, or -1. The
// scheme and TLS mode are the caller's to check.
func (p *policy) identityFor(host canonHost, port uint16) int {
	return slices.IndexFunc(p.identities, func(id identity) bool {
		if _, ok := portEntry(id.ports, port); !ok {
			return false
		}
		return slices.ContainsFunc(id.domains, func(d Domain) bool { return d.covers(host) })
	})
}

// injectable reports a header name that some identity may set. It is kept from
// plugins on every destination, or a plugin could pose as the host elsewhere.
func (p *policy) injectable(name string) bool {
	name = http.CanonicalHeaderKey(name)
	return slices.ContainsFunc(p.identities, func(id identity) bool {
		_, ok := id.headers[name]
		return ok
	})
}

// inject sets the identity's headers, asking for each value anew.
func (id identity) inject(ctx context.Context, h http.Header) error {
	for name, value := range id.headers {
		text, err := callHeader(ctx, value)
		if err != nil {
			return fmt.Errorf("identity %q: header %s: %w", id.id, name, err)
		}
		if !httpguts.ValidHeaderFieldValue(text) {
			return fmt.Errorf("identity %q: header %s: the value holds a control character", id.id, name)
		}
		h[name] = []string{text}
	}
	return nil
}

// present is what a handshake shows to a server that asks, nil for an identity
// whose certificate does not rotate.
func (id identity) present() func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if id.rotating == nil {
		return nil
	}
	return func(r *tls.CertificateRequestInfo) (c *tls.Certificate, err error) {
		defer func() {
			if recover() != nil { // the panic value may hold the secret
				c, err = nil, errors.New("the certificate function panicked")
			}
		}()
		if c, err = id.rotating(r.Context()); err == nil && c == nil {
			err = errors.New("the certificate function returned nothing")
		}
		return c, err
	}
}

func callHeader(ctx context.Context, value func(context.Context) (string, error)) (text string, err error) {
	defer func() {
		if recover() != nil { // the panic value may hold the secret
			err = errors.New("the header function panicked")
		}
	}()
	return value(ctx)
}
