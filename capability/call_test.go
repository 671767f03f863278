package capability_test

import (
	"context"
	"errors"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
)

func TestReply(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		room int
		want capability.Code
	}{
		{"one byte too few", 4, capability.TooLarge},
		{"exactly as large", 5, 5},
		{"larger", 9, 5},
		{"no room at all", 0, capability.TooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out := []byte(strings.Repeat("-", tt.room))
			c := &capability.Call{Session: &capability.Session{}, Out: out}
			if got := c.Reply([]byte("hello")); got != tt.want {
				t.Errorf("Reply into %d bytes = %d, want %d", tt.room, got, tt.want)
			}
			want := strings.Repeat("-", tt.room)
			if tt.want > 0 {
				want = "hello" + want[5:]
			}
			if string(out) != want {
				t.Errorf("buffer is %q, want %q", out, want)
			}
			if failed := c.Err() != nil; failed != (tt.want < 0) {
				t.Errorf("Err() = %v", c.Err())
			}
		})
	}
}

func TestReplyJSONDoesNotEscapeHTML(t *testing.T) {
	t.Parallel()
	c := &capability.Call{Session: &capability.Session{}, Out: make([]byte, 64)}
	n := c.ReplyJSON(map[string]string{"a": "<&>"})
	if got, want := string(c.Out[:max(n, 0)]), `{"a":"<&>"}`; got != want {
		t.Errorf("ReplyJSON wrote %q, want %q", got, want)
	}
	if got := c.ReplyJSON(math.NaN()); got != capability.Internal {
		t.Errorf("a value that has no JSON answered %d", got)
	}
}

func TestFail(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error
		want capability.Code
	}{
		{"an error", capability.ErrBadHandle, capability.BadHandle},
		{"nil is the handler's mistake", nil, capability.Internal},
		{"so is a code of success", capability.Code(3), capability.Internal},
		{"and zero", capability.OK, capability.Internal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &capability.Call{}
			if got := c.Fail(tt.err); got != tt.want {
				t.Errorf("Fail(%v) = %d, want %d", tt.err, got, tt.want)
			}
			if c.Err() == nil {
				t.Error("the reason is lost")
			}
		})
	}
}

func TestDeadlineOnlyShortens(t *testing.T) {
	t.Parallel()
	const run = time.Minute
	for _, tt := range []struct {
		name string
		ms   uint32
		want time.Duration
	}{
		{"zero names no time", 0, run},
		{"one millisecond", 1, time.Millisecond},
		{"just below the run", 59_999, 59_999 * time.Millisecond},
		{"beyond the run", 60_001, run},
		{"2^31 does not turn negative", 1 << 31, run},
		{"the largest", math.MaxUint32, run},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), run)
			defer cancel()
			ctx, stop := (&capability.Call{}).Deadline(ctx, tt.ms)
			defer stop()
			at, ok := ctx.Deadline()
			if left := time.Until(at); !ok || left > tt.want || left < tt.want-5*time.Second {
				t.Errorf("Deadline(%d) leaves %v, want %v", tt.ms, left, tt.want)
			}
		})
	}
	ctx, stop := (&capability.Call{}).Deadline(t.Context(), 0)
	stop()
	if ctx.Err() == nil {
		t.Error("the cancel function does nothing")
	}
}

// FuzzDeadline holds any u32 to the run's own deadline.
func FuzzDeadline(f *testing.F) {
	for _, ms := range []uint32{0, 1, 500, 1000, 1 << 31, math.MaxUint32} {
		f.Add(ms)
	}
	f.Fuzz(func(t *testing.T, ms uint32) {
		run, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		end, _ := run.Deadline()
		ctx, stop := (&capability.Call{}).Deadline(run, ms)
		defer stop()
		at, ok := ctx.Deadline()
		if !ok || at.After(end) {
			t.Errorf("Deadline(%d) = %v, after the run's %v", ms, at, end)
		}
		if ms > 0 && at.Before(end.Add(-time.Second)) {
			t.Errorf("Deadline(%d) = %v, in the past", ms, at)
		}
	})
}

func TestFailKeepsWhatTheGuestMayKnow(t *testing.T) {
	t.Parallel()
	denied := &netproxy.DeniedError{Decision: netproxy.Decision{Reason: netproxy.BadDomain, Rule: "allowed.example.com", Hint: "hint"}}
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"a limit", &limits.ExceededError{Resource: "datagram", Limit: 8, Used: 9}, "too_large: own: datagram limit exceeded: 9 of at most 8"},
		{"denied says nothing more", denied, "denied: own"},
		{"a host failure keeps its text", errors.New("open /etc/secret: no"), "internal: own: failed"},
		{"so does a timeout", context.DeadlineExceeded, "timeout: own: the time was up"},
		{"nor does a URL go out", &url.Error{Op: "Get", URL: "https://u:p@h/?token=s3cr3t", Err: capability.ErrInvalid}, "invalid: own: invalid argument"},
		{"not offered", capability.NotFound, "not_found: own: this host does not offer the function"},
		{"a text of several lines", capabilityInvalid("a\r\nb\x1b[31mc\x00d"), "invalid: own: invalid argument: a b\ufffdc\ufffdd"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &capability.Session{}
			(&capability.Call{Func: "own", Session: s}).Fail(tt.err)
			if got := lastErrorOf(t, s); got != tt.want {
				t.Errorf("last_error = %q, want %q", got, tt.want)
			}
		})
	}
}

type capabilityInvalid string

func (e capabilityInvalid) Error() string        { return "invalid argument: " + string(e) }
func (e capabilityInvalid) Is(target error) bool { return target == capability.ErrInvalid }
