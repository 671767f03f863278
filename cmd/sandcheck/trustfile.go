package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
)

// maxTrust bounds a trust file.
const maxTrust = 256 * limits.KiB

// readTrust reads the trust file at path.
func readTrust(ctx context.Context, path string) (*manifest.Keyring, error) {
	doc, err := readFile(ctx, "--trust", path, maxTrust)
	if err != nil {
		return nil, err
	}
	trust, err := parseTrust(path, doc)
	if err != nil {
		return nil, err
	}
	ring, err := manifest.NewKeyring(trust)
	if err != nil {
		return nil, inFile(path, err)
	}
	return ring, nil
}

// inFile says of every problem of err which file, or verb, it is about.
func inFile(name string, err error) error {
	var errs []error
	for _, p := range problemsOf(err) {
		errs = append(errs, fmt.Errorf("%s: %w", name, p))
	}
	return errors.Join(errs...)
}

// parseTrust reads a trust file strictly. The error joins one *yamlError per
// problem, by line, at most maxProblems. name is that of the file.
func parseTrust(name string, doc []byte) (manifest.Trust, error) {
	r := &yamlReader{file: name}
	var t manifest.Trust
	if root := r.document(doc); root != nil {
		for _, e := range r.entries(root, "", "keys", "profiles") {
			switch e.key {
			case "keys":
				t.Keys = r.keys(e.value)
			case "profiles":
				t.Profiles = r.profiles(e.value)
			}
		}
		if len(t.Keys) == 0 && len(r.problems) == 0 {
			r.add(root, "keys", "nobody is trusted: list at least one key")
		}
	}
	if err := r.err(); err != nil {
		return manifest.Trust{}, err
	}
	return t, nil
}

func (r *yamlReader) keys(list *yaml.Node) []manifest.Key {
	var keys []manifest.Key
	for i, n := range r.items(list, "keys", "a list of keys") {
		at := fmt.Sprintf("keys[%d]", i)
		before := len(r.problems)
		k := r.key(n, at)
		if len(r.problems) == before && k.ID == "" {
			r.add(n, at+".id", "is missing: signatures refer to a key by its id")
		}
		if len(r.problems) == before && k.Public == nil {
			r.add(n, at+".public", "is missing: a public key is 32 bytes in hex or base64")
		}
		keys = append(keys, k)
	}
	return keys
}

func (r *yamlReader) key(n *yaml.Node, at string) (k manifest.Key) {
	for _, e := range r.entries(n, at, "id", "public", "not_before", "not_after", "revoked", "plugins") {
		where := at + "." + e.key
		switch e.key {
		case "id":
			k.ID = strings.TrimSpace(r.text(e.value, where))
		case "public":
			k.Public = r.publicKey(e.value, where)
		case "not_before":
			k.NotBefore = r.time(e.value, where, 0)
		case "not_after":
			k.NotAfter = r.time(e.value, where, 24*time.Hour-1)
		case "revoked":
			k.Revoked = r.truth(e.value, where)
		case "plugins":
			k.Plugins = r.patterns(e.value, where)
		}
	}
	return k
}

func (r *yamlReader) text(n *yaml.Node, path string) string {
	if !r.plain(n, path) {
		return ""
	}
	if !isText(n) {
		r.add(n, path, "must be text, got %s: quote it", kindOf(n))
		return ""
	}
	return n.Value
}

func (r *yamlReader) publicKey(n *yaml.Node, path string) ed25519.PublicKey {
	text := r.text(n, path)
	if text == "" {
		return nil
	}
	key, err := manifest.ParsePublicKey(text)
	var e *manifest.Error
	if errors.As(err, &e) {
		r.add(n, path, "%s", e.Message)
	}
	return key
}

// time reads a moment, or a day in UTC: its begin, or with rest its end.
func (r *yamlReader) time(n *yaml.Node, path string, rest time.Duration) time.Time {
	if !r.plain(n, path) {
		return time.Time{}
	}
	if n.Kind == yaml.ScalarNode {
		if t, err := time.Parse(time.RFC3339, n.Value); err == nil {
			return t
		}
		if t, err := time.Parse(time.DateOnly, n.Value); err == nil {
			return t.Add(rest)
		}
	}
	r.add(n, path, "must be a time such as 2026-01-31T10:00:00Z or a day such as 2026-01-31, got %s", kindOf(n))
	return time.Time{}
}

func (r *yamlReader) truth(n *yaml.Node, path string) bool {
	if !r.plain(n, path) {
		return true // what is refused must not read as "not revoked"
	}
	if v := scalar(n); v == "true" || v == "false" {
		return v == "true"
	}
	r.add(n, path, "must be true or false, got %s", kindOf(n))
	return true
}

func (r *yamlReader) patterns(list *yaml.Node, at string) []string {
	items := r.items(list, at, `a list of patterns of plugin ids, such as "acme-*"`)
	if len(items) == 0 && !r.reported[list] {
		r.add(list, at, "is empty: leave it out if the key may vouch for every plugin")
	}
	var globs []string
	for i, n := range items {
		where := fmt.Sprintf("%s[%d]", at, i)
		glob := r.text(n, where)
		if _, err := path.Match(glob, ""); err != nil || glob == "" {
			r.add(n, where, "%s is not a pattern", quoted(glob))
			continue
		}
		globs = append(globs, glob)
	}
	return globs
}

func (r *yamlReader) profiles(list *yaml.Node) []manifest.Profile {
	items := r.items(list, "profiles", "a list of "+profileNames())
	if len(items) == 0 && !r.reported[list] {
		r.add(list, "profiles", "is empty: leave it out, or list some of %s", profileNames())
	}
	var all []manifest.Profile
	for i, n := range items {
		where := fmt.Sprintf("profiles[%d]", i)
		p, err := parseProfile(r.text(n, where))
		if err != nil {
			r.add(n, where, "%v", err)
			continue
		}
		all = append(all, p)
	}
	return all
}

// profiles are all kinds of signature, the one to choose first.
func profiles() []manifest.Profile {
	return []manifest.Profile{manifest.BundleV2, manifest.ToolV1, manifest.ControlPlaneV1}
}

func parseProfile(name string) (manifest.Profile, error) {
	for _, p := range profiles() {
		if p.String() == name {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%s is none of %s", quoted(name), profileNames())
}

func profileNames() string { return texts(profiles()) }
