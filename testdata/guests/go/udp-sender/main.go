//go:build wasip1

// Command udp-sender sends one datagram.
package main

import (
	"fmt"

	"guests/check"
)

type config struct {
	Host      string `json:"host"`
	Port      uint32 `json:"port"`
	Payload   string `json:"payload"`
	TimeoutMS uint32 `json:"timeout_ms"`
}

func main() {}

//go:wasmexport run_check
func runCheck() {
	var c config
	if err := check.Config(&c); err != nil {
		check.Fail(err)
		return
	}
	if c.Host == "" || c.Port == 0 {
		check.Result{Status: "UNKNOWN", Summary: "config has no host or port"}.Submit()
		return
	}
	n, err := check.SendDatagram(c.Host, c.Port, []byte(c.Payload), c.TimeoutMS)
	if err != nil {
		check.Fail(err)
		return
	}
	check.Result{
		Status: "OK", Summary: fmt.Sprintf("sent %d bytes", n),
		Metrics: []check.Metric{{Name: "sent", Value: float64(n), Unit: "B", Min: new(float64)}},
	}.Submit()
}
