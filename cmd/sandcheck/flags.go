package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// format is how a verb writes what it found.
type format string

const (
	formatText   format = "text"
	formatNagios format = "nagios"
	formatJSON   format = "json"
)

// set returns the setter of --format for a verb that knows those formats.
func (f *format) set(known ...format) func(string) error {
	return func(text string) error {
		if !slices.Contains(known, format(text)) {
			return fmt.Errorf("must be one of %s", joined(known))
		}
		*f = format(text)
		return nil
	}
}

func joined(fs []format) string {
	words := make([]string, len(fs))
	for i, f := range fs {
		words[i] = string(f)
	}
	return strings.Join(words, ", ")
}

// formatAmong finds the format that args ask for although they are wrong
// somewhere, so that a program that wants JSON is told of its mistake in JSON.
func formatAmong(args []string) format {
	for i, arg := range args {
		name, value, ok := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if !ok && i+1 < len(args) {
			value = args[i+1]
		}
		if (name == "-format" || name == "format" && arg[0] == '-') && format(value) == formatJSON {
			return formatJSON
		}
	}
	return formatText
}

// newFlags returns a set that reports mistakes instead of printing them.
func newFlags(verb string) *flag.FlagSet {
	fs := flag.NewFlagSet(verb, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return fs
}

// once defines a flag that may be given one time: of two, either could be meant.
func once(fs *flag.FlagSet, name string, set func(string) error) {
	given := false
	fs.Func(name, "", func(text string) error {
		if given {
			return errors.New("the flag is given twice")
		}
		given = true
		return set(text)
	})
}

// parsePackage parses flags before and after the one operand of a verb.
func parsePackage(fs *flag.FlagSet, args []string) (path string, err error) {
	operands, err := parseMixed(fs, args)
	switch {
	case err != nil:
		return "", err
	case len(operands) == 0:
		return "", errors.New("no PACKAGE is named: a directory that holds plugin.yaml and plugin.wasm")
	case len(operands) > 1:
		return "", fmt.Errorf("%d packages are named, %q: one at a time", len(operands), operands)
	}
	return operands[0], nil
}

// parseMixed parses again after each operand, since the flag package stops there.
func parseMixed(fs *flag.FlagSet, args []string) (operands []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		rest := fs.Args()
		if read := len(args) - len(rest); read > 0 && args[read-1] == "--" {
			return append(operands, rest...), nil
		}
		if len(rest) == 0 {
			return operands, nil
		}
		operands, args = append(operands, rest[0]), rest[1:]
	}
}
