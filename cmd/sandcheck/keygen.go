package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"
)

const keygenUsage = `sandcheck keygen [flags]
  --id ID                the name under which verifiers will know the key
  -o PREFIX              write PREFIX.key, which is secret, and PREFIX.pub
  --format F             text, which is a trust file, or json; default text
`

// keyJSON is the object of keygen --format json.
type keyJSON struct {
	ID         string `json:"id"`
	Public     string `json:"public"`
	KeyFile    string `json:"key_file"`
	PublicFile string `json:"public_file"`
}

// makeKey is sandcheck keygen.
func makeKey(_ context.Context, c *console, args []string) int {
	t := newTool("keygen", keygenUsage)
	var id, prefix *string
	once(t.flags, "id", keep(&id))
	once(t.flags, "o", keep(&prefix))
	return c.use(t, args, func(operands []string) (*answer, error) {
		switch {
		case len(operands) > 0:
			return nil, mistaken("%q stands where nothing is wanted", operands)
		case prefix == nil || *prefix == "":
			return nil, mistaken("-o PREFIX is missing: it names the files to write")
		}
		if err := checkKeyID(id); err != nil {
			return nil, err
		}
		key, err := generateKey(strings.TrimSpace(*id), *prefix)
		if err != nil {
			return nil, err
		}
		text := fmt.Sprintf("# A trust file, for --trust. The secret half is in %s: keep it from others.\nkeys:\n  - id: %s\n    public: %s\n",
			oneLine(key.KeyFile), text(key.ID), text(key.Public))
		return &answer{text: text, doc: key}, nil
	})
}

// checkKeyID refuses names that would not be the same everywhere.
func checkKeyID(id *string) error {
	if err := needed("id", id); err != nil {
		return err
	}
	const most = 128
	if len(*id) > most || !utf8.ValidString(*id) || *id != oneLine(*id) {
		return mistaken("--id %s must be one line of plain text, of at most %d bytes, without blanks around it", quoted(*id), most)
	}
	return nil
}

// generateKey writes both halves of a new key to files that are not there yet.
func generateKey(id, prefix string) (*keyJSON, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	key := &keyJSON{id, base64.StdEncoding.EncodeToString(public), prefix + ".key", prefix + ".pub"}
	if err := createFile(key.PublicFile, 0o644, []byte(key.Public+"\n")); err != nil {
		return nil, err
	}
	seed := base64.StdEncoding.EncodeToString(private.Seed())
	if err := createFile(key.KeyFile, 0o600, []byte(seed+"\n")); err != nil {
		_ = os.Remove(key.PublicFile) // half a key is of no use; the first error tells why
		return nil, err
	}
	return key, nil
}
