package host

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/netproxy"
)

// Option configures a Runtime. Options are collected, checked together by New
// and frozen afterwards.
type Option interface{ option(*settings) }

// LoadOption configures one Load.
type LoadOption interface{ loadOption(*loading) }

// RunOption configures one run.
type RunOption interface{ runOption(*running) }

type optionFunc func(*settings)

func (f optionFunc) option(s *settings) { f(s) }

// settings are the collected options of a Runtime.
type settings struct {
	funcs       []capability.Func
	ceiling     *capability.Grant
	limits      limits.Limits
	budget      *limits.Budget
	network     netproxy.Config
	unsigned    bool
	verifier    manifest.Verifier
	store       manifest.Store
	versions    manifest.VersionStore
	loggers     []*slog.Logger
	hooks       []Hooks
	redact      func(string) string
	interpreter bool
	strict      bool
	now         func() time.Time
	rand        io.Reader

	said map[string]bool
	errs []error
}

func newSettings(opts []Option) (*settings, error) {
	s := &settings{
		redact: func(text string) string { return text },
		now:    time.Now,
		rand:   rand.Reader,
		said:   map[string]bool{},
	}
	for _, o := range opts {
		if o == nil {
			s.bad("an option is nil")
			continue
		}
		o.option(s)
	}
	s.check()
	return s, errors.Join(s.errs...)
}

func (s *settings) bad(format string, args ...any) {
	s.errs = append(s.errs, fmt.Errorf(format, args...))
}

// once refuses an option that was given before.
func (s *settings) once(name string) {
	if s.said[name] {
		s.bad("%s is given twice", name)
	}
	s.said[name] = true
}

// check judges the options together.
func (s *settings) check() {
	core := map[string]bool{}
	for _, f := range capability.Core() {
		core[f.Name] = true
	}
	seen := map[string]bool{}
	for _, f := range s.funcs {
		if err := f.Validate(); err != nil {
			s.errs = append(s.errs, err)
		}
		switch {
		case core[f.Name]:
			s.bad("func %q is one of capability.Core, which every Runtime offers", f.Name)
		case seen[f.Name]:
			s.bad("func %q is offered twice", f.Name)
		}
		seen[f.Name] = true
	}
	if err := s.limits.Validate(); err != nil {
		s.errs = append(s.errs, err)
	}
	if s.ceiling != nil {
		if err := s.ceiling.Validate(); err != nil {
			s.errs = append(s.errs, err)
		}
	}
	if s.unsigned && s.verifier != nil {
		s.bad("WithUnsigned beside WithVerifier: a package is either verified or not")
	}
	if _, err := netproxy.New(netproxy.Rules{}, s.network); err != nil {
		s.errs = append(s.errs, err)
	}
}

// WithCapabilities offers host functions beside capability.Core, which is always
// offered. It may be given several times. Without it a guest can read its
// config, log and submit, and nothing else.
func WithCapabilities(fs ...capability.Func) Option {
	return optionFunc(func(s *settings) { s.funcs = append(s.funcs, fs...) })
}

// WithCeiling bounds every Grant of this Runtime. Without it the offered
// functions and WithLimits are the only bounds.
func WithCeiling(g capability.Grant) Option {
	return optionFunc(func(s *settings) {
		s.once("WithCeiling")
		s.ceiling = &g
	})
}

// maxMemory is the host's own maximum where WithLimits says none.
const maxMemory = 256 * limits.MiB

// WithLimits bounds every run of this Runtime. A zero field says nothing: the
// default of limits.Default holds, and for Memory a maximum of 256 MiB. A
// package, a Grant or ctx may only be tighter.
func WithLimits(l limits.Limits) Option {
	return optionFunc(func(s *settings) {
		s.once("WithLimits")
		if l.Memory != 0 {
			s.once("WithMemoryLimit or WithLimits.Memory")
		} else {
			l.Memory = s.limits.Memory
		}
		s.limits = l
	})
}

// WithMemoryLimit bounds the linear memory of every plugin of this Runtime.
// Zero keeps 256 MiB, the host's own maximum; it never means unlimited.
func WithMemoryLimit(b limits.Bytes) Option {
	return optionFunc(func(s *settings) {
		s.once("WithMemoryLimit or WithLimits.Memory")
		s.limits.Memory = b
	})
}

// WithBudget bounds all runs together. Several Runtimes may share one. Without
// it only the limits of each run hold.
func WithBudget(b *limits.Budget) Option {
	return optionFunc(func(s *settings) {
		s.once("WithBudget")
		s.budget = b
	})
}

// WithNetwork gives the network settings of every plugin. The fields from Limits
// on belong to each run and are ignored here. Default: the zero Config, which
// dials directly and is safe.
func WithNetwork(c netproxy.Config) Option {
	return optionFunc(func(s *settings) {
		s.once("WithNetwork")
		if c.Dialer != nil {
			s.once("WithDialer or WithNetwork.Dialer")
		} else {
			c.Dialer = s.network.Dialer
		}
		s.network = c
	})
}

// WithDialer gives one field of the network settings: who opens connections.
// It is handed addresses that were judged, never names.
func WithDialer(d netproxy.Dialer) Option {
	return optionFunc(func(s *settings) {
		s.once("WithDialer or WithNetwork.Dialer")
		s.network.Dialer = d
	})
}

// WithVerifier says who vouches for packages. A package that v refuses does not
// load. Without it, and without WithUnsigned, nothing loads.
func WithVerifier(v manifest.Verifier) Option {
	return optionFunc(func(s *settings) {
		s.once("WithVerifier")
		s.verifier = v
	})
}

// WithStore is where LoadRef finds packages.
func WithStore(m manifest.Store) Option {
	return optionFunc(func(s *settings) {
		s.once("WithStore")
		s.store = m
	})
}

// WithVersionStore refuses packages that are older than one that was loaded
// before, and another plugin.wasm under a version that was. Default: nothing is
// remembered.
func WithVersionStore(v manifest.VersionStore) Option {
	return optionFunc(func(s *settings) {
		s.once("WithVersionStore")
		s.versions = v
	})
}

// WithUnsigned loads packages that nobody vouches for. It is for development and
// tests, and for programs that verify packages before they get here. Beside
// WithVerifier it is an error.
func WithUnsigned() Option {
	return optionFunc(func(s *settings) { s.unsigned = true })
}

// WithLogger sends the log lines of guests to l, with the plugin's id and the
// run's as attributes, and every decision: refusals as warnings, what is allowed
// at debug level. It may be given several times. Default: both are only in the
// Report.
func WithLogger(l *slog.Logger) Option {
	return optionFunc(func(s *settings) {
		if l != nil {
			s.loggers = append(s.loggers, l)
		}
	})
}

// WithHooks observes loads, runs, host calls and decisions. It may be given
// several times; hooks are called in that order.
func WithHooks(h Hooks) Option {
	return optionFunc(func(s *settings) { s.hooks = append(s.hooks, h) })
}

// WithRedactor passes text of guests through f before anybody sees it: log
// lines, stdout and stderr, summaries, details and the details of failed calls.
// Default: nothing is changed. f is called from the goroutines of the runs. The
// raw bytes of submissions are not redacted.
func WithRedactor(f func(string) string) Option {
	return optionFunc(func(s *settings) {
		s.once("WithRedactor")
		if f != nil {
			s.redact = f
		}
	})
}

// WithInterpreter runs guests without generating machine code: for systems that
// forbid executable memory. Tight loops take some 50 to 100 times as long. Where
// the platform has no compiler, the interpreter is used without this option.
func WithInterpreter() Option {
	return optionFunc(func(s *settings) { s.interpreter = true })
}

// WithStrictImports refuses modules that import what they will not get. Default:
// such imports are bound to stubs that answer -2 (not granted) or -4 (not
// offered).
func WithStrictImports() Option {
	return optionFunc(func(s *settings) { s.strict = true })
}

// WithClock gives guests, and the times in reports, another clock. Default:
// time.Now. Deadlines and sleeps keep real time.
func WithClock(now func() time.Time) Option {
	return optionFunc(func(s *settings) {
		s.once("WithClock")
		if now != nil {
			s.now = now
		}
	})
}

// WithRand gives guests another source of randomness, which must be safe for
// concurrent use. Default: crypto/rand. A predictable source is for tests only.
func WithRand(r io.Reader) Option {
	return optionFunc(func(s *settings) {
		s.once("WithRand")
		if r != nil {
			s.rand = r
		}
	})
}

type loadOptionFunc func(*loading)

func (f loadOptionFunc) loadOption(l *loading) { f(l) }

// loading are the collected options of one Load.
type loading struct {
	grant     capability.Grant
	requested bool
	expected  Expected
	granted   int // how often a grant was given
}

// WithGrant says what the operator gives this plugin. Without it, and without
// GrantRequested, a plugin gets only Core.
func WithGrant(g capability.Grant) LoadOption {
	return loadOptionFunc(func(l *loading) { l.grant = g; l.granted++ })
}

// GrantRequested gives a plugin all that its manifest asks for, within the
// ceiling of the Runtime: for authors who are trusted.
func GrantRequested() LoadOption {
	return loadOptionFunc(func(l *loading) { l.requested = true; l.granted++ })
}

// WithExpected pins what is loaded.
func WithExpected(e Expected) LoadOption {
	return loadOptionFunc(func(l *loading) { l.expected = e })
}

type runOptionFunc func(*running)

func (f runOptionFunc) runOption(r *running) { f(r) }

// running are the collected options of one run.
type running struct {
	labels map[string]string
	id     string
}

// WithLabels adds labels to every result of the run. They win over labels of the
// plugin with the same key, as plugin_id and plugin_name do.
func WithLabels(l map[string]string) RunOption {
	return runOptionFunc(func(r *running) { r.labels = l })
}

// WithRunID names the run in logs, decisions and its Report. Default: 26 random
// characters.
func WithRunID(id string) RunOption {
	return runOptionFunc(func(r *running) { r.id = id })
}
