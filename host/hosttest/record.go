package hosttest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/sandcheck/sandcheck/capability"
)

// entry is one line of a recording: a function, or one call of it.
type entry struct {
	Func     string          `json:"func"`
	Declare  *declaration    `json:"declare,omitempty"`
	Ints     []uint32        `json:"ints,omitempty"`
	In       [][]byte        `json:"in,omitempty"`
	Capacity int             `json:"capacity,omitempty"`
	Code     capability.Code `json:"code"`
	Out      []byte          `json:"out,omitempty"`
	Reason   string          `json:"reason,omitempty"`
}

// declaration is a Func without its handler.
type declaration struct {
	Requires string             `json:"requires,omitempty"`
	Doc      string             `json:"doc,omitempty"`
	Params   []capability.Param `json:"params,omitempty"`
	Void     bool               `json:"void,omitempty"`
}

// Record returns functions that do what fs do and write every call to w, as
// lines of JSON that Replay reads. Bytes are written whole, secrets included. A
// call whose line cannot be written fails with Internal. Calls may come from
// many goroutines.
func Record(w io.Writer, fs ...capability.Func) []capability.Func {
	r := &recorder{w: w}
	recorded := slices.Clone(fs)
	for i, f := range fs {
		r.write(entry{Func: f.Name, Declare: &declaration{f.Requires, f.Doc, f.Params, f.Void}})
		recorded[i].Handle = r.around(f)
	}
	return recorded
}

type recorder struct {
	mu  sync.Mutex
	w   io.Writer
	err error
}

func (r *recorder) around(f capability.Func) func(context.Context, *capability.Call) capability.Code {
	return func(ctx context.Context, c *capability.Call) capability.Code {
		e := entry{Func: f.Name, Ints: slices.Clone(c.Ints), Capacity: len(c.Out)}
		for _, in := range c.In {
			e.In = append(e.In, bytes.Clone(in))
		}
		e.Code = f.Handle(ctx, c)
		if n := int(e.Code); n > 0 && n <= len(c.Out) {
			e.Out = bytes.Clone(c.Out[:n])
		}
		if err := c.Err(); err != nil {
			e.Reason = err.Error()
		}
		if err := r.write(e); err != nil {
			return c.Fail(fmt.Errorf("hosttest: record: %w", err))
		}
		return e.Code
	}
}

func (r *recorder) write(e entry) error {
	line, err := json.Marshal(e)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil && err == nil {
		_, err = r.w.Write(append(line, '\n'))
	}
	r.err = errors.Join(r.err, err)
	return r.err
}

// Replay reads what Record wrote and returns functions that answer from it: each
// call gets the answer of the first recorded call with the same arguments that
// was not used yet, or of the last one, if all were. A call that was never
// recorded fails with Internal and says so.
func Replay(r io.Reader) ([]capability.Func, error) {
	var names []string
	byName := map[string]*replayed{}
	const longest = 64 << 20
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, longest)
	for n := 1; lines.Scan(); n++ {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("hosttest: replay: line %d: %w", n, err)
		}
		f := byName[e.Func]
		switch {
		case e.Declare != nil && f == nil:
			byName[e.Func] = &replayed{name: e.Func, declaration: *e.Declare}
			names = append(names, e.Func)
		case e.Declare != nil:
			return nil, fmt.Errorf("hosttest: replay: line %d: %s is declared twice", n, e.Func)
		case f == nil:
			return nil, fmt.Errorf("hosttest: replay: line %d: %s is called before it is declared", n, e.Func)
		default:
			f.calls = append(f.calls, e)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("hosttest: replay: %w", err)
	}
	funcs := make([]capability.Func, len(names))
	for i, name := range names {
		f := byName[name]
		f.used = make([]bool, len(f.calls))
		funcs[i] = capability.Func{
			Name: name, Requires: f.Requires, Doc: f.Doc, Params: f.Params, Void: f.Void, Handle: f.answer,
		}
	}
	return funcs, nil
}

// replayed is one function that answers from a recording.
type replayed struct {
	declaration
	name  string
	calls []entry

	mu   sync.Mutex
	used []bool
}

func (f *replayed) answer(_ context.Context, c *capability.Call) capability.Code {
	e, ok := f.find(c)
	switch {
	case !ok:
		return c.Fail(fmt.Errorf("hosttest: replay: %s was not recorded with %d and %q", f.name, c.Ints, c.In))
	case e.Code < 0:
		return c.Fail(fmt.Errorf("%w: %s", e.Code, e.Reason))
	case len(e.Out) > 0:
		return c.Reply(e.Out)
	default:
		return e.Code
	}
}

func (f *replayed) find(c *capability.Call) (entry, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := -1
	for i, e := range f.calls {
		if !slices.Equal(e.Ints, c.Ints) || !slices.EqualFunc(e.In, c.In, bytes.Equal) {
			continue
		}
		last = i
		if !f.used[i] {
			break
		}
	}
	if last < 0 {
		return entry{}, false
	}
	f.used[last] = true
	return f.calls[last], true
}
