package websocket

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sandcheck/sandcheck/capability"
)

// request is what a guest hands to websocket_connect, decoded: ABI version 1.
type request struct {
	url      string
	header   http.Header
	insecure bool
}

// blanks are what may stand around a payload or URL.
const blanks = " \t\n\v\f\r"

// parseRequest reads a bare URL or, from the first brace on, an object of url,
// headers and insecure_skip_verify. Names are exact, unknown ones are ignored,
// null is absent. What the URL may be is for the Guard to say.
func parseRequest(payload []byte) (*request, error) {
	payload = bytes.Trim(payload, blanks)
	req := &request{header: http.Header{}}
	if len(payload) == 0 || payload[0] != '{' {
		req.url = string(payload)
	} else if err := req.decode(payload); err != nil {
		return nil, fmt.Errorf("%w: request: %w", capability.ErrInvalid, err)
	}
	if req.url = strings.Trim(req.url, blanks); req.url == "" {
		return nil, fmt.Errorf("%w: request: url is missing", capability.ErrInvalid)
	}
	return req, nil
}

func (r *request) decode(doc []byte) error {
	if !json.Valid(doc) {
		return errors.New("not JSON")
	}
	d := document{json.NewDecoder(bytes.NewReader(doc))}
	d.UseNumber()
	tok, err := d.Token()
	if err != nil {
		return err
	}
	return d.object(tok, 1, func(name string, value json.Token) (err error) {
		switch {
		case value == nil: // null is absent
		case name == "url":
			r.url, err = textOf(value)
		case name == "headers":
			err = r.headers(d, value)
		case name == "insecure_skip_verify":
			r.insecure, err = boolOf(value)
		default:
			err = d.skip(value, 2)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

// headers sets, so that of two spellings of one name the later stands. A blank
// name is skipped.
func (r *request) headers(d document, value json.Token) error {
	return d.object(value, 2, func(name string, value json.Token) error {
		if value == nil {
			return nil
		}
		v, err := textOf(value)
		if err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		if name = strings.TrimSpace(name); name != "" {
			r.header[http.CanonicalHeaderKey(name)] = []string{v}
		}
		return nil
	})
}

func textOf(value json.Token) (string, error) {
	if s, ok := value.(string); ok {
		return s, nil
	}
	return "", errors.New("must be a string")
}

func boolOf(value json.Token) (bool, error) {
	if b, ok := value.(bool); ok {
		return b, nil
	}
	return false, errors.New("must be true or false")
}

// document walks JSON that is known to be valid. Plain decoding would take the
// last of two equal names, fold their case, and nest as deep as it is told.
type document struct{ *json.Decoder }

const (
	maxDepth = 32
	maxNames = 1024 // of one object
)

// object calls field for each field of the object that tok opens, with the
// first token of its value: the whole of a scalar, nil for null. field takes
// the rest of the value.
func (d document) object(tok json.Token, depth int, field func(name string, value json.Token) error) error {
	if tok != json.Delim('{') {
		return errors.New("must be an object")
	}
	if depth > maxDepth {
		return fmt.Errorf("nested more than %d deep", maxDepth)
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string) // nothing else stands there in valid JSON
		if seen[name] {
			return errors.New("the same name stands twice in one object")
		}
		if seen[name] = true; len(seen) > maxNames {
			return fmt.Errorf("more than %d names in one object", maxNames)
		}
		value, err := d.Token()
		if err != nil {
			return err
		}
		if err := field(name, value); err != nil {
			return err
		}
	}
	return d.end()
}

// skip passes over the value that tok begins.
func (d document) skip(tok json.Token, depth int) error {
	switch tok {
	case json.Delim('{'):
		return d.object(tok, depth, func(_ string, value json.Token) error { return d.skip(value, depth+1) })
	case json.Delim('['):
		return d.array(depth)
	default:
		return nil
	}
}

func (d document) array(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested more than %d deep", maxDepth)
	}
	for d.More() {
		value, err := d.Token()
		if err != nil {
			return err
		}
		if err := d.skip(value, depth+1); err != nil {
			return err
		}
	}
	return d.end()
}

// end takes the closing bracket.
func (d document) end() error {
	_, err := d.Token()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
