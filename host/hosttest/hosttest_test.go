package hosttest_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/host/hosttest"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
	"github.com/sandcheck/sandcheck/result"
)

var granted = capability.Grant{
	Capabilities: []string{"http_request"},
	Permissions:  netproxy.Rules{Domains: []netproxy.Domain{"api.example.com"}, Ports: netproxy.Ports(80)},
}

func TestHost(t *testing.T) {
	t.Parallel()
	h := hosttest.New(t)
	h.Network.HandleHTTP("http://api.example.com", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	p := h.MustLoad(hosttest.Fetches("http://api.example.com/"), host.WithGrant(granted))
	res, err := p.Run(t.Context(), nil)
	if err != nil || res.Status != result.OK || res.Summary != "HTTP 204" {
		t.Fatalf("got %v %q, %v", res.Status, res.Summary, err)
	}
	if got, want := h.Trace(), "http_request in 63 out 4194304 = 4\nsubmit_result in 36 = ok\n"; got != want {
		t.Errorf("trace:\n%swant:\n%s", got, want)
	}
	ds := h.Decisions()
	if len(ds) != 1 || !ds[0].Allowed || ds[0].Target.Host != "api.example.com" || ds[0].Func != "http_request" {
		t.Errorf("decisions: %+v", ds)
	}
	before := res.ObservedAt
	h.Advance(time.Hour)
	if res, err = p.Run(t.Context(), nil); err != nil || res.ObservedAt.Sub(before) != time.Hour {
		t.Errorf("an hour later: %v, %v", res.ObservedAt, err)
	}
}

func TestCannedGuests(t *testing.T) {
	t.Parallel()
	h := hosttest.New(t, host.WithLimits(limits.Limits{Wall: 200 * time.Millisecond}))
	for _, tt := range []struct {
		name string
		pkg  *manifest.Package
		want error
	}{
		{"submits", hosttest.Submits(`{"status":"WARNING","summary":"w"}`), nil},
		{"loops", hosttest.Loops(), host.ErrTimeout},
		{"traps", hosttest.Traps(), host.ErrTrap},
		{"silent", hosttest.Silent(), host.ErrNoResult},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := h.MustLoad(tt.pkg).Run(t.Context(), nil); !errors.Is(err, tt.want) {
				t.Errorf("err = %v, want %v", err, tt.want)
			}
		})
	}
}

// fakeT records a failure in place of the test.
type fakeT struct {
	testing.TB
	cleanup []func()
	failed  string
}

func (f *fakeT) Helper()           {}
func (f *fakeT) Cleanup(fn func()) { f.cleanup = append(f.cleanup, fn) }
func (f *fakeT) Errorf(format string, args ...any) {
	for _, a := range args {
		if err, ok := a.(error); ok {
			f.failed += err.Error()
		}
	}
}
func (f *fakeT) Context() context.Context { return context.Background() }

func TestUndeclaredDestinationFailsTheTest(t *testing.T) {
	t.Parallel()
	f := &fakeT{TB: t}
	h := hosttest.New(f)
	p := h.MustLoad(hosttest.Fetches("http://api.example.com/"), host.WithGrant(granted))
	if res, err := p.Run(t.Context(), nil); err != nil || res.Summary != "http_request answered -5" {
		t.Errorf("got %q, %v", res.Summary, err)
	}
	for _, fn := range f.cleanup {
		fn()
	}
	if !strings.Contains(f.failed, "api.example.com") {
		t.Errorf("the test was not failed by name: %q", f.failed)
	}
}

func reverse() capability.Func {
	return capability.Func{
		Name: "reverse", Params: []capability.Param{{Name: "text", Kind: capability.In}, {Name: "n", Kind: capability.I32}, {Name: "buf", Kind: capability.Out}},
		Handle: func(_ context.Context, c *capability.Call) capability.Code {
			if c.Ints[0] == 99 {
				return c.Fail(capability.ErrInvalid)
			}
			b := bytes.Clone(c.In[0])
			for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
				b[i], b[j] = b[j], b[i]
			}
			return c.Reply(bytes.Repeat(b, int(c.Ints[0])))
		},
	}
}

func TestCallFunc(t *testing.T) {
	t.Parallel()
	s := &capability.Session{}
	if code, out := hosttest.CallFunc(t, s, reverse(), "abc", 2, 64); code != 6 || string(out) != "cbacba" {
		t.Errorf("got %d %q", code, out)
	}
	if code, _ := hosttest.CallFunc(t, s, reverse(), []byte("abc"), uint32(3), 8); code != capability.TooLarge {
		t.Errorf("a buffer of 8 bytes for 9: %d", code)
	}
	if code, _ := hosttest.CallFunc(t, &capability.Session{Config: []byte("{}")}, capability.Core()[0], 16); code != 2 {
		t.Errorf("get_config = %d", code)
	}
}

func TestRecordReplay(t *testing.T) {
	t.Parallel()
	var tape bytes.Buffer
	recorded := hosttest.Record(&tape, reverse())
	s := &capability.Session{}
	hosttest.CallFunc(t, s, recorded[0], "abc", 1, 16)
	hosttest.CallFunc(t, s, recorded[0], "abc", 99, 16)
	replayed, err := hosttest.Replay(&tape)
	if err != nil || len(replayed) != 1 {
		t.Fatal(replayed, err)
	}
	for range 2 { // the last equal answer repeats
		if code, out := hosttest.CallFunc(t, s, replayed[0], "abc", 1, 16); code != 3 || string(out) != "cba" {
			t.Errorf("got %d %q", code, out)
		}
	}
	if code, _ := hosttest.CallFunc(t, s, replayed[0], "abc", 99, 16); code != capability.Invalid {
		t.Errorf("the recorded failure came back as %d", code)
	}
	if code, _ := hosttest.CallFunc(t, s, replayed[0], "never", 1, 16); code != capability.Internal {
		t.Errorf("a call that was not recorded: %d", code)
	}
	if _, err := hosttest.Replay(strings.NewReader("{\"func\":\"x\"}\n")); err == nil {
		t.Error("a call before its declaration was accepted")
	}
}

// httpCheck is the package that the quickstart runs.
func httpCheck(t *testing.T) *manifest.Package {
	t.Helper()
	pkg, err := manifest.ReadPackage(os.DirFS(filepath.Join("..", "..", "testdata", "packages", "http-check")))
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}

func TestTestPackage(t *testing.T) {
	t.Parallel()
	answers := func(status int) *netproxytest.Network {
		n := &netproxytest.Network{}
		n.HandleHTTP("http://api.example.com", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		return n
	}
	cfg := map[string]any{"url": "http://api.example.com/"}
	if err := hosttest.TestPackage(httpCheck(t),
		hosttest.Case{Name: "healthy", Config: cfg, Grant: granted, Network: answers(200), Want: result.OK},
		hosttest.Case{Name: "broken", Config: cfg, Grant: granted, Network: answers(503), Want: result.Critical},
		hosttest.Case{Name: "not granted", Config: cfg, Want: result.Critical},
	); err != nil {
		t.Error(err)
	}
	for _, tt := range []struct {
		name, want string
		pkg        *manifest.Package
		c          hosttest.Case
	}{
		{"does not load", "rule 1", broken(), hosttest.Case{}},
		{"traps", "rule 2", hosttest.Traps(), hosttest.Case{Want: result.OK}},
		{"other status", "rule 3", hosttest.Submits(`{"status":"OK","summary":"x"}`), hosttest.Case{Want: result.Critical}},
		{"needs repair", "rule 3", hosttest.Submits(`{"status":"OK","summary":"x","labels":[]}`), hosttest.Case{Want: result.OK}},
		{"undeclared", "rule 4", hosttest.Fetches("http://api.example.com/"), hosttest.Case{Grant: granted, Want: result.Critical}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := hosttest.TestPackage(tt.pkg, tt.c); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want %s", err, tt.want)
			}
		})
	}
}

func broken() *manifest.Package {
	p := hosttest.Silent()
	p.Wasm = wasmgen.Proxy(wasmgen.Script{Entrypoint: "other"})
	return p
}
