package manifest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// A Digest is the SHA-256 of a plugin.wasm, the "content hash" of a package. It
// is comparable and prints as 64 lower-case hex digits. The zero Digest stands
// for "not said"; no file has it.
type Digest [sha256.Size]byte

// String is 64 lower-case hex digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText is String.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is ParseDigest.
func (d *Digest) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDigest(string(text))
	return err
}

// ParseDigest reads a SHA-256: 64 hex digits of any case, with or without
// "sha256:" before them, or base64 of the 32 bytes in the standard or URL
// alphabet, padded or not. Space around it is ignored.
//
// Text that cannot be read is an *Error with rule "digest_syntax", and with
// "digest_algorithm" where it names another algorithm. An empty text is an
// error as well: it never means "unchecked".
func ParseDigest(s string) (Digest, error) {
	const prefix = "sha256:"
	text := strings.TrimSpace(s)
	if name, rest, found := strings.Cut(text, ":"); found {
		if !strings.EqualFold(name, prefix[:len(prefix)-1]) {
			if !isAlgorithm(name) {
				return Digest{}, digestError(s)
			}
			return Digest{}, &Error{Rule: "digest_algorithm", Message: fmt.Sprintf("%s is not a SHA-256: expected \"sha256:\" or no prefix", clip(s))}
		}
		if len(rest) != hex.EncodedLen(sha256.Size) {
			return Digest{}, digestError(s)
		}
		text = rest
	}
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString,
		base64.StdEncoding.Strict().DecodeString, base64.RawStdEncoding.Strict().DecodeString,
		base64.URLEncoding.Strict().DecodeString, base64.RawURLEncoding.Strict().DecodeString,
	} {
		// The decoders of base64 skip line breaks; a digest has none.
		if b, err := decode(text); err == nil && len(b) == sha256.Size && !strings.ContainsAny(text, "\r\n") {
			return Digest(b), nil
		}
	}
	return Digest{}, digestError(s)
}

// isAlgorithm reports whether name could be the name of a hash.
func isAlgorithm(name string) bool {
	for _, c := range []byte(name) {
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-_+.", c) >= 0) {
			return false
		}
	}
	return name != ""
}

func digestError(s string) error {
	return &Error{Rule: "digest_syntax", Message: fmt.Sprintf("%s is not a SHA-256: expected 64 hex digits or 32 bytes in base64", clip(s))}
}
