package limits

import (
	"bytes"
	"errors"
	"io"
)

// ReadAll reads r to its end. It returns an *ExceededError once r yields more
// than max bytes and never allocates more than a small multiple of what r has
// yielded so far, whatever size a peer declared. A max of zero or less accepts
// only an empty r.
func ReadAll(r io.Reader, max Bytes) ([]byte, error) {
	if max < 0 {
		max = 0
	}
	var buf bytes.Buffer
	n, err := io.Copy(&buf, io.LimitReader(r, int64(max)))
	if err != nil {
		return nil, err
	}
	if n < int64(max) {
		return buf.Bytes(), nil
	}
	// Exactly max bytes came: only a further byte tells whether r had ended.
	var extra [1]byte
	switch k, err := io.ReadFull(r, extra[:]); {
	case k > 0:
		return nil, &ExceededError{Resource: "read", Limit: int64(max), Used: int64(max) + 1}
	case errors.Is(err, io.EOF):
		return buf.Bytes(), nil
	default:
		return nil, err
	}
}
