package capability_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/netproxy/netproxytest"
)

// builtin finds a function that this package offers.
func builtin(t testing.TB, name string) capability.Func {
	t.Helper()
	for _, f := range slices.Concat(capability.Core(), capability.Network()) {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("no function %q", name)
	return capability.Func{}
}

// invoke calls a built-in function with one argument per parameter: an int for
// an I32, a string for an In, a []byte for the Out.
func invoke(t testing.TB, ctx context.Context, s *capability.Session, name string, args ...any) capability.Code {
	t.Helper()
	f := builtin(t, name)
	if len(args) != len(f.Params) {
		t.Fatalf("%s has %d parameters, got %d arguments", name, len(f.Params), len(args))
	}
	c := &capability.Call{Session: s}
	for i, p := range f.Params {
		switch p.Kind {
		case capability.I32:
			c.Ints = append(c.Ints, uint32(args[i].(int)))
		case capability.In:
			c.In = append(c.In, []byte(args[i].(string)))
		case capability.Out:
			c.Out = args[i].([]byte)
		}
	}
	return f.Handle(ctx, c)
}

// lastErrorOf asks as a guest would: for the size, then for the text.
func lastErrorOf(t testing.TB, s *capability.Session) string {
	t.Helper()
	size := invoke(t, context.Background(), s, "last_error", []byte{})
	if size < 0 {
		t.Fatalf("last_error of length 0 answered %d", size)
	}
	buf := make([]byte, size)
	if n := invoke(t, context.Background(), s, "last_error", buf); n != size {
		t.Fatalf("last_error answered %d, then %d", size, n)
	}
	return string(buf)
}

// guarded makes a Session that reaches what rules allow of a network in memory.
func guarded(t testing.TB, n *netproxytest.Network, rules netproxy.Rules, change ...func(*netproxy.Config)) *capability.Session {
	t.Helper()
	cfg := n.Config()
	for _, c := range change {
		c(&cfg)
	}
	guard, err := netproxy.New(rules, cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &capability.Session{Net: guard}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the session: %v", err)
		}
		if err := guard.Close(); err != nil {
			t.Errorf("closing the guard: %v", err)
		}
		if err := n.Close(); err != nil {
			t.Errorf("closing the network: %v", err)
		}
		if open := n.Open(); open > 0 {
			t.Errorf("%d connections are left open", open)
		}
	})
	return s
}

// anywhere allows every name on every port.
func anywhere() netproxy.Rules {
	return netproxy.Rules{Domains: []netproxy.Domain{"*"}, Ports: netproxy.AnyPort()}
}

// vectors decodes one key of testdata/vectors/abi.json.
func vectors(t testing.TB, key string, into any) {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("..", "testdata", "vectors", "abi.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(doc, &all); err != nil {
		t.Fatal(err)
	}
	if len(all[key]) == 0 {
		t.Fatalf("no key %q", key)
	}
	if err := json.Unmarshal(all[key], into); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
}
