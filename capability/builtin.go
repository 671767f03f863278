package capability

import "context"

// Core lists the functions that every host offers: get_config, log,
// submit_result and last_error. A plugin needs no Grant for the first three,
// only its manifest; last_error needs neither.
func Core() []Func {
	return named(getConfig(), logLine(), submitResult(), lastError())
}

// HTTP lists http_request.
func HTTP() []Func { return named(httpRequest()) }

// TCP lists tcp_connect, tcp_read, tcp_write and tcp_close.
func TCP() []Func { return named(tcpConnect(), tcpRead(), tcpWrite(), tcpClose()) }

// UDP lists udp_sendto.
func UDP() []Func { return named(udpSendTo()) }

// Network lists the functions of HTTP, TCP and UDP.
func Network() []Func {
	return append(append(HTTP(), TCP()...), UDP()...)
}

// named makes each function name itself in a Call that a test wrote without a
// name, so that last_error tells there what it tells in a run.
func named(fs ...Func) []Func {
	for i, f := range fs {
		fs[i].Handle = func(ctx context.Context, c *Call) Code {
			if c.Func == "" {
				c.Func = f.Name
			}
			return f.Handle(ctx, c)
		}
	}
	return fs
}
