// Package netproxytest is a network in memory for tests of whatever goes
// through a netproxy.Guard, and suites for the seams of one.
//
// A Network resolves, accepts TCP and HTTP(S), and takes datagrams, all without
// a socket. The zero value is an empty network; declare what exists and hand
// its Config to netproxy.New:
//
//	var n netproxytest.Network
//	n.HandleHTTP("https://api.example.com", handler)
//	defer n.Close()
//	guard, err := netproxy.New(rules, n.Config())
//
// What is not declared fails as it would out there, with "no such host" or
// "connection refused", and is listed by Undeclared.
package netproxytest

import (
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sandcheck/sandcheck/netproxy"
)

// A Network is a small internet in memory. It is a netproxy.Dialer and a
// netproxy.Resolver. The zero value has no hosts. Fields may be set in a
// literal before first use; the methods add to the same declarations and are
// safe for concurrent use.
//
// Hosts are names or addresses. A name that has a handler but no entry in DNS
// gets an address of its own in 45.0.0.0/8, which no rule treats specially, so
// that granting the name is enough.
type Network struct {
	// DNS maps a name to its addresses. "*" stands for every other name. A
	// name with an empty list exists and has no address.
	DNS map[string][]netip.Addr
	// HTTP maps "https://api.example.com", "http://api.example.com:8080", or a
	// bare host for both schemes on their own ports, to what serves it.
	// Servers of several names at one address are told apart by Host. "*", here
	// and below, is every address and port that nothing else serves.
	HTTP map[string]http.Handler
	// TCP maps "host:port" to what serves one connection, which is closed when
	// the function returns.
	TCP map[string]func(net.Conn)
	// UDP maps "host:port" to what takes each datagram. The function may be
	// nil: datagrams are recorded either way.
	UDP map[string]func(payload []byte)

	mu         sync.Mutex
	auto       map[string]netip.Addr
	sequences  map[string][][]netip.Addr
	broken     map[string]error // nil error: never answers
	behaviours map[string]behaviour
	selfSigned map[string]bool
	authority  *authority
	dials      []string
	lookups    []string
	undeclared []string
	datagrams  []Datagram
	open       map[*conn]bool
	served     sync.WaitGroup
	closed     bool
}

// A Datagram is one packet that was sent.
type Datagram struct {
	// To is the address it was sent to.
	To netip.AddrPort
	// Payload is a copy of its bytes.
	Payload []byte
}

type behaviour uint8

const (
	refuse behaviour = iota + 1
	blackhole
)

// Config returns settings under which a Guard uses this network only: its
// Dialer, its Resolver and its CA. Set further fields as needed.
func (n *Network) Config() netproxy.Config {
	return netproxy.Config{Dialer: n, Resolver: n, RootCAs: n.RootCAs()}
}

// AddHost declares a name and returns its address.
func (n *Network) AddHost(name string) netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.autoAddr(canonical(name))
}

// AddDNS sets the addresses of a name; "*" is every other name. Without
// addresses the name exists and has none. It panics on text that is not an
// address.
func (n *Network) AddDNS(name string, addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.DNS == nil {
		n.DNS = map[string][]netip.Addr{}
	}
	n.DNS[canonical(name)] = parseAddrs(addrs)
}

// SequenceDNS makes successive lookups of a name answer successive lists; the
// last one repeats.
func (n *Network) SequenceDNS(name string, answers ...[]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sequences == nil {
		n.sequences = map[string][][]netip.Addr{}
	}
	var lists [][]netip.Addr
	for _, a := range answers {
		lists = append(lists, parseAddrs(a))
	}
	n.sequences[canonical(name)] = lists
}

// FailDNS makes lookups of a name fail with err. With nil they never answer and
// end with their context.
func (n *Network) FailDNS(name string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.broken == nil {
		n.broken = map[string]error{}
	}
	n.broken[canonical(name)] = err
}

// HandleHTTP serves a host by h: see Network.HTTP for the forms of where. The
// server is net/http's own, so hijacking, trailers and slow bodies work.
func (n *Network) HandleHTTP(where string, h http.Handler) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.HTTP == nil {
		n.HTTP = map[string]http.Handler{}
	}
	n.HTTP[where] = h
}

// HandleTCP serves each connection to where, "host:port", by serve.
func (n *Network) HandleTCP(where string, serve func(net.Conn)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.TCP == nil {
		n.TCP = map[string]func(net.Conn){}
	}
	n.TCP[where] = serve
}

// HandleUDP takes datagrams sent to where, "host:port". take may be nil.
func (n *Network) HandleUDP(where string, take func(payload []byte)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.UDP == nil {
		n.UDP = map[string]func([]byte){}
	}
	n.UDP[where] = take
}

// Refuse makes connections to where, "host:port", fail as refused. Unlike an
// undeclared destination it is not listed by Undeclared.
func (n *Network) Refuse(where string) { n.behave(where, refuse) }

// Blackhole makes connections to where, "host:port", hang until their context
// ends.
func (n *Network) Blackhole(where string) { n.behave(where, blackhole) }

// Silent accepts connections to where, "host:port", reads what comes and never
// answers.
func (n *Network) Silent(where string) { n.HandleTCP(where, Silence) }

// SelfSigned makes the TLS servers of a host, a name or an address, present a
// certificate that the CA did not sign.
func (n *Network) SelfSigned(host string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.selfSigned == nil {
		n.selfSigned = map[string]bool{}
	}
	n.selfSigned[canonical(host)] = true
}

func (n *Network) behave(where string, b behaviour) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.behaviours == nil {
		n.behaviours = map[string]behaviour{}
	}
	n.behaviours[where] = b
}

// RootCAs is the CA that signs the certificates of this network.
func (n *Network) RootCAs() *x509.CertPool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ca().pool
}

// Dials lists every dial so far, as "tcp 45.1.2.3:443".
func (n *Network) Dials() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.dials)
}

// Lookups lists every name looked up so far, without final dots.
func (n *Network) Lookups() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.lookups)
}

// Undeclared lists the names and addresses that were asked for and not
// declared: "name" or "tcp 45.1.2.3:443".
func (n *Network) Undeclared() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.undeclared)
}

// Datagrams lists every datagram that was sent.
func (n *Network) Datagrams() []Datagram {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.datagrams)
}

// Open is the number of connections that clients have not closed.
func (n *Network) Open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.open)
}

// Close cuts all connections and waits for their servers, for at most a second
// where one does not notice. Later dials are refused.
func (n *Network) Close() error {
	n.mu.Lock()
	n.closed = true
	var open []*conn
	for c := range n.open {
		open = append(open, c)
	}
	n.mu.Unlock()
	for _, c := range open {
		c.cut()
	}
	done := make(chan struct{})
	go func() {
		n.served.Wait()
		close(done)
	}()
	patience := time.NewTimer(time.Second)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
	}
	return nil
}
