package manifest

import (
	"net/netip"
	"regexp/syntax"
	"strings"
)

// patternCost estimates what a compiled pattern takes: nested repetitions
// multiply, so a short text can ask for hundreds of megabytes.
func patternCost(pattern string) (int, error) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	return nodeCost(re), nil
}

func nodeCost(re *syntax.Regexp) int {
	cost := 1 + len(re.Rune)
	if re.Op == syntax.OpCharClass { // is one instruction, with a table of ranges
		cost = 1 + len(re.Rune)/8
	}
	for _, sub := range re.Sub {
		cost = min(cost+nodeCost(sub), maxPatternsCost+1)
	}
	if re.Op == syntax.OpRepeat {
		cost = min(cost*max(re.Min, re.Max, 1), maxPatternsCost+1)
	}
	return cost
}

const (
	alpha      = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digit      = "0123456789"
	unreserved = alpha + digit + "-._~"
	subDelims  = "!$&'()*+,;="
	pathChars  = unreserved + subDelims + ":@"
)

// isURI reports whether s is an absolute URI of RFC 3986. The parser of net/url
// accepts blanks, raw Unicode and relative references.
func isURI(s string) bool {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || scheme == "" || !strings.Contains(alpha, scheme[:1]) || !made(scheme, alpha+digit+"+-.") {
		return false
	}
	rest, fragment, _ := strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	if !escaped(fragment, pathChars+"/?") || !escaped(query, pathChars+"/?") {
		return false
	}
	if authority, ok := strings.CutPrefix(rest, "//"); ok {
		host, path, _ := strings.Cut(authority, "/")
		return isAuthority(host) && escaped(path, pathChars+"/")
	}
	return escaped(rest, pathChars+"/")
}

func isAuthority(s string) bool {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		if !escaped(s[:i], unreserved+subDelims+":") {
			return false
		}
		s = s[i+1:]
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		address, port, ok := strings.Cut(inner, "]")
		return ok && isLiteral(address) && (port == "" || port[0] == ':' && made(port[1:], digit))
	}
	host, port, _ := strings.Cut(s, ":")
	return escaped(host, unreserved+subDelims) && made(port, digit)
}

// isLiteral reports whether s may stand between brackets: an IPv6 address or
// an address of a version to come.
func isLiteral(s string) bool {
	if future, ok := strings.CutPrefix(strings.ToLower(s), "v"); ok {
		version, address, ok := strings.Cut(future, ".")
		return ok && version != "" && made(version, "0123456789abcdef") && address != "" && made(address, unreserved+subDelims+":")
	}
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6() && a.Zone() == ""
}

// made reports whether s holds only characters of set.
func made(s, set string) bool { return strings.Trim(s, set) == "" }

// escaped reports whether s holds only characters of set and %XX.
func escaped(s, set string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' {
			if i+2 >= len(s) || !made(s[i+1:i+3], digit+"abcdefABCDEF") {
				return false
			}
			i += 2
		} else if strings.IndexByte(set, s[i]) < 0 {
			return false
		}
	}
	return true
}

// isEmail reports whether s is one mailbox of RFC 5321, such as ops@example.com,
// without a display name around it.
func isEmail(s string) bool {
	i := strings.LastIndexByte(s, '@')
	if i < 1 || i > 64 || len(s) > 254 {
		return false
	}
	return isLocalPart(s[:i]) && isMailDomain(s[i+1:])
}

func isLocalPart(s string) bool {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return isQuotedPart(s[1 : len(s)-1])
	}
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || !made(atom, alpha+digit+"!#$%&'*+-/=?^_`{|}~") {
			return false
		}
	}
	return true
}

func isQuotedPart(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
			if i == len(s) {
				return false
			}
		} else if s[i] == '"' {
			return false
		}
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func isMailDomain(s string) bool {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		address, ok := strings.CutSuffix(inner, "]")
		if v6, is6 := strings.CutPrefix(address, "IPv6:"); ok && is6 {
			a, err := netip.ParseAddr(v6)
			return err == nil && a.Is6() && a.Zone() == ""
		}
		a, err := netip.ParseAddr(address)
		return ok && err == nil && a.Is4()
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || !made(label, alpha+digit+"-") || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}
