package capability

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/result"
)

// guestReason is the part of err that may be told to a guest. What is said
// about its own arguments, and about limits it can see, is told as it is.
// Failures of the host and of the network are told only where the error says
// itself what is fit for a guest: the text of any other one may hold addresses,
// paths or secrets.
func guestReason(code Code, err error) string {
	var request *url.Error // its text quotes the URL, query included
	for errors.As(err, &request) {
		err = request.Err
	}
	var (
		issue    *result.Issue
		exceeded *limits.ExceededError
		told     interface{ GuestReason() string }
	)
	switch {
	case errors.As(err, &told):
		return told.GuestReason()
	case errors.As(err, &issue):
		return issueText(issue)
	case errors.As(err, &exceeded):
		return exceeded.Error()
	case code == NotFound:
		return "this host does not offer the function"
	case code == Invalid, code == TooLarge, code == BadHandle:
		return err.Error()
	case code == Timeout:
		return "the time was up"
	default:
		return "failed"
	}
}

// issueText says what is wrong with a result, and where.
func issueText(i *result.Issue) string {
	text := i.Code
	if i.Pointer != "" {
		text += " at " + i.Pointer
	}
	if i.Message != "" {
		text += fmt.Sprintf(" (%s)", i.Message)
	}
	return text
}
