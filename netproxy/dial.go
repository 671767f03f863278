package netproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sandcheck/sandcheck/limits"
)

// DialContext judges address, "host:port" split at its last colon, and connects
// to an address that it judged. The host is a name or an address, IPv6 with or
// without brackets; network is "tcp" or "udp".
//
// A TCP connection holds one of Limits.Connections until it is closed. A UDP
// one is connected, sends one datagram for each Write and waits its turn under
// the plugin's rates. Either is closed by Guard.Close.
//
// Errors match ErrInvalid (no destination at all), ErrDenied (refused),
// limits.ErrExceeded, or are failures of an allowed attempt: those implement
// net.Error, have a text that is safe to show to a plugin, and keep their cause.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	a := g.begin(ctx, network)
	leave, err := g.enter()
	if err != nil {
		return nil, a.finish(err)
	}
	defer leave()
	d, err := splitAddress(network, address)
	if err != nil {
		return nil, a.finish(err)
	}
	if err := g.judge(a, d); err != nil {
		return nil, a.finish(err)
	}
	bound, release := g.bind(ctx)
	defer release()
	var c net.Conn
	if d.udp() {
		c, err = g.dialUDP(bound, a, d)
	} else {
		c, err = g.dialTCP(bound, a, d)
	}
	if err != nil {
		return nil, a.finish(err)
	}
	return c, nil
}

// splitAddress reads "host:port". The port is split at the last colon, so that
// an IPv6 address needs no brackets.
func splitAddress(network, address string) (destination, error) {
	address = trimBlanks(address)
	i := strings.LastIndexByte(address, ':')
	if i < 0 {
		return destination{}, &invalidError{"address", "needs a port: host:port"}
	}
	if len(address) > maxURL {
		return destination{}, &invalidError{"address", "is too long"}
	}
	d, err := parseDestination(network, address[:i], 1)
	if err != nil {
		return destination{}, err
	}
	d.port, err = parsePort(address[i+1:], 0)
	return d, err
}

func (g *Guard) dialTCP(ctx context.Context, a *attempt, d destination) (_ net.Conn, err error) {
	slot, err := g.takeSlot()
	if err != nil {
		return nil, err
	}
	kept := false
	defer func() {
		if !kept { // an error, or a panic in a seam
			slot.free()
		}
	}()
	if err := g.countDial(); err != nil {
		return nil, err
	}
	if err := wait(ctx, g.pace.dials, 1, "dial rate"); err != nil {
		return nil, failed("connect", time.Now(), err)
	}
	t, err := g.resolve(ctx, a, d)
	if err != nil {
		return nil, err
	}
	raw, err := g.connect(ctx, a, t)
	if err != nil {
		return nil, err
	}
	c, err := g.adopt(&conn{Conn: raw, g: g, slot: slot, attempt: a})
	if err != nil {
		return nil, err
	}
	kept = true
	return c, nil
}

// countDial bounds the connection attempts of a run.
func (g *Guard) countDial() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if most := g.limits.Dials; g.usage.Dials >= most {
		return &limits.ExceededError{Resource: "dials", Limit: int64(most), Used: int64(most) + 1}
	}
	g.usage.Dials++
	return nil
}

// stagger is how long one address may take before the next is tried beside it.
const stagger = 250 * time.Millisecond

// connect tries the addresses of t, each beside the ones before it, and returns
// the first connection. Nothing but these addresses is ever dialled.
func (g *Guard) connect(ctx context.Context, a *attempt, t Target) (net.Conn, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, targetKey{}, t), connectTimeout)
	defer cancel()
	race := &race{won: make(chan net.Conn), lost: make(chan error)}
	var errs []error
	running, next := 0, 0
	var delay <-chan time.Time
	for {
		if next < len(t.Addrs) && (running == 0 || delay == nil) {
			pin := t.Addrs[next]
			next++
			running++
			g.calls.Add(1) // the caller is counted
			go race.run(g, ctx, t.Network, pin)
			timer := time.NewTimer(stagger)
			defer timer.Stop()
			delay = timer.C
		}
		select {
		case c := <-race.won:
			a.note(func(x *Decision) {
				x.Connect, x.Peer = time.Since(began), peerOf(c, t)
			})
			return c, nil
		case err := <-race.lost:
			errs = append(errs, err)
			if running--; running == 0 && next == len(t.Addrs) {
				return nil, failed("connect", began, errors.Join(errs...))
			}
			delay = nil // a failure makes way at once
		case <-delay:
			delay = nil
		case <-ctx.Done():
			return nil, failed("connect", began, context.Cause(ctx))
		}
	}
}

// race hands over at most one connection; the others are closed.
type race struct {
	won  chan net.Conn
	lost chan error
}

func (r *race) run(g *Guard, ctx context.Context, network string, pin netip.AddrPort) {
	defer g.calls.Done()
	c, err := g.dialPinned(ctx, network, pin)
	if err != nil {
		select {
		case r.lost <- err:
		case <-ctx.Done():
		}
		return
	}
	select {
	case r.won <- c:
	case <-ctx.Done():
		c.Close() //nolint:errcheck // nobody wants it
	}
}

var errPeer = errors.New("the connection leads to another address than the one that was judged")

// dialPinned dials one literal and compares what came back with it.
func (g *Guard) dialPinned(ctx context.Context, network string, pin netip.AddrPort) (c net.Conn, err error) {
	defer func() {
		if p := recover(); p != nil {
			c, err = nil, fmt.Errorf("the dialer panicked: %v", p)
		}
	}()
	c, err = g.dialer.DialContext(context.WithValue(ctx, pinKey{}, pin), network, pin.String())
	switch {
	case err != nil:
		if c != nil {
			c.Close() //nolint:errcheck // the error says it is unusable
		}
		return nil, err
	case c == nil:
		return nil, errors.New("the dialer returned neither a connection nor an error")
	case g.cfg.Tunnel:
		return c, nil
	}
	if peer, known := addrPortOf(c.RemoteAddr()); known && peer != pin {
		c.Close() //nolint:errcheck // it leads elsewhere
		return nil, errPeer
	}
	return c, nil
}

// addrPortOf reads TCP and UDP addresses; others are not ours to judge.
func addrPortOf(addr net.Addr) (ap netip.AddrPort, known bool) {
	switch x := addr.(type) {
	case *net.TCPAddr:
		ap, known = x.AddrPort(), true
	case *net.UDPAddr:
		ap, known = x.AddrPort(), true
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), known
}

// peerOf is the real peer, or the only address that it can be.
func peerOf(c net.Conn, t Target) netip.AddrPort {
	if peer, known := addrPortOf(c.RemoteAddr()); known {
		return peer
	}
	if len(t.Addrs) == 1 {
		return t.Addrs[0]
	}
	return netip.AddrPort{}
}

type pinKey struct{}

// checkedDialer gives a *net.Dialer a check between resolving and connecting:
// even if it were handed other text, it would not connect.
func (g *Guard) checkedDialer(d Dialer) Dialer {
	if d == nil {
		d = &net.Dialer{}
	}
	plain, ok := d.(*net.Dialer)
	if !ok {
		return d
	}
	g.policy.directed = sync.OnceValue(directedBroadcast)
	checked := *plain
	checked.Control = nil // called below; ControlContext would win over it
	checked.ControlContext = func(ctx context.Context, network, address string, raw syscall.RawConn) error {
		pin, ok := ctx.Value(pinKey{}).(netip.AddrPort)
		ap, err := netip.ParseAddrPort(address)
		if !ok || err != nil || ap.Addr().Zone() != "" || netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()) != pin {
			return errPeer
		}
		if strings.HasPrefix(network, "udp") {
			if err := clearBroadcast(raw); err != nil {
				return err
			}
		}
		switch {
		case plain.ControlContext != nil:
			return plain.ControlContext(ctx, network, address, raw)
		case plain.Control != nil:
			return plain.Control(network, address, raw)
		}
		return nil
	}
	return &checked
}

// directedBroadcast lists the broadcast addresses of this host's networks, as
// they are when a run sends its first datagram. One datagram to such an address
// asks a whole network. Where they cannot be listed, the socket option still
// refuses them.
func directedBroadcast() map[netip.Addr]bool {
	known := map[netip.Addr]bool{}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		ones, bits := n.Mask.Size()
		if !ok || !ip.Unmap().Is4() || bits-ones < 2 {
			continue
		}
		if bits == 128 {
			ones -= 96
		}
		known[lastAddr(netip.PrefixFrom(ip.Unmap(), ones))] = true
	}
	return known
}

func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}
