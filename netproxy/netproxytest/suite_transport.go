package netproxytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/sandcheck/sandcheck/netproxy"
)

// TestTransport checks a RoundTripper that is meant for netproxy.Config and
// returns an error for each of these rules that it breaks, with its number:
//
//  1. It dials TargetFrom(ctx).Addrs: the name in the URL may resolve to
//     something else, or to nothing.
//  2. It sends one request: it follows no redirect and asks no proxy.
//  3. It sends Host and headers as given, and does not change the request.
//  4. It ends when the request's context does, the body included.
//  5. Closing a body early, or not finding a server, breaks no later request.
//
// The suite runs a server on the loopback interface, and so cannot serve for a
// transport whose far end is a relay.
func TestTransport(rt http.RoundTripper) error {
	s, err := newTransportSuite(rt)
	if err != nil {
		return err
	}
	defer s.stop()
	return errors.Join(s.dialsTarget(), s.follows(), s.keepsRequest(), s.endsWithContext(), s.recovers())
}

type transportSuite struct {
	guard *netproxy.Guard
	port  uint16
	stop  func()

	mu   sync.Mutex
	seen []*http.Request
}

func newTransportSuite(rt http.RoundTripper) (*transportSuite, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("netproxytest: no loopback listener for the suite: %w", err)
	}
	s := &transportSuite{port: netip.MustParseAddrPort(ln.Addr().String()).Port()}
	server := &http.Server{Handler: s, ReadHeaderTimeout: patience}
	go server.Serve(ln) //nolint:errcheck // ends with the listener
	var n Network
	n.AddDNS("suite.example", "127.0.0.1")
	cfg := netproxy.Config{Transport: rt, Resolver: &n}
	cfg.Limits.DialRate, cfg.Limits.LookupRate = 1000, 1000
	s.guard, err = netproxy.New(netproxy.Rules{
		Domains:  []netproxy.Domain{"suite.example"},
		Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		Ports:    netproxy.Ports(s.port),
	}, cfg)
	s.stop = func() {
		if s.guard != nil {
			s.guard.Close()
		}
		server.Close()
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// ServeHTTP is the far end.
func (s *transportSuite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.seen = append(s.seen, r)
	s.mu.Unlock()
	switch r.URL.Path {
	case "/redirect":
		http.Redirect(w, r, "/landed", http.StatusFound)
	case "/hang":
		<-r.Context().Done()
	case "/drip":
		for r.Context().Err() == nil {
			fmt.Fprintln(w, "drip")
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	default:
		fmt.Fprint(w, "fine")
	}
}

func (s *transportSuite) send(ctx context.Context, path string, change func(*http.Request)) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://suite.example:%d%s", s.port, path), nil)
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(r)
	}
	return s.guard.RoundTrip(r)
}

func (s *transportSuite) dialsTarget() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	resp, err := s.send(ctx, "/", nil)
	if err != nil {
		return broken("Transport", 1, "a name that only the Guard's resolver knows could not be reached: %v (%v)", err, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "fine" {
		return broken("Transport", 1, "the answer was %q, %v", body, err)
	}
	return nil
}

func (s *transportSuite) follows() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	resp, err := s.send(ctx, "/redirect", nil)
	if err != nil {
		return broken("Transport", 2, "a redirect was not handed back: %v", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusFound {
		return broken("Transport", 2, "it followed a redirect, past the Guard: status %d", resp.StatusCode)
	}
	return nil
}

func (s *transportSuite) keepsRequest() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	resp, err := s.send(ctx, "/header", func(r *http.Request) { r.Header.Set("X-Suite", "kept") })
	if err != nil {
		return broken("Transport", 3, "a request with a header failed: %v", err)
	}
	resp.Body.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.seen[len(s.seen)-1]
	if want := fmt.Sprintf("suite.example:%d", s.port); last.Host != want || last.Header.Get("X-Suite") != "kept" {
		return broken("Transport", 3, "the server saw Host %q and X-Suite %q, want %q and \"kept\"", last.Host, last.Header.Get("X-Suite"), want)
	}
	return nil
}

func (s *transportSuite) endsWithContext() error {
	for _, path := range []string{"/hang", "/drip"} {
		done := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			resp, err := s.send(ctx, path, nil)
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			done <- err
		}()
		select {
		case err := <-done:
			if err == nil {
				return broken("Transport", 4, "%s came to an end by itself", path)
			}
		case <-time.After(patience):
			return broken("Transport", 4, "%s went on %v after its context had ended", path, patience)
		}
	}
	return nil
}

func (s *transportSuite) recovers() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for range 3 {
		resp, err := s.send(ctx, "/drip", nil)
		if err != nil {
			return broken("Transport", 5, "a request failed after a body was closed early: %v", err)
		}
		resp.Body.Close()
	}
	resp, err := s.send(ctx, "/", nil)
	if err != nil {
		return broken("Transport", 5, "a request failed after bodies were closed early: %v", err)
	}
	return resp.Body.Close()
}
