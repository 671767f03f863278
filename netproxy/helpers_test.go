package netproxy_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

func rules(t testing.TB, doc string) netproxy.Rules {
	t.Helper()
	var r netproxy.Rules
	if err := json.Unmarshal([]byte(doc), &r); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return r
}

// ledger collects decisions.
type ledger struct {
	mu   sync.Mutex
	list []netproxy.Decision
}

func (l *ledger) audit(_ context.Context, d netproxy.Decision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, d)
}

func (l *ledger) all() []netproxy.Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]netproxy.Decision(nil), l.list...)
}

// newGuard makes a Guard on n that t closes. change may be nil.
func newGuard(t testing.TB, n *netproxytest.Network, doc string, change func(*netproxy.Config)) (*netproxy.Guard, *ledger) {
	t.Helper()
	var l ledger
	cfg := n.Config()
	cfg.Audit = l.audit
	if change != nil {
		change(&cfg)
	}
	g, err := netproxy.New(rules(t, doc), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.Close()
		n.Close()
	})
	return g, &l
}

// get fetches a URL and returns status, body and the unwrapped error.
func get(ctx context.Context, c *http.Client, url string) (int, string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	return do(c, r)
}

func do(c *http.Client, r *http.Request) (int, string, error) {
	resp, err := c.Do(r)
	if err != nil {
		return 0, "", errors.Unwrap(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func text(s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, s) //nolint:errcheck // the client tells
	})
}

// wantReason fails unless err is a refusal for that reason.
func wantReason(t testing.TB, err error, want netproxy.Reason) netproxy.Decision {
	t.Helper()
	var d *netproxy.DeniedError
	if !errors.As(err, &d) {
		t.Fatalf("err = %v, want a refusal for %s", err, want)
	}
	if d.Decision.Reason != want {
		t.Fatalf("reason = %s (%+v), want %s", d.Decision.Reason, d.Decision, want)
	}
	return d.Decision
}

func contextWithTimeout(t testing.TB, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}
