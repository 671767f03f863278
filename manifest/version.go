package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// A version is a semantic version without its build metadata, which has no
// part in any comparison.
type version struct {
	core [3]string // decimal digits
	pre  []string
}

// CompareVersions orders two semantic versions: -1 if a is older than b, 0 if
// they are equal, 1 if a is newer. Build metadata is ignored and a pre-release
// is older than its release. It is what a rollback guard compares by. The error
// names a version that is not one.
func CompareVersions(a, b string) (int, error) {
	va, errA := parseVersion(a)
	vb, errB := parseVersion(b)
	if err := errors.Join(errA, errB); err != nil {
		return 0, err
	}
	for i := range va.core {
		if c := compareNumbers(va.core[i], vb.core[i]); c != 0 {
			return c, nil
		}
	}
	if len(va.pre) == 0 || len(vb.pre) == 0 {
		return cmp.Compare(len(vb.pre), len(va.pre)), nil
	}
	for i := range min(len(va.pre), len(vb.pre)) {
		if c := comparePre(va.pre[i], vb.pre[i]); c != 0 {
			return c, nil
		}
	}
	return cmp.Compare(len(va.pre), len(vb.pre)), nil
}

// compareNumbers compares decimal digits of any length without leading zeros.
func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

func comparePre(a, b string) int {
	switch na, nb := isDigits(a), isDigits(b); {
	case na && nb:
		return compareNumbers(a, b)
	case na:
		return -1
	case nb:
		return 1
	default:
		return cmp.Compare(a, b)
	}
}

func parseVersion(s string) (version, error) {
	bad := func(why string) (version, error) {
		return version{}, fmt.Errorf("%s is not a semantic version: %s", clip(s), why)
	}
	if len(s) > 256 {
		return bad("it is longer than 256 characters")
	}
	text, build, hasBuild := strings.Cut(s, "+")
	text, pre, hasPre := strings.Cut(text, "-")
	core := strings.Split(text, ".")
	if len(core) != 3 {
		return bad("expected three numbers such as 1.2.0")
	}
	v := version{core: [3]string(core)}
	for _, n := range core {
		switch {
		case !isDigits(n):
			return bad("expected three numbers such as 1.2.0")
		case n[0] == '0' && n != "0":
			return bad("a number must not begin with 0")
		}
	}
	if hasPre {
		v.pre = strings.Split(pre, ".")
	}
	for _, part := range v.pre {
		switch {
		case !isIdentifier(part):
			return bad("the pre-release after - is made of letters, digits and dashes, parted by dots")
		case isDigits(part) && part[0] == '0' && part != "0":
			return bad("a number in the pre-release must not begin with 0")
		}
	}
	if hasBuild {
		for part := range strings.SplitSeq(build, ".") {
			if !isIdentifier(part) {
				return bad("the build after + is made of letters, digits and dashes, parted by dots")
			}
		}
	}
	return v, nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func isIdentifier(s string) bool {
	for _, c := range []byte(s) {
		if !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '-') {
			return false
		}
	}
	return s != ""
}
