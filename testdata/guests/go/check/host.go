//go:build wasip1

// Package check is what the Go guests beside it share: the host's functions
// and the documents that cross.
package check

import (
	"encoding/json"
	"fmt"
	"io"
	"unsafe"
)

//go:wasmimport env get_config
func getConfig(buf unsafe.Pointer, size uint32) int32

//go:wasmimport env log
func hostLog(level uint32, text string)

//go:wasmimport env submit_result
func submitResult(doc unsafe.Pointer, size uint32) int32

//go:wasmimport env last_error
func lastError(buf unsafe.Pointer, size uint32) int32

//go:wasmimport env http_request
func httpRequest(req unsafe.Pointer, reqSize uint32, resp unsafe.Pointer, respSize uint32) int32

//go:wasmimport env tcp_connect
func tcpConnect(host string, port, timeoutMS uint32) int32

//go:wasmimport env tcp_read
func tcpRead(handle uint32, buf unsafe.Pointer, size, timeoutMS uint32) int32

//go:wasmimport env tcp_write
func tcpWrite(handle uint32, buf unsafe.Pointer, size, timeoutMS uint32) int32

//go:wasmimport env tcp_close
func tcpClose(handle uint32) int32

//go:wasmimport env udp_sendto
func udpSendto(host string, port uint32, data unsafe.Pointer, size, timeoutMS uint32) int32

const tooLarge = -3

// pointer is the place of b, and 0 for an empty one.
func pointer(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

// Error is a negative answer of a host function.
type Error struct {
	Func   string
	Code   int32
	Reason string
}

func (e *Error) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("%s answered %d", e.Func, e.Code)
	}
	return fmt.Sprintf("%s answered %d: %s", e.Func, e.Code, e.Reason)
}

// fail makes an Error with the host's own reason.
func fail(function string, code int32) error {
	var reason [1024]byte
	n := lastError(unsafe.Pointer(&reason), uint32(len(reason)))
	return &Error{function, code, string(reason[:max(n, 0)])}
}

// Config decodes the config into v; without one v stays as it is. It names
// ever larger buffers, and the next one only when one was too small.
func Config(v any) error {
	for _, size := range []int{16 << 10, 64 << 10, 256 << 10, 2 << 20} {
		buf := make([]byte, size)
		switch n := getConfig(pointer(buf), uint32(size)); {
		case n == tooLarge && size < 2<<20:
			continue
		case n < 0:
			return fail("get_config", n)
		case int(n) > size:
			return fmt.Errorf("get_config answered %d for a buffer of %d bytes", n, size)
		case n == 0:
			return nil
		default:
			return json.Unmarshal(buf[:n], v)
		}
	}
	panic("unreachable")
}

// The levels of Log.
const (
	Debug = iota
	Info
	Warn
	Alert
)

// Log writes a line to the host's log.
func Log(level uint32, text string) { hostLog(level, text) }

// Request is what the host is asked for; zero fields are left out.
type Request struct {
	Method    string            `json:"method,omitempty"`
	URL       string            `json:"url"`
	Headers   map[string]string `json:"headers,omitempty"`
	TimeoutMS int               `json:"timeout_ms,omitempty"`
}

// Response is what it answers. Names of headers are in lower case.
type Response struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body_base64"`
}

// Do sends a request. Its buffer has the size that all SDKs use.
func (r Request) Do() (*Response, error) {
	req, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, 4<<20)
	n := httpRequest(pointer(req), uint32(len(req)), pointer(buf), uint32(len(buf)))
	if n < 0 {
		return nil, fail("http_request", n)
	}
	var resp Response
	if err := json.Unmarshal(buf[:n], &resp); err != nil {
		return nil, fmt.Errorf("http_request answered %.100q: %w", buf[:n], err)
	}
	return &resp, nil
}

// Conn is a TCP connection.
type Conn struct{ handle, timeoutMS uint32 }

// Dial connects. The timeout is also that of each Read and Write.
func Dial(host string, port, timeoutMS uint32) (*Conn, error) {
	handle := tcpConnect(host, port, timeoutMS)
	if handle < 0 {
		return nil, fail("tcp_connect", handle)
	}
	return &Conn{uint32(handle), timeoutMS}, nil
}

func (c *Conn) Read(p []byte) (int, error) {
	n := tcpRead(c.handle, pointer(p), uint32(len(p)), c.timeoutMS)
	switch {
	case n < 0:
		return 0, fail("tcp_read", n)
	case n == 0:
		return 0, io.EOF
	}
	return int(n), nil
}

func (c *Conn) Write(p []byte) (int, error) {
	n := tcpWrite(c.handle, pointer(p), uint32(len(p)), c.timeoutMS)
	if n < 0 {
		return 0, fail("tcp_write", n)
	}
	return int(n), nil
}

// Close gives the connection back to the host.
func (c *Conn) Close() error {
	if n := tcpClose(c.handle); n < 0 {
		return fail("tcp_close", n)
	}
	return nil
}

// SendDatagram sends one datagram and says how many bytes went out.
func SendDatagram(host string, port uint32, data []byte, timeoutMS uint32) (int, error) {
	n := udpSendto(host, port, pointer(data), uint32(len(data)), timeoutMS)
	if n < 0 {
		return 0, fail("udp_sendto", n)
	}
	return int(n), nil
}
