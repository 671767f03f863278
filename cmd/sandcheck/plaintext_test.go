package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "disk / is 91% full\n\tgrüße ✓", "disk / is 91% full\n\tgrüße ✓"},
		{"colour", "\x1b[1;31mred\x1b[0m", "red"},
		{"colour by C1", "\u009b31mred", "red"},
		{"title", "a\x1b]0;owned\x07b", "ab"},
		{"title by C1", "a\u009d0;owned\u009cb", "ab"},
		{"link", "\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\", "text"},
		{"string without an end hides nothing", "a\x1b]0;shown", "a0;shown"},
		{"string stops at another control", "a\x1bPx\x1b[31mred\x1b\\b", "axredb"},
		{"charset", "\x1b(0x", "x"},
		{"reset", "\x1bcx", "x"},
		{"lone escape", "\x1b", ""},
		{"escape and end of CSI", "a\x1b[", "a"},
		{"carriage return, backspace, delete, bell", "a\rb\bc\x7fd\a", "abcd"},
		{"direction", "a\u202eb\u2066c", "abc"},
		{"byte order mark", "\ufeffa", "a"},
		{"line separators", "a\u2028b\u2029c", "abc"},
		{"no UTF-8", "a\x9b31mb", "a\ufffd31mb"},
		{"no UTF-8 beside a sequence", "\x1b[31m\xffx", "\ufffdx"},
	} {
		if got := clean(tt.in); got != tt.want {
			t.Errorf("%s: clean(%q) = %q, want %q", tt.name, tt.in, got, tt.want)
		}
	}
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{" a\nb\r\nc\td ", "a b  c d"},
		{"a\u0085b\u2028c\u2029d", "a b c d"},
		{"\x1b[31m\n", ""},
	} {
		if got := oneLine(tt.in); got != tt.want {
			t.Errorf("oneLine(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestCleanIsLinear(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"\x1b]", "\u009d", "\x1b[1", "\x1bP\u0090x", "\xff"} {
		begin := time.Now()
		// Tens of milliseconds; minutes if each start looked through all the rest.
		clean(strings.Repeat(unit, 1<<16))
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("%q repeated: %v", unit, took)
		}
	}
}

func TestEscapeJSON(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "plain ✓ <&>", "\x1b[31m", "\u009b31m\u007f\u0085", "\u202e\u2028\ufeff", "a\nb\t\r\x00", "\U000e0001"} {
		doc, err := encodeJSON(map[string]string{"k" + s: s})
		if err != nil {
			t.Fatal(err)
		}
		wantHarmless(t, string(doc))
		var back map[string]string
		if err := json.Unmarshal(doc, &back); err != nil || back["k"+s] != s {
			t.Errorf("%q became %s, read back as %q, %v", s, doc, back, err)
		}
	}
	doc, err := encodeJSON(json.RawMessage("\"\x9b\""))
	if err != nil || string(doc) != "\"\ufffd\"\n" {
		t.Errorf("a raw byte became %q, %v", doc, err)
	}
}

// wantHarmless fails t if text holds anything that acts on a terminal.
func wantHarmless(t *testing.T, text string) {
	t.Helper()
	for i, r := range text {
		if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Bidi_Control, unicode.Zl, unicode.Zp) || r == 0xfeff {
			t.Errorf("%U at byte %d of %q", r, i, text)
			return
		}
	}
	if strings.ToValidUTF8(text, "") != text {
		t.Errorf("%q is not UTF-8", text)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b]0;\x1b[31m\u009b\xff\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		once := clean(s)
		wantHarmless(t, once)
		if again := clean(once); again != once {
			t.Errorf("clean(%q) = %q, and cleaned again %q", s, once, again)
		}
		if line := oneLine(s); strings.ContainsAny(line, "\n\t") {
			t.Errorf("oneLine(%q) = %q", s, line)
		}
	})
}
