package engine_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/sandcheck/sandcheck/internal/wasmgen"
)

// TestFactsWASI: why WASI is our own.
func TestFactsWASI(t *testing.T) {
	showFacts(t, []fact{
		{"12 random bytes are the same in every instance", fakeRandom},
		{"13 clocks start in 2022 and sleep returns at once", fakeTime},
		{"14 output is discarded", lostOutput},
		{"15 lengths wrap at 32 bits", wrappedLength},
		{"21 the upper half of a slot may hold anything", upperHalf},
	})
}

// wasiGuest makes a guest with "f" that calls one function of preview1 and
// returns its errno, and instantiates it beside wazero's WASI.
func wasiGuest(t *testing.T, cfg wazero.RuntimeConfig, f string, params []wasmgen.ValType, data []byte, operands ...[]byte) api.Module {
	t.Helper()
	rt := runtimeOf(t, cfg)
	if _, err := wasi_snapshot_preview1.Instantiate(t.Context(), rt); err != nil {
		t.Fatal(err)
	}
	var b wasmgen.Builder
	wasi := b.ImportFunc("wasi_snapshot_preview1", f, wasmgen.WASI("", params...).Sig)
	b.Memory(1)
	b.Data(0, data)
	b.ExportFunc("f", b.Func(wasmgen.Sig{Results: wasmgen.I32s(1)}, nil, wasmgen.Call(wasi, operands...)))
	return instantiate(t, rt, b.Bytes())
}

// succeeds calls "f" and wants errno 0.
func succeeds(t *testing.T, m api.Module) {
	t.Helper()
	if errno := call(t, m)[0]; errno != 0 {
		t.Fatalf("errno %d", errno)
	}
}

func fakeRandom(t *testing.T, cfg wazero.RuntimeConfig) {
	var drawn [2]string
	for i := range drawn {
		m := wasiGuest(t, cfg, "random_get", wasmgen.I32s(2), nil, wasmgen.I32Const(0), wasmgen.I32Const(32))
		succeeds(t, m)
		got, _ := m.Memory().Read(0, 32)
		drawn[i] = string(got)
	}
	if drawn[0] != drawn[1] || drawn[0] == string(make([]byte, 32)) {
		t.Errorf("drew %x and %x, want the same bytes", drawn[0], drawn[1])
	}
}

func fakeTime(t *testing.T, cfg wazero.RuntimeConfig) {
	m := wasiGuest(t, cfg, "clock_time_get", []wasmgen.ValType{wasmgen.I32, wasmgen.I64, wasmgen.I32}, nil,
		wasmgen.I32Const(0), wasmgen.I64Const(1), wasmgen.I32Const(8))
	succeeds(t, m)
	nanos, _ := m.Memory().ReadUint64Le(8)
	if got, want := time.Unix(0, int64(nanos)).UTC(), time.Date(2022, 1, 1, 0, 0, 0, 0, time.UTC); got.Sub(want).Abs() > time.Second {
		t.Errorf("the clock says %v, want %v", got, want)
	}

	subscription := make([]byte, 48)
	subscription[16] = 1                                                            // the monotonic clock
	copy(subscription[24:], []byte{0x00, 0x00, 0xa0, 0xca, 0x3b, 0x5d, 0x00, 0x00}) // more than a day
	m = wasiGuest(t, cfg, "poll_oneoff", wasmgen.I32s(4), subscription,
		wasmgen.I32Const(0), wasmgen.I32Const(64), wasmgen.I32Const(1), wasmgen.I32Const(128))
	start := time.Now()
	succeeds(t, m)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("sleep took %v", took)
	}
}

func lostOutput(t *testing.T, cfg wazero.RuntimeConfig) {
	kept, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = kept, kept
	defer func() { os.Stdout, os.Stderr = stdout, stderr }()
	for _, fd := range []int32{1, 2} {
		iovec := []byte{8, 0, 0, 0, 4, 0, 0, 0, 't', 'e', 'x', 't'}
		m := wasiGuest(t, cfg, "fd_write", wasmgen.I32s(4), iovec,
			wasmgen.I32Const(fd), wasmgen.I32Const(0), wasmgen.I32Const(1), wasmgen.I32Const(64))
		succeeds(t, m)
		if n, _ := m.Memory().ReadUint32Le(64); n != 4 {
			t.Errorf("descriptor %d: wrote %d bytes, want 4", fd, n)
		}
	}
	if info, err := kept.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("%d bytes came out (%v), want none", info.Size(), err)
	}
}

// wrappedLength: 0x10000000 subscriptions of 48 bytes have no bytes, in 32 bits.
func wrappedLength(t *testing.T, cfg wazero.RuntimeConfig) {
	m := wasiGuest(t, cfg, "poll_oneoff", wasmgen.I32s(4), nil,
		wasmgen.I32Const(0), wasmgen.I32Const(64), wasmgen.I32Const(0x10000000), wasmgen.I32Const(128))
	_, err := m.ExportedFunction("f").Call(t.Context())
	if err == nil || !strings.Contains(err.Error(), "index out of range") && !strings.Contains(err.Error(), "slice bounds") {
		t.Errorf("got %v, want a Go panic inside the host function", err)
	}
}

// upperHalf: a slot for an i32 still has the upper half of what stood there
// before, here of an i64 for another host function.
func upperHalf(t *testing.T, cfg wazero.RuntimeConfig) {
	const garbage, value = 1_000_000 << 32, 168_128
	rt := runtimeOf(t, cfg)
	var seen uint64
	hb := rt.NewHostModuleBuilder("env")
	for name, v := range map[string]api.ValueType{"wide": api.ValueTypeI64, "narrow": api.ValueTypeI32} {
		note := func(_ context.Context, _ api.Module, stack []uint64) { seen = stack[0] }
		hb.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(note), []api.ValueType{v}, nil).Export(name)
	}
	if _, err := hb.Instantiate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var b wasmgen.Builder
	wide := b.ImportFunc("env", "wide", wasmgen.Sig{Params: []wasmgen.ValType{wasmgen.I64}})
	narrow := b.ImportFunc("env", "narrow", wasmgen.Sig{Params: wasmgen.I32s(1)})
	b.ExportFunc("f", b.Func(wasmgen.Sig{Params: wasmgen.I32s(1)}, nil,
		wasmgen.Call(wide, wasmgen.I64Const(garbage)), wasmgen.Call(narrow, wasmgen.LocalGet(0))))
	call(t, instantiate(t, rt, b.Bytes()), value)
	dirty := strings.HasSuffix(t.Name(), "compiler")
	if uint32(seen) != value || dirty != (seen != value) {
		t.Errorf("saw %#x, want the lower half %#x, and more only with the compiler", seen, value)
	}
}
