package netproxy

import (
	"crypto/tls"
	"net/http"
	"time"
)

// poolKey keeps connections apart: one pool for each identity and TLS mode,
// since a pooled connection, or a resumed session, carries the certificate that
// it was made with.
type poolKey struct {
	identity int // index, or -1
	insecure bool
}

// maxResponseHeader bounds the header block of a response, interim ones
// included.
const maxResponseHeader = 64 << 10

// transport is the pool for key, or the embedder's own.
func (g *Guard) transport(key poolKey) http.RoundTripper {
	if g.cfg.Transport != nil {
		return g.cfg.Transport
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.pools[key]
	if t == nil {
		t = g.newTransport(key)
		g.pools[key] = t
	}
	return t
}

func (g *Guard) newTransport(key poolKey) *http.Transport {
	conf := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		RootCAs:            g.cfg.RootCAs,
		InsecureSkipVerify: key.insecure, //nolint:gosec // only with Rules.AllowInsecureTLS
		// ServerName stays empty: net/http fills in the name of each request.
	}
	if key.identity >= 0 {
		id := g.policy.identities[key.identity]
		if id.certificate != nil {
			conf.Certificates = []tls.Certificate{*id.certificate}
		}
		conf.GetClientCertificate = id.present()
	}
	t := &http.Transport{
		Proxy:                  nil, // the environment has no say
		DialContext:            g.dialLease,
		TLSClientConfig:        conf,
		TLSHandshakeTimeout:    tlsTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: maxResponseHeader,
		IdleConnTimeout:        30 * time.Second,
		ExpectContinueTimeout:  time.Second,
		ForceAttemptHTTP2:      g.cfg.HTTP2,
	}
	if !g.cfg.HTTP2 {
		t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	return t
}

// transports lists the pools there are.
func (g *Guard) transports() []*http.Transport {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []*http.Transport
	for _, t := range g.pools {
		out = append(out, t)
	}
	return out
}
