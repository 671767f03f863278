// Package httpstore downloads packages over HTTP by the digest of their bytes.
//
// Who runs a check decides before the download which bytes are wanted; whatever
// a server, a proxy or a login page sends instead is refused and never kept. A
// download token goes to the host it was made for and to no other, and appears
// in no error.
package httpstore

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/manifest/internal/flight"
)

// Options are the settings of a Client. The zero value is ready to use.
type Options struct {
	// Transport sends the requests. Nil is http.DefaultTransport, which honours
	// the proxy settings of the environment.
	Transport http.RoundTripper
	// Timeout bounds one attempt from its first byte to its last. Zero is 15 s.
	Timeout time.Duration
	// Limit bounds the bytes of one download. Zero is 64 MiB.
	Limit limits.Bytes
}

// A Download says where bytes are and what they must be.
type Download struct {
	// URL is used as it is given: http or https, without user and password.
	URL string
	// Token is sent with a POST and in a header of its own; "" sends a GET.
	Token string
	// Digest is the SHA-256 of the bytes. It is required.
	Digest manifest.Digest
}

// A Client downloads. It is safe for concurrent use; equal downloads that are
// wanted at one time share one request.
type Client struct {
	http    http.Client
	timeout time.Duration
	limit   limits.Bytes
	flights flight.Group[Download, []byte]
}

// New returns a Client. It sends nothing.
func New(o Options) *Client {
	c := &Client{timeout: o.Timeout, limit: o.Limit}
	if c.timeout <= 0 {
		c.timeout = 15 * time.Second
	}
	if c.limit <= 0 {
		c.limit = 64 * limits.MiB
	}
	c.http.Transport = o.Transport
	// Each hop is judged here before anything is sent to it.
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// Fetch downloads the bytes of d and compares their digest before it returns
// them. Where a server is busy or fails it tries up to four times, waiting as
// long as the server asks for but at most 30 s, else about 0.2 s and more.
//
// The error holds an *manifest.Error with rule scheme, userinfo, digest_syntax
// (no digest was given), unauthorized, not_found (also matches fs.ErrNotExist),
// server_error, unexpected_status, too_many_redirects, redirect_downgrade,
// redirect_host, too_large, unexpected_eof, digest_mismatch, timeout or
// transport; or it is the error of ctx. It never holds the token.
func (c *Client) Fetch(ctx context.Context, d Download) ([]byte, error) {
	if d.Digest == (manifest.Digest{}) {
		return nil, failure("digest_syntax", "no digest is given: what is not pinned is not downloaded")
	}
	content, err := c.flights.Do(ctx, d, func(ctx context.Context) ([]byte, error) { return c.persist(ctx, d) })
	if err != nil {
		return nil, err
	}
	return bytes.Clone(content), nil // several waiters hold it
}

// Store returns a manifest.Store of bundles. locate turns a ref into a
// download; it is asked on every Open, so a new URL or token is used at once.
// For a ref that it does not know its error has to match fs.ErrNotExist.
func (c *Client) Store(locate func(ctx context.Context, ref string) (Download, error)) manifest.Store {
	return manifest.StoreFunc(func(ctx context.Context, ref string) (*manifest.Package, error) {
		d, err := locate(ctx, ref)
		if err != nil {
			return nil, err
		}
		content, err := c.Fetch(ctx, d)
		if err != nil {
			return nil, err
		}
		return manifest.ReadBundle(bytes.NewReader(content), int64(len(content)))
	})
}

// failure is an error of this package.
func failure(rule, message string) *manifest.Error {
	return &manifest.Error{Rule: rule, Message: message}
}

// persist tries until an attempt succeeds or cannot.
func (c *Client) persist(ctx context.Context, d Download) ([]byte, error) {
	const attempts = 4
	for n := 1; ; n++ {
		content, err := c.attempt(ctx, d)
		if err == nil {
			return content, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var again *retryable
		if !errors.As(err, &again) {
			return nil, err
		}
		if n == attempts {
			return nil, again.error
		}
		if err := sleep(ctx, again.pause(n)); err != nil {
			return nil, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
