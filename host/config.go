package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sandcheck/sandcheck/internal/strict"
	"github.com/sandcheck/sandcheck/limits"
)

// maxConfig bounds a config document.
const maxConfig = 2 * limits.MiB

// config turns what Run was given into the bytes that the guest reads: the
// caller's own, with absent keys appended where the schema has defaults.
func (p *Plugin) config(cfg any) ([]byte, error) {
	doc, err := encodeConfig(cfg)
	if err != nil {
		return nil, err
	}
	if len(doc) > int(maxConfig) {
		return nil, fmt.Errorf("%d bytes, at most %d", len(doc), int(maxConfig))
	}
	if p.pkg.Schema != nil {
		return p.pkg.Schema.Apply(doc)
	}
	if doc == nil {
		return nil, nil
	}
	if err := strict.Check(doc, strict.Options{Bytes: len(doc) + 1, Tokens: len(doc) + 1, Keys: len(doc) + 1, AnyRoot: true}); err != nil {
		return nil, firstOf(err)
	}
	return doc, nil
}

func encodeConfig(cfg any) ([]byte, error) {
	switch c := cfg.(type) {
	case nil:
		return nil, nil
	case json.RawMessage:
		return rawConfig(c)
	case []byte:
		return rawConfig(c)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(cfg); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// rawConfig takes a document as it is. A nil slice is no config; an empty one
// was meant to hold something.
func rawConfig(doc []byte) ([]byte, error) {
	if doc != nil && len(doc) == 0 {
		return nil, errors.New("the document is empty")
	}
	return doc, nil
}

// firstOf leaves the rest of a list of problems out: a config that cannot be
// read needs one reason.
func firstOf(err error) error {
	var first *strict.Error
	if errors.As(err, &first) {
		return first
	}
	return err
}
