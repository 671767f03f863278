package capability_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

// peers is a network with one host per behaviour.
func peers() *netproxytest.Network {
	var n netproxytest.Network
	n.HandleTCP("echo.test:7", netproxytest.Echo)
	n.HandleTCP("closed.test:7", func(net.Conn) {})
	n.HandleTCP("late.test:7", func(c net.Conn) {
		// Answers only once it was asked, so that a read before times out.
		if _, err := io.ReadFull(c, make([]byte, 1)); err == nil {
			io.WriteString(c, "late") //nolint:errcheck // the client tells
			io.Copy(io.Discard, c)    //nolint:errcheck // until the client ends
		}
	})
	n.HandleTCP("deaf.test:7", func(c net.Conn) { time.Sleep(3 * time.Second) })
	n.Silent("silent.test:7")
	n.Refuse("refused.test:7")
	n.Blackhole("drops.test:7")
	n.AddDNS("nowhere.test")
	n.HandleUDP("sink.test:9", nil)
	return &n
}

// open connects to a peer and fails t if that does not work.
func open(t *testing.T, s *capability.Session, host string) int {
	t.Helper()
	h := invoke(t, t.Context(), s, "tcp_connect", host, 7, 0)
	if h <= 0 {
		t.Fatalf("tcp_connect %s = %d (%s)", host, h, lastErrorOf(t, s))
	}
	return int(h)
}

func TestTCPConnect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, host string
		port       int
		timeout    int
		want       capability.Code
		told       string
	}{
		{"a handle", "echo.test", 7, 0, 1, ""},
		{"outer white space", " \techo.test\n", 7, 0, 1, ""},
		{"empty host", "", 7, 0, capability.Invalid, "invalid: tcp_connect: "},
		{"blank host", "  ", 7, 0, capability.Invalid, "invalid: tcp_connect: "},
		{"blank inside", "a b", 7, 0, capability.Invalid, "invalid: tcp_connect: "},
		{"zero byte", "echo.test\x00", 7, 0, capability.Invalid, "invalid: tcp_connect: "},
		{"host with a port", "echo.test:7", 7, 0, capability.Invalid, "invalid: tcp_connect: "},
		{"host of a megabyte", strings.Repeat("a", 1<<20), 7, 0, capability.Invalid, "invalid: tcp_connect: "},
		{"port 0", "echo.test", 0, 0, capability.Invalid, "invalid: tcp_connect: "},
		{"port 65536", "echo.test", 65536, 0, capability.Invalid, "invalid: tcp_connect: "},
		{"port 65536 + 7 does not wrap", "echo.test", 65543, 0, capability.Invalid, "invalid: tcp_connect: "},
		{"largest port", "echo.test", -1, 0, capability.Invalid, "invalid: tcp_connect: "},
		{"name not granted", "other.example.org", 7, 0, capability.Denied, "denied: tcp_connect"},
		{"port not granted", "echo.test", 8, 0, capability.Denied, "denied: tcp_connect"},
		{"address not granted", "127.0.0.1", 7, 0, capability.Denied, "denied: tcp_connect"},
		{"refused", "refused.test", 7, 0, capability.Internal, "internal: tcp_connect: connect: refused"},
		{"no address", "nowhere.test", 7, 0, capability.Internal, "internal: tcp_connect: "},
		{"dropped", "drops.test", 7, 50, capability.Timeout, "timeout: tcp_connect: connect"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := guarded(t, peers(), netproxy.Rules{Domains: []netproxy.Domain{"*.test"}, Ports: netproxy.Ports(7)})
			if got := invoke(t, t.Context(), s, "tcp_connect", tt.host, tt.port, tt.timeout); got != tt.want {
				t.Errorf("tcp_connect(%.40q, %d) = %d (%s), want %d", tt.host, tt.port, got, lastErrorOf(t, s), tt.want)
			}
			if told := lastErrorOf(t, s); !strings.HasPrefix(told, tt.told) || tt.want == capability.Denied && told != tt.told {
				t.Errorf("last_error = %q, want %q", told, tt.told)
			}
		})
	}
}

func TestTCPConnectHoldsTheLimitBeforeItDials(t *testing.T) {
	t.Parallel()
	n := peers()
	l := limits.Limits{Connections: 1}
	s := guarded(t, n, anywhere(), func(c *netproxy.Config) { c.Limits = l })
	s.Limits = l
	h := open(t, s, "echo.test")
	for range 9 {
		if got := invoke(t, t.Context(), s, "tcp_connect", "echo.test", 7, 0); got != capability.TooLarge {
			t.Fatalf("over the limit: %d, want -3", got)
		}
	}
	if d := n.Dials(); len(d) != 1 {
		t.Errorf("W33: %d dials: %v", len(d), d)
	}
	if got := invoke(t, t.Context(), s, "tcp_close", h); got != 0 {
		t.Errorf("tcp_close = %d", got)
	}
	if next := open(t, s, "echo.test"); next != 2 {
		t.Errorf("handle %d, want 2", next)
	}
}

func TestTCPEcho(t *testing.T) {
	t.Parallel()
	s := guarded(t, peers(), anywhere())
	h := open(t, s, "echo.test")
	text := strings.Repeat("0123456789", 1000)
	if got := invoke(t, t.Context(), s, "tcp_write", h, text, 0); int(got) != len(text) {
		t.Fatalf("tcp_write = %d, want %d", got, len(text))
	}
	var back []byte
	for len(back) < len(text) {
		buf := make([]byte, 777)
		n := invoke(t, t.Context(), s, "tcp_read", h, buf, 1000)
		if n <= 0 {
			t.Fatalf("after %d bytes: %d (%s)", len(back), n, lastErrorOf(t, s))
		}
		back = append(back, buf[:n]...)
	}
	if string(back) != text {
		t.Error("the bytes came back in another order")
	}
}

func TestTCPHandles(t *testing.T) {
	t.Parallel()
	s := guarded(t, peers(), anywhere())
	foreign, err := s.Open(func() (io.Closer, error) { return io.NopCloser(nil), nil })
	if err != nil {
		t.Fatal(err)
	}
	h := open(t, s, "echo.test")
	buf := make([]byte, 8)
	for name, handle := range map[string]int{"zero": 0, "unknown": 99, "largest": -1, "another kind": int(foreign)} {
		for call, got := range map[string]capability.Code{
			"tcp_read":                    invoke(t, t.Context(), s, "tcp_read", handle, buf, 0),
			"tcp_read without a buffer":   invoke(t, t.Context(), s, "tcp_read", handle, []byte{}, 0),
			"tcp_write":                   invoke(t, t.Context(), s, "tcp_write", handle, "x", 0),
			"tcp_write of nothing at all": invoke(t, t.Context(), s, "tcp_write", handle, "", 0),
			"tcp_close":                   invoke(t, t.Context(), s, "tcp_close", handle),
		} {
			if got != capability.BadHandle {
				t.Errorf("%s of handle %s = %d, want -7", call, name, got)
			}
		}
	}
	if got := invoke(t, t.Context(), s, "tcp_read", h, []byte{}, 0); got != capability.Invalid {
		t.Errorf("tcp_read without a buffer = %d, want -1", got)
	}
	if got := invoke(t, t.Context(), s, "tcp_write", h, "", 0); got != 0 {
		t.Errorf("tcp_write of nothing = %d, want 0", got)
	}
	for i, want := range []capability.Code{0, capability.BadHandle} {
		if got := invoke(t, t.Context(), s, "tcp_close", h); got != want {
			t.Errorf("close %d = %d, want %d", i+1, got, want)
		}
	}
	if err := s.CloseHandle(foreign); err != nil {
		t.Errorf("tcp_close closed a handle of another kind: %v", err)
	}
}

func TestTCPReadEndsInTime(t *testing.T) {
	t.Parallel()
	s := guarded(t, peers(), anywhere())
	h := open(t, s, "late.test")
	buf := make([]byte, 8)
	if got := invoke(t, t.Context(), s, "tcp_read", h, buf, 30); got != capability.Timeout {
		t.Fatalf("tcp_read = %d (%s), want -6", got, lastErrorOf(t, s))
	}
	if got := invoke(t, t.Context(), s, "tcp_write", h, "?", 0); got != 1 {
		t.Fatalf("tcp_write after a timeout = %d (%s)", got, lastErrorOf(t, s))
	}
	if n := invoke(t, t.Context(), s, "tcp_read", h, buf, 0); n <= 0 || string(buf[:n]) != "late"[:n] {
		t.Errorf("tcp_read after a timeout = %d %q", n, buf)
	}
	run, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if got := invoke(t, run, s, "tcp_read", open(t, s, "silent.test"), buf, -1); got != capability.Timeout || time.Since(start) > 5*time.Second {
		t.Errorf("W3: tcp_read for 49 days = %d after %v", got, time.Since(start))
	}
}

func TestTCPPeers(t *testing.T) {
	t.Parallel()
	s := guarded(t, peers(), anywhere())
	for range 3 { // the end of a stream stays the end
		if got := invoke(t, t.Context(), s, "tcp_read", open(t, s, "closed.test"), make([]byte, 8), 0); got != 0 {
			t.Errorf("tcp_read of a closed peer = %d (%s), want 0", got, lastErrorOf(t, s))
		}
	}
	deaf := open(t, s, "deaf.test")
	if got := invoke(t, t.Context(), s, "tcp_write", deaf, strings.Repeat("x", 8<<20), 50); got != capability.Timeout {
		t.Errorf("tcp_write to a deaf peer = %d (%s), want -6", got, lastErrorOf(t, s))
	}
}

func TestTCPEndsWithACancelledRun(t *testing.T) {
	t.Parallel()
	s := guarded(t, peers(), anywhere())
	silent, deaf := open(t, s, "silent.test"), open(t, s, "deaf.test")
	for name, call := range map[string]func(context.Context) capability.Code{
		"tcp_connect": func(ctx context.Context) capability.Code {
			return invoke(t, ctx, s, "tcp_connect", "drops.test", 7, 0)
		},
		"tcp_read": func(ctx context.Context) capability.Code {
			return invoke(t, ctx, s, "tcp_read", silent, make([]byte, 8), 0)
		},
		"tcp_write": func(ctx context.Context) capability.Code {
			return invoke(t, ctx, s, "tcp_write", deaf, strings.Repeat("x", 8<<20), 0)
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		start := time.Now()
		if got := call(ctx); got >= 0 || time.Since(start) > 5*time.Second {
			t.Errorf("%s = %d after %v", name, got, time.Since(start))
		}
	}
}

func TestTCPAfterTheRun(t *testing.T) {
	t.Parallel()
	n := peers()
	s := guarded(t, n, anywhere())
	h := open(t, s, "echo.test")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := invoke(t, t.Context(), s, "tcp_read", h, make([]byte, 8), 0); got != capability.BadHandle {
		t.Errorf("tcp_read after the end = %d, want -7", got)
	}
	if got := invoke(t, t.Context(), s, "tcp_connect", "echo.test", 7, 0); got != capability.Internal {
		t.Errorf("tcp_connect after the end = %d, want -5", got)
	}
}

func TestWithoutANetwork(t *testing.T) {
	t.Parallel()
	s := &capability.Session{}
	if got := invoke(t, t.Context(), s, "tcp_connect", "echo.test", 7, 0); got != capability.Denied {
		t.Errorf("tcp_connect = %d, want -2", got)
	}
	if got := invoke(t, t.Context(), s, "udp_sendto", "sink.test", 9, "x", 0); got != capability.Denied {
		t.Errorf("udp_sendto = %d, want -2", got)
	}
}

func TestUDPSendTo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, host string
		port       int
		payload    string
		want       capability.Code
		sent       bool
	}{
		{"a datagram", "sink.test", 9, "hello", 5, true},
		{"an empty one", "sink.test", 9, "", 0, true},
		{"one byte below the cap", "sink.test", 9, strings.Repeat("x", 1199), 1199, true},
		{"at the cap", "sink.test", 9, strings.Repeat("x", 1200), 1200, true},
		{"one byte above", "sink.test", 9, strings.Repeat("x", 1201), capability.TooLarge, false},
		{"above it, to nowhere: size comes first", "", 0, strings.Repeat("x", 1201), capability.TooLarge, false},
		{"port 0", "sink.test", 0, "x", capability.Invalid, false},
		{"port 65536 + 9 does not wrap", "sink.test", 65545, "x", capability.Invalid, false},
		{"empty host", "", 9, "x", capability.Invalid, false},
		{"name not granted", "other.example.org", 9, "x", capability.Denied, false},
		{"port not granted", "sink.test", 10, "x", capability.Denied, false},
		{"no address", "nowhere.test", 9, "x", capability.Internal, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := peers()
			s := guarded(t, n, netproxy.Rules{Domains: []netproxy.Domain{"*.test"}, Ports: netproxy.Ports(9)})
			if got := invoke(t, t.Context(), s, "udp_sendto", tt.host, tt.port, tt.payload, 0); got != tt.want {
				t.Errorf("udp_sendto(%q, %d, %d bytes) = %d (%s), want %d", tt.host, tt.port, len(tt.payload), got, lastErrorOf(t, s), tt.want)
			}
			var sent []string
			for _, d := range n.Datagrams() {
				sent = append(sent, string(d.Payload))
			}
			if (len(sent) == 1) != tt.sent || len(sent) > 0 && sent[0] != tt.payload {
				t.Errorf("%d datagrams arrived", len(sent))
			}
		})
	}
}
