package main

import (
	"errors"
	"flag"
	"fmt"
	"strings"
)

// exitNo is the exit code of tools whose answer is no: refused, invalid, not
// vouched for.
const exitNo = 2

// tool is a verb that makes no check: it answers a question or writes a file.
type tool struct {
	name, usage string
	flags       *flag.FlagSet
	format      format
}

// newTool returns a tool with the flag --format; text and json are always among
// its formats.
func newTool(name, usage string, more ...format) *tool {
	t := &tool{name: name, usage: usage, flags: newFlags(name), format: formatText}
	once(t.flags, "format", t.format.set(append([]format{formatText, formatJSON}, more...)...))
	return t
}

// answer is what a tool found out: text for people and an object for programs.
type answer struct {
	code int
	text string
	doc  any
}

// mistake is an error in the arguments, after which the usage helps.
type mistake struct{ error }

func mistaken(format string, args ...any) error { return mistake{fmt.Errorf(format, args...)} }

// use parses the arguments of a tool, lets it work and writes its answer.
func (c *console) use(t *tool, args []string, work func(operands []string) (*answer, error)) int {
	operands, err := parseMixed(t.flags, args)
	if asksForHelp(err) {
		return c.help(t.usage)
	}
	if err != nil {
		t.format = formatAmong(args)
		return c.failTool(t, mistake{err})
	}
	a, err := work(operands)
	if err != nil {
		return c.failTool(t, err)
	}
	return c.answer(t, a)
}

func (c *console) answer(t *tool, a *answer) int {
	text := []byte(a.text)
	var err error
	if t.format == formatJSON {
		text, err = encodeJSON(a.doc)
	}
	if err == nil {
		_, err = c.out.Write(text)
	}
	if err != nil {
		fmt.Fprintf(c.err, "sandcheck: the answer cannot be written: %v\n", err)
		return exitUnknown
	}
	return a.code
}

// failureJSON is what a tool prints for programs when it has no answer.
type failureJSON struct {
	Errors []string `json:"errors"`
}

// failTool tells why there is no answer.
func (c *console) failTool(t *tool, err error) int {
	var m mistake
	misused := errors.As(err, &m)
	if misused {
		err = inFile(t.name, err)
	}
	c.blame(err)
	if misused {
		fmt.Fprint(c.err, "\n"+t.usage)
	}
	if t.format != formatJSON {
		return exitUnknown
	}
	doc := failureJSON{}
	for _, p := range problemsOf(err) {
		doc.Errors = append(doc.Errors, p.Error())
	}
	c.answer(t, &answer{doc: doc})
	return exitUnknown
}

// one returns the one operand of a tool; what says what it should be.
func one(operands []string, what string) (string, error) {
	if len(operands) != 1 {
		return "", mistaken("%d arguments are given where one is wanted: %s", len(operands), what)
	}
	return operands[0], nil
}

// thePackage is what most tools work on.
const thePackage = "PACKAGE, a directory that holds plugin.yaml and plugin.wasm, or a zip"

// needed refuses a flag that was not given, or given without a text.
func needed(name string, value *string) error {
	if value == nil || strings.TrimSpace(*value) == "" {
		return mistaken("--%s is missing or empty", name)
	}
	return nil
}
