package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
)

// exitUnknown is the exit code of everything that is no outcome of a check.
const exitUnknown = 3

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal ends the process
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// console is what one invocation reads and writes. Both writers take whatever
// text and let none of it act on a terminal.
type console struct {
	in       io.Reader
	out, err io.Writer
}

// verb is one thing that sandcheck can do.
type verb struct {
	name, usage string
	do          func(ctx context.Context, c *console, args []string) int
}

func verbs() []verb {
	return []verb{
		{"run", runUsage, runPackage},
		{"inspect", inspectUsage, inspectPackage},
		{"explain", explainUsage, explainDestination},
		{"validate", validateUsage, validatePath},
		{"review", reviewUsage, reviewPackage},
		{"pack", packUsage, packPackage},
		{"keygen", keygenUsage, makeKey},
		{"sign", signUsage, signPackage},
		{"verify", verifyUsage, verifyPackage},
		{"schema", schemaUsage, printSchema},
	}
}

// run is sandcheck as a function: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &console{in: stdin, out: plainWriter{stdout}, err: plainWriter{stderr}}
	if len(args) == 0 {
		return c.misused(formatText, usage(), errors.New("nothing to do: sandcheck run PACKAGE"))
	}
	switch args[0] {
	case "--help", "-help", "-h", "help":
		return c.help(usage())
	case "--version", "-version", "version":
		return c.help(version())
	}
	for _, v := range verbs() {
		if v.name == args[0] {
			return v.do(ctx, c, args[1:])
		}
	}
	return c.misused(formatAmong(args), usage(), fmt.Errorf("%q is nothing that sandcheck does: it has %s", args[0], verbNames()))
}

func verbNames() string {
	var names []string
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// help answers a question about sandcheck itself: no check was made.
func (c *console) help(text string) int {
	_, _ = io.WriteString(c.out, text) // whoever asked is gone
	return exitUnknown
}

func usage() string {
	var b strings.Builder
	b.WriteString("sandcheck runs untrusted monitoring checks in a sandbox.\n")
	for _, v := range verbs() {
		b.WriteString("\n" + v.usage)
	}
	b.WriteString("\nsandcheck --help | --version\n\nExit codes of run: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN and any failure.\nOf the others: 0 yes or done, 2 no, 3 any failure, --help and --version.\n")
	return b.String()
}

func version() string {
	of := "(unknown)"
	if info, ok := debug.ReadBuildInfo(); ok {
		of = info.Main.Version + " " + info.GoVersion
	}
	return "sandcheck " + of + "\n"
}

// asksForHelp tells a question for help from a mistake in the arguments.
func asksForHelp(err error) bool { return errors.Is(err, flag.ErrHelp) }
