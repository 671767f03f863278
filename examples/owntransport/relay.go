package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"
)

// relay is a SOCKS5 server (RFC 1928) on the loopback interface, the part of it
// that a relay needs: CONNECT without authentication. It stands for the one
// that a site already has, and reaches what its routes say.
type relay struct {
	listener net.Listener
	routes   map[string]string // destination to where it really is
	work     sync.WaitGroup

	mu     sync.Mutex
	asked  []string
	conns  map[net.Conn]bool
	closed bool
}

func startRelay(routes map[string]string) (*relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{listener: l, routes: routes, conns: map[net.Conn]bool{}}
	r.work.Go(r.accept)
	return r, nil
}

// Addr is where clients find it.
func (r *relay) Addr() string { return r.listener.Addr().String() }

// Asked lists every destination that clients named, the refused ones included.
func (r *relay) Asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked)
}

// Close ends all connections and waits until nobody is at work.
func (r *relay) Close() error {
	err := r.listener.Close()
	r.mu.Lock()
	r.closed = true
	for c := range r.conns {
		_ = c.Close() // whoever serves it notices
	}
	r.mu.Unlock()
	r.work.Wait()
	return err
}

func (r *relay) accept() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		if r.adopt(c) {
			r.work.Go(func() { defer r.drop(c); r.serve(c) })
		}
	}
}

// adopt makes Close close c. After Close it is too late for that.
func (r *relay) adopt(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		_ = c.Close() // nobody uses it
		return false
	}
	r.conns[c] = true
	return true
}

func (r *relay) drop(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = c.Close() // whatever it says, it is done with
	delete(r.conns, c)
}

// Replies of the protocol.
const (
	succeeded        = 0
	hostUnreachable  = 4
	unknownCommand   = 7
	unknownAddress   = 8
	noneAcceptable   = 0xff
	version          = 5
	connect          = 1
	ipv4, name, ipv6 = 1, 3, 4
)

func (r *relay) serve(client net.Conn) {
	_ = client.SetDeadline(time.Now().Add(5 * time.Second)) // fails only on a closed connection
	if err := greet(client); err != nil {
		return
	}
	to, code, err := destination(client)
	if err != nil {
		return
	}
	r.mu.Lock()
	r.asked = append(r.asked, to)
	r.mu.Unlock()
	var server net.Conn
	if code == succeeded {
		if server, err = r.reach(to); err != nil {
			code = hostUnreachable
		}
	}
	// The address that a reply carries is of no use to clients of CONNECT.
	if _, err := client.Write([]byte{version, code, 0, ipv4, 0, 0, 0, 0, 0, 0}); err != nil || code != succeeded {
		return
	}
	if !r.adopt(server) {
		return
	}
	defer r.drop(server)
	_ = client.SetDeadline(time.Time{})
	shuttle(client, server)
}

func (r *relay) reach(to string) (net.Conn, error) {
	where, ok := r.routes[to]
	if !ok {
		return nil, fmt.Errorf("no route to %s", to)
	}
	return net.Dial("tcp", where)
}

// greet settles on no authentication.
func greet(c net.Conn) error {
	head := make([]byte, 2)
	if _, err := io.ReadFull(c, head); err != nil {
		return err
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(c, methods); err != nil {
		return err
	}
	chosen := byte(noneAcceptable)
	if head[0] == version && slices.Contains(methods, 0) {
		chosen = 0
	}
	if _, err := c.Write([]byte{version, chosen}); err != nil {
		return err
	}
	if chosen != 0 {
		return errors.New("no way to authenticate")
	}
	return nil
}

// destination reads a request and says what to answer where it cannot be met.
func destination(c net.Conn) (to string, code byte, err error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(c, head); err != nil {
		return "", 0, err
	}
	if head[0] != version {
		return "", 0, fmt.Errorf("version %d", head[0])
	}
	var host []byte
	switch head[3] {
	case ipv4:
		host = make([]byte, 4)
	case ipv6:
		host = make([]byte, 16)
	case name:
		n := make([]byte, 1)
		if _, err := io.ReadFull(c, n); err != nil {
			return "", 0, err
		}
		host = make([]byte, n[0])
	default:
		return "an unknown kind of address", unknownAddress, nil
	}
	port := make([]byte, 2)
	if _, err := io.ReadFull(c, host); err != nil {
		return "", 0, err
	}
	if _, err := io.ReadFull(c, port); err != nil {
		return "", 0, err
	}
	text := string(host)
	if a, ok := netip.AddrFromSlice(host); ok && head[3] != name {
		text = a.String()
	}
	if head[1] != connect {
		code = unknownCommand
	}
	return net.JoinHostPort(text, strconv.Itoa(int(binary.BigEndian.Uint16(port)))), code, nil
}

// shuttle copies both ways until one side ends.
func shuttle(a, b net.Conn) {
	var done sync.WaitGroup
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		done.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // either end may go away at any time
			a.Close()
			b.Close()
		})
	}
	done.Wait()
}
