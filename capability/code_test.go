package capability_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"testing"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/result"
)

func TestVectorsReturnCodes(t *testing.T) {
	t.Parallel()
	var want map[string]int32
	vectors(t, "return_codes", &want)
	for code := capability.OK; code >= capability.BadHandle; code-- {
		n, ok := want[code.String()]
		if !ok || n != int32(code) {
			t.Errorf("%q = %d, want %d (listed %v)", code.String(), int32(code), n, ok)
		}
		delete(want, code.String())
	}
	for word := range want {
		t.Errorf("code %q is not ours", word)
	}
}

func TestCodeOf(t *testing.T) {
	t.Parallel()
	wrap := func(err error) error { return fmt.Errorf("outer: %w", err) }
	for _, tt := range []struct {
		name string
		err  error
		want capability.Code
	}{
		{"nil", nil, capability.OK},
		{"a code is itself", capability.NotFound, capability.NotFound},
		{"a wrapped code", wrap(capability.Timeout), capability.Timeout},
		{"a bad handle", wrap(capability.ErrBadHandle), capability.BadHandle},
		{"an invalid argument", wrap(capability.ErrInvalid), capability.Invalid},
		{"not a destination", wrap(netproxy.ErrInvalid), capability.Invalid},
		{"an invalid result", errors.Join(&result.Issue{Code: "not_json"}), capability.Invalid},
		{"denied", wrap(netproxy.ErrDenied), capability.Denied},
		{"denied with its decision", &netproxy.DeniedError{}, capability.Denied},
		{"a client's wrapping", &url.Error{Op: "Get", URL: "x", Err: &netproxy.DeniedError{}}, capability.Denied},
		{"a limit", wrap(&limits.ExceededError{Resource: "x"}), capability.TooLarge},
		{"a deadline", wrap(context.DeadlineExceeded), capability.Timeout},
		{"a deadline of a file", wrap(os.ErrDeadlineExceeded), capability.Timeout},
		{"a net.Error that timed out", &net.DNSError{IsTimeout: true}, capability.Timeout},
		{"a net.Error that did not", &net.DNSError{IsNotFound: true}, capability.Internal},
		{"cancelled", context.Canceled, capability.Internal},
		{"anything else", errors.New("boom"), capability.Internal},
		{"refused although late", errors.Join(context.DeadlineExceeded, netproxy.ErrDenied), capability.Denied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := capability.CodeOf(tt.err); got != tt.want {
				t.Errorf("CodeOf(%v) = %d, want %d", tt.err, got, tt.want)
			}
		})
	}
}

func TestCodeString(t *testing.T) {
	t.Parallel()
	for code, want := range map[capability.Code]string{
		0: "ok", -3: "too_large", -7: "bad_handle", 12: "12", -8: "-8", -1 << 31: "-2147483648",
	} {
		if got := code.String(); got != want {
			t.Errorf("Code(%d) = %q, want %q", int32(code), got, want)
		}
		if got := code.Error(); got != want {
			t.Errorf("Code(%d).Error() = %q, want %q", int32(code), got, want)
		}
	}
}
