package netproxy

import (
	"io"
	"net/http"
	"net/url"
	"strings"
)

// HTTPClient returns a client whose every hop the Guard judges, redirects
// included, with no cookie jar. It is safe to hand to any library: wrapping its
// Transport or replacing its CheckRedirect skips nothing.
//
// At most Limits.Redirects are followed. A hop that is refused fails the whole
// call with a *DeniedError; its target is neither looked up nor dialled. From
// the first change of scheme, host or port on, only Accept, Accept-Language,
// Cache-Control, Content-Type, Range and User-Agent of the caller's headers are
// sent. Errors arrive inside a *url.Error, whose own text holds the URL and is
// not for plugins or logs: unwrap it.
func (g *Guard) HTTPClient(o HTTPOptions) *http.Client {
	return &http.Client{
		Transport:     &chain{g: g, options: o},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// chain follows redirects below net/http, which adds headers back on later
// hops, keeps custom ones across hosts and sends a Referer.
type chain struct {
	g       *Guard
	options HTTPOptions
}

func (c *chain) RoundTrip(r *http.Request) (*http.Response, error) {
	h := hop{insecure: c.options.InsecureTLS}
	crossed := false
	for {
		resp, err := c.g.roundTrip(r, h)
		if err != nil {
			return nil, err
		}
		location := resp.Header.Get("Location")
		if c.options.ManualRedirects || !redirects(resp.StatusCode) || location == "" {
			return resp, nil
		}
		// A little is read so that the connection can serve the next hop.
		io.CopyN(io.Discard, resp.Body, 2<<10) //nolint:errcheck // the answer is not used
		resp.Body.Close()
		h.number++
		next, err := c.next(r, resp.StatusCode, location, h, &crossed)
		if err != nil {
			return nil, err
		}
		r = next
	}
}

func redirects(status int) bool {
	switch status {
	case 301, 302, 303, 307, 308:
		return true
	}
	return false
}

// next makes the request of the next hop, or the refusal to follow.
func (c *chain) next(r *http.Request, status int, location string, h hop, crossed *bool) (*http.Request, error) {
	refuse := func(err error) error {
		a := c.g.begin(r.Context(), "tcp")
		a.follow = true
		a.note(func(x *Decision) { x.Target.Hop, x.InsecureTLS = h.number, h.insecure })
		return a.finish(err)
	}
	if h.number > c.g.limits.Redirects {
		return nil, refuse(&DeniedError{Decision{Reason: OverLimit, Rule: "redirects"}})
	}
	u, err := r.URL.Parse(location)
	if err != nil || len(location) > maxURL {
		return nil, refuse(&invalidError{"location", "cannot be parsed"})
	}
	u.Fragment, u.RawFragment = "", ""
	to, err := parseWhere(webSocketAsHTTP(&http.Request{URL: u, Header: r.Header}), "http", "https")
	if err != nil {
		return nil, refuse(err)
	}
	if strings.Contains(authority(location), "%") {
		return nil, refuse(&invalidError{"location", "host holds %"})
	}
	from, err := parseWhere(webSocketAsHTTP(r), "http", "https")
	*crossed = *crossed || err != nil || from != to

	out := r.Clone(r.Context())
	out.URL, out.Host, out.Response = to.rebuild(u), "", nil
	if err := c.carryBody(out, r, status); err != nil {
		return nil, refuse(err)
	}
	// What has no content any more has none to describe.
	became := out.Method != r.Method || out.Body == nil && r.Body != nil && r.Body != http.NoBody
	out.Header = carryHeader(r.Header, *crossed, became, out.Body != nil, isUpgrade(r))
	return out, nil
}

// carryBody keeps method and body for 307 and 308, and makes a GET of the rest.
func (c *chain) carryBody(out, r *http.Request, status int) error {
	if status < 307 {
		if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != "" {
			out.Method = http.MethodGet
		}
		out.Body, out.GetBody, out.ContentLength, out.TransferEncoding, out.Trailer = nil, nil, 0, nil, nil
		return nil
	}
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	if r.GetBody == nil {
		return &DeniedError{Decision{Reason: BadRedirect, Rule: "the body cannot be sent again"}}
	}
	body, err := r.GetBody()
	if err != nil {
		return &DeniedError{Decision{Reason: BadRedirect, Rule: "the body cannot be sent again"}}
	}
	out.Body = body
	return nil
}

// carryHeader says what of the caller's headers the next hop gets. Once another
// origin has been seen nothing that may be secret goes on, the way back
// included.
func carryHeader(h http.Header, crossed, became, withBody, upgrade bool) http.Header {
	out := http.Header{}
	for name, values := range h {
		lower := strings.ToLower(name)
		switch {
		case lower == "referer" || lower == "host":
			continue
		case became && strings.HasPrefix(lower, "content-"):
			continue
		case crossed && lower == "content-type" && !withBody:
			continue
		case crossed && !survives(lower) && !(upgrade && handshake(lower)):
			continue
		}
		out[name] = values
	}
	return out
}

func survives(name string) bool {
	switch name {
	case "accept", "accept-language", "cache-control", "content-type", "range", "user-agent":
		return true
	}
	return false
}

// handshake fields are a WebSocket library's own, not the plugin's.
func handshake(name string) bool {
	switch name {
	case "connection", "upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol":
		return true
	}
	return false
}

// webSocketAsHTTP reads ws as http and wss as https for upgrade requests, which
// a WebSocket library may pass on so, and only for those.
func webSocketAsHTTP(r *http.Request) *url.URL {
	if !isUpgrade(r) {
		return r.URL
	}
	u := *r.URL
	switch strings.ToLower(u.Scheme) {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	}
	return &u
}
