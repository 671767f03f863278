package natsstore

import (
	"fmt"
	"strings"

	"github.com/sandcheck/sandcheck/manifest"
)

const (
	blobPrefix = "blobs/sha256/"
	maxSegment = 120 // characters between two slashes
)

// blobName is where the blob of a digest is.
func blobName(d manifest.Digest) string { return blobPrefix + d.String() }

// parseBlobName is the digest that a name of this Store stands for.
func parseBlobName(name string) (d manifest.Digest, ok bool) {
	text, found := strings.CutPrefix(name, blobPrefix)
	if !found {
		return d, false
	}
	d, err := manifest.ParseDigest(text)
	return d, err == nil && blobName(d) == name // one spelling alone is ours
}

// checkName refuses what is not plugins/<id>/<version>/<file>.wasm.
func checkName(name string) error {
	parts := strings.SplitN(name, "/", 5)
	ok := len(parts) == 4 && parts[0] == "plugins" && strings.HasSuffix(parts[3], ".wasm") && parts[3] != ".wasm"
	for _, part := range parts {
		ok = ok && isSegment(part)
	}
	if !ok {
		return &manifest.Error{Rule: "object_name", Message: fmt.Sprintf(
			"%.200q is not the name of a plugin: expected plugins/<id>/<version>/<file>.wasm, each part of at most %d letters, digits, '.', '_' and '-'", name, maxSegment)}
	}
	return nil
}

func isSegment(s string) bool {
	if s == "" || len(s) > maxSegment || s == "." || s == ".." {
		return false
	}
	for _, c := range []byte(s) {
		if !isAlphanumeric(c) && strings.IndexByte("._-", c) < 0 {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// isToken reports whether s is one plain token of a subject. The id of chunks
// comes from the metadata of an object: a wildcard in it would name the chunks
// of others.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if !isAlphanumeric(c) {
			return false
		}
	}
	return s != "" && len(s) <= maxSegment
}
