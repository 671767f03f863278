package oracletest_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/sandcheck/sandcheck/result"
)

// A repeated text of a case file, or a nested one.
type repeated struct {
	Prefix, Text, Suffix, Open, Close string
	Count                             int
	TotalBytes                        int `json:"total_bytes"`
}

func (r *repeated) String() string {
	n := r.Count
	if r.TotalBytes > 0 {
		n = (r.TotalBytes - len(r.Prefix) - len(r.Suffix)) / len(r.Text)
	}
	return r.Prefix + strings.Repeat(r.Text+r.Open, n) + strings.Repeat(r.Close, n) + r.Suffix
}

type perfdataCase struct {
	ID, Kind string
	In       json.RawMessage // an object for kinds that are not read here
	Hex      string          `json:"in_hex"`
	Repeat   *repeated       `json:"in_repeat"`
	Sequence *struct {
		Template, Sep string
		Count         int
	} `json:"in_sequence"`
}

func (c *perfdataCase) text(t *testing.T) (text string) {
	t.Helper()
	switch {
	case c.Hex != "":
		return fromHex(t, c.Hex)
	case c.Repeat != nil:
		return c.Repeat.String()
	case c.Sequence != nil:
		parts := make([]string, c.Sequence.Count)
		for i := range parts {
			parts[i] = strings.ReplaceAll(c.Sequence.Template, "{i}", strconv.Itoa(i))
		}
		return strings.Join(parts, c.Sequence.Sep)
	}
	if err := json.Unmarshal(c.In, &text); err != nil {
		t.Fatalf("%s: %v in %s", c.ID, err, c.In)
	}
	return text
}

type resultCase struct {
	ID      string
	Payload *string
	Hex     string    `json:"payload_hex"`
	Repeat  *repeated `json:"payload_repeat"`
	Nested  *repeated `json:"payload_nested"`
	Code    int       `json:"submit_code"`
}

func (c *resultCase) doc(t *testing.T) string {
	t.Helper()
	switch {
	case c.Hex != "":
		return fromHex(t, c.Hex)
	case c.Repeat != nil:
		return c.Repeat.String()
	case c.Nested != nil:
		return c.Nested.String()
	case c.Payload == nil:
		t.Fatalf("%s has no payload", c.ID)
	}
	return *c.Payload
}

func fromHex(t *testing.T, text string) string {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func readCases(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile("../../testdata/vectors/" + name)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// isPlain reports whether the writer keeps a text as it is.
func isPlain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' })
}

// TestPerfdataVectors writes whatever values the case files hold, one result
// for each and all of them in one exposition.
func TestPerfdataVectors(t *testing.T) {
	t.Parallel()
	var file struct{ Cases []perfdataCase }
	readCases(t, "perfdata.json", &file)
	var all []*result.Result
	for _, c := range file.Cases {
		var perfdata string
		switch c.Kind {
		case "perfdata":
			perfdata = c.text(t)
		case "output":
			_, _, perfdata = result.SplitOutput(c.text(t))
		case "unit":
			perfdata = "value=" + c.text(t) + " other=" + c.text(t)
		case "range", "format": // hold no values, and are written elsewhere
			continue
		default:
			t.Fatalf("%s: kind %q is not known", c.ID, c.Kind)
		}
		r := &result.Result{Status: result.OK, Perfdata: perfdata, Labels: map[string]string{"case": c.ID}}
		all = append(all, r)
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			if isPlain(perfdata) {
				compare(t, r)
			} else {
				read(t, write(t, r))
			}
		})
	}
	if len(all) == 0 {
		t.Error("there are no cases")
	}
	read(t, write(t, all...))
}

// TestResultVectors writes every result that is accepted.
func TestResultVectors(t *testing.T) {
	t.Parallel()
	var file struct{ Result struct{ Cases []resultCase } }
	readCases(t, "abi.json", &file)
	var all []*result.Result
	for _, c := range file.Result.Cases {
		r, err := result.Parse([]byte(c.doc(t)))
		if (err == nil) != (c.Code == 0) {
			t.Errorf("%s: %v, want code %d", c.ID, err, c.Code)
		}
		if err != nil {
			continue // refused, so there is nothing to write
		}
		if r.Labels == nil {
			r.Labels = map[string]string{}
		}
		r.Labels["case"] = c.ID
		all = append(all, r)
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			compare(t, r)
		})
	}
	if len(all) == 0 {
		t.Error("there are no cases")
	}
	compare(t, all...)
}
