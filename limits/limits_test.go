package limits_test

import (
	"context"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/limits"
)

// fields visits every field of Limits, so that a field added later is covered.
func fields(l *limits.Limits, visit func(name string, v reflect.Value)) {
	s := reflect.ValueOf(l).Elem()
	for i := range s.NumField() {
		visit(s.Type().Field(i).Name, s.Field(i))
	}
}

func set(v reflect.Value, n int64) {
	if v.CanFloat() {
		v.SetFloat(float64(n))
		return
	}
	v.SetInt(n)
}

func TestDefaultFillsEveryField(t *testing.T) {
	t.Parallel()
	d := limits.Default()
	fields(&d, func(name string, v reflect.Value) {
		if v.IsZero() {
			t.Errorf("Default().%s is zero", name)
		}
	})
	if err := d.Validate(); err != nil {
		t.Errorf("Default().Validate() = %v", err)
	}
}

func TestMinAndOrTreatZeroAsNotSaid(t *testing.T) {
	t.Parallel()
	var one, two, none limits.Limits
	fields(&one, func(_ string, v reflect.Value) { set(v, 1) })
	fields(&two, func(_ string, v reflect.Value) { set(v, 2) })
	for _, tt := range []struct {
		name            string
		got, want, also limits.Limits
	}{
		{"tighter wins", one.Min(two), one, two.Min(one)},
		{"zero says nothing", none.Min(two), two, two.Min(none)},
		{"Or keeps what is said", two.Or(one), two, two.Or(none)},
		{"Or fills what is not", none.Or(one), one, none.Or(one)},
	} {
		if tt.got != tt.want || tt.also != tt.want {
			t.Errorf("%s: got %+v and %+v, want %+v", tt.name, tt.got, tt.also, tt.want)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	var negative limits.Limits
	fields(&negative, func(_ string, v reflect.Value) { set(v, -1) })
	err := negative.Validate()
	fields(&negative, func(name string, _ reflect.Value) {
		if err == nil || !strings.Contains(err.Error(), name+": ") {
			t.Errorf("no error names %s: %v", name, err)
		}
	})
	for _, tt := range []struct {
		name string
		l    limits.Limits
		ok   bool
	}{
		{"zero", limits.Limits{}, true},
		{"4096 MiB", limits.Limits{Memory: 4096 * limits.MiB}, true},
		{"4096 MiB and a byte", limits.Limits{Memory: 4096*limits.MiB + 1}, false},
		{"body 16 MiB", limits.Limits{Body: 16 * limits.MiB}, true},
		{"body above 16 MiB", limits.Limits{Body: 16*limits.MiB + 1}, false},
		{"datagram 8 KiB", limits.Limits{Datagram: 8 * limits.KiB}, true},
		{"datagram above 8 KiB", limits.Limits{Datagram: 8*limits.KiB + 1}, false},
		{"rate NaN", limits.Limits{CallRate: math.NaN()}, false},
		{"rate Inf", limits.Limits{DialRate: math.Inf(1)}, false},
	} {
		if err := tt.l.Validate(); (err == nil) != tt.ok {
			t.Errorf("%s: Validate() = %v, want ok %v", tt.name, err, tt.ok)
		}
	}
}

func TestBytesString(t *testing.T) {
	t.Parallel()
	for b, want := range map[limits.Bytes]string{
		0: "0 B", 1200: "1200 B", limits.KiB: "1 KiB", 32 * limits.MiB: "32 MiB",
		4096 * limits.MiB: "4 GiB", limits.MiB + 1: "1048577 B", -limits.KiB: "-1 KiB",
	} {
		if got := b.String(); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", int64(b), got, want)
		}
	}
}

func TestReadAll(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, tt := range []struct {
		name string
		r    io.Reader
		max  limits.Bytes
		want int
		err  error
	}{
		{"below", strings.NewReader("abc"), 4, 3, nil},
		{"at", strings.NewReader("abcd"), 4, 4, nil},
		{"above", strings.NewReader("abcde"), 4, 0, limits.ErrExceeded},
		{"endless", endless{}, 1000, 0, limits.ErrExceeded},
		{"empty, nothing allowed", strings.NewReader(""), 0, 0, nil},
		{"one byte, nothing allowed", strings.NewReader("a"), 0, 0, limits.ErrExceeded},
		{"negative is nothing", strings.NewReader("a"), -5, 0, limits.ErrExceeded},
		{"reader fails", io.MultiReader(strings.NewReader("ab"), failing{broken}), 4, 0, broken},
		{"reader fails at the limit", io.MultiReader(strings.NewReader("abcd"), failing{broken}), 4, 0, broken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := limits.ReadAll(tt.r, tt.max)
			if !errors.Is(err, tt.err) || (tt.err == nil && err != nil) || len(got) != tt.want {
				t.Errorf("ReadAll = %d bytes, %v; want %d, %v", len(got), err, tt.want, tt.err)
			}
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestExceededError(t *testing.T) {
	t.Parallel()
	err := error(&limits.ExceededError{Resource: "datagram", Limit: 1200, Used: 1300})
	if !errors.Is(err, limits.ErrExceeded) || !strings.Contains(err.Error(), "datagram") {
		t.Errorf("%v does not match ErrExceeded by name", err)
	}
}

func TestBudgetCountsEachResource(t *testing.T) {
	t.Parallel()
	want := limits.Limits{Memory: 2 * limits.MiB, CPU: 2 * time.Second, Connections: 2}
	for _, tt := range []struct {
		name   string
		budget *limits.Budget
		fits   int // runs at one time
	}{
		{"memory", limits.NewBudget(limits.Limits{Memory: 5 * limits.MiB}, 0), 2},
		{"cpu", limits.NewBudget(limits.Limits{CPU: 6 * time.Second}, 0), 3},
		{"connections", limits.NewBudget(limits.Limits{Connections: 9}, 0), 4},
		{"connections unless said", limits.NewBudget(limits.Limits{}, 0), 128},
		{"runs", limits.NewBudget(limits.Limits{}, 1), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var releases []func()
			for range tt.fits {
				release, err := tt.budget.Acquire(t.Context(), want)
				if err != nil {
					t.Fatalf("run %d of %d: %v", len(releases)+1, tt.fits, err)
				}
				releases = append(releases, release)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := tt.budget.Acquire(ctx, want)
			if !errors.Is(err, limits.ErrAdmission) || !errors.Is(err, context.Canceled) || !errors.Is(err, limits.ErrExceeded) {
				t.Fatalf("one more run: %v", err)
			}
			if first, _, _ := strings.Cut(tt.name, " "); !strings.Contains(err.Error(), "admission denied: "+first) {
				t.Errorf("error does not name the resource: %v", err)
			}
			releases[0]()
			releases[0]() // a second release gives nothing back
			release, err := tt.budget.Acquire(t.Context(), want)
			if err != nil {
				t.Fatalf("after a release: %v", err)
			}
			if _, err := tt.budget.Acquire(ctx, want); err == nil {
				t.Error("releasing twice gave two places back")
			}
			release()
		})
	}
}

func TestBudgetNeverFits(t *testing.T) {
	t.Parallel()
	b := limits.NewBudget(limits.Limits{Memory: limits.MiB}, 0)
	_, err := b.Acquire(t.Context(), limits.Limits{Memory: math.MaxInt64})
	if !errors.Is(err, limits.ErrAdmission) || !strings.Contains(err.Error(), "memory") {
		t.Errorf("err = %v", err)
	}
	if err := b.Fits(limits.Limits{Memory: limits.MiB / 2}, limits.Limits{Memory: limits.MiB / 2}); err != nil {
		t.Errorf("two halves: %v", err)
	}
	if err := b.Fits(limits.Limits{Memory: limits.MiB}, limits.Limits{Memory: 1}); !errors.Is(err, limits.ErrAdmission) {
		t.Errorf("a byte too many: %v", err)
	}
}

// A large run that waits must not be overtaken for ever by small ones.
func TestBudgetIsFair(t *testing.T) {
	t.Parallel()
	b := limits.NewBudget(limits.Limits{Memory: 10}, 0)
	hold, err := b.Acquire(t.Context(), limits.Limits{Memory: 5})
	if err != nil {
		t.Fatal(err)
	}
	order := make(chan string, 2)
	queued := func(name string, size limits.Bytes) {
		started := make(chan struct{})
		go func() {
			close(started)
			release, err := b.Acquire(t.Context(), limits.Limits{Memory: size})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			order <- name
			release()
		}()
		<-started
	}
	queued("large", 10)
	for { // until large waits in the queue, a small one still fits
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		release, err := b.Acquire(ctx, limits.Limits{Memory: 1})
		if err != nil {
			break
		}
		release()
	}
	queued("small", 1)
	hold()
	if first, second := <-order, <-order; first != "large" || second != "small" {
		t.Errorf("admitted %s before %s", first, second)
	}
}

func TestBudgetUnderLoad(t *testing.T) {
	t.Parallel()
	b := limits.NewBudget(limits.Limits{Memory: 3}, 2)
	done := make(chan error)
	const runs = 200
	for i := range runs {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%7)*time.Millisecond)
			defer cancel()
			release, err := b.Acquire(ctx, limits.Limits{Memory: limits.Bytes(1 + i%3)})
			if err == nil {
				release()
			} else if !errors.Is(err, limits.ErrAdmission) {
				err = errors.Join(errors.New("not an admission error"), err)
				done <- err
				return
			}
			done <- nil
		}()
	}
	for range runs {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	release, err := b.Acquire(t.Context(), limits.Limits{Memory: 3})
	if err != nil {
		t.Fatalf("something leaked: %v", err)
	}
	release()
}
