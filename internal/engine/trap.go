package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sandcheck/sandcheck/internal/abi"
	"github.com/sandcheck/sandcheck/internal/plain"
	"github.com/sandcheck/sandcheck/internal/wasmbin"
)

// Trap is a run that ended in a trap: its kind, one of the stable words of the
// ABI, and the guest's frames, innermost first.
type Trap struct {
	Kind   string
	Frames []string
	Cause  error // of a host panic
}

func (t *Trap) Error() string { return "trap: " + t.Kind }
func (t *Trap) Unwrap() error { return t.Cause }

// kinds maps wazero's words to ours. A word that is missing here stands for an
// instruction that decoding refuses.
var kinds = map[string]string{
	"unreachable":                   "unreachable",
	"out of bounds memory access":   "out_of_bounds_memory",
	"invalid table access":          "out_of_bounds_table",
	"indirect call type mismatch":   "indirect_call",
	"null reference":                "indirect_call",
	"integer divide by zero":        "integer_divide_by_zero",
	"integer overflow":              "integer_overflow",
	"invalid conversion to integer": "invalid_conversion",
	"stack overflow":                "stack_overflow",
}

// ending turns what a call into the guest returned into nil, *abi.Exit,
// *abi.Stop, *abi.StartCalled, *Trap or, if wazero itself failed, another error.
// The text of the error is read only for the trap's kind and frames.
func (p *Program) ending(ctx context.Context, err error) error {
	var (
		exit    *abi.Exit
		stop    *abi.Stop
		started *abi.StartCalled
		crashed *abi.HostPanic
		deep    stackOverflow
	)
	switch {
	case err == nil && ctx.Err() != nil:
		return &abi.Stop{Cause: context.Cause(ctx)} // it returned, but late
	case err == nil:
		return nil
	case errors.As(err, &stop):
		return stop
	case errors.As(err, &exit):
		return exit
	case errors.As(err, &started):
		return started
	case errors.As(err, &crashed):
		return &Trap{Kind: "host_panic", Frames: p.frames(err), Cause: crashed}
	case errors.As(err, &deep):
		return &Trap{Kind: "stack_overflow", Frames: p.frames(err)}
	}
	if kind, ok := trapKind(err); ok {
		return &Trap{Kind: kind, Frames: p.frames(err)}
	}
	return err
}

func trapKind(err error) (string, bool) {
	_, text, ok := strings.Cut(err.Error(), "wasm error: ")
	if !ok {
		// Instantiation reports a segment outside its memory without the prefix.
		text = err.Error()
	}
	text, _, _ = strings.Cut(text, "\n")
	for word, kind := range kinds {
		if text == word || !ok && strings.HasSuffix(text, word) {
			return kind, true
		}
	}
	return "", false
}

const (
	keptFrames = 30
	frameBytes = 256
)

// frames reads the guest's frames out of wazero's text, the only place that has
// them. Names are the guest's own, so they are cut and cleaned. Frames that
// metering added are left out: no guest can have a name like theirs.
func (p *Program) frames(err error) []string {
	const head = "wasm stack trace:\n"
	text := err.Error()
	i := strings.LastIndex(text, head) // a host function may have quoted a guest before it
	if i < 0 {
		return nil
	}
	var kept []string
	for line := range strings.Lines(text[i+len(head):]) {
		line, ok := strings.CutPrefix(line, "\t")
		if !ok || len(kept) == keptFrames {
			break
		}
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "."); ok && !strings.HasPrefix(rest, ".") {
			line = rest // of an anonymous module; otherwise the remark that more follow
		}
		if strings.HasPrefix(line, wasmbin.HiddenPrefix) {
			continue
		}
		kept = append(kept, plain.Cut(plain.Line(p.renumber(line)), frameBytes))
	}
	return kept
}

// renumber gives a function without a name the index that it had before
// metering.
func (p *Program) renumber(frame string) string {
	digits, ok := strings.CutPrefix(frame, "$")
	if !ok {
		return frame
	}
	digits, rest, _ := strings.Cut(digits, "(")
	metered, err := strconv.Atoi(digits)
	if err != nil {
		return frame
	}
	index, ok := p.o.Meta.Original(metered)
	if !ok {
		return frame
	}
	return fmt.Sprintf("$%d(%s", index, rest)
}
