package netproxytest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
)

// Errors as the system gives them.
var (
	errRefused = error(syscall.ECONNREFUSED)
	errReset   = error(syscall.ECONNRESET)
)

// LookupNetIP answers from the declarations.
func (n *Network) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	name := canonical(host)
	n.mu.Lock()
	n.lookups = append(n.lookups, name)
	err, broken := n.broken[name]
	var answer []netip.Addr
	known := true
	if seq := n.sequences[name]; len(seq) > 0 {
		answer = seq[0]
		if len(seq) > 1 {
			n.sequences[name] = seq[1:]
			n.remember(name, answer)
		}
	} else if !broken {
		answer, known = n.addrsOf(name)
	}
	if !known {
		n.undeclared = append(n.undeclared, name)
	}
	n.mu.Unlock()
	switch {
	case broken && err == nil:
		<-ctx.Done()
		return nil, ctx.Err()
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case broken:
		return nil, err
	case !known:
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return append([]netip.Addr(nil), answer...), nil
}

// remember keeps the addresses of an answer that is used up: connections to
// them must still find the host. The caller holds mu.
func (n *Network) remember(name string, answer []netip.Addr) {
	if n.DNS == nil {
		n.DNS = map[string][]netip.Addr{}
	}
	n.DNS[name] = append(append([]netip.Addr(nil), n.DNS[name]...), answer...)
}

// DialContext connects to a declared server. address must be a literal.
func (n *Network) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	n.mu.Lock()
	n.dials = append(n.dials, network+" "+address)
	if err != nil || to.Addr().Zone() != "" || network != "tcp" && network != "udp" {
		n.mu.Unlock()
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("netproxytest: " + address + " is not a literal address and port")}
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	serve, b := n.find(network, to)
	closed := n.closed
	if serve == nil && b == 0 {
		n.undeclared = append(n.undeclared, network+" "+to.String())
	}
	n.mu.Unlock()
	if b == blackhole {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(to), Err: ctx.Err()}
	}
	if err := ctx.Err(); err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(to), Err: err}
	}
	if serve == nil || closed {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(to), Err: errRefused}
	}
	return n.connect(network, to, serve), nil
}

func (n *Network) connect(network string, to netip.AddrPort, serve func(net.Conn)) net.Conn {
	from := netip.AddrPortFrom(netip.MustParseAddr("198.18.0.1"), 40000)
	client, server := newPair(net.TCPAddrFromAddrPort(from), net.TCPAddrFromAddrPort(to))
	if network == "udp" {
		client.local, client.remote = net.UDPAddrFromAddrPort(from), net.UDPAddrFromAddrPort(to)
	}
	n.mu.Lock()
	if n.open == nil {
		n.open = map[*conn]bool{}
	}
	n.open[client] = true
	n.mu.Unlock()
	client.closed = func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.open, client)
	}
	if network == "udp" {
		return &packetConn{conn: client, n: n, to: to, take: serve}
	}
	n.served.Go(func() {
		defer server.Close()
		serve(server)
	})
	return client
}

// packetConn delivers each Write as a datagram.
type packetConn struct {
	*conn
	n    *Network
	to   netip.AddrPort
	take func(net.Conn)
}

func (c *packetConn) Write(p []byte) (int, error) {
	payload := append([]byte{}, p...)
	c.n.mu.Lock()
	c.n.datagrams = append(c.n.datagrams, Datagram{To: c.to, Payload: payload})
	c.n.mu.Unlock()
	c.take(&datagram{conn: c.conn, payload: payload})
	return len(p), nil
}

// datagram passes a payload through the type of a server.
type datagram struct {
	*conn
	payload []byte
}

// find is what serves to, or how it behaves. The caller holds mu.
func (n *Network) find(network string, to netip.AddrPort) (serve func(net.Conn), b behaviour) {
	at := func(where string) bool {
		host, port, ok := splitHostPort(where)
		return ok && port == to.Port() && n.serves(host, to.Addr())
	}
	for where, b := range n.behaviours {
		if at(where) {
			return nil, b
		}
	}
	if network == "udp" {
		for where, take := range n.UDP {
			if at(where) {
				return n.taker(take), 0
			}
		}
		if take, ok := n.UDP["*"]; ok {
			return n.taker(take), 0
		}
		return nil, 0
	}
	for where, serve := range n.TCP {
		if at(where) {
			return serve, 0
		}
	}
	if serve := n.TCP["*"]; serve != nil {
		return serve, 0
	}
	hosts := map[string]http.Handler{}
	plain, secure := false, false
	for where, h := range n.HTTP {
		for _, e := range parseWhere(where) {
			if e.port == to.Port() && n.serves(e.host, to.Addr()) {
				hosts[e.host] = h
				plain, secure = plain || !e.secure, secure || e.secure
			}
		}
	}
	if h, ok := n.HTTP["*"]; ok && len(hosts) == 0 {
		hosts["*"], plain, secure = h, true, true
	}
	if len(hosts) == 0 {
		return nil, 0
	}
	return func(c net.Conn) { n.serveHTTP(c, to, hosts, plain, secure) }, 0
}

// taker hands datagrams to what takes them.
func (n *Network) taker(take func([]byte)) func(net.Conn) {
	return func(c net.Conn) {
		if d, ok := c.(*datagram); ok && take != nil {
			take(d.payload)
		}
	}
}

// serveHTTP serves one connection, with TLS if that is declared and, where
// both are, if the client begins it.
func (n *Network) serveHTTP(c net.Conn, to netip.AddrPort, hosts map[string]http.Handler, plain, secure bool) {
	l := &single{done: make(chan struct{})}
	if end, ok := c.(*conn); ok {
		end.closed = l.finish // also after a handler has hijacked it
	}
	if secure && plain {
		r := bufio.NewReader(c)
		first, err := r.Peek(1)
		if err != nil {
			return
		}
		secure = first[0] == 0x16 // a TLS handshake record
		c = &peeked{Conn: c, r: r}
	}
	if secure {
		c = tls.Server(c, &tls.Config{
			GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return n.certificateFor(h.ServerName, to) },
			ClientAuth:     tls.RequestClientCert,
			NextProtos:     []string{"h2", "http/1.1"},
		})
	}
	l.conn = c
	s := &http.Server{Handler: byHost(hosts), ErrorLog: log.New(io.Discard, "", 0)}
	s.Serve(l) //nolint:errcheck // ends with the connection
}

// byHost picks the server by Host, or the only one.
func byHost(hosts map[string]http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if h, ok := hosts[canonical(host)]; ok {
			h.ServeHTTP(w, r)
			return
		}
		if len(hosts) == 1 {
			for _, h := range hosts {
				h.ServeHTTP(w, r)
			}
			return
		}
		http.Error(w, "no such virtual host", http.StatusMisdirectedRequest)
	})
}

type peeked struct {
	net.Conn
	r *bufio.Reader
}

func (p *peeked) Read(b []byte) (int, error) { return p.r.Read(b) }

// single is a listener of one connection.
type single struct {
	conn     net.Conn
	accepted bool
	once     sync.Once
	done     chan struct{}
}

func (l *single) Accept() (net.Conn, error) {
	if !l.accepted {
		l.accepted = true
		return l.conn, nil
	}
	<-l.done
	return nil, net.ErrClosed
}

func (l *single) finish()        { l.once.Do(func() { close(l.done) }) }
func (l *single) Close() error   { return nil }
func (l *single) Addr() net.Addr { return l.conn.LocalAddr() }

// Echo sends back what it reads until the client ends, then closes: for
// HandleTCP.
func Echo(c net.Conn) { io.Copy(c, c) } //nolint:errcheck // the client decides when it ends

// Silence reads and never answers: for HandleTCP.
func Silence(c net.Conn) { io.Copy(io.Discard, c) } //nolint:errcheck // as above
