package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sandcheck/sandcheck/netproxy"
)

// aim is where an attempt would go, and by which capability.
type aim struct {
	capability, scheme, network, host string
	port                              uint16
}

// parseAim reads a URL as plugins write them, or tcp://host:port or
// udp://host:port.
func parseAim(text string) (*aim, error) {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(text), "://")
	if !ok {
		return nil, fmt.Errorf("%s is no destination: it begins with http://, https://, ws://, wss://, tcp:// or udp://", quoted(text))
	}
	switch strings.ToLower(scheme) {
	case "tcp":
		return parseSocket("tcp_connect", "tcp", rest)
	case "udp":
		return parseSocket("udp_sendto", "udp", rest)
	}
	u, err := netproxy.ParseURL(text, "http", "https", "ws", "wss")
	if err != nil {
		return nil, err
	}
	a := &aim{"http_request", u.Scheme, "tcp", u.Hostname(), 80}
	if strings.HasPrefix(u.Scheme, "ws") {
		a.capability = "websocket_connect"
	}
	if u.Scheme == "https" || u.Scheme == "wss" {
		a.port = 443
	}
	if p := u.Port(); p != "" {
		if a.port, err = parsePort(p); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func parseSocket(capability, network, text string) (*aim, error) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return nil, fmt.Errorf("%s has no port: %s://host:port", quoted(text), network)
	}
	port, err := parsePort(text[i+1:])
	if err != nil {
		return nil, err
	}
	return &aim{capability, network, network, text[:i], port}, nil
}

func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || text[0] == '+' {
		return 0, fmt.Errorf("%s is no port between 1 and 65535", quoted(text))
	}
	return uint16(n), nil
}
