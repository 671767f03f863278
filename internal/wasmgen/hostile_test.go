package wasmgen_test

import (
	"bytes"
	"testing"

	"github.com/sandcheck/sandcheck/internal/wasmgen"
)

// TestHostileCorpus checks the list itself: a judge can tell the cases apart,
// knows what to expect of each, and gets the same bytes each time.
func TestHostileCorpus(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	classes := map[string]int{}
	for _, h := range wasmgen.HostileCorpus() {
		name := h.Class + ": " + h.Name
		if seen[name] {
			t.Errorf("%s: twice", name)
		}
		seen[name] = true
		classes[h.Class]++
		for _, v := range []wasmgen.Verdict{h.Want, h.For(true)} {
			if (v.Refused == "") == (v.Ended == "") {
				t.Errorf("%s: verdict %+v, want one of Refused and Ended", name, v)
			}
			if (v.Trap == "") != (v.Ended != "trapped") {
				t.Errorf("%s: verdict %+v, want a kind for a trap and only then", name, v)
			}
		}
		if testing.Short() && h.Class == "counts" {
			continue
		}
		if a, b := h.Wasm(), h.Wasm(); !bytes.Equal(a, b) {
			t.Errorf("%s: two modules of %d and %d bytes differ", name, len(a), len(b))
		}
	}
	for class, n := range classes {
		if n < 5 {
			t.Errorf("class %s has %d cases", class, n)
		}
	}
	if len(seen) < 66 {
		t.Errorf("%d cases, want at least 66", len(seen))
	}
	t.Logf("%d cases: %v", len(seen), classes)
}
