package bench_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/host/hosttest"
	"github.com/sandcheck/sandcheck/internal/wasmgen"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/result"
)

// laterRuns is how many runs the median of run-us is taken of.
const laterRuns = 101

// configs say what each guest is run with. A guest without a line gets none.
var configs = map[string]any{
	"http-check":      httpConfig,
	"http-check-as":   map[string]any{"url": "http://api.example.com/"},
	"http-check-go":   httpConfig,
	"http-check-rust": httpConfig,
	"sdk-mimic":       map[string]any{"url": "http://api.example.com/"},
	"sdk-mimic-rust":  map[string]any{"url": "http://api.example.com/"},
	"small-config":    map[string]any{"pad": strings.Repeat("x", 1000)},
	"tcp-banner":      tcpConfig,
	"tcp-banner-go":   tcpConfig,
	"udp-sender-as":   udpConfig,
	"udp-sender-go":   udpConfig,
}

var (
	httpConfig = map[string]any{"url": "http://api.example.com/", "warn_ms": 500, "crit_ms": 1000}
	tcpConfig  = map[string]any{"host": "mail.example.com", "port": 2525, "expect": "220 "}
	udpConfig  = map[string]any{"host": "log.example.com", "port": 5140, "payload": "hello"}
)

// refused are the packages that do not load, which is their purpose.
var refused = []string{"import-memory"}

// row is one line of the table.
type row struct {
	guest                       string
	bytes                       int
	compile, load, first, later time.Duration
}

func BenchmarkGuests(b *testing.B) {
	var rows []row
	for _, name := range names(b) {
		b.Run(name, func(b *testing.B) {
			rows = append(rows, benchGuest(b, name))
		})
	}
	// A benchmark that only has parts prints no log of its own.
	fmt.Printf("%s %s/%s, %d CPUs\n%s", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), table(rows))
}

// names are the guests of testdata/packages that load.
func names(b *testing.B) []string {
	b.Helper()
	entries, err := os.ReadDir(filepath.Join("..", "..", "testdata", "packages"))
	if err != nil {
		b.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(refused, e.Name()) {
			out = append(out, e.Name())
		}
	}
	return out
}

func benchGuest(b *testing.B, name string) row {
	pkg, err := manifest.ReadPackage(wasmgen.Package(b, name))
	if err != nil {
		b.Fatal(err)
	}
	var all []row
	for b.Loop() {
		all = append(all, life(b, pkg))
	}
	r := row{
		guest: name, bytes: len(pkg.Wasm),
		compile: median(all, func(r row) time.Duration { return r.compile }),
		load:    median(all, func(r row) time.Duration { return r.load }),
		first:   median(all, func(r row) time.Duration { return r.first }),
		later:   median(all, func(r row) time.Duration { return r.later }),
	}
	b.ReportMetric(0, "ns/op") // a whole life says nothing
	b.ReportMetric(float64(r.bytes), "bytes")
	b.ReportMetric(ms(r.compile), "compile-ms")
	b.ReportMetric(ms(r.load), "load-ms")
	b.ReportMetric(us(r.first), "first-us")
	b.ReportMetric(us(r.later), "run-us")
	return r
}

// life takes a package through a Runtime of its own.
func life(b *testing.B, pkg *manifest.Package) row {
	h := world(b)
	var r row
	began := time.Now()
	p := h.MustLoad(pkg, host.GrantRequested())
	r.compile = time.Since(began)

	began = time.Now()
	again := h.MustLoad(pkg, host.GrantRequested())
	r.load = time.Since(began)
	if err := again.Close(b.Context()); err != nil {
		b.Fatal(err)
	}

	r.first = run(b, p)
	var later []time.Duration
	for range laterRuns {
		later = append(later, run(b, p))
	}
	slices.Sort(later)
	r.later = later[len(later)/2]
	return r
}

func run(b *testing.B, p *host.Plugin) time.Duration {
	cfg := configs[p.Manifest().ID]
	began := time.Now()
	res, err := p.Run(b.Context(), cfg)
	took := time.Since(began)
	if err != nil || res.Status != result.OK {
		b.Fatalf("%s: %v %q, %v", p.Manifest().ID, res.Status, res.Summary, err)
	}
	return took
}

// world is a Runtime on a network in memory with all that the guests reach.
func world(b *testing.B) *hosttest.Host {
	// By default a plugin is held to ten dials a second.
	const fast = 1e6
	h := hosttest.New(b, host.WithLimits(limits.Limits{CallRate: fast, DialRate: fast, LookupRate: fast, DatagramRate: fast, DatagramBytes: 1 << 30}))
	h.Network.HandleHTTP("http://api.example.com", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello") // the guest is judged, not the server
	}))
	h.Network.HandleTCP("mail.example.com:2525", func(c net.Conn) {
		_, _ = io.WriteString(c, "220 mail.example.com\r\n")
	})
	h.Network.HandleUDP("log.example.com:5140", nil)
	h.Network.HandleUDP("statsd.test:8125", nil)
	return h
}

func median(rows []row, of func(row) time.Duration) time.Duration {
	var all []time.Duration
	for _, r := range rows {
		all = append(all, of(r))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

func table(rows []row) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "guest\tbytes\tcompile ms\tload ms\tfirst run µs\tlater run µs\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.2f\t%.0f\t%.0f\t\n", r.guest, r.bytes, ms(r.compile), ms(r.load), us(r.first), us(r.later))
	}
	w.Flush()
	return text.String()
}
