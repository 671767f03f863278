package manifest_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/manifest"
)

const most = 262_144

func repeated(unit string) string { return strings.Repeat(unit, most/len(unit)) }

// hostile documents are as large as a manifest may be and cost a careless
// reader a large multiple of that.
var hostile = map[string]string{
	"repeated keys":      strings.Repeat("a:\n", 60_000),
	"repeated long keys": repeated("a: b\n"),
	"open brackets":      repeated("["),
	"nested lists":       strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000),
	"nested maps":        strings.Repeat("{a: ", 9_000) + strings.Repeat("}", 9_000),
	"nested by indent":   indented(700),
	"dashes in a line":   repeated("- "),
	"question marks":     repeated("? "),
	"comments":           repeated("#\n"),
	"comments on values": "a:\n" + strings.Repeat("  - b # c\n", 25_000),
	"comments between":   strings.Repeat("#x\n- a\n", 35_000),
	"one comment":        "a: b # " + strings.Repeat("c", most-10),
	"blank lines":        repeated("\n"),
	"one long text":      "a: " + strings.Repeat("b", most-10),
	"one long key":       strings.Repeat("b", most-10) + ": a",
	"quoted text":        `a: "` + strings.Repeat(`\n`, most/2-10) + `"`,
	"list of nulls":      "capabilities: [" + strings.Repeat("~,", 130_000) + "]",
	"bad capabilities":   "capabilities: [" + strings.Repeat("Lo,", 4_900) + "]",
	"anchors":            strings.Repeat("- &a b\n", 35_000),
	"aliases":            "- &a b\n" + strings.Repeat("- *a\n", 50_000),
	"documents":          repeated("---\n"),
	"tags":               repeated("!!str "),
	"directives":         repeated("%TAG ! x\n"),
	"folded":             "a: >\n" + strings.Repeat(" b\n\n", 65_000),
	"tabs":               repeated("\t"),
	"bad entries":        "permissions: {allowed_domains: [" + strings.Repeat("'',", 4_900) + "]}",
	"deep keys":          deepKeys(),
	"billion laughs":     laughs(),
}

func indented(depth int) string {
	var b strings.Builder
	for i := range depth {
		if b.Len() > most-depth-10 {
			break
		}
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func deepKeys() string {
	return "source: {" + strings.Repeat(strings.Repeat("k", 1000)+": {", 30) + strings.Repeat("a: &x b,", 3000) + strings.Repeat("}", 31)
}

func laughs() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 100; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	return b.String()
}

// measure runs f and returns how long it took and what it allocated in all.
func measure(f func()) (time.Duration, uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	f()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	return took, after.TotalAlloc - before.TotalAlloc
}

func TestHostileDocuments(t *testing.T) {
	for name, doc := range hostile {
		t.Run(name, func(t *testing.T) {
			if len(doc) > most {
				t.Fatalf("the document has %d bytes: it is refused by size alone", len(doc))
			}
			var err error
			took, allocated := measure(func() { _, err = manifest.Parse([]byte(doc)) })
			t.Logf("%v, %d KiB: %.80s", took, allocated>>10, fmt.Sprint(err))
			if err == nil {
				t.Error("accepted")
			}
			if n := len(problemsOf(err)); n == 0 || n > 50 {
				t.Errorf("%d problems, want 1 to 50", n)
			}
			if len(err.Error()) > 256<<10 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
			if took > time.Second || allocated > 64<<20 {
				t.Errorf("took %v and %d MiB, want under 1s and 64 MiB", took, allocated>>20)
			}
		})
	}
}
