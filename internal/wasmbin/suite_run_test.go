package wasmbin_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

// script is what the suites' converter makes of one file of assertions.
type script struct {
	Source   string    `json:"source_filename"`
	Commands []command `json:"commands"`
}

type command struct {
	Type     string  `json:"type"`
	Line     int     `json:"line"`
	Name     string  `json:"name"`
	Filename string  `json:"filename"`
	As       string  `json:"as"`
	Text     string  `json:"text"`
	Kind     string  `json:"module_type"`
	Action   action  `json:"action"`
	Expected []value `json:"expected"`
}

type action struct {
	Type   string  `json:"type"`
	Field  string  `json:"field"`
	Module string  `json:"module"`
	Args   []value `json:"args"`
}

type value struct {
	Type  string `json:"type"`
	Lane  string `json:"lane_type"`
	Value any    `json:"value"`
}

// TestRunSuites executes the assertions of the suites on metered modules.
func TestRunSuites(t *testing.T) {
	t.Parallel()
	for _, suite := range []string{"v1", "v2"} {
		for engine := range engines {
			t.Run(suite+"/"+engine, func(t *testing.T) {
				t.Parallel()
				total := 0
				for _, file := range suiteFiles(t, suite, ".json") {
					total += runScript(t, engine, file)
				}
				t.Logf("%d assertions", total)
				if total < 15_000 {
					t.Errorf("only %d assertions were run", total)
				}
			})
		}
	}
}

// suiteRun is the state of one script.
type suiteRun struct {
	*world
	dir   string
	last  api.Module
	named map[string]api.Module
}

func runScript(t *testing.T, engine, file string) int {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s script
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	run := &suiteRun{world: newWorld(t, engines[engine]()), dir: filepath.Dir(file), named: map[string]api.Module{}}
	defer run.close()
	helper := filepath.Join(run.dir, "..", "..", "testdata", "spectest.wasm")
	if run.modules["spectest"], err = run.load(helper); err != nil {
		t.Fatalf("%s: %v", helper, err)
	}
	n := 0
	first := filepath.Base(filepath.Dir(run.dir)) == "v1"
	for _, c := range s.Commands {
		if first && changedSince(s.Source, c) {
			continue
		}
		asserted, err := run.do(c)
		if err != nil {
			t.Errorf("%s %s:%d %s %s%v: %v", engine, filepath.Base(s.Source), c.Line, c.Type, c.Action.Field, c.Action.Args, err)
		}
		if asserted {
			n++
		}
	}
	return n
}

// changedSince reports whether the second edition answers differently: it
// accepts more modules, and applies segments one by one. What the first
// edition calls invalid is covered by TestAcceptSuites.
func changedSince(source string, c command) bool {
	switch c.Type {
	case "assert_invalid", "assert_malformed", "assert_unlinkable":
		return true
	}
	return strings.HasSuffix(source, "linking.wast")
}

func (s *suiteRun) load(file string) (api.Module, error) {
	wasm, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	out, meta, err := metered(wasm, wasmbin.Limits{Unchecked: true}, wasmbin.InstrumentOptions{AllowImports: true})
	if err != nil {
		return nil, err
	}
	return s.start(out, meta)
}

// do executes one command and reports whether it asserts something.
func (s *suiteRun) do(c command) (bool, error) {
	switch c.Type {
	case "module":
		m, err := s.load(filepath.Join(s.dir, c.Filename))
		s.last = m
		if c.Name != "" {
			s.named[c.Name] = m
		}
		return false, err
	case "register":
		m := s.last
		if c.Name != "" {
			m = s.named[c.Name]
		}
		s.modules[c.As] = m
		return false, nil
	case "assert_return", "action":
		got, err := s.act(c.Action)
		if err != nil {
			return true, err
		}
		return true, compare(got, c.Expected)
	case "assert_trap", "assert_exhaustion":
		got, err := s.act(c.Action)
		if err == nil {
			return true, fmt.Errorf("got %v, want trap %q", got, c.Text)
		}
		return true, sameTrap(err, c.Text)
	case "assert_malformed", "assert_invalid", "assert_unlinkable", "assert_uninstantiable":
		if c.Kind == "text" {
			return false, nil
		}
		_, err := s.load(filepath.Join(s.dir, c.Filename))
		// wazero skips such a segment; with budgets on we refuse the module.
		if err == nil && c.Text != "out of bounds table access" {
			return true, fmt.Errorf("loaded, want %q", c.Text)
		}
		return true, nil
	}
	return false, fmt.Errorf("unknown command %q", c.Type)
}

func (s *suiteRun) act(a action) ([]uint64, error) {
	m := s.last
	if a.Module != "" {
		m = s.named[a.Module]
	}
	if m == nil {
		return nil, errors.New("no module")
	}
	if a.Type == "get" {
		return []uint64{m.ExportedGlobal(a.Field).Get()}, nil
	}
	var args []uint64
	for _, v := range a.Args {
		bits, err := v.bits()
		if err != nil {
			return nil, err
		}
		args = append(args, bits...)
	}
	f := m.ExportedFunction(a.Field)
	if f == nil {
		return nil, fmt.Errorf("no function %q", a.Field)
	}
	// An overflow leaves depth where it was; an engine discards the instance.
	m.ExportedGlobal(wasmbin.ExportDepth).(api.MutableGlobal).Set(0)
	got, err := f.Call(s.ctx, args...)
	if d := m.ExportedGlobal(wasmbin.ExportDepth).Get(); err == nil && d != 0 {
		return nil, fmt.Errorf("depth is %d after the call", d)
	}
	return got, err
}

// trapTexts are wazero's words for the suites' words.
var trapTexts = map[string]string{
	"undefined element":          "invalid table access",
	"undefined":                  "invalid table access",
	"uninitialized":              "invalid table access",
	"out of bounds table access": "invalid table access",
	"indirect call":              "indirect call type mismatch",
	"call stack exhausted":       errOverflow.Error(),
}

func sameTrap(err error, text string) error {
	want := text
	for k, v := range trapTexts {
		if k == text || k == "uninitialized" && strings.HasPrefix(text, k) {
			want = v
		}
	}
	if strings.Contains(err.Error(), want) || want == errOverflow.Error() && strings.Contains(err.Error(), "stack overflow") {
		return nil
	}
	return fmt.Errorf("trap %.80q, want %q", err.Error(), want)
}

// bits answers the value as wazero takes it.
func (v value) bits() ([]uint64, error) {
	if list, ok := v.Value.([]any); ok {
		width := map[string]int{"i8": 8, "i16": 16, "i32": 32, "f32": 32, "i64": 64, "f64": 64}[v.Lane]
		out := []uint64{0, 0}
		for i, l := range list {
			n, err := strconv.ParseUint(l.(string), 10, width)
			if err != nil {
				return nil, err
			}
			out[i*width/64] |= n << (i * width % 64)
		}
		return out, nil
	}
	text, _ := v.Value.(string)
	switch {
	case v.Value == nil || text == "null":
		return []uint64{0}, nil
	case v.Type == "externref":
		n, err := strconv.ParseUint(text, 10, 64)
		return []uint64{n + 1}, err // zero is null for wazero
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return []uint64{n}, err
}

// compare checks results against expectations, which for floats may be classes of NaN.
func compare(got []uint64, want []value) error {
	at := 0
	for i, w := range want {
		size := 1
		if w.Type == "v128" {
			size = 2
		}
		if at+size > len(got) {
			return fmt.Errorf("got %d values, want %d", len(got), len(want))
		}
		if !w.matches(got[at : at+size]) {
			return fmt.Errorf("result %d is %x, want %v", i, got[at:at+size], w)
		}
		at += size
	}
	if at != len(got) {
		return fmt.Errorf("got %d slots, want %d", len(got), at)
	}
	return nil
}

func (v value) matches(got []uint64) bool {
	if v.Type == "v128" {
		list := v.Value.([]any)
		width := 128 / len(list)
		for i, l := range list {
			lane := got[i*width/64] >> (i * width % 64)
			if width < 64 {
				lane &= 1<<width - 1
			}
			if !sameScalar(lane, l.(string), v.Lane) {
				return false
			}
		}
		return true
	}
	if v.Value == nil { // any reference
		return true
	}
	text := v.Value.(string)
	if text == "null" {
		return got[0] == 0
	}
	if v.Type == "externref" {
		n, _ := strconv.ParseUint(text, 10, 64)
		return got[0] == n+1
	}
	return sameScalar(got[0], text, v.Type)
}

func sameScalar(got uint64, text, typ string) bool {
	if typ == "i32" || typ == "f32" {
		got &= math.MaxUint32
	}
	quiet, all := uint64(0x7fc0_0000), uint64(0x7fff_ffff)
	if typ == "f64" {
		quiet, all = 0x7ff8_0000_0000_0000, math.MaxInt64
	}
	switch text {
	case "nan:canonical":
		return got&all == quiet
	case "nan:arithmetic":
		return got&quiet == quiet
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return err == nil && got == n
}
