package capability_test

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
)

// thing is what handles stand for here; it counts how often it is closed.
type thing struct {
	closed atomic.Int32
	err    error
}

func (x *thing) Close() error { x.closed.Add(1); return x.err }

// other is another kind.
type other struct{ thing }

func opens(c io.Closer) func() (io.Closer, error) {
	return func() (io.Closer, error) { return c, nil }
}

func TestHandlesCountFromOneAndNeverComeBack(t *testing.T) {
	t.Parallel()
	s := &capability.Session{}
	for want := uint32(1); want <= 100; want++ {
		var x thing
		got, err := s.Open(opens(&x))
		if err != nil || got != want {
			t.Fatalf("handle %d, %v; want %d", got, err, want)
		}
		if err := s.CloseHandle(got); err != nil || x.closed.Load() != 1 {
			t.Fatalf("CloseHandle(%d) = %v, closed %d times", got, err, x.closed.Load())
		}
		if err := s.CloseHandle(got); !errors.Is(err, capability.ErrBadHandle) {
			t.Fatalf("closing %d again: %v", got, err)
		}
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	s := &capability.Session{}
	var x thing
	h, err := s.Open(opens(&x))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := capability.Get[*thing](s, h); err != nil || got != &x {
		t.Errorf("Get = %v, %v", got, err)
	}
	for _, tt := range []struct {
		name string
		get  func() error
	}{
		{"another kind", func() error { _, err := capability.Get[*other](s, h); return err }},
		{"zero", func() error { _, err := capability.Get[*thing](s, 0); return err }},
		{"one that is not open", func() error { _, err := capability.Get[*thing](s, h+1); return err }},
		{"the largest", func() error { _, err := capability.Get[*thing](s, ^uint32(0)); return err }},
		{"any kind, not open", func() error { _, err := capability.Get[io.Closer](s, 9); return err }},
	} {
		if err := tt.get(); !errors.Is(err, capability.ErrBadHandle) || capability.CodeOf(err) != capability.BadHandle {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestOpenHoldsTheLimit(t *testing.T) {
	t.Parallel()
	s := &capability.Session{Limits: limits.Limits{Connections: 2}}
	a, b, over := &thing{}, &thing{}, &thing{}
	for _, x := range []*thing{a, b} {
		if _, err := s.Open(opens(x)); err != nil {
			t.Fatal(err)
		}
	}
	if h, err := s.Open(opens(over)); h != 0 || capability.CodeOf(err) != capability.TooLarge {
		t.Errorf("one above the limit: %d, %v", h, err)
	}
	if over.closed.Load() != 1 || a.closed.Load() != 0 {
		t.Errorf("closed: %d of the one above, %d of the first", over.closed.Load(), a.closed.Load())
	}
	if err := s.CloseHandle(1); err != nil {
		t.Fatal(err)
	}
	if h, err := s.Open(opens(&thing{})); h != 3 || err != nil {
		t.Errorf("after a close: %d, %v; want 3", h, err)
	}
	if n := s.Usage().PeakConnections; n != 2 {
		t.Errorf("peak %d, want 2", n)
	}
}

func TestOpenPassesOnWhyDialFailed(t *testing.T) {
	t.Parallel()
	s := &capability.Session{}
	refused := errors.New("refused")
	if h, err := s.Open(func() (io.Closer, error) { return nil, refused }); h != 0 || !errors.Is(err, refused) {
		t.Errorf("Open = %d, %v", h, err)
	}
	if h, err := s.Open(opens(&thing{})); h != 1 || err != nil {
		t.Errorf("a failed dial used up a handle: %d, %v", h, err)
	}
}

func TestCloseClosesEverythingOnce(t *testing.T) {
	t.Parallel()
	s := &capability.Session{}
	boom := errors.New("boom")
	things := []*thing{{}, {err: boom}, {}}
	for _, x := range things {
		if _, err := s.Open(opens(x)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); !errors.Is(err, boom) {
		t.Errorf("Close = %v, want the one that failed", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close again = %v", err)
	}
	for i, x := range things {
		if n := x.closed.Load(); n != 1 {
			t.Errorf("thing %d was closed %d times", i, n)
		}
	}
	if _, err := capability.Get[*thing](s, 1); !errors.Is(err, capability.ErrBadHandle) {
		t.Errorf("Get after Close: %v", err)
	}
	var late thing
	if h, err := s.Open(opens(&late)); h != 0 || err == nil || late.closed.Load() != 1 {
		t.Errorf("a late Open = %d, %v, closed %d times", h, err, late.closed.Load())
	}
}

// TestHandlesAreSafeForConcurrentUse matters under -race: an embedder's Func may
// have goroutines of its own.
func TestHandlesAreSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	s := &capability.Session{Limits: limits.Limits{Connections: 64}}
	var opened, closed atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				opened.Add(1)
				x := &counted{&closed}
				h, err := s.Open(opens(x))
				if err != nil {
					continue // after Close
				}
				if _, err := capability.Get[*counted](s, h); err == nil && h%2 == 0 {
					_ = s.CloseHandle(h) // Close may be faster
				}
				_ = s.Submit([]byte(fine))
				s.Results()
				s.Usage()
			}
		})
	}
	wg.Go(func() { _ = s.Close() })
	wg.Wait()
	_ = s.Close()
	if opened.Load() != closed.Load() {
		t.Errorf("%d were opened, %d closed", opened.Load(), closed.Load())
	}
}

type counted struct{ n *atomic.Int32 }

func (c *counted) Close() error { c.n.Add(1); return nil }
