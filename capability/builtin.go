package capability

// Core lists the functions that every host offers: get_config, log,
// submit_result and last_error. A plugin needs no Grant for the first three,
// only its manifest; last_error needs neither.
func Core() []Func {
	return []Func{getConfig(), logLine(), submitResult(), lastError()}
}

// HTTP lists http_request.
func HTTP() []Func { return []Func{httpRequest()} }

// TCP lists tcp_connect, tcp_read, tcp_write and tcp_close.
func TCP() []Func { return []Func{tcpConnect(), tcpRead(), tcpWrite(), tcpClose()} }

// UDP lists udp_sendto.
func UDP() []Func { return []Func{udpSendTo()} }

// Network lists the functions of HTTP, TCP and UDP.
func Network() []Func {
	return append(append(HTTP(), TCP()...), UDP()...)
}
