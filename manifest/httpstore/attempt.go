package httpstore

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
)

const (
	tokenHeader  = "X-ServiceRadar-Plugin-Token"
	maxRedirects = 5
	maxPause     = 30 * time.Second
)

// A retryable error may go away by itself.
type retryable struct {
	error
	after time.Duration // what the server asked for, 0 for nothing
}

func (r *retryable) Unwrap() error { return r.error }

// pause is how long to wait after attempt n. Others were turned away at the
// same moment, so not all should come back at the same moment.
func (r *retryable) pause(n int) time.Duration {
	step := 200 * time.Millisecond << (n - 1)
	jitter := rand.N(step) //nolint:gosec // spreads load, guards nothing
	return min(max(r.after, step), maxPause) + jitter
}

// attempt is one download in the time that it may take.
func (c *Client) attempt(ctx context.Context, d Download) ([]byte, error) {
	within, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	content, err := c.download(within, d)
	if err != nil && within.Err() != nil && ctx.Err() == nil {
		return nil, failure("timeout", fmt.Sprintf("the download took longer than %v", c.timeout))
	}
	return content, err
}

func (c *Client) download(ctx context.Context, d Download) ([]byte, error) {
	res, err := c.follow(ctx, d)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() // only read from, so a late error cannot matter
	if err := judge(res); err != nil {
		return nil, err
	}
	content, err := c.body(res, d)
	if err != nil {
		return nil, err
	}
	if got := manifest.Digest(sha256.Sum256(content)); got != d.Digest {
		return nil, failure("digest_mismatch", fmt.Sprintf("the server sent %d bytes with the digest %s, not %s", len(content), got, d.Digest))
	}
	return content, nil
}

// follow sends the request and goes where it is redirected to.
func (c *Client) follow(ctx context.Context, d Download) (*http.Response, error) {
	at, err := parseURL(d.URL)
	if err != nil {
		return nil, err
	}
	method := http.MethodGet
	if d.Token != "" {
		method = http.MethodPost
	}
	for hops := 0; ; hops++ {
		res, err := c.send(ctx, method, at, d.Token)
		if err != nil {
			return nil, err
		}
		location := res.Header.Get("Location")
		if !isRedirect(res.StatusCode) || location == "" {
			return res, nil
		}
		res.Body.Close() // a redirect says nothing in its body
		if hops == maxRedirects {
			return nil, failure("too_many_redirects", fmt.Sprintf("more than %d redirects", maxRedirects))
		}
		if at, err = next(at, location, d.Token != ""); err != nil {
			return nil, err
		}
		if res.StatusCode != http.StatusTemporaryRedirect && res.StatusCode != http.StatusPermanentRedirect {
			method = http.MethodGet
		}
	}
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	default:
		return false
	}
}

// parseURL accepts what may be asked. Its errors do not repeat the text, of
// which any part may be a secret.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, failure("scheme", "the URL cannot be read: expected https://host/path")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, failure("scheme", fmt.Sprintf("scheme %.20q: only http and https are allowed", u.Scheme))
	case u.User != nil:
		return nil, failure("userinfo", "the URL holds a user name or password: use a token")
	case u.Hostname() == "":
		return nil, failure("scheme", "the URL names no host")
	}
	return u, nil
}

// next judges where a redirect leads.
func next(from *url.URL, location string, token bool) (*url.URL, error) {
	ref, err := url.Parse(location)
	if err != nil {
		return nil, failure("scheme", "the redirect leads to a URL that cannot be read")
	}
	to, err := parseURL(from.ResolveReference(ref).String())
	switch {
	case err != nil:
		return nil, err
	case from.Scheme == "https" && to.Scheme == "http":
		return nil, failure("redirect_downgrade", "the redirect leads from https to http")
	case token && !sameHost(from, to):
		return nil, failure("redirect_host", fmt.Sprintf("the redirect leads to another host, %.100q: a token is kept to its own", to.Host))
	}
	return to, nil
}

// sameHost compares host and port; going from http to https on the usual ports
// stays on a host.
func sameHost(a, b *url.URL) bool {
	upgraded := a.Scheme == "http" && port(a) == "80" && b.Scheme == "https" && port(b) == "443"
	return strings.EqualFold(a.Hostname(), b.Hostname()) && (port(a) == port(b) && a.Scheme == b.Scheme || upgraded)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

func (c *Client) send(ctx context.Context, method string, u *url.URL, token string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, failure("transport", "the request cannot be made")
	}
	req.Header.Set("Accept-Encoding", "identity")
	if token != "" {
		req.Header.Set(tokenHeader, token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, transport(ctx, err, token)
	}
	return res, nil
}

// transport reports an error of the network. The text of the URL is left out,
// and so is the token, should a transport repeat it.
func transport(ctx context.Context, err error, token string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var in *url.Error
	if errors.As(err, &in) {
		err = in.Err
	}
	return &retryable{error: failure("transport", hide(err.Error(), token))}
}

func hide(text, token string) string {
	if token != "" {
		text = strings.ReplaceAll(text, token, "[token]")
	}
	const most = 300
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// judge accepts 200 alone: anything else is not the package.
func judge(res *http.Response) error {
	says := "the server answers " + strconv.Itoa(res.StatusCode)
	switch status := res.StatusCode; {
	case status == http.StatusOK:
		return nil
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return failure("unauthorized", says+": the token is missing, wrong or too old")
	case status == http.StatusNotFound || status == http.StatusGone:
		return fmt.Errorf("httpstore: %w: %w", failure("not_found", says), fs.ErrNotExist)
	case status >= 500:
		return &retryable{error: failure("server_error", says), after: retryAfter(res)}
	case status == http.StatusTooManyRequests:
		return &retryable{error: failure("unexpected_status", says), after: retryAfter(res)}
	default:
		return failure("unexpected_status", says+": expected 200")
	}
}

// retryAfter is how long the server asks to wait, in seconds or until a date.
func retryAfter(res *http.Response) time.Duration {
	text := strings.TrimSpace(res.Header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// body reads no more than may come, whatever the server declares.
func (c *Client) body(res *http.Response, d Download) ([]byte, error) {
	tooLarge := failure("too_large", fmt.Sprintf("the download is larger than %v", c.limit))
	if res.ContentLength > int64(c.limit) {
		return nil, tooLarge
	}
	var body io.Reader = res.Body
	declared := res.ContentLength
	// Nobody asked for an encoding. Where one comes all the same, the digest
	// and the limit are about what is inside.
	if strings.EqualFold(res.Header.Get("Content-Encoding"), "gzip") {
		unpacked, err := gzip.NewReader(res.Body)
		if err != nil {
			return nil, &retryable{error: failure("unexpected_eof", "the download is no gzip, as the server says")}
		}
		body, declared = unpacked, -1
	}
	content, err := limits.ReadAll(body, c.limit)
	switch {
	case errors.Is(err, limits.ErrExceeded):
		return nil, tooLarge
	case errors.Is(err, io.ErrUnexpectedEOF) || err == nil && int64(len(content)) < declared:
		return nil, &retryable{error: failure("unexpected_eof", "the download was cut short")}
	case err != nil:
		return nil, transport(res.Request.Context(), err, d.Token)
	}
	return content, nil
}
