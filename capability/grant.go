package capability

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
)

// Grant is what an operator gives one plugin. The zero value grants nothing
// beyond Core, and a zero limit is "not said". Sharing one between goroutines is
// safe as long as nobody changes it.
type Grant struct {
	Capabilities []string       // names, as in a manifest
	Permissions  netproxy.Rules // what network functions may reach
	Limits       limits.Limits  // what one run may use; only narrows
}

// Intersect returns what both g and o grant, with the tighter of each limit.
func (g Grant) Intersect(o Grant) Grant {
	both := Grant{
		Permissions: g.Permissions.Intersect(o.Permissions),
		Limits:      g.Limits.Min(o.Limits),
	}
	for _, name := range g.Capabilities {
		if slices.Contains(o.Capabilities, name) && !slices.Contains(both.Capabilities, name) {
			both.Capabilities = append(both.Capabilities, name)
		}
	}
	return both
}

// Validate reports every malformed entry of g: blank capability names, network
// rules that cannot be read, limits out of range.
func (g Grant) Validate() error {
	var errs []error
	for i, name := range g.Capabilities {
		if strings.TrimSpace(name) != name || name == "" {
			errs = append(errs, fmt.Errorf("capability: grant: capabilities[%d]: %q is not a name", i, name))
		}
	}
	if err := g.Permissions.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("capability: grant: permissions: %w", err))
	}
	if err := g.Limits.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("capability: grant: %w", err))
	}
	return errors.Join(errs...)
}

// Change is one difference between what was requested and what was granted. For
// entries of lists, the side that lacks the entry is empty.
type Change struct {
	Path               string // as in a manifest: "permissions.allowed_ports"
	Requested, Granted string
}

// Diff lists how granted differs from requested, in the order of a manifest:
// entries that were left out, entries that the operator added, limits that were
// changed. A limit that granted leaves unsaid is no change.
func Diff(requested, granted Grant) []Change {
	r, g := requested.Permissions, granted.Permissions
	var d differ
	d.list("capabilities", requested.Capabilities, granted.Capabilities)
	d.list("permissions.allowed_domains", texts(r.Domains), texts(g.Domains))
	d.list("permissions.allowed_networks", texts(r.Networks), texts(append(slices.Clone(g.Networks), g.Answers...)))
	d.list("permissions.allowed_ports", texts(r.Ports), texts(g.Ports))
	if r.AllowInsecureTLS != g.AllowInsecureTLS {
		d.add("permissions.allow_insecure_tls", fmt.Sprint(r.AllowInsecureTLS), fmt.Sprint(g.AllowInsecureTLS))
	}
	d.limit("limits.memory_mb", requested.Limits.Memory, granted.Limits.Memory)
	d.limit("limits.cpu_ms", requested.Limits.CPU, granted.Limits.CPU)
	d.limit("limits.wall_ms", requested.Limits.Wall, granted.Limits.Wall)
	d.limit("limits.max_open_connections", requested.Limits.Connections, granted.Limits.Connections)
	return d.changes
}

type differ struct{ changes []Change }

func (d *differ) add(path, requested, granted string) {
	d.changes = append(d.changes, Change{path, requested, granted})
}

func (d *differ) list(path string, requested, granted []string) {
	for _, e := range requested {
		if !slices.Contains(granted, e) {
			d.add(path, e, "")
		}
	}
	for _, e := range granted {
		if !slices.Contains(requested, e) {
			d.add(path, "", e)
		}
	}
}

func (d *differ) limit(path string, requested, granted any) {
	said := func(v any) string {
		switch v {
		case limits.Bytes(0), time.Duration(0), 0:
			return ""
		}
		return fmt.Sprint(v)
	}
	if g := said(granted); g != "" && g != said(requested) {
		d.add(path, said(requested), g)
	}
}

func texts[T any](entries []T) []string {
	all := make([]string, len(entries))
	for i, e := range entries {
		all[i] = fmt.Sprint(e)
	}
	return all
}
