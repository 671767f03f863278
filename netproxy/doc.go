// Package netproxy is the only door to the network for code that is not
// trusted.
package netproxy
