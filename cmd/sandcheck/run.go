package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
)

const runUsage = `sandcheck run [flags] PACKAGE
  --config JSON|@FILE    config of the check; @- is standard input
  --grant FILE           grant what the file says, of what the check asks for
  --grant-requested      grant all that the check asks for
  --trust FILE           load a package that a key of the file vouches for
  --unsigned             load a package that nobody vouches for
  --store DIR            PACKAGE is a reference in that store
  --timeout D            the longest that the run may take, such as 5s
  --memory N             the most memory that the check may have, in MiB
  --format F             text, nagios or json; default text
`

// runArgs are the arguments of run.
type runArgs struct {
	path      string
	config    *string
	grant     *string
	trust     *string
	store     *string
	requested bool
	unsigned  bool
	limits    limits.Limits
	format    format
}

func parseRun(args []string) (*runArgs, error) {
	a := &runArgs{format: formatText}
	fs := newFlags("run")
	once(fs, "config", keep(&a.config))
	once(fs, "grant", keep(&a.grant))
	fs.BoolVar(&a.requested, "grant-requested", false, "")
	once(fs, "trust", keep(&a.trust))
	fs.BoolVar(&a.unsigned, "unsigned", false, "")
	once(fs, "store", keep(&a.store))
	once(fs, "timeout", a.setTimeout)
	once(fs, "memory", a.setMemory)
	once(fs, "format", a.format.set(formatText, formatNagios, formatJSON))
	path, err := parsePackage(fs, args)
	switch {
	case err != nil:
	case a.grant != nil && a.requested:
		err = errors.New("both --grant and --grant-requested are given: which of them is meant?")
	case a.trust != nil && a.unsigned:
		err = errors.New("both --trust and --unsigned are given: which of them is meant?")
	}
	a.path = path
	return a, err
}

// keep remembers also that a flag was given, since its text may be empty.
func keep(to **string) func(string) error {
	return func(text string) error {
		*to = &text
		return nil
	}
}

func (a *runArgs) setTimeout(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return errors.New("must be a duration above zero, such as 5s or 1m30s")
	}
	a.limits.Wall = d
	return nil
}

func (a *runArgs) setMemory(text string) error {
	const most = 4096
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return fmt.Errorf("must be a whole number of MiB between 1 and %d", most)
	}
	a.limits.Memory = limits.Bytes(n) * limits.MiB
	return nil
}

// runPackage is sandcheck run.
func runPackage(ctx context.Context, c *console, args []string) int {
	a, err := parseRun(args)
	switch {
	case asksForHelp(err):
		return c.help(runUsage)
	case err != nil:
		return c.misused(formatAmong(args), runUsage, fmt.Errorf("run: %w", err))
	}
	in, err := c.read(ctx, a)
	if err != nil {
		return c.fail(a.format, err)
	}
	report, err := c.execute(ctx, a, in)
	if report == nil {
		return c.fail(a.format, err)
	}
	if err != nil {
		c.blame(err)
	}
	return c.write(a.format, report, err)
}

// inputs are the files that a run needs.
type inputs struct {
	pkg    *manifest.Package
	config []byte
	grant  capability.Grant
	trust  *manifest.Keyring // nil where none is named
}

// read reads all inputs before it reports what is wrong with any.
func (c *console) read(ctx context.Context, a *runArgs) (in inputs, err error) {
	var errs [4]error
	in.pkg, errs[0] = openPackage(ctx, a.store, a.path)
	if a.grant != nil {
		in.grant, errs[1] = readGrant(ctx, *a.grant)
	}
	in.config, errs[2] = c.readConfig(ctx, a.config)
	if a.trust != nil {
		in.trust, errs[3] = readTrust(ctx, *a.trust)
	}
	return in, errors.Join(errs[:]...)
}

// execute loads and runs. The report is nil where the package did not load.
func (c *console) execute(ctx context.Context, a *runArgs, in inputs) (*host.Report, error) {
	rt, err := newRuntime(a, in.trust)
	if err != nil {
		return nil, err
	}
	defer closeRuntime(rt)
	var opts []host.LoadOption
	if a.requested {
		opts = append(opts, host.GrantRequested())
	} else {
		opts = append(opts, host.WithGrant(in.grant))
	}
	plugin, err := rt.Load(ctx, in.pkg, opts...)
	if err != nil {
		return nil, loadError(withSource(err, func(name string) string { return string(in.pkg.Files[name]) }), in.trust)
	}
	if a.format == formatText {
		c.warn(plugin.Inspection().Warnings)
		if v := plugin.Inspection().Verdict; v != nil {
			for _, r := range originRisks(in.pkg, v, true) {
				c.warn([]string{r.Entry + " is " + r.Why})
			}
		}
	}
	return plugin.Execute(ctx, in.config)
}

func newRuntime(a *runArgs, trust *manifest.Keyring) (*host.Runtime, error) {
	opts := []host.Option{
		host.WithCapabilities(capability.Network()...),
		host.WithLimits(a.limits),
	}
	switch {
	case trust != nil:
		opts = append(opts, host.WithVerifier(trust))
	case a.unsigned:
		opts = append(opts, host.WithUnsigned())
	}
	return host.New(opts...)
}

func closeRuntime(rt *host.Runtime) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = rt.Close(ctx) // the process ends next and takes everything with it
}

// loadError says in flags what the host says in options.
func loadError(err error, trust *manifest.Keyring) error {
	if errors.Is(err, host.ErrUnverified) && trust == nil {
		return fmt.Errorf("%w: name the keys that may with --trust; if you know where it comes from, load it with --unsigned", host.ErrUnverified)
	}
	return err
}

// warn tells what the host found odd about a package.
func (c *console) warn(warnings []string) {
	var b strings.Builder
	for _, w := range warnings {
		b.WriteString("sandcheck: warning: " + oneLine(w) + "\n")
	}
	fmt.Fprint(c.err, b.String())
}
