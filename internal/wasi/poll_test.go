package wasi_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/limits"
)

// sub is one subscription as a guest writes it.
type sub struct {
	tag      byte
	fd       uint32
	clock    uint32
	timeout  uint64
	absolute bool
}

func after(d time.Duration) sub { return sub{clock: 1, timeout: uint64(d)} }

// event is what poll_oneoff answers; Index is the subscription it is for.
type event struct {
	Index int
	Err   uint16
	Tag   byte
}

// poll writes the subscriptions to 1024 and reads events from behind them.
func (g *guest) poll(t testing.TB, subs ...sub) (uint32, []event) {
	t.Helper()
	const in = 1024
	out := in + 48*len(subs)
	for i, s := range subs {
		b := g.mem[in+48*i:][:48]
		clear(b)
		binary.LittleEndian.PutUint64(b, uint64(i)|0xabcd<<48)
		b[8] = s.tag
		binary.LittleEndian.PutUint32(b[16:], s.fd|s.clock)
		binary.LittleEndian.PutUint64(b[24:], s.timeout)
		if s.absolute {
			b[40] = 1
		}
	}
	got := g.call(t, "poll_oneoff", in, uint64(out), uint64(len(subs)), 8)
	if got != success {
		return got, nil
	}
	var events []event
	for i := range int(g.u32(8)) {
		e := g.mem[out+32*i:][:32]
		userdata := binary.LittleEndian.Uint64(e)
		if userdata>>48 != 0xabcd {
			t.Errorf("event %d has userdata %#x", i, userdata)
		}
		events = append(events, event{int(userdata & 0xffff), binary.LittleEndian.Uint16(e[8:]), e[10]})
	}
	return got, events
}

func TestPoll(t *testing.T) {
	t.Parallel()
	start := uint64(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()) // where synctest begins
	for _, tt := range []struct {
		name string
		subs []sub
		took time.Duration
		want []event
	}{
		{"a sleep", []sub{after(time.Second)}, time.Second, []event{{0, 0, 0}}},
		{"a sleep on the wall clock", []sub{{clock: 0, timeout: uint64(time.Second)}}, time.Second, []event{{0, 0, 0}}},
		{"no time at all", []sub{after(0)}, 0, []event{{0, 0, 0}}},
		{"earliest of several", []sub{after(3 * time.Second), after(time.Second), after(2 * time.Second)}, time.Second, []event{{1, 0, 0}}},
		{"two at one time", []sub{after(time.Second), after(2 * time.Second), after(time.Second)}, time.Second, []event{{0, 0, 0}, {2, 0, 0}}},
		{"absolute, ahead", []sub{{clock: 0, timeout: start + 5e9, absolute: true}}, 5 * time.Second, []event{{0, 0, 0}}},
		{"absolute, past", []sub{{clock: 0, timeout: start - 1, absolute: true}}, 0, []event{{0, 0, 0}}},
		{"absolute, zero", []sub{{clock: 0, timeout: 0, absolute: true}}, 0, []event{{0, 0, 0}}},
		{"absolute, monotonic", []sub{{clock: 1, timeout: uint64(time.Hour + time.Second), absolute: true}}, time.Second, []event{{0, 0, 0}}},
		{"stdio is ready at once", []sub{{tag: 1, fd: 0}, after(time.Hour), {tag: 2, fd: 1}, {tag: 2, fd: 2}}, 0, []event{{0, 0, 1}, {2, 0, 2}, {3, 0, 2}}},
		{"stdio behind a clock", []sub{after(time.Hour), {tag: 1, fd: 0}}, 0, []event{{1, 0, 1}}},
		{"an unknown descriptor", []sub{{tag: 1, fd: 3}, {tag: 2, fd: math.MaxUint32}, after(time.Hour)}, 0, []event{{0, badf, 1}, {1, badf, 2}}},
		{"an unknown clock", []sub{{clock: 2, timeout: 1}, after(time.Hour)}, 0, []event{{0, inval, 0}}},
		{"1,024 of them", make([]sub, 1024), 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGuest(t.Context(), 128<<10)
				g.Epoch = time.Now().Add(-time.Hour)
				before := time.Now()
				got, events := g.poll(t, tt.subs...)
				if took := time.Since(before); got != success || took != tt.took {
					t.Errorf("poll_oneoff = %d after %v, want %v", got, took, tt.took)
				}
				if len(tt.subs) == 1024 {
					if len(events) != 1024 {
						t.Errorf("%d events", len(events))
					}
				} else if d := cmp.Diff(events, tt.want); d != "" {
					t.Errorf("events (-got +want):\n%s", d)
				}
				var u limits.Usage
				g.Counts(&u)
				if u.HostWait != tt.took {
					t.Errorf("%v are counted as waiting, want %v", u.HostWait, tt.took)
				}
			})
		})
	}
}

func TestPollRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		n    uint64
		want uint32
	}{
		{"none", 0, inval},
		{"one too many", 1025, inval},
		{"a product that wraps", 0x10000000, inval},
		{"largest", 1<<32 - 1, inval},
		{"more than memory holds", 1024, fault},
	} {
		g := newGuest(t.Context(), 1<<10)
		if got := g.call(t, "poll_oneoff", 0, 0, tt.n, 0); got != tt.want || g.touched() {
			t.Errorf("%s: poll_oneoff = %d, want %d", tt.name, got, tt.want)
		}
	}
	g := newGuest(t.Context(), 4096)
	if got, _ := g.poll(t, after(0), sub{tag: 3}); got != inval {
		t.Errorf("an unknown kind of subscription = %d, want %d", got, inval)
	}
}

// TestPollMayAnswerIntoItsQuestion has events overwrite subscriptions, as a
// guest with little memory may ask for.
func TestPollMayAnswerIntoItsQuestion(t *testing.T) {
	t.Parallel()
	g := newGuest(t.Context(), 1024)
	clear(g.mem)
	g.mem[0], g.mem[48] = 1, 2 // userdata; both clocks are due
	if got := g.call(t, "poll_oneoff", 0, 0, 2, 512); got != success || g.u32(512) != 2 || g.mem[0] != 1 || g.mem[32] != 2 {
		t.Errorf("poll_oneoff = %d, %d events, userdata %d and %d", got, g.u32(512), g.mem[0], g.mem[32])
	}
}

func TestSleepEndsWithTheRun(t *testing.T) {
	t.Parallel()
	why := errors.New("why")
	for _, tt := range []struct {
		name string
		end  func(context.Context) (context.Context, func())
		want error
	}{
		{"W4: deadline", func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithTimeoutCause(ctx, 300*time.Millisecond, why)
			return ctx, cancel
		}, why},
		{"cancelled", func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(300*time.Millisecond, func() { cancel(why) })
			return ctx, func() { cancel(nil) }
		}, why},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				for _, s := range []sub{after(3 * time.Second), {timeout: math.MaxUint64}, {timeout: math.MaxUint64, absolute: true}} {
					ctx, cancel := tt.end(t.Context())
					g := newGuest(ctx, 4096)
					before := time.Now()
					v := unwound(func() { g.poll(t, s) })
					if stop, ok := v.(*abi.Stop); !ok || !errors.Is(stop, tt.want) {
						t.Errorf("sleep %+v ended with %v", s, v)
					}
					if took := time.Since(before); took != 300*time.Millisecond {
						t.Errorf("sleep %+v ended after %v", s, took)
					}
					cancel()
				}
			})
		})
	}
}

// FuzzPoll holds any subscriptions to events for ready ones: nothing panics and
// no wait outlives the run.
func FuzzPoll(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef0123456789abcdef"), uint32(1), uint32(64))
	f.Add(make([]byte, 200), uint32(4), uint32(0))
	f.Fuzz(func(t *testing.T, in []byte, n, out uint32) {
		ctx, cancel := context.WithCancel(context.Background())
		g := newGuest(ctx, 4096)
		copy(g.mem, in)
		timer := time.AfterFunc(5*time.Millisecond, cancel)
		defer timer.Stop()
		defer cancel()
		v := unwound(func() {
			if got := g.call(t, "poll_oneoff", 0, uint64(out), uint64(n), 4092); got == success && (g.u32(4092) == 0 || g.u32(4092) > n) {
				t.Errorf("%d events for %d subscriptions", g.u32(4092), n)
			}
		})
		if _, stopped := v.(*abi.Stop); v != nil && !stopped {
			t.Errorf("ended with %v", v)
		}
	})
}
