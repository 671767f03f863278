package manifest

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/sandcheck/sandcheck/internal/plain"
)

// Capabilities that packages are known to name. Any other name is as good: the
// host decides what it offers. The list only serves "did you mean" and the
// warning about permissions that nothing uses.
var (
	localCapabilities = []string{
		"get_config", "log", "submit_result", "tcp_read", "tcp_write", "tcp_close",
		"websocket_send", "websocket_recv", "websocket_close", "emit_telemetry",
		"artifact-staging:v1", "advisory-feed:v1", "producer-schedule:v1", "action-result-ingest:v1",
		"action-only:v1", "notify:v1",
	}
	knownCapabilities = slices.Concat(localCapabilities, []string{
		"http_request", "tcp_connect", "udp_sendto", "websocket_connect", "camera_media_stream",
		"grpc_request", "proxmox_console_stream",
	})
)

// Warnings lists what is legal but odd, by position, at most 50: blocks that
// nothing here reads, permissions that are wide or unused, and values that two
// signing programs write differently. The findings about how a value is written
// need a Manifest that Parse made.
func (m *Manifest) Warnings() []Error {
	r := &rules{problems: &problems{file: manifestFile}, place: m.place}
	m.warnValues(r)
	if m.doc != nil {
		m.doc.warn(r)
	}
	return r.sorted()
}

func (m *Manifest) warnValues(r *rules) {
	if m.SchemaVersion > 1 {
		r.bad("schema_version", "manifest-schema-version", "version %d is newer than 1, the one that is read here", m.SchemaVersion)
	}
	for i, d := range m.Permissions.Domains {
		if d == "*" {
			r.bad(fmt.Sprintf("permissions.allowed_domains[%d]", i), "manifest-permission", "\"*\" allows every host")
		}
	}
	p := m.Permissions
	asks := len(p.Domains) > 0 || len(p.Networks) > 0 || len(p.Ports) > 0 || p.AllowInsecureTLS
	reaches := slices.ContainsFunc(m.Capabilities, func(name string) bool { return !slices.Contains(localCapabilities, name) })
	if asks && !reaches {
		r.bad("permissions", "manifest-permission", "no listed capability reaches a network, so nothing uses them")
	}
}

// warn reports what only the text of the document shows.
func (d *document) warn(r *rules) {
	root := d.root.Content
	for i := 0; i+1 < len(root); i += 2 {
		key, value := root[i], root[i+1]
		if slices.Contains(foreignBlocks, key.Value) || strings.HasPrefix(key.Value, "x-") {
			r.add(markOf(key), keyPath(key), "manifest-extension", "is kept and signed, but not read here")
		}
		if key.Value == "permissions" {
			warnNetworks(r, value)
		}
	}
	signs := walker{problems: r.problems, doc: d, limit: len(r.list) + maxProblems}
	signs.warnSigning(d.root, mark{})
}

func warnNetworks(r *rules, permissions *yaml.Node) {
	for i := 0; i+1 < len(permissions.Content); i += 2 {
		key, list := permissions.Content[i], permissions.Content[i+1]
		if key.Value != "allowed_networks" {
			continue
		}
		for j, n := range list.Content {
			path := fmt.Sprintf("permissions.allowed_networks[%d]", j)
			if a, err := netip.ParseAddr(n.Value); err == nil {
				r.add(markOf(n), path, "manifest-permission", "%s is a bare address: read as %s/%d", clip(n.Value), a, a.BitLen())
			} else if p, err := netip.ParsePrefix(n.Value); err == nil && p != p.Masked() {
				r.add(markOf(n), path, "manifest-permission", "%s has host bits: read as %s", clip(n.Value), p.Masked())
			}
		}
	}
}

// warnSigning reports every value and key that the two programs which sign
// manifests write differently, so that one cannot verify the other.
func (w *walker) warnSigning(n *yaml.Node, at mark) {
	if n.Kind == yaml.ScalarNode || len(n.Content) == 0 {
		w.compareDialects(n, at)
		return
	}
	for i, child := range n.Content {
		if n.Kind == yaml.SequenceNode {
			w.path = append(w.path, fmt.Sprintf("[%d]", i))
			w.warnSigning(child, markOf(child))
		} else if i%2 == 0 {
			w.path = append(w.path, keyPath(child))
			w.compareDialects(child, markOf(child))
		} else {
			w.path = append(w.path, keyPath(n.Content[i-1]))
			w.warnSigning(child, markOf(n.Content[i-1]))
		}
		w.path = w.path[:len(w.path)-1]
	}
}

func (w *walker) compareDialects(n *yaml.Node, at mark) {
	if len(w.list) >= w.limit {
		return
	}
	tool, err := toolDialect.appendNode(nil, n)
	if err != nil {
		w.add(at, w.at(), "manifest-sign", "cannot be signed: %v", err)
		return
	}
	control, err := controlDialect.appendNode(nil, n)
	if err != nil {
		w.add(at, w.at(), "manifest-sign", "the control-plane profile cannot sign it: %v", err)
	} else if !bytes.Equal(tool, control) {
		w.add(at, w.at(), "manifest-sign", "signs as %s in the tool profile and as %s in the control-plane profile%s",
			bare(tool), bare(control), quoteHint(n))
	}
}

// bare is JSON in a message: it brings its own quotes.
func bare(b []byte) string { return plain.Cut(plain.Line(string(b)), maxShown) }

func quoteHint(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!str" {
		return "; quote it to sign the text as written"
	}
	return ""
}
