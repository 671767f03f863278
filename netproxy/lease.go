package netproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/sandcheck/sandcheck/limits"
)

// lease is the right of one exchange to dial: its judged target, its slot, and
// the connection that it got. It travels in the request's context, and without
// one the pools dial nothing.
type lease struct {
	g       *Guard
	attempt *attempt
	key     poolKey
	where   origin
	address string // as net/http will write it
	target  Target
	ctx     context.Context // of the exchange: a dial must not outlive it
	stop    context.CancelFunc
	dials   sync.WaitGroup // calls of dialLease that have not returned

	mu       sync.Mutex
	slot     *slot
	over     bool
	dialed   *conn
	got      *conn
	http2    bool
	idle     bool // net/http took the connection back
	strayed  error
	phase    string
	shaking  time.Time
	canceled context.CancelCauseFunc
}

type leaseKey struct{}

// newLease takes the slot of an exchange. One that can use an open connection
// needs none; should that connection die meanwhile, dialling takes its slot.
func (g *Guard) newLease(ctx context.Context, a *attempt, key poolKey, where origin) (*lease, error) {
	l := &lease{g: g, attempt: a, key: key, where: where, phase: "connect"}
	l.ctx, l.stop = context.WithCancel(ctx)
	l.address = net.JoinHostPort(where.host.text(), PortRange{where.port, where.port}.String())
	if g.cfg.Transport == nil && g.reusable(key, l.address) {
		return l, nil
	}
	var err error
	if l.slot, err = g.takeSlot(); err != nil {
		l.stop()
		return nil, err
	}
	if err := g.checkDials(); err != nil {
		l.end(false)
		return nil, err
	}
	return l, nil
}

// checkDials fails early where a dial could not be allowed any more.
func (g *Guard) checkDials() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if most := g.limits.Dials; g.usage.Dials >= most {
		return &limits.ExceededError{Resource: "dials", Limit: int64(most), Used: int64(most) + 1}
	}
	return nil
}

// reusable reports an idle connection for that pool and address.
func (g *Guard) reusable(key poolKey, address string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		if c.used.Load() && c.busy.Load() == 0 && c.key == key && c.address == address {
			return true
		}
	}
	return false
}

var errNoLease = errors.New("netproxy: no judged target for this dial")

// dialLease is the one dial function of the pools. The address that net/http
// passes is only compared.
func (g *Guard) dialLease(ctx context.Context, network, address string) (net.Conn, error) {
	l, ok := ctx.Value(leaseKey{}).(*lease)
	if !ok || l.g != g || network != "tcp" || address != l.address {
		return nil, errNoLease
	}
	s, err := l.takeSlot()
	if err != nil {
		return nil, err
	}
	defer l.dials.Done()
	c, err := l.dial(s)
	if err != nil {
		s.free()
		return nil, err
	}
	return c, nil
}

// takeSlot hands the lease's slot to the dial, or takes another when net/http
// dials again after a dead connection. It counts the dial.
func (l *lease) takeSlot() (s *slot, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return nil, errNoLease
	}
	if s, l.slot = l.slot, nil; s == nil {
		if s, err = l.g.takeSlot(); err != nil {
			return nil, err
		}
	}
	l.dials.Add(1)
	return s, nil
}

// dial works under the exchange's context: net/http's own would let a dial live
// on after the request that wanted it.
func (l *lease) dial(s *slot) (net.Conn, error) {
	if err := l.g.countDial(); err != nil {
		return nil, err
	}
	if err := wait(l.ctx, l.g.pace.dials, 1, "dial rate"); err != nil {
		return nil, failed("connect", time.Now(), err)
	}
	raw, err := l.g.connect(l.ctx, l.attempt, l.target)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, g: l.g, slot: s, key: l.key, address: l.address}
	c.meter()
	if c, err = l.g.adopt(c); err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.dialed = c
	l.mu.Unlock()
	return c, nil
}

// meter gives the connection the budget of one exchange.
func (c *conn) meter() {
	c.budget.Store(c.g.wireBudget())
	c.metered.Store(true)
}

// context is what the request to the transport carries. Hooks of a caller's own
// trace stay, except those that would show it injected headers or lift the cap
// on interim answers.
func (l *lease) context(ctx context.Context) context.Context {
	outer := httptrace.ContextClientTrace(ctx)
	ctx, l.canceled = context.WithCancelCause(ctx)
	ctx = context.WithValue(ctx, leaseKey{}, l)
	ctx = context.WithValue(ctx, targetKey{}, l.target)
	if outer != nil {
		kept := *outer
		kept.WroteHeaderField, kept.Got1xxResponse = nil, nil
		ctx = httptrace.WithClientTrace(untraced{ctx}, &kept)
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              l.gotConn,
		PutIdleConn:          l.putIdle,
		TLSHandshakeStart:    func() { l.enter("tls") },
		TLSHandshakeDone:     l.shaken,
		GotFirstResponseByte: l.firstByte,
	})
}

// untraced hides the trace of its context.
type untraced struct{ context.Context }

func (c untraced) Value(key any) any {
	v := c.Context.Value(key)
	if _, ok := v.(*httptrace.ClientTrace); ok {
		return nil
	}
	return v
}

func (l *lease) enter(phase string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.phase, l.shaking = phase, time.Now()
}

func (l *lease) shaken(_ tls.ConnectionState, err error) {
	l.mu.Lock()
	took := time.Since(l.shaking)
	l.mu.Unlock()
	l.attempt.note(func(d *Decision) { d.TLS = took })
}

func (l *lease) firstByte() {
	l.mu.Lock()
	took := time.Since(l.shaking)
	l.mu.Unlock()
	l.attempt.note(func(d *Decision) { d.FirstByte = took })
}

func (l *lease) putIdle(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle = err == nil
}

// gotConn learns which connection the exchange runs on. With a custom Transport
// it also compares the peer with what was judged.
func (l *lease) gotConn(info httptrace.GotConnInfo) {
	l.enter("exchange")
	peer, known := addrPortOf(info.Conn.RemoteAddr())
	inner := info.Conn
	if t, ok := inner.(*tls.Conn); ok {
		inner = t.NetConn()
	}
	c, own := inner.(*conn)
	own = own && c.g == l.g
	l.attempt.note(func(d *Decision) {
		d.Pooled = info.Reused
		if known {
			d.Peer = peer
		}
	})
	if !own {
		l.custom(info, peer, known)
		return
	}
	l.mu.Lock()
	if l.got != nil && l.got != c { // net/http tried again on another one
		l.got.busy.Add(-1)
	}
	if l.got != c {
		c.busy.Add(1)
	}
	l.got, l.idle = c, false
	if t, ok := info.Conn.(*tls.Conn); ok {
		l.http2 = t.ConnectionState().NegotiatedProtocol == "h2"
		c.http2.Store(l.http2)
	}
	spare := l.slot
	l.slot = nil
	l.mu.Unlock()
	c.used.Store(true)
	c.meter()
	spare.free() // the connection has its own
}

// custom checks the connection that an embedder's Transport uses.
func (l *lease) custom(info httptrace.GotConnInfo, peer netip.AddrPort, known bool) {
	if !info.Reused {
		if err := l.g.countDial(); err != nil {
			l.stray(err, info.Conn)
			return
		}
	}
	if known && !l.g.cfg.Tunnel && !l.g.permittedPeer(l.where.host, peer) {
		l.stray(errPeer, info.Conn)
	}
}

// stray ends an exchange before anything is sent on a connection that must not
// be used.
func (l *lease) stray(err error, c net.Conn) {
	l.mu.Lock()
	l.strayed = err
	l.mu.Unlock()
	c.Close() //nolint:errcheck // it must not be used
	l.canceled(err)
}

// permit remembers the addresses that a host was allowed in this run, so that
// a pooled connection of a custom Transport can be recognised.
func (g *Guard) permit(h canonHost, addrs []netip.AddrPort) {
	if g.cfg.Transport == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, ap := range addrs {
		if g.reached[ap] == nil {
			g.reached[ap] = map[string]bool{}
		}
		g.reached[ap][h.text()] = true
	}
}

func (g *Guard) permittedPeer(h canonHost, peer netip.AddrPort) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reached[peer][h.text()]
}

func (l *lease) connection() *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.got
}

// end gives back what the exchange holds. A connection that net/http did not
// take back, or is still shaking hands on, is closed here and now: it would
// close it itself, but a moment later, and the next call may need the slot.
func (l *lease) end(whole bool) {
	l.stop()
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.dials.Wait() // they have just been interrupted
	l.mu.Lock()
	c, keep, spare, dialed := l.got, l.http2 || whole && l.idle, l.slot, l.dialed
	l.got, l.slot, l.dialed = nil, nil, nil
	cancel := l.canceled
	l.mu.Unlock()
	if c != nil {
		c.busy.Add(-1)
		if !keep {
			c.Close() //nolint:errcheck // nothing more is expected of it
		}
	}
	if dialed != nil && !dialed.used.Load() {
		dialed.Close() //nolint:errcheck // nobody got it
	}
	spare.free()
	if cancel != nil {
		cancel(nil)
	}
}

// explain turns an error of the transport into what happened and when.
func (l *lease) explain(began time.Time, err error) error {
	l.mu.Lock()
	phase, c, strayed := l.phase, l.got, l.strayed
	l.mu.Unlock()
	var over *limits.ExceededError
	switch {
	case strayed != nil:
		return failed("connect", began, strayed)
	case errors.As(err, &over):
		return over
	case c != nil && c.overread.Load():
		return errWire(l.g)
	case headersTooLarge(err):
		return &limits.ExceededError{Resource: "response header", Limit: maxResponseHeader, Used: maxResponseHeader + 1}
	case l.ctx.Err() != nil:
		err = errors.Join(context.Cause(l.ctx), err)
	}
	return failed(phase, began, err)
}

// headersTooLarge knows the two texts of net/http, which has no error for it.
func headersTooLarge(err error) bool {
	text := err.Error()
	return strings.Contains(text, "response headers exceeded") || strings.Contains(text, "response header list larger")
}
