package result

import (
	"fmt"
	"strings"
)

// Status is the outcome of a check. The zero value is Unknown, so that a
// forgotten status is never good news; so is any value beyond Critical.
type Status uint8

// The four outcomes. OK and Warning mean that the checked thing is available.
const (
	Unknown Status = iota
	OK
	Warning
	Critical
)

// ParseStatus reads OK, WARNING, CRITICAL or UNKNOWN in any case, with white
// space around it. For anything else it returns Unknown and an error.
func ParseStatus(s string) (Status, error) {
	switch strings.ToUpper(strings.TrimSpace(s)) {
	case "OK":
		return OK, nil
	case "WARNING":
		return Warning, nil
	case "CRITICAL":
		return Critical, nil
	case "UNKNOWN":
		return Unknown, nil
	}
	s, _ = cut(s, 64)
	return Unknown, fmt.Errorf("result: %q is not a status: use OK, WARNING, CRITICAL or UNKNOWN", s)
}

// String is OK, WARNING, CRITICAL or UNKNOWN.
func (s Status) String() string {
	switch s {
	case OK:
		return "OK"
	case Warning:
		return "WARNING"
	case Critical:
		return "CRITICAL"
	default:
		return "UNKNOWN"
	}
}

// ExitCode is the exit code of a classic check: 0 for OK, 1 for Warning, 2 for
// Critical, 3 for Unknown.
func (s Status) ExitCode() int {
	switch s {
	case OK:
		return 0
	case Warning:
		return 1
	case Critical:
		return 2
	default:
		return 3
	}
}

// Worst returns the gravest of the given statuses: Critical, then Warning, then
// Unknown, then OK. No checker agrees with all others on that order. Of nothing
// the worst is Unknown.
func Worst(s ...Status) Status {
	if len(s) == 0 {
		return Unknown
	}
	worst := OK
	for _, one := range s {
		if one.severity() > worst.severity() {
			worst = one
		}
	}
	if worst > Critical {
		return Unknown
	}
	return worst
}

func (s Status) severity() int {
	switch s {
	case OK:
		return 0
	case Warning:
		return 2
	case Critical:
		return 3
	default:
		return 1
	}
}

// MarshalText writes String.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what ParseStatus reads.
func (s *Status) UnmarshalText(text []byte) error {
	parsed, err := ParseStatus(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}
