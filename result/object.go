package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/sandcheck/sandcheck/internal/strict"
)

// object writes a JSON object field by field. The first value of a name
// stands: what is typed is written before what was kept, and no output may
// have a key twice.
type object struct {
	buf  bytes.Buffer
	seen map[string]bool
	errs []error
}

// raw writes a value that is JSON already.
func (o *object) raw(name string, value []byte) {
	if o.seen[name] {
		return
	}
	if o.seen == nil {
		o.seen = map[string]bool{}
	}
	o.seen[name] = true
	if o.buf.Len() == 0 {
		o.buf.WriteByte('{')
	} else {
		o.buf.WriteByte(',')
	}
	o.buf.Write(quote(name))
	o.buf.WriteByte(':')
	o.buf.Write(value)
}

func (o *object) text(name, s string) { o.raw(name, quote(s)) }

func (o *object) number(name string, v float64) {
	if !finite(v) {
		o.fail(name, fmt.Errorf("%v is not a number that JSON can hold", v))
		return
	}
	o.value(name, v)
}

// value writes what encoding/json can write.
func (o *object) value(name string, v any) {
	text, err := encode(v)
	if err != nil {
		o.fail(name, err)
		return
	}
	o.raw(name, text)
}

func (o *object) fail(name string, err error) {
	o.errs = append(o.errs, fmt.Errorf("%s: %w", strict.Join("", name), err))
}

func (o *object) bytes() ([]byte, error) {
	if len(o.errs) > 0 {
		return nil, errors.Join(o.errs...)
	}
	if o.buf.Len() == 0 {
		return []byte("{}"), nil
	}
	return append(o.buf.Bytes(), '}'), nil
}

// quote is the JSON text of s, with no more escapes than JSON asks for.
func quote(s string) []byte {
	text, err := encode(s)
	if err != nil {
		return []byte(`""`) // encoding/json fails for no string
	}
	return text
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// isJSON reports whether raw can be written into a document as it is. Repaired
// text has grown, so the bound is above that of a document which is read.
func isJSON(raw []byte) bool {
	return strict.Check(raw, strict.Options{AnyRoot: true, Bytes: 8 << 20}) == nil
}

// foldsTo returns the known name from which name differs by case only.
func foldsTo(name string, known []string) string {
	for _, k := range known {
		if strings.EqualFold(name, k) {
			return k
		}
	}
	return ""
}

func isBlank(s string) bool { return strings.TrimSpace(s) == "" }
