package filestore

import (
	"strings"

	"github.com/sandcheck/sandcheck/manifest"
)

// maxRefParts bounds the signatures of one ref.
const maxRefParts = 9

// parseRef reads "DIGEST[+DIGEST...]".
func parseRef(ref string) (bundle manifest.Digest, signatures []manifest.Digest, err error) {
	// "+" is also a digit of base64, so a whole digest is tried first.
	if d, err := manifest.ParseDigest(ref); err == nil {
		return d, nil, nil
	}
	for i, part := range strings.SplitN(ref, "+", maxRefParts+1) {
		d, err := manifest.ParseDigest(part)
		if err != nil {
			return bundle, nil, err
		}
		if i == 0 {
			bundle = d
		} else {
			signatures = append(signatures, d)
		}
	}
	return bundle, signatures, nil
}

// Digests lists the blobs that a ref of Open names, to be kept by GC.
func Digests(ref string) ([]manifest.Digest, error) {
	bundle, signatures, err := parseRef(ref)
	if err != nil {
		return nil, err
	}
	return append([]manifest.Digest{bundle}, signatures...), nil
}
