package netproxy

import (
	"net/url"
	"slices"
	"strings"
)

// maxURL bounds a URL, in bytes.
const maxURL = 8 << 10

// asciiBlanks are trimmed around a URL or socket argument as a whole.
const asciiBlanks = " \t\n\v\f\r"

func trimBlanks(text string) string { return strings.Trim(text, asciiBlanks) }

// ParseURL reads the text of a URL as a plugin gave it: at most 8 KiB, outer
// blanks cut, one of schemes in any case, a host that is a canonical name or
// address, no user information. The result is rebuilt from what was understood:
// nothing of the text goes further unread, and its fragment is dropped. Every
// error matches ErrInvalid. Use it before VetHeader and HTTPClient wherever URL
// text comes from outside: an escaped host can no longer be told from a plain
// one once net/url has read it.
func ParseURL(text string, schemes ...string) (*url.URL, error) {
	text = trimBlanks(text)
	if len(text) > maxURL {
		return nil, &invalidError{"url", "is longer than 8 KiB"}
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, &invalidError{"url", "holds a control character"}
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, &invalidError{"url", "cannot be parsed"} // the cause quotes the query
	}
	if strings.Contains(authority(text), "%") {
		return nil, &invalidError{"url", "host holds %; zones and escapes are not allowed"}
	}
	where, err := parseWhere(u, schemes...)
	if err != nil {
		return nil, err
	}
	return where.rebuild(u), nil
}

// authority is what stands between // and the path, where text has one.
func authority(text string) string {
	if i := strings.IndexAny(text, ":/?#"); i >= 0 && text[i] == ':' {
		text = text[i+1:]
	}
	rest, ok := strings.CutPrefix(text, "//")
	if !ok {
		return ""
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

// origin is scheme, host and port of a URL in canonical form.
type origin struct {
	scheme string
	host   canonHost
	port   uint16
}

func defaultPort(scheme string) uint16 {
	if scheme == "https" || scheme == "wss" {
		return 443
	}
	return 80
}

// parseWhere judges the syntax of a parsed URL. It trusts net/url for the
// split into parts, and for nothing inside the authority.
func parseWhere(u *url.URL, schemes ...string) (origin, error) {
	scheme := strings.ToLower(u.Scheme)
	switch {
	case !slices.Contains(schemes, scheme):
		return origin{}, &invalidError{"url", "scheme must be " + strings.Join(schemes, " or ")}
	case u.Opaque != "":
		return origin{}, &invalidError{"url", "needs // before its host"}
	case u.User != nil:
		return origin{}, &invalidError{"url", "must not hold user information"}
	case u.Host == "":
		return origin{}, &invalidError{"url", "has no host"}
	case len(u.Host)+len(u.Path)+len(u.RawQuery) > maxURL:
		return origin{}, &invalidError{"url", "is longer than 8 KiB"}
	case strings.ContainsFunc(u.RawQuery, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return origin{}, &invalidError{"url", "holds a control character"}
	}
	host, port, err := splitAuthority(u.Host, defaultPort(scheme))
	if err != nil {
		return origin{}, err
	}
	return origin{scheme, host, port}, nil
}

// splitAuthority reads host and port by hand, the bracketed part first.
func splitAuthority(text string, byDefault uint16) (canonHost, uint16, error) {
	host, rest := text, ""
	if strings.HasPrefix(text, "[") {
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return canonHost{}, 0, &invalidError{"host", "lacks the closing bracket"}
		}
		host, rest = text[:end+1], text[end+1:]
	} else if i := strings.IndexByte(text, ':'); i >= 0 {
		host, rest = text[:i], text[i:]
	}
	h, err := parseHost(host, inURL)
	if err != nil {
		return canonHost{}, 0, &invalidError{"host", err.Error()}
	}
	if rest == "" {
		return h, byDefault, nil
	}
	if rest[0] != ':' {
		return canonHost{}, 0, &invalidError{"host", "is followed by text that is no port"}
	}
	port, err := parsePort(rest[1:], byDefault)
	return h, port, err
}

// parsePort reads port text: digits, leading zeros tolerated, empty for the
// default. Only the number is used onward.
func parsePort(text string, byDefault uint16) (uint16, error) {
	if text == "" && byDefault != 0 {
		return byDefault, nil
	}
	n := 0
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, &invalidError{"port", "must be digits"}
		}
		if n = n*10 + int(c-'0'); n > 65535 {
			return 0, &invalidError{"port", "must be between 1 and 65535"}
		}
	}
	if n == 0 {
		return 0, &invalidError{"port", "must be between 1 and 65535"}
	}
	return uint16(n), nil
}

// authority is the host and, where it is not the scheme's own, the port.
func (o origin) authority() string {
	if o.port == defaultPort(o.scheme) {
		return o.host.inURL()
	}
	return o.host.inURL() + ":" + PortRange{o.port, o.port}.String()
}

// rebuild makes the URL that is sent: canonical where it matters, the path and
// query as they were.
func (o origin) rebuild(u *url.URL) *url.URL {
	out := &url.URL{Scheme: o.scheme, Host: o.authority(), Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}
	if !strings.HasPrefix(out.Path, "/") {
		out.Path = "/" + out.Path
		if out.RawPath != "" {
			out.RawPath = "/" + out.RawPath
		}
	}
	return out
}
