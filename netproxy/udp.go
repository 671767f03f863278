package netproxy

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sandcheck/sandcheck/limits"
)

// dialUDP makes a connected socket. It sends nothing yet, but a plugin must not
// be able to look names up faster than it may send, so the first packet is paid
// for here.
func (g *Guard) dialUDP(ctx context.Context, a *attempt, d destination) (net.Conn, error) {
	if err := wait(ctx, g.pace.packets, 1, "datagram rate"); err != nil {
		return nil, failed("connect", time.Now(), err)
	}
	t, err := g.resolve(ctx, a, d)
	if err != nil {
		return nil, err
	}
	// Connecting a UDP socket asks nobody, so there is no race to run: the
	// first address that this host has a route to is the one.
	began := time.Now()
	var raw net.Conn
	for _, pin := range t.Addrs {
		if err = g.countTarget(pin); err != nil {
			break
		}
		if raw, err = g.connect(ctx, a, Target{Network: t.Network, Host: t.Host, Port: t.Port, Addrs: []netip.AddrPort{pin}}); err == nil {
			break
		}
	}
	if err != nil {
		return nil, failed("connect", began, err)
	}
	deadline, _ := ctx.Deadline()
	c, err := g.adopt(&conn{Conn: raw, g: g, attempt: a})
	if err != nil {
		return nil, err
	}
	return &packetConn{conn: c, paid: true, deadline: deadline}, nil
}

// countTarget bounds the distinct addresses that a run sends datagrams to.
func (g *Guard) countTarget(ap netip.AddrPort) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.targets[ap] {
		if most := g.limits.Targets; len(g.targets) >= most {
			return &limits.ExceededError{Resource: "targets", Limit: int64(most), Used: int64(most) + 1}
		}
		g.targets[ap] = true
	}
	return nil
}

// packetConn paces what a connected UDP socket sends.
type packetConn struct {
	*conn
	mu       sync.Mutex
	paid     bool      // the packet paid for when dialling
	deadline time.Time // of the dial, until one is set
}

// Write sends p as one datagram once the plugin's rates allow it. If the wait
// cannot fit before the deadline it fails at once.
func (c *packetConn) Write(p []byte) (int, error) {
	g := c.g
	if most := int64(g.limits.Datagram); int64(len(p)) > most {
		return 0, &limits.ExceededError{Resource: "datagram", Limit: most, Used: int64(len(p))}
	}
	began := time.Now()
	c.mu.Lock()
	paid, deadline := c.paid, c.deadline
	c.paid = false
	c.mu.Unlock()
	ctx, cancel := g.life, context.CancelFunc(func() {})
	if !deadline.IsZero() {
		ctx, cancel = context.WithDeadline(g.life, deadline)
	}
	defer cancel()
	if !paid {
		if err := wait(ctx, g.pace.packets, 1, "datagram rate"); err != nil {
			return 0, failed("write", began, err)
		}
	}
	if err := wait(ctx, g.pace.bytes, len(p), "datagram bytes"); err != nil {
		return 0, failed("write", began, err)
	}
	return c.conn.Write(p)
}

// SetDeadline and SetWriteDeadline bound the wait as well.
func (c *packetConn) SetDeadline(t time.Time) error {
	c.keep(t)
	return c.conn.SetDeadline(t)
}

func (c *packetConn) SetWriteDeadline(t time.Time) error {
	c.keep(t)
	return c.conn.SetWriteDeadline(t)
}

func (c *packetConn) keep(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
}
