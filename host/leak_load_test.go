package host_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
)

func TestLeaksOfPluginClose(t *testing.T) {
	l := newLab(t)
	round := func() {
		plugins := l.waiting(t, l.Runtime)
		wait := l.underWay(t, perClose, plugins...)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for _, p := range plugins {
			if err := p.Close(ended); !errors.Is(err, context.Canceled) {
				t.Errorf("Close that had to stop runs: %v", err)
			}
		}
		closedRuns(t, wait())
		for _, p := range plugins {
			if err := p.Close(t.Context()); err != nil {
				t.Errorf("second Close: %v", err)
			}
			if _, err := p.Run(t.Context(), nil); !errors.Is(err, host.ErrClosed) {
				t.Errorf("Run of a closed plugin: %v", err)
			}
		}
	}
	round()
	l.forget()
	asBefore(t, func() {
		for range manyRuns / perClose {
			round()
		}
		l.empty(t)
		l.forget()
	})
	if n := l.Stats().Plugins; n != 0 {
		t.Errorf("%d plugins are loaded", n)
	}
}

// Code is freed with the last plugin of its bytes, also where a Load fails.
func TestLeaksOfLoads(t *testing.T) {
	l := newLab(t)
	n := 0
	round := func() {
		n++
		wasm := wasmgen.Submits(fmt.Sprintf(`{"status":"OK","summary":"module %d"}`, n))
		first, second := load(t, l.Runtime, packageOf(wasm)), load(t, l.Runtime, packageOf(wasm))
		for _, p := range []*host.Plugin{first, second} {
			if _, err := p.Run(t.Context(), nil); err != nil {
				t.Error(err)
			}
			if err := p.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		bad := packageOf(wasm)
		bad.Manifest.Entrypoint = "nowhere"
		if _, err := l.Load(t.Context(), bad); !errors.Is(err, host.ErrInvalidModule) {
			t.Errorf("Load without an entrypoint: %v", err)
		}
		if _, err := l.Load(t.Context(), packageOf(wasm[:len(wasm)/2])); !errors.Is(err, host.ErrInvalidModule) {
			t.Errorf("Load of half a module: %v", err)
		}
		quick := packageOf(wasm)
		quick.Manifest.Resources.Compile = 1 // ns
		if p, err := l.Load(t.Context(), quick); err == nil {
			p.Close(t.Context()) // as fast as that, or kept by another
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if p, err := l.Load(gone, packageOf(wasm)); err == nil {
			p.Close(t.Context())
		}
	}
	for range atOnce {
		round()
	}
	asBefore(t, func() {
		for range manyRuns {
			round()
		}
	})
	if s := l.Stats(); s.Plugins != 0 || s.Runs != 2*uint64(n) {
		t.Errorf("stats %+v after %d rounds", s, n)
	}
	if err := l.budget.Fits(limits.Limits{Memory: labLimits.Memory}); err != nil {
		t.Error(err)
	}
	l.wholeBudget(t)
}
