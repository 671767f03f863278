package netproxytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/sandcheck/sandcheck/netproxy"
)

// patience is how long the suites wait for what should happen at once.
const patience = 5 * time.Second

// TestDialer checks a netproxy.Dialer against the rules that its interface
// lists and returns an error for each broken one, with its number. echo is the
// address of a TCP server behind the dialer that sends back what it reads and
// closes once the client has (Echo is one); with the zero AddrPort the suite
// runs one on the loopback interface. tunnel says that the dialer goes through
// a relay, as in netproxy.Config.
func TestDialer(d netproxy.Dialer, echo netip.AddrPort, tunnel bool) error {
	if !echo.IsValid() {
		addr, stop, err := serveEcho()
		if err != nil {
			return err
		}
		defer stop()
		echo = addr
	}
	s := dialerSuite{d: d, echo: echo, tunnel: tunnel}
	return errors.Join(s.connects(), s.refusesNames(), s.endsWithContext(), s.interrupts(), s.parallel())
}

func serveEcho() (netip.AddrPort, func(), error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, nil, fmt.Errorf("netproxytest: no loopback listener for the suite: %w", err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				Echo(c)
			}()
		}
	}()
	return netip.MustParseAddrPort(ln.Addr().String()), func() { ln.Close() }, nil
}

type dialerSuite struct {
	d      netproxy.Dialer
	echo   netip.AddrPort
	tunnel bool
}

func broken(suite string, rule int, format string, args ...any) error {
	return fmt.Errorf("%s breaks rule %d: %s", suite, rule, fmt.Sprintf(format, args...))
}

func (s dialerSuite) dial(ctx context.Context) (net.Conn, error) {
	c, err := s.d.DialContext(ctx, "tcp", s.echo.String())
	switch {
	case err == nil && c == nil:
		return nil, broken("Dialer", 4, "it returned neither a connection nor an error")
	case err != nil && c != nil:
		return nil, broken("Dialer", 4, "it returned a connection and an error: %v", err)
	case err != nil:
		return nil, fmt.Errorf("the Dialer cannot reach the echo server at %v: %w", s.echo, err)
	}
	return c, nil
}

// connects checks rules 1, 2, 4 and 5.
func (s dialerSuite) connects() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	cancel() // the connection must not be bound to the context of its dial
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return broken("Dialer", 6, "SetDeadline failed: %v", err)
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		return broken("Dialer", 1, "writing to the echo server failed: %v", err)
	}
	var got [5]byte
	if _, err := io.ReadFull(c, got[:]); err != nil || string(got[:]) != "hello" {
		return broken("Dialer", 1, "the echo server answered %q, %v: is this another server?", got, err)
	}
	var errs []error
	if addr, ok := c.RemoteAddr().(*net.TCPAddr); !s.tunnel && ok {
		if peer := addr.AddrPort(); netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port()) != s.echo {
			errs = append(errs, broken("Dialer", 2, "RemoteAddr is %v for a dial to %v", peer, s.echo))
		}
	}
	half, ok := c.(interface{ CloseWrite() error })
	if !ok {
		return errors.Join(errs...)
	}
	if err := half.CloseWrite(); err != nil {
		errs = append(errs, broken("Dialer", 5, "CloseWrite failed: %v", err))
	} else if n, err := c.Read(got[:]); !errors.Is(err, io.EOF) {
		errs = append(errs, broken("Dialer", 5, "after the peer closed, Read returned %d, %v, not io.EOF", n, err))
	}
	return errors.Join(errs...)
}

// refusesNames checks rule 1 from the other side: text that is no literal must
// not connect anywhere.
func (s dialerSuite) refusesNames() error {
	if _, plain := s.d.(*net.Dialer); plain {
		return nil // a Guard gives it a check of its own
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := s.d.DialContext(ctx, "tcp", fmt.Sprintf("localhost:%d", s.echo.Port()))
	if err == nil && c != nil {
		c.Close()
		return broken("Dialer", 1, "it resolved a name; an address that was not judged could be reached so")
	}
	return nil
}

// endsWithContext checks rule 3.
func (s dialerSuite) endsWithContext() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	done := make(chan error, 1)
	go func() {
		c, err := s.d.DialContext(ctx, "tcp", s.echo.String())
		if err == nil && c != nil {
			c.Close()
			err = nil
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			return broken("Dialer", 3, "it connected although its context had ended")
		}
		return nil
	case <-time.After(patience):
		return broken("Dialer", 3, "it did not return %v after its context had ended", patience)
	}
}

// interrupts checks rule 6.
func (s dialerSuite) interrupts() error {
	var errs []error
	for name, interrupt := range map[string]func(net.Conn){
		"a deadline": func(c net.Conn) { c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) }, //nolint:errcheck // seen by what follows
		"Close":      func(c net.Conn) { time.AfterFunc(10*time.Millisecond, func() { c.Close() }) },
	} {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		c, err := s.dial(ctx)
		cancel()
		if err != nil {
			return err
		}
		interrupt(c)
		done := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			done <- err
		}()
		select {
		case err := <-done:
			var ne net.Error
			if name == "a deadline" && (!errors.As(err, &ne) || !ne.Timeout()) {
				errs = append(errs, broken("Dialer", 6, "at the deadline Read returned %v, which is no timeout", err))
			}
		case <-time.After(patience):
			errs = append(errs, broken("Dialer", 6, "%s did not interrupt a blocked Read", name))
		}
		c.Close()
	}
	return errors.Join(errs...)
}

// parallel checks rule 7.
func (s dialerSuite) parallel() error {
	const many = 8
	results := make(chan error, many)
	for range many {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			c, err := s.dial(ctx)
			if err == nil {
				c.Close()
			}
			results <- err
		}()
	}
	for range many {
		if err := <-results; err != nil {
			return broken("Dialer", 7, "of %d dials at once one failed: %v", many, err)
		}
	}
	return nil
}

// TestResolver checks a netproxy.Resolver against the rules that its interface
// lists and returns an error for each broken one, with its number. known is a
// name that it resolves, unknown one that does not exist, both with two labels
// or more.
func TestResolver(r netproxy.Resolver, known, unknown string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var errs []error
	first, err := r.LookupNetIP(ctx, "ip", known+".")
	if err != nil || len(first) == 0 {
		errs = append(errs, broken("Resolver", 1, "%q with its final dot gave %v, %v", known+".", first, err))
	} else {
		kept := first[0]
		first[0] = netip.Addr{}
		if again, err := r.LookupNetIP(ctx, "ip", known+"."); err == nil && len(again) > 0 && !again[0].IsValid() {
			errs = append(errs, broken("Resolver", 4, "writing to an answer changed the next one (%v)", kept))
		}
	}
	var dns *net.DNSError
	if got, err := r.LookupNetIP(ctx, "ip", unknown+"."); !errors.As(err, &dns) || !dns.IsNotFound {
		errs = append(errs, broken("Resolver", 2, "%q gave %v, %v; want a *net.DNSError with IsNotFound", unknown, got, err))
	}
	ended, end := context.WithCancel(context.Background())
	end()
	done := make(chan error, 1)
	go func() {
		_, err := r.LookupNetIP(ended, "ip", known+".")
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			errs = append(errs, broken("Resolver", 3, "it answered although its context had ended"))
		}
	case <-time.After(patience):
		errs = append(errs, broken("Resolver", 3, "it did not return %v after its context had ended", patience))
	}
	return errors.Join(errs...)
}
