package capability

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/sandcheck/sandcheck/internal/strict"
)

// httpRequestDoc is the guest's request document, decoded: ABI version 1.
type httpRequestDoc struct {
	Method             string
	URL                string
	Header             http.Header
	Body               []byte
	BodyErr            error // base64 that cannot be read; told only to those who may send at all
	TimeoutMS          int64
	InsecureSkipVerify bool
	StatusBody         bool // the short answer: status, LF, body
	ManualRedirects    bool
	Truncate           bool
	BodyLimit          int64
}

// parseHTTPRequest decodes a request document. Names are exact, unknown ones are
// ignored, null is absent, and a value of the wrong type is an error: nothing is
// guessed about what will go over a network.
func parseHTTPRequest(doc []byte) (*httpRequestDoc, error) {
	doc, _, err := strict.Repair(doc, strict.Options{Bytes: len(doc) + 1})
	if err != nil {
		return nil, fmt.Errorf("%w: request: %s", ErrInvalid, firstProblem(err))
	}
	r := &httpRequestDoc{Method: http.MethodGet, Header: http.Header{}}
	var mode, redirect, onLimit, body, encoded string
	for name, value := range strict.Fields(doc) {
		if strict.KindOf(value) == strict.Null {
			continue
		}
		var err error
		switch name {
		case "method":
			err = textField(&r.Method, value)
		case "url":
			err = textField(&r.URL, value)
		case "headers":
			err = headerField(r.Header, value)
		case "body":
			err = textField(&body, value)
		case "body_base64":
			err = textField(&encoded, value)
		case "timeout_ms":
			err = intField(&r.TimeoutMS, value)
		case "insecure_skip_verify":
			err = boolField(&r.InsecureSkipVerify, value)
		case "response_mode":
			err = textField(&mode, value)
		case "redirect":
			err = textField(&redirect, value)
		case "on_limit":
			err = textField(&onLimit, value)
		case "body_limit":
			err = intField(&r.BodyLimit, value)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: request: %s: %w", ErrInvalid, name, err)
		}
	}
	r.Method = strings.ToUpper(strings.TrimSpace(r.Method))
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	r.URL = strings.Trim(r.URL, blanks)
	r.StatusBody = word(mode) == "status_body"
	r.ManualRedirects = word(redirect) == "manual"
	r.Truncate = word(onLimit) == "truncate"
	r.Body = []byte(body)
	if encoded != "" {
		r.Body, r.BodyErr = base64.StdEncoding.Strict().DecodeString(encoded)
		if r.BodyErr != nil || strings.ContainsAny(encoded, "\r\n") { // which the decoder leaves out
			r.BodyErr = fmt.Errorf("%w: request: body_base64: not standard base64 with padding", ErrInvalid)
		}
	}
	return r, nil
}

func firstProblem(err error) string {
	var problem *strict.Error
	if errors.As(err, &problem) {
		return problem.Error()
	}
	return err.Error()
}

// blanks are the ASCII characters around a URL or address that do not belong to
// it. Others are for the Guard to refuse.
const blanks = " \t\n\v\f\r"

func word(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

func textField(to *string, value []byte) error {
	if strict.KindOf(value) != strict.Text {
		return errors.New("must be a string")
	}
	*to = strict.Unquote(value)
	return nil
}

func boolField(to *bool, value []byte) error {
	if strict.KindOf(value) != strict.Bool {
		return errors.New("must be true or false")
	}
	*to = value[0] == 't'
	return nil
}

// intField takes a whole number that fits 64 bits: 2000.0 and 2e3 are not whole
// numbers here, for readers disagree on them.
func intField(to *int64, value []byte) error {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return errors.New("must be a whole number of at most 64 bits")
	}
	*to = n
	return nil
}

// headerField reads an object of strings. Setting replaces, so of two spellings
// of one name the later stands. A blank name is skipped, as SDKs rely on, and so
// is null.
func headerField(h http.Header, value []byte) error {
	if strict.KindOf(value) != strict.Object {
		return errors.New("must be an object")
	}
	for name, v := range strict.Fields(value) {
		if strict.KindOf(v) == strict.Null {
			continue
		}
		var text string
		if err := textField(&text, v); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		if name = strings.TrimSpace(name); name != "" {
			h[http.CanonicalHeaderKey(name)] = []string{text}
		}
	}
	return nil
}
