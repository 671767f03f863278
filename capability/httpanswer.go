package capability

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// httpAnswer is what came back, before it is written for the guest.
type httpAnswer struct {
	status    int
	header    http.Header
	body      []byte
	truncated bool
}

// encode writes the answer into out and returns its length. Where it does not
// fit, nothing is written: the length is known before the first byte.
func (a *httpAnswer) encode(out []byte, statusBody bool) (int, error) {
	if statusBody {
		return a.encodeShort(out)
	}
	head, err := a.head()
	if err != nil {
		return 0, err
	}
	tail := `","body_encoding":"base64"}`
	if a.truncated {
		tail = `","body_encoding":"base64","truncated":true}`
	}
	size := base64.StdEncoding.EncodedLen(len(a.body))
	if need := len(head) + size + len(tail); need > len(out) {
		return 0, &bufferError{need: need, have: len(out)}
	}
	n := copy(out, head)
	base64.StdEncoding.Encode(out[n:], a.body)
	n += size
	return n + copy(out[n:], tail), nil
}

// encodeShort writes the status, a line feed and the raw body.
func (a *httpAnswer) encodeShort(out []byte) (int, error) {
	head := strconv.Itoa(a.status) + "\n"
	if need := len(head) + len(a.body); need > len(out) {
		return 0, &bufferError{need: need, have: len(out)}
	}
	n := copy(out, head)
	return n + copy(out[n:], a.body), nil
}

// head is the envelope up to the body's text.
func (a *httpAnswer) head() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(`{"status":` + strconv.Itoa(a.status))
	if len(a.header) > 0 {
		b.WriteString(`,"headers":`)
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(joined(a.header)); err != nil {
			return nil, err
		}
		b.Truncate(b.Len() - 1) // the encoder's line feed
	}
	b.WriteString(`,"body_base64":"`)
	return b.Bytes(), nil
}

// joined has names in lower case, as guests look them up, and one text per name.
// Cookies hold commas themselves, so they are told apart by line feeds; the
// first stays first.
func joined(h http.Header) map[string]string {
	all := make(map[string]string, len(h))
	for name, values := range h {
		sep := ","
		if name = strings.ToLower(name); name == "set-cookie" {
			sep = "\n"
		}
		all[name] = strings.Join(values, sep)
	}
	return all
}
