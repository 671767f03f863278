package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestHostileTexts runs a guest that writes terminal sequences wherever it can.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"run", "--unsigned"}, {"run", "--unsigned", "--format", "nagios"}, {"run", "--unsigned", "--format", "json"},
		{"inspect"}, {"inspect", "--format", "json"}, {"validate"}, {"validate", "--format", "json"}, {"validate", "--format", "github"},
		{"review"}, {"review", "--format", "json"}, {"review", "--old", shared("alive")}, {"explain", "https://a.test"}, {"verify", "--public", somePublic, "--id", "a"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			got := invoke(t, append(args, own("hostile"))...)
			want := map[string]int{"run": 1, "explain": 2, "verify": 2}[args[0]]
			if got.code != want {
				t.Errorf("exit code %d", got.code)
			}
			wantHarmless(t, got.out)
			wantHarmless(t, got.err)
		})
	}
}

// TestHostileTextForgesNothing checks that what a guest writes stays in its place.
func TestHostileTextForgesNothing(t *testing.T) {
	t.Parallel()
	got := invoke(t, "run", "--unsigned", own("hostile"))
	wantIn(t, "stdout", got.out, "WARNING: red summary UNKNOWN: forged\n  title\n  run\n    ended        forged\n", "\n  m forged     1u\n")
	if n := strings.Count(got.out, "\nrun\n"); n != 1 {
		t.Errorf("%d headings are called run:\n%s", n, got.out)
	}
}

// TestHostileTextIsKeptInJSON checks that JSON hides nothing from programs.
func TestHostileTextIsKeptInJSON(t *testing.T) {
	t.Parallel()
	got := invoke(t, "run", "--unsigned", "--format", "json", own("hostile"))
	var doc struct {
		Result struct {
			Summary string
			Vendor  struct{ Raw string }
		}
	}
	if err := json.Unmarshal([]byte(got.out), &doc); err != nil {
		t.Fatal(err)
	}
	if want := "\x1b[31mred\x1b[0m \u009b2J\u202e\u007fsummary\nUNKNOWN: forged"; doc.Result.Summary != want || doc.Result.Vendor.Raw != "\u009b31m" {
		t.Errorf("got %q, want %q", doc.Result, want)
	}
}
