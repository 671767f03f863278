package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/netproxy"
)

const explainUsage = `sandcheck explain [flags] DESTINATION [PACKAGE]
  --grant FILE           what the check is granted
  --resolve ADDR,...     the addresses of the name, instead of a lookup
  --store DIR            PACKAGE is a reference in that store
  --format F             text or json; default text
`

// explainedJSON is the object of explain --format json.
type explainedJSON struct {
	Decision decisionJSON `json:"decision"`
}

// explainArgs are the arguments of explain.
type explainArgs struct {
	grant, store *string
	answers      answers // nil: look names up
}

// explainDestination is sandcheck explain.
func explainDestination(ctx context.Context, c *console, args []string) int {
	t := newTool("explain", explainUsage)
	a := &explainArgs{}
	once(t.flags, "grant", keep(&a.grant))
	once(t.flags, "resolve", a.setResolve)
	once(t.flags, "store", keep(&a.store))
	return c.use(t, args, func(operands []string) (*answer, error) {
		switch {
		case len(operands) == 0 || len(operands) > 2:
			return nil, mistaken("%d arguments are given: DESTINATION, a URL, tcp://host:port or udp://host:port, and perhaps a PACKAGE", len(operands))
		case len(operands) == 1 && a.grant == nil:
			return nil, mistaken("whose rules are meant? Name a grant with --grant FILE, a PACKAGE behind the destination, or both")
		}
		to, err := parseAim(operands[0])
		if err != nil {
			return nil, err
		}
		g, err := a.granted(ctx, operands[1:])
		if err != nil {
			return nil, err
		}
		d, err := decide(ctx, g, to, a.answers)
		if err != nil {
			return nil, err
		}
		return explained(d, to), nil
	})
}

// setResolve takes addresses in the place of a lookup.
func (a *explainArgs) setResolve(text string) error {
	for word := range strings.SplitSeq(text, ",") {
		addr, err := netip.ParseAddr(strings.TrimSpace(word))
		if err != nil {
			return fmt.Errorf("%s is no address", quoted(word))
		}
		a.answers = append(a.answers, addr)
	}
	return nil
}

// answers is a resolver that knows them already.
type answers []netip.Addr

func (a answers) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return slices.Clone(a), nil
}

// granted is what the check may do: what the package asks for, what the grant
// gives, or where both are named, what run would make of them.
func (a *explainArgs) granted(ctx context.Context, pkg []string) (capability.Grant, error) {
	var errs [2]error
	var asked, given capability.Grant
	if len(pkg) > 0 {
		p, err := openPackage(ctx, a.store, pkg[0])
		if errs[0] = err; err == nil {
			asked = host.Requested(p.Manifest)
		}
	}
	if a.grant != nil {
		given, errs[1] = readGrant(ctx, *a.grant)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return capability.Grant{}, err
	}
	switch {
	case len(pkg) == 0:
		return given, nil
	case a.grant == nil:
		given = asked
	}
	return grantedBy(asked, given), nil
}

// grantedBy is what a check that asks for asked gets of given. Where names may
// lead is for given alone to say, and what every host offers need only be asked
// for.
func grantedBy(asked, given capability.Grant) capability.Grant {
	for _, f := range capability.Core() {
		given.Capabilities = append(slices.Clone(given.Capabilities), f.Capability())
	}
	both := asked.Intersect(given)
	both.Permissions = asked.Permissions.GrantedBy(given.Permissions)
	return both
}

// decide asks a Guard with the rules of g, which makes no connection. The error
// says that there is nothing to decide about.
func decide(ctx context.Context, g capability.Grant, to *aim, known answers) (netproxy.Decision, error) {
	d := g.Permissions.Explain(netproxy.Config{}, netproxy.Target{Network: to.network, Host: to.host, Port: to.port}, nil)
	if d.Reason == netproxy.BadTarget || d.Reason == netproxy.HostDenied {
		return d, errors.New(d.Err)
	}
	if !slices.Contains(g.Capabilities, to.capability) {
		d = netproxy.Decision{Target: d.Target, Reason: netproxy.NotGranted, Hint: fmt.Sprintf("capabilities: [%s]", to.capability)}
	} else if d.Allowed {
		var err error
		if d, err = lookUp(ctx, g, to, known); err != nil {
			return d, err
		}
	}
	d.Func, d.Scheme = to.capability, to.scheme
	return d, nil
}

// lookUp judges the addresses of a name that may be looked up.
func lookUp(ctx context.Context, g capability.Grant, to *aim, known answers) (d netproxy.Decision, err error) {
	cfg := netproxy.Config{Audit: func(_ context.Context, made netproxy.Decision) { d = made }}
	if known != nil {
		cfg.Resolver = known
	}
	guard, err := netproxy.New(g.Permissions, cfg)
	if err != nil {
		return d, err
	}
	_, err = guard.Decide(ctx, to.network, to.host, to.port)
	if errClosed := guard.Close(); errClosed != nil {
		return d, errClosed
	}
	if d.Target.Host == "" || ctx.Err() != nil {
		return d, errors.Join(err, ctx.Err())
	}
	return d, nil
}

// explained tells a decision. Rules that allow a name without an address leave
// the question open.
func explained(d netproxy.Decision, to *aim) *answer {
	p, a := &page{}, &answer{doc: explainedJSON{decisionToJSON(d)}}
	what := fmt.Sprintf("%s %s://%s", d.Func, to.scheme, destination(d.Target))
	switch {
	case !d.Allowed:
		a.code = exitNo
		fmt.Fprintf(p, "refused: %s: %s\n", oneLine(what), d.Reason)
	case d.Err != "":
		a.code = exitUnknown
		fmt.Fprintf(p, "open: %s: the rules allow the name, but it has no address: %s\n", oneLine(what), oneLine(d.Err))
	default:
		fmt.Fprintf(p, "allowed: %s\n", oneLine(what))
	}
	p.item("rule", d.Rule)
	p.item("addresses", texts(d.Target.Addrs))
	p.item("shut", specials(d.Dropped))
	if d.Hint != "" {
		p.item("hint", hint(d))
	}
	a.text = p.String()
	return a
}

// specials lists addresses with what keeps those that are special shut.
func specials(addrs []netip.Addr) string {
	words := make([]string, len(addrs))
	for i, a := range addrs {
		words[i] = a.String()
		if kind, special := netproxy.Special(a); special {
			words[i] += " (" + kind + ")"
		}
	}
	return strings.Join(words, ", ")
}
