package netproxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/sandcheck/sandcheck/limits"
)

// HTTPOptions say how the requests of one client differ from the usual.
type HTTPOptions struct {
	// InsecureTLS skips certificate verification. Refused unless
	// Rules.AllowInsecureTLS is set. No Identity is used then.
	InsecureTLS bool
	// ManualRedirects hands a 3xx answer back instead of following it.
	ManualRedirects bool
}

// maxRequestBody bounds what one request sends, in bytes.
const maxRequestBody = 2 * limits.MiB

// methods are those a plugin may use. CONNECT would make a relay of the target
// and TRACE would echo injected headers.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// hop is one request of a chain.
type hop struct {
	number   int
	insecure bool
}

// RoundTrip sends one request, without following redirects, to an address that
// it judged: URL, method, Host and TLS mode first, then name, answers and
// limits. The URL is read anew and sent in canonical form; r is not changed.
// Without a deadline the request ends after 15 s.
//
// The response body is bounded by Limits.Body after gzip decoding and by the
// deadline of the request; it must be closed. Errors are those of DialContext.
func (g *Guard) RoundTrip(r *http.Request) (*http.Response, error) {
	return g.roundTrip(r, hop{})
}

func (g *Guard) roundTrip(r *http.Request, h hop) (*http.Response, error) {
	resp, err := g.attemptHop(r, h)
	if err != nil && r.Body != nil {
		r.Body.Close() //nolint:errcheck // a RoundTripper closes it, and nobody reads it
	}
	return resp, err
}

func (g *Guard) attemptHop(r *http.Request, h hop) (*http.Response, error) {
	a := g.begin(r.Context(), "tcp")
	a.follow = h.number > 0
	a.note(func(x *Decision) { x.Target.Hop, x.InsecureTLS = h.number, h.insecure })
	leave, err := g.enter()
	if err != nil {
		return nil, a.finish(err)
	}
	defer leave()
	where, err := g.readRequest(a, r, h)
	if err != nil {
		return nil, a.finish(err)
	}
	if err := g.judge(a, destination{"tcp", where.host, where.port}); err != nil {
		return nil, a.finish(err)
	}
	x := &exchange{g: g, attempt: a, where: where, insecure: h.insecure, upgrade: isUpgrade(r)}
	resp, err := x.run(r)
	if err != nil {
		return nil, a.finish(err)
	}
	return resp, nil
}

// readRequest judges the syntax of a request and what it asks of the
// connection.
func (g *Guard) readRequest(a *attempt, r *http.Request, h hop) (origin, error) {
	method := strings.ToUpper(r.Method)
	if method == "" {
		method = http.MethodGet
	}
	if !httpguts.ValidHeaderFieldName(method) { // the same grammar: a token
		return origin{}, &invalidError{"method", "is not a token"}
	}
	a.note(func(x *Decision) { x.Method = cut(method, 32) })
	if r.URL == nil {
		return origin{}, &invalidError{"url", "is missing"}
	}
	where, err := parseWhere(webSocketAsHTTP(r), "http", "https")
	if err != nil {
		return origin{}, err
	}
	a.aim(destination{"tcp", where.host, where.port})
	a.note(func(x *Decision) { x.Scheme = where.scheme })
	if err := checkFields(r.Header); err != nil {
		return origin{}, err
	}
	switch {
	case r.Host != "" && !where.sameAuthority(r.Host):
		return origin{}, verdict{reason: BadHeader, rule: "Host"}.err()
	case slices.ContainsFunc(r.Header.Values("Host"), func(v string) bool { return !where.sameAuthority(v) }):
		return origin{}, verdict{reason: BadHeader, rule: "Host"}.err()
	case !slices.Contains(methods, method):
		return origin{}, verdict{reason: BadMethod, rule: cut(method, 32)}.err()
	case h.insecure && !g.policy.rules.AllowInsecureTLS:
		return origin{}, verdict{reason: BadTLS, hint: keyInsecure + ": true"}.err()
	case h.insecure && g.cfg.Transport != nil:
		return origin{}, verdict{reason: BadTLS}.err()
	}
	for name := range r.Header {
		if g.policy.injectable(name) {
			return origin{}, verdict{reason: BadHeader, rule: http.CanonicalHeaderKey(name)}.err()
		}
	}
	if r.ContentLength > int64(maxRequestBody) {
		return origin{}, &limits.ExceededError{Resource: "request body", Limit: int64(maxRequestBody), Used: r.ContentLength}
	}
	return where, nil
}

// exchange is one request and its response.
type exchange struct {
	g        *Guard
	attempt  *attempt
	where    origin
	insecure bool
	upgrade  bool
	release  func() // ends the context of the exchange
	lease    *lease
	began    time.Time
}

func (x *exchange) run(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	cancel := context.CancelFunc(func() {})
	if _, ok := ctx.Deadline(); !ok {
		ctx, cancel = context.WithTimeout(ctx, httpTimeout)
	}
	ctx, unbind := x.g.bind(ctx)
	x.release = func() { unbind(); cancel() }
	kept := false
	defer func() {
		if !kept { // an error, or a panic in a seam
			x.abandon()
		}
	}()
	key, id := x.choose()
	var err error
	if x.lease, err = x.g.newLease(ctx, x.attempt, key, x.where); err != nil {
		return nil, err
	}
	t, err := x.g.resolve(ctx, x.attempt, destination{"tcp", x.where.host, x.where.port})
	if err != nil {
		return nil, err
	}
	x.lease.target = t
	x.began = time.Now()
	out, err := x.prepare(ctx, r, id)
	if err != nil {
		return nil, err
	}
	resp, err := x.g.transport(key).RoundTrip(out)
	if err != nil {
		return nil, x.lease.explain(x.began, err)
	}
	resp.Request = r // never the one that carries injected headers
	if err := x.receive(resp); err != nil {
		return nil, err
	}
	kept = true
	return resp, nil
}

// choose picks the identity and with it the pool of connections. An identity is
// used over verified TLS only.
func (x *exchange) choose() (poolKey, *identity) {
	key := poolKey{identity: -1, insecure: x.insecure}
	if x.where.scheme != "https" || x.insecure {
		return key, nil
	}
	if key.identity = x.g.policy.identityFor(x.where.host, x.where.port); key.identity < 0 {
		return key, nil
	}
	id := &x.g.policy.identities[key.identity]
	x.attempt.note(func(d *Decision) { d.Identity = id.id })
	return key, id
}

// prepare makes the request that is sent. Injection is its last step.
func (x *exchange) prepare(ctx context.Context, r *http.Request, id *identity) (*http.Request, error) {
	ctx = x.lease.context(ctx)
	out := r.Clone(ctx)
	out.URL = x.where.rebuild(r.URL)
	out.Host = x.where.authority()
	out.RequestURI = ""
	if out.Method = strings.ToUpper(r.Method); out.Method == "" {
		out.Method = http.MethodGet
	}
	if out.Header == nil {
		out.Header = http.Header{}
	}
	out.Header.Del("Host")
	if r.Body != nil && r.Body != http.NoBody {
		out.Body = &requestBody{ReadCloser: r.Body, attempt: x.attempt, left: int64(maxRequestBody)}
		// net/http would send the original again behind our back.
		if out.GetBody = nil; r.GetBody != nil {
			out.GetBody = func() (io.ReadCloser, error) {
				body, err := r.GetBody()
				if err != nil {
					return nil, err
				}
				return &requestBody{ReadCloser: body, attempt: x.attempt, left: int64(maxRequestBody)}, nil
			}
		}
	}
	if id != nil {
		if err := id.inject(ctx, out.Header); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return nil, &failure{phase: "identity", class: "not available", took: time.Since(x.began), timeout: isTimeout(err), cause: err}
		}
	}
	return out, nil
}

// receive wraps the response so that its end ends the attempt.
func (x *exchange) receive(resp *http.Response) error {
	x.attempt.note(func(d *Decision) {
		d.Status = resp.StatusCode
		if d.FirstByte == 0 {
			d.FirstByte = time.Since(x.began)
		}
	})
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return x.switchProtocols(resp)
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	b := &body{ReadCloser: resp.Body, x: x, left: int64(x.g.limits.Body), began: time.Now()}
	resp.Body = b
	if b.ReadCloser == http.NoBody {
		b.end(nil, true)
	}
	return nil
}

// switchProtocols hands an upgraded connection over: from here on it belongs to
// the caller, without cap or deadline, and closing it ends the attempt.
func (x *exchange) switchProtocols(resp *http.Response) error {
	refuse := func(why string) error {
		if resp.Body != nil {
			resp.Body.Close() //nolint:errcheck // it must not be used
		}
		return &failure{phase: "exchange", class: "unexpected protocol switch", took: time.Since(x.began), cause: errors.New(why)}
	}
	rwc, ok := resp.Body.(io.ReadWriteCloser)
	switch c := x.lease.connection(); {
	case !x.upgrade:
		return refuse("101 without an upgrade request")
	case !ok:
		return refuse("the Transport's 101 body cannot be written to")
	case c == nil: // a custom Transport's connection: only its body is ours to watch
		resp.Body = &upgraded{ReadWriteCloser: rwc, x: x}
	default:
		c.metered.Store(false)
		c.setOwner(x.attempt)
		x.release()
	}
	return nil
}

// abandon ends an exchange that brought no response.
func (x *exchange) abandon() {
	x.release()
	if x.lease != nil { // nil when not even a slot was free
		x.lease.end(false)
	}
}

func isUpgrade(r *http.Request) bool {
	return httpguts.HeaderValuesContainsToken(r.Header.Values("Connection"), "upgrade") && r.Header.Get("Upgrade") != ""
}
