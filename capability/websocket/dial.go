package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	ws "github.com/coder/websocket"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/netproxy"
)

// dial makes the connection that req asks for. The library connects and follows
// redirects through the Guard's client only.
func dial(ctx context.Context, s *capability.Session, req *request, f frames) (io.Closer, error) {
	if s.Net == nil {
		return nil, netproxy.ErrDenied
	}
	u, err := netproxy.ParseURL(req.url, "ws", "wss")
	if err != nil {
		return nil, malformed(s, err)
	}
	if err := s.Net.VetHeader(u, req.header); err != nil {
		return nil, err
	}
	sock := &socket{}
	client := s.Net.HTTPClient(netproxy.HTTPOptions{InsecureTLS: req.insecure})
	client.Transport = &upgrade{next: client.Transport, socket: sock}
	lib, resp, err := ws.Dial(ctx, u.String(), &ws.DialOptions{
		HTTPClient:      client,
		HTTPHeader:      req.header,
		Subprotocols:    subprotocols(req.header),
		CompressionMode: ws.CompressionDisabled,
	})
	if err != nil {
		return nil, handshakeFailed(resp, err)
	}
	sock.open.Store(true)
	return start(lib, sock, f, payload(s)), nil
}

// malformed is a request that never becomes one. The Guard still makes its
// Decision, and a run that it no longer listens to is refused as ever.
func malformed(s *capability.Session, err error) error {
	if refused := s.Net.VetHeader(nil, nil); errors.Is(refused, netproxy.ErrDenied) {
		return refused
	}
	return err
}

// handshakeFailed is the Guard's own error where there is one: the text of what
// net/http wraps it in holds the URL.
func handshakeFailed(resp *http.Response, err error) error {
	var request *url.Error
	if !errors.As(err, &request) {
		status := 0
		if resp != nil {
			status = resp.StatusCode
		}
		return &handshakeError{status}
	}
	for errors.As(err, &request) {
		err = request.Err
	}
	return err
}

// subprotocols are those that the guest offers. The library must know them to
// accept the server's choice.
func subprotocols(h http.Header) []string {
	var all []string
	for _, v := range h.Values("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(v, ",") {
			if name = strings.TrimSpace(name); name != "" {
				all = append(all, name)
			}
		}
	}
	return all
}

// upgrade stands around the Guard's client for one handshake and keeps hold of
// the connection that comes out of it.
type upgrade struct {
	next   http.RoundTripper
	socket *socket
}

func (u *upgrade) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { u.socket.over(info.Conn) },
	})
	resp, err := u.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	rwc, ok := resp.Body.(io.ReadWriteCloser)
	if resp.StatusCode != http.StatusSwitchingProtocols || !ok {
		// The library would read a little of it, for as long as it takes.
		_ = resp.Body.Close() // it is not used
		resp.Body = http.NoBody
		return resp, nil
	}
	u.socket.ReadWriteCloser = rwc
	resp.Body = u.socket
	return resp, nil
}

// socket is an upgraded connection. Until it is open it reads as empty, so that
// nobody waits for more of a handshake that failed.
type socket struct {
	io.ReadWriteCloser
	open atomic.Bool

	mu  sync.Mutex
	raw net.Conn // under TLS; nil if a custom Transport did not show it
}

// over remembers the connection that the exchange runs on.
func (s *socket) over(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw = c
}

// Read never returns io.EOF once the socket is open: see errPeerGone.
func (s *socket) Read(p []byte) (int, error) {
	if !s.open.Load() {
		return 0, io.EOF
	}
	n, err := s.ReadWriteCloser.Read(p)
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = errPeerGone
	}
	return n, err
}

// cut closes the connection without a word. Close of a TLS connection may wait
// for a peer that does not read.
func (s *socket) cut() {
	s.mu.Lock()
	raw := s.raw
	s.mu.Unlock()
	if raw != nil {
		_ = raw.Close() // nobody uses it any more
		return
	}
	_ = s.Close() // as above
}
