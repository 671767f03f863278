package capability

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
)

// httpRequest makes one HTTP exchange for the guest. What may be reached is for
// the Guard alone: it judges the first request and every redirect.
func httpRequest() Func {
	return Func{
		Name:   "http_request",
		Doc:    "make an HTTP request",
		Params: []Param{{"req", In}, {"resp", Out}},
		Handle: func(ctx context.Context, c *Call) Code {
			if n, most := int64(len(c.In[0])), int64(c.Session.limits().Payload); n > most {
				return c.Fail(&limits.ExceededError{Resource: "request", Limit: most, Used: n})
			}
			req, err := parseHTTPRequest(c.In[0])
			if err != nil {
				return c.Fail(err)
			}
			ctx, cancel := req.deadline(ctx)
			defer cancel()
			answer, err := req.do(ctx, c.Session)
			if err != nil {
				return c.Fail(err)
			}
			n, err := answer.encode(c.Out, req.StatusBody)
			if err != nil {
				return c.Fail(err)
			}
			return Code(n)
		},
	}
}

// httpTimeout holds where a request names no time.
const httpTimeout = 15 * time.Second

// deadline narrows ctx to the request's own timeout. It is compared before it is
// converted: every int64 is legal, and none may wrap into the past.
func (r *httpRequestDoc) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	const most = int64(1<<63-1) / int64(time.Millisecond)
	switch {
	case r.TimeoutMS <= 0:
		return context.WithTimeout(ctx, httpTimeout)
	case r.TimeoutMS > most:
		return context.WithCancel(ctx)
	default:
		return context.WithTimeout(ctx, time.Duration(r.TimeoutMS)*time.Millisecond)
	}
}

func (r *httpRequestDoc) do(ctx context.Context, s *Session) (*httpAnswer, error) {
	if s.Net == nil {
		return nil, netproxy.ErrDenied
	}
	u, err := netproxy.ParseURL(r.URL, "http", "https")
	if err != nil {
		return nil, malformed(s, err)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, u.String(), bytes.NewReader(r.Body))
	if err != nil {
		return nil, malformed(s, fmt.Errorf("%w: method: %q is not a token", ErrInvalid, r.Method))
	}
	req.Header = r.Header
	if err := s.Net.VetHeader(u, r.Header); err != nil {
		return nil, err
	}
	client := s.Net.HTTPClient(netproxy.HTTPOptions{InsecureTLS: r.InsecureSkipVerify, ManualRedirects: r.ManualRedirects})
	if r.BodyErr != nil {
		return nil, r.refuseBody(client, req)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() // the run's own connection; nothing is lost with it
	body, truncated, err := r.readBody(resp.Body, s.limits().Body)
	if err != nil {
		return nil, err
	}
	return &httpAnswer{status: resp.StatusCode, header: resp.Header, body: body, truncated: truncated}, nil
}

// refuseBody answers for a body that cannot be decoded. A destination that is
// refused anyway is refused as always, so that nothing is learnt from the
// difference. The Guard is asked with a ctx that has ended: it judges all that
// needs no network, and does nothing more.
func (r *httpRequestDoc) refuseBody(client *http.Client, req *http.Request) error {
	ctx, cancel := context.WithCancel(req.Context())
	cancel()
	resp, err := client.Do(req.WithContext(ctx))
	if err == nil {
		resp.Body.Close() // a custom Transport that ignores ctx; its answer is not used
	}
	if errors.Is(err, netproxy.ErrDenied) {
		return err
	}
	return r.BodyErr
}

// malformed is a request that never becomes one. The Guard still makes its
// Decision, and a run that it no longer listens to is refused as ever.
func malformed(s *Session, err error) error {
	if refused := s.Net.VetHeader(nil, nil); errors.Is(refused, netproxy.ErrDenied) {
		return refused
	}
	return err
}

// readBody reads up to the body cap, which the guest may lower. What lies beyond
// is an error, or cut off if the guest asked for that.
func (r *httpRequestDoc) readBody(body io.Reader, most limits.Bytes) (b []byte, truncated bool, err error) {
	if r.BodyLimit > 0 {
		most = min(most, limits.Bytes(r.BodyLimit))
	}
	if !r.Truncate {
		b, err = limits.ReadAll(body, most)
		var over *limits.ExceededError
		if errors.As(err, &over) {
			over.Resource = "response body"
		}
		return b, false, err
	}
	b, err = io.ReadAll(io.LimitReader(body, int64(most)+1))
	if errors.Is(err, limits.ErrExceeded) { // the Guard's own cap came first
		err, truncated = nil, true
	}
	if limits.Bytes(len(b)) > most {
		b, truncated = b[:most], true
	}
	return b, truncated, err
}
