package netproxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/sandcheck/sandcheck/limits"
)

// failure is how an allowed attempt went wrong. Its text is short and safe to
// show to a plugin: a phase, a class and milliseconds, never an address, URL or
// header. The cause is for the operator, by errors.Is and errors.As.
type failure struct {
	phase, class string
	took         time.Duration
	timeout      bool
	cause        error
}

// failed classifies err, which ended a phase that began then. Limits, refusals
// and earlier failures pass as they are.
func failed(phase string, began time.Time, err error) error {
	var f *failure
	var over *limits.ExceededError
	switch {
	case err == nil || errors.Is(err, ErrDenied):
		return err
	case errors.As(err, &f):
		return f
	case errors.As(err, &over):
		return over
	}
	return &failure{phase: phase, class: classify(err), took: time.Since(began), timeout: isTimeout(err), cause: err}
}

// Error is "connect" for a timeout in that phase, "connect: refused, 3 ms" for
// the rest.
func (f *failure) Error() string {
	if f.timeout {
		return f.phase
	}
	return fmt.Sprintf("%s: %s, %d ms", f.phase, f.class, f.took.Milliseconds())
}

func (f *failure) Unwrap() error { return f.cause }

// Timeout and Temporary make it a net.Error.
func (f *failure) Timeout() bool { return f.timeout }

// Temporary is what old callers ask before they retry.
func (f *failure) Temporary() bool { return f.timeout }

// failureClass is the class as a Decision writes it.
func failureClass(err error) string {
	var f *failure
	var over *limits.ExceededError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &f) && f.timeout:
		return "timeout:" + f.phase
	case errors.As(err, &f):
		return f.phase + ":" + f.class
	case errors.As(err, &over):
		return "limit:" + over.Resource
	default:
		return "failed"
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

// classify names what happened in words that give nothing away.
func classify(err error) string {
	var dns *net.DNSError
	switch {
	case isTimeout(err):
		return "timeout"
	case errors.Is(err, errOver) || errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.As(err, &dns) && dns.IsNotFound:
		return "no such host"
	case errors.As(err, &dns):
		return "server failure"
	case errors.Is(err, errPeer):
		return "reached another address"
	case isRefused(err):
		return "refused"
	case isReset(err):
		return "reset"
	case isUnreachable(err):
		return "unreachable"
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "closed by peer"
	case errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe):
		return "closed"
	}
	return classifyTLS(err)
}

func classifyTLS(err error) string {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		verify  *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		alert   tls.AlertError
	)
	switch {
	case errors.As(err, &unknown):
		return "certificate signed by unknown authority"
	case errors.As(err, &name):
		return "certificate for another name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "certificate expired or not yet valid"
	case errors.As(err, &invalid), errors.As(err, &verify):
		return "certificate not valid"
	case errors.As(err, &record):
		return "not TLS"
	case errors.As(err, &alert):
		return "handshake refused"
	default:
		return "failed"
	}
}
