package flight_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandcheck/sandcheck/manifest/internal/flight"
)

func TestSharedWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[string, int]
		calls := 0
		work := func(context.Context) (int, error) { calls++; time.Sleep(time.Second); return 7, nil }
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if v, err := g.Do(t.Context(), "a", work); v != 7 || err != nil {
					t.Errorf("Do = %d, %v", v, err)
				}
			})
		}
		wg.Wait()
		if calls != 1 {
			t.Errorf("%d calls, want 1", calls)
		}
		if _, err := g.Do(t.Context(), "a", work); err != nil || calls != 2 {
			t.Errorf("afterwards: %v, %d calls, want a new one", err, calls)
		}
	})
}

func TestOneWaiterLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[string, int]
		work := func(ctx context.Context) (int, error) {
			select {
			case <-time.After(2 * time.Second):
				return 7, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := g.Do(impatient, "a", work); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who leaves: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if v, err := g.Do(t.Context(), "a", work); v != 7 || err != nil {
				t.Errorf("who stays: %d, %v", v, err)
			}
		})
		wg.Wait()
	})
}

// The bubble of synctest ends only when every goroutine has: the work must
// stop with its last waiter.
func TestLastWaiterStopsTheWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[string, int]
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stopped := make(chan error, 1)
		_, err := g.Do(ctx, "a", func(ctx context.Context) (int, error) {
			<-ctx.Done()
			stopped <- ctx.Err()
			return 0, ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Do: %v", err)
		}
		if err := <-stopped; !errors.Is(err, context.Canceled) {
			t.Errorf("the work saw %v", err)
		}
	})
}
