package netproxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

// Keys of a grant, as in plugin.yaml.
const (
	keyDomains  = "allowed_domains"
	keyNetworks = "allowed_networks"
	keyPorts    = "allowed_ports"
	keyInsecure = "allow_insecure_tls"
)

// UnmarshalJSON decodes strictly: unknown or repeated keys, wrong types and
// malformed entries are errors, all reported at once. On error r is unchanged.
// null decodes to the zero value, which reaches nothing.
func (r *Rules) UnmarshalJSON(doc []byte) error {
	if bytes.Equal(bytes.TrimSpace(doc), []byte("null")) {
		*r = Rules{}
		return nil
	}
	var errs ruleErrors
	var out Rules
	for _, f := range objectFields(doc, &errs) {
		switch f.key {
		case keyDomains:
			eachEntry(f, &errs, func(path string, raw json.RawMessage) {
				if text, ok := jsonString(raw); !ok {
					errs.add(path, "must be a string: a name, *.suffix, * or an address")
				} else if d, err := parseDomain(text); err != nil {
					errs.add(path, "%v", err)
				} else {
					out.Domains = append(out.Domains, d)
				}
			})
		case keyNetworks:
			eachEntry(f, &errs, func(path string, raw json.RawMessage) {
				if text, ok := jsonString(raw); !ok {
					errs.add(path, "must be a string: 10.1.0.0/16 or a bare address")
				} else if p, err := parseNetwork(text); err != nil {
					errs.add(path, "%v", err)
				} else {
					out.Networks = append(out.Networks, p)
				}
			})
		case keyPorts:
			eachEntry(f, &errs, func(path string, raw json.RawMessage) {
				p, err := parsePortEntry(raw)
				if err != nil {
					errs.add(path, "%v", err)
					return
				}
				out.Ports = append(out.Ports, p)
			})
		case keyInsecure:
			switch string(f.raw) {
			case "true":
				out.AllowInsecureTLS = true
			case "false":
			default:
				errs.add(f.key, "must be true or false")
			}
		default:
			errs.add(cut(f.key, 80), "unknown key; known are allowed_domains, allowed_networks, allowed_ports and allow_insecure_tls")
		}
	}
	if len(errs) > 0 {
		return errs.join()
	}
	*r = out
	return nil
}

type field struct {
	key string
	raw json.RawMessage
}

// objectFields splits an object in document order. encoding/json alone would
// let the last of two equal keys win, and match keys in any case.
func objectFields(doc []byte, errs *ruleErrors) []field {
	dec := json.NewDecoder(bytes.NewReader(doc))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		errs.add("permissions", "must be an object")
		return nil
	}
	var out []field
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			errs.add("permissions", "is not valid JSON: %v", err)
			return nil
		}
		f := field{key: t.(string)} // the decoder yields only strings as keys
		if err := dec.Decode(&f.raw); err != nil {
			errs.add("permissions", "is not valid JSON: %v", err)
			return nil
		}
		if seen[f.key] {
			errs.add(cut(f.key, 80), "is set twice")
			continue
		}
		seen[f.key] = true
		out = append(out, f)
	}
	if _, err := dec.Token(); err != nil {
		errs.add("permissions", "is not valid JSON: %v", err)
		return nil
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		errs.add("permissions", "has text after the object")
	}
	return out
}

func eachEntry(f field, errs *ruleErrors, entry func(path string, raw json.RawMessage)) {
	var list []json.RawMessage
	if err := json.Unmarshal(f.raw, &list); err != nil || list == nil {
		errs.add(f.key, "must be a list")
		return
	}
	if len(list) > maxEntries {
		errs.add(f.key, "%d entries; at most %d are allowed", len(list), maxEntries)
		return
	}
	for i, raw := range list {
		entry(index(f.key, i), raw)
	}
}

func jsonString(raw json.RawMessage) (string, bool) {
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// parsePortEntry reads 443, "8000-8100" or "*". A quoted single number is
// refused: a list that mixes both spellings is more often a mistake than meant.
func parsePortEntry(raw json.RawMessage) (PortRange, error) {
	if text, ok := jsonString(raw); ok {
		if text == "*" {
			return anyPort, nil
		}
		lo, hi, ok := strings.Cut(text, "-")
		first, last := digits(lo), digits(hi)
		if !ok || first == 0 || last < first {
			return PortRange{}, errors.New(quote(text) + ` is not a port range; write 443, "8000-8100" or "*"`)
		}
		return PortRange{first, last}, nil
	}
	port := digits(string(raw))
	if port == 0 {
		return PortRange{}, errors.New(cut(string(raw), 80) + ` is not a port between 1 and 65535; write 443, "8000-8100" or "*"`)
	}
	return PortRange{port, port}, nil
}

// digits is the port that plain decimal digits write, else zero.
func digits(text string) uint16 {
	if text == "" || strings.Trim(text, "0123456789") != "" || text[0] == '0' {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// document is the encoded form of Rules.
type document struct {
	Domains  []Domain `json:"allowed_domains,omitempty" yaml:"allowed_domains,omitempty"`
	Networks []string `json:"allowed_networks,omitempty" yaml:"allowed_networks,omitempty"`
	Ports    []any    `json:"allowed_ports,omitempty" yaml:"allowed_ports,omitempty"`
	Insecure bool     `json:"allow_insecure_tls,omitempty" yaml:"allow_insecure_tls,omitempty"`
}

func (r Rules) document() (document, error) {
	c, err := r.canonical()
	if err != nil {
		return document{}, err
	}
	doc := document{Domains: c.Domains, Insecure: c.AllowInsecureTLS}
	for _, p := range c.Networks {
		doc.Networks = append(doc.Networks, p.String())
	}
	for _, p := range c.Ports {
		if p.First == p.Last {
			doc.Ports = append(doc.Ports, p.First)
		} else {
			doc.Ports = append(doc.Ports, p.String())
		}
	}
	return doc, nil
}

// MarshalJSON writes the keys of plugin.yaml in canonical form. Answers are
// left out, since no document may hold them.
func (r Rules) MarshalJSON() ([]byte, error) {
	doc, err := r.document()
	if err != nil {
		return nil, err
	}
	return json.Marshal(doc)
}

// MarshalYAML is MarshalJSON for YAML encoders.
func (r Rules) MarshalYAML() (any, error) {
	return r.document()
}

// UnmarshalYAML is UnmarshalJSON for YAML decoders.
func (r *Rules) UnmarshalYAML(unmarshal func(any) error) error {
	var tree map[string]any
	if err := unmarshal(&tree); err != nil {
		return err
	}
	doc, err := json.Marshal(tree)
	if err != nil { // a key that is not text, or a number such as .inf
		return &RuleError{Path: "permissions", Message: "holds what the rules cannot: " + err.Error()}
	}
	return r.UnmarshalJSON(doc)
}

// cut shortens text from outside for a message.
func cut(text string, most int) string {
	if len(text) <= most {
		return strings.ToValidUTF8(text, "?")
	}
	return strings.ToValidUTF8(text[:most], "?") + "..."
}
