package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/result"
)

// What plugins built with the official SDKs rely on, line by line. The guests
// sdk-mimic and sdk-mimic-rust export allocators that trap, so each run here
// also shows that no host calls them.

// Buffers of 16 KiB, 64 KiB, 256 KiB and 2 MiB in turn, the next only on -3.
func TestSDKConfigLadder(t *testing.T) {
	t.Parallel()
	ladder := map[int]int{ // bytes of the config: buffers that it takes
		0: 1, 100: 1, 16 << 10: 1, 16<<10 + 1: 2, 20 << 10: 2, 64 << 10: 2, 64<<10 + 1: 3,
		100 << 10: 3, 256 << 10: 3, 256<<10 + 1: 4, 1 << 20: 4, 2 << 20: 4,
	}
	t.Run("compiler", func(t *testing.T) { t.Parallel(); testLadder(t, ladder) })
	t.Run("interpreter", func(t *testing.T) {
		t.Parallel()
		testLadder(t, map[int]int{20 << 10: 2, 100 << 10: 3}, host.WithInterpreter())
	})
}

func testLadder(t *testing.T, ladder map[int]int, engine ...host.Option) {
	p := load(t, newRuntime(t, engine...), packageNamed(t, "sdk-mimic"))
	for size, buffers := range ladder {
		report := execute(t, p, configOf(size))
		if want := fmt.Sprintf("config %d", size); report.Result.Summary != want {
			t.Errorf("config of %d bytes: %q, want %q", size, report.Result.Summary, want)
		}
		u := report.Usage
		if u.Calls["get_config"] != buffers || u.Failed["get_config -3"] != buffers-1 {
			t.Errorf("config of %d bytes: calls %v, failed %v, want %d buffers", size, u.Calls, u.Failed, buffers)
		}
	}
	r, err := p.Execute(t.Context(), configOf(2<<20+1))
	if !errors.Is(err, host.ErrInvalidConfig) || r.Ended != host.NotStarted {
		t.Errorf("config of 2 MiB and a byte: ended %v, %v", r.Ended, err)
	}
}

// pages serves what the SDK tests ask for.
func pages() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("/headers", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json; charset=utf-8")
		rw.Header().Add("Set-Cookie", "session=a,b; Path=/; HttpOnly")
		rw.Header().Add("Set-Cookie", "second=2; Secure")
		io.WriteString(rw, `{"a":1}`)
	})
	m.HandleFunc("/empty", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNoContent) })
	m.HandleFunc("/digits", func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "404\n{}") })
	m.HandleFunc("/big/", func(rw http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscanf(r.URL.Path, "/big/%d", &n)
		rw.Header().Set("Content-Type", "application/octet-stream")
		io.Copy(rw, io.LimitReader(zeroes{}, int64(n)))
	})
	return m
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// fetch is one request of sdk-mimic and what it says of the response.
type fetch struct{ path, mode, want string }

func testFetches(t *testing.T, fetches ...fetch) func(*testing.T, *world) {
	pkg := packageNamed(t, "sdk-mimic")
	return func(t *testing.T, w *world) {
		at := w.http(t, pages())
		p := w.load(t, pkg, at.grant())
		for _, f := range fetches {
			cfg := map[string]any{"url": at.url() + f.path}
			if f.mode != "" {
				cfg["mode"] = f.mode
			}
			report := execute(t, p, cfg)
			if _, got, _ := strings.Cut(report.Result.Summary, " http "); got != f.want {
				t.Errorf("%s in mode %q: %q, want %q", f.path, f.mode, got, f.want)
			}
			if n := report.Usage.Calls["http_request"]; n != 1 {
				t.Errorf("%s in mode %q: %d requests", f.path, f.mode, n)
			}
		}
	}
}

// Two shapes told apart by their first bytes, header names in lower case,
// cookies that stay separate.
func TestSDKHTTP(t *testing.T) {
	t.Parallel()
	everywhere(t, testFetches(t, []fetch{
		{"/empty", "", "status_body 204 body 0"},
		{"/digits", "", "status_body 200 body 6"},
		{"/digits", "STATUS_BODY ", "status_body 200 body 6"},
		{"/nowhere", "", "status_body 404 body 19"},
		{"/headers", "envelope", "envelope 200 type application/json cookie session=a,b body 7"},
		{"/headers", "something else", "envelope 200 type application/json cookie session=a,b body 7"},
		{"/empty", "envelope", "envelope 204 body 0"},
		{"/digits", "envelope", "envelope 200 type text/plain body 6"},
	}...))
}

// One response buffer of 4 MiB holds the largest body in either shape. To read
// one byte by byte takes an interpreted guest more CPU time than it asks for.
func TestSDKLargestBody(t *testing.T) {
	t.Parallel()
	worlds(t, testFetches(t, []fetch{
		{"/big/2097152", "", "status_body 200 body 2097152"},
		{"/big/2097152", "envelope", "envelope 200 type application/octet-stream body 2097152"},
		{"/big/2097153", "", "-3"},
		{"/big/2097153", "envelope", "-3"},
	}...))
}

// Levels 0 to 3 and an empty line, which nobody sees.
func TestSDKLogLevels(t *testing.T) {
	t.Parallel()
	pkg := packageNamed(t, "sdk-mimic")
	engines(t, func(t *testing.T, engine ...host.Option) {
		report := execute(t, load(t, newRuntime(t, engine...), pkg), nil)
		equal(t, "log", logged(report), []string{"DEBUG debug", "INFO info", "WARN warn", "ERROR error"})
		if report.Usage.LogDropped != 0 {
			t.Errorf("%d lines dropped", report.Usage.LogDropped)
		}
	})
}

// The first handle is above 0, empty data is pointer 0 and length 0, closing
// twice is a bad handle.
func TestSDKHandles(t *testing.T) {
	t.Parallel()
	pkg := packageNamed(t, "sdk-mimic")
	everywhere(t, func(t *testing.T, w *world) {
		at := w.tcp(t, func(c net.Conn) { io.Copy(io.Discard, c) })
		cfg := map[string]any{"host": at.host, "port": at.port}
		report := execute(t, w.load(t, pkg, at.grant()), cfg)
		if _, got, _ := strings.Cut(report.Result.Summary, " connect "); got != "1 write 0 close 0 again -7" {
			t.Errorf("got %q", report.Result.Summary)
		}
		if u := report.Usage; u.PeakConnections != 1 || u.BytesOut != 0 {
			t.Errorf("usage %+v", u)
		}
	})
}

// The Rust SDK writes every field, also empty ones, and reads the envelope only.
func TestSDKRust(t *testing.T) {
	t.Parallel()
	pkg := packageNamed(t, "sdk-mimic-rust")
	everywhere(t, func(t *testing.T, w *world) {
		at := w.http(t, pages())
		for _, tt := range []struct {
			path, summary string
			want          result.Status
			log           []string
		}{
			{"/headers", "envelope 200 type application/json; charset=utf-8 cookie session=a,b body 7", result.OK, []string{"DEBUG debug"}},
			{"/empty", "envelope 204 type  cookie  body 0", result.OK, []string{"DEBUG debug"}},
			{"/big/65536", "envelope 200 type application/octet-stream cookie  body 65536", result.OK, []string{"DEBUG debug"}},
			{"/big/2097153", "http_request answered -3", result.Critical, []string{"DEBUG debug", "ERROR http_request answered -3"}},
		} {
			before := time.Now()
			report := execute(t, w.load(t, pkg, at.grant()), map[string]any{"url": at.url() + tt.path})
			r := report.Result
			if r.Status != tt.want || r.Summary != tt.summary {
				t.Errorf("%s: got %v %q, want %v %q", tt.path, r.Status, r.Summary, tt.want, tt.summary)
			}
			equal(t, "log", logged(report), tt.log)
			checkLabels(t, report, nil)
			if r.Details+r.Perfdata+r.ConditionID != "" || r.AlertHint || len(r.Metrics)+len(r.Display)+len(r.Events) > 0 || r.SchemaVersion != 1 {
				t.Errorf("empty fields became %+v", r)
			}
			if w.memory == nil && (r.ObservedAt.Before(before) || r.ObservedAt.After(time.Now())) || r.ObservedAt.IsZero() {
				t.Errorf("an empty observed_at became %v", r.ObservedAt)
			}
		}
		report := execute(t, w.load(t, pkg, at.grantPort(443)), map[string]any{"url": at.url()})
		if r := report.Result; r.Status != result.Critical || r.Summary != "http_request answered -2" {
			t.Errorf("got %v %q", r.Status, r.Summary)
		}
		equal(t, "log", logged(report), []string{"DEBUG debug", "ERROR http_request answered -2"})
	})
}

// Pointer 0 and length 0 in every function.
func TestSDKEmptyData(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, engine ...host.Option) {
		w := loopback(t, engine...)
		at, next := w.udp(t)
		talk := w.tcp(t, func(c net.Conn) { io.WriteString(c, "x"); io.Copy(io.Discard, c) })
		nothing, local := wasmgen.Text(""), wasmgen.Text("127.0.0.1")
		port, second := wasmgen.Lit(int64(at.port)), wasmgen.Lit(1000)
		steps := []wasmgen.Step{
			wasmgen.Do("last_error", nothing),
			wasmgen.Do("get_config", nothing),
			wasmgen.Do("submit_result", nothing),
			wasmgen.Do("log", wasmgen.Lit(1), nothing),
			wasmgen.Do("http_request", nothing, wasmgen.Out(16)),
			wasmgen.Do("tcp_connect", nothing, port, second),
			wasmgen.Do("udp_sendto", nothing, port, wasmgen.Text("x"), second),
			wasmgen.Do("udp_sendto", local, port, nothing, second),
			wasmgen.Do("tcp_connect", local, wasmgen.Lit(int64(talk.port)), second).As("conn"),
			wasmgen.Do("tcp_write", wasmgen.Ref("conn"), nothing, second),
			wasmgen.Do("tcp_read", wasmgen.Ref("conn"), nothing, second),
			wasmgen.Do("tcp_read", wasmgen.Ref("conn"), wasmgen.Out(8), second),
			wasmgen.Do("tcp_close", wasmgen.Ref("conn")),
		}
		want := []int64{0, -3, -1, 0, -1, -1, -1, 0, 1, 0, -1, 1, 0}
		wasm := wasmgen.Proxy(wasmgen.Script{Entry: steps, Traps: allocators})
		grant := at.grant()
		grant.Permissions.Ports = append(grant.Permissions.Ports, talk.grant().Permissions.Ports...)
		pkg := packageOf(wasm)
		pkg.Manifest.Permissions = grant.Permissions
		report, err := load(t, w.Runtime, pkg, host.WithGrant(grant)).Execute(t.Context(), map[string]any{"a": 1})
		if err != nil {
			t.Fatal(err)
		}
		notes := notesOf(t, report, wasmgen.ReportSubmit)
		for i, n := range notes {
			if n.R != want[i] {
				t.Errorf("%v, want %d", n, want[i])
			}
		}
		if len(notes) != len(want) {
			t.Errorf("%d notes, want %d", len(notes), len(want))
		}
		if got := next(); got != "" {
			t.Errorf("the empty datagram brought %q", got)
		}
	})
}

// allocators are what guests export for hosts of other kinds.
var allocators = []string{"alloc", "dealloc", "malloc", "free", "calloc", "realloc", "allocate", "deallocate"}

// echoer makes a guest that sends back all it reads from one connection, in
// reads of changing sizes, and submits OK at the end of the stream. Guests run
// TLS over these calls: one byte lost or swapped breaks it.
func echoer(at place) []byte {
	const (
		text, doc, buf = 16, 512, 4096
		most           = 8191 // bytes of a read, a mask
	)
	submitted := `{"status":"OK","summary":"end of stream"}`
	var b wasmgen.Builder
	connect := b.ImportFunc("env", "tcp_connect", wasmgen.Env("", 4).Sig)
	read := b.ImportFunc("env", "tcp_read", wasmgen.Env("", 4).Sig)
	write := b.ImportFunc("env", "tcp_write", wasmgen.Env("", 4).Sig)
	submit := b.ImportFunc("env", "submit_result", wasmgen.Env("", 2).Sig)
	b.Memory(1)
	b.Data(text, []byte(at.host))
	b.Data(doc, []byte(submitted))
	handle, n, seed := wasmgen.LocalGet(0), wasmgen.LocalGet(1), wasmgen.LocalGet(2)
	c := wasmgen.I32Const
	b.ExportFunc("run_check", b.Func(wasmgen.Sig{}, wasmgen.I32s(3),
		wasmgen.LocalSet(0, wasmgen.Call(connect, c(text), c(int32(len(at.host))), c(int32(at.port)), c(0))),
		wasmgen.Block(wasmgen.Loop(
			wasmgen.LocalSet(2, wasmgen.I32Add(wasmgen.I32Mul(seed, c(1103515245)), c(12345))),
			wasmgen.LocalSet(1, wasmgen.Call(read, handle, c(buf), wasmgen.I32Add(c(1), wasmgen.I32And(wasmgen.I32ShrU(seed, c(9)), c(most))), c(0))),
			wasmgen.BrIf(1, wasmgen.I32Eqz(n)),
			wasmgen.If(wasmgen.I32LtS(n, c(0)), wasmgen.Unreachable()),
			wasmgen.If(wasmgen.I32Ne(wasmgen.Call(write, handle, c(buf), n, c(0)), n), wasmgen.Unreachable()),
			wasmgen.Br(0),
		)),
		wasmgen.Drop(wasmgen.Call(submit, c(doc), c(int32(len(submitted)))))))
	return b.Bytes()
}

func TestSDKStreamIsExact(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, w *world) {
		random := rand.NewChaCha8([32]byte{1})
		sent := make([]byte, 1<<20)
		random.Read(sent)
		came := make(chan []byte, 1)
		at := w.tcp(t, func(c net.Conn) {
			go sendInPieces(c, sent, rand.New(random))
			back, err := io.ReadAll(io.LimitReader(c, int64(len(sent))))
			if err != nil {
				t.Errorf("after %d bytes: %v", len(back), err)
			}
			came <- back
		})
		pkg := packageOf(echoer(at))
		pkg.Manifest.Permissions = at.grant().Permissions
		report := execute(t, w.load(t, pkg, at.grant()), nil)
		back := <-came
		if !bytes.Equal(back, sent) {
			same := 0
			for same < min(len(back), len(sent)) && back[same] == sent[same] {
				same++
			}
			t.Errorf("%d of %d bytes came back, the first %d as they were sent", len(back), len(sent), same)
		}
		if u := report.Usage; u.BytesIn != 1<<20 || u.BytesOut != 1<<20 || len(u.Failed) > 0 || u.Calls["tcp_read"] < 1<<20/8192 {
			t.Errorf("usage %+v", u)
		}
	})
}

// sendInPieces writes all of b in pieces of 1 byte to 20 KiB and ends the stream.
func sendInPieces(c net.Conn, b []byte, random *rand.Rand) {
	for len(b) > 0 {
		n := min(len(b), 1+random.IntN(20<<10))
		if random.IntN(4) == 0 {
			n = 1
		}
		if _, err := c.Write(b[:n]); err != nil {
			return // the reading side tells
		}
		b = b[n:]
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}

// A timeout of 0 is the host's own; every u32 is legal and clamped to the run.
func TestSDKTimeouts(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, engine ...host.Option) {
		w := loopback(t, engine...)
		at := w.tcp(t, func(c net.Conn) { io.WriteString(c, "abc"); io.Copy(io.Discard, c) })
		read := func(ms int64) wasmgen.Step {
			return wasmgen.Do("tcp_read", wasmgen.Ref("conn"), wasmgen.Out(1), wasmgen.Lit(ms))
		}
		wasm := wasmgen.Proxy(wasmgen.Script{Traps: allocators, Entry: []wasmgen.Step{
			wasmgen.Do("tcp_connect", wasmgen.Text(at.host), wasmgen.Lit(int64(at.port)), wasmgen.Lit(1<<32-1)).As("conn"),
			read(0), read(1<<32 - 1), read(1 << 31), read(30), read(30), wasmgen.Do("tcp_write", wasmgen.Ref("conn"), wasmgen.Text("still open"), wasmgen.Lit(0)),
		}})
		pkg := packageOf(wasm)
		pkg.Manifest.Permissions = at.grant().Permissions
		p := load(t, w.Runtime, pkg, host.WithGrant(capability.Grant{
			Capabilities: networkNames, Permissions: at.grant().Permissions, Limits: limits.Limits{Wall: 5 * time.Second},
		}))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		report, err := p.Execute(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, n := range notesOf(t, report, wasmgen.ReportSubmit) {
			got = append(got, n.R)
		}
		equal(t, "answers", got, []int64{1, 1, 1, 1, -6, -6, 10})
	})
}
