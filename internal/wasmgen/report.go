package wasmgen

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Note is what a proxy guest says about one round of one step.
type Note struct {
	Call, Name string
	// R is the result, R2 a second one. Results of any number type are
	// widened, floats rounded towards zero; without a result R is 0.
	R, R2 int64
	// Out holds what was answered in an Out buffer, at most 16 KiB of it;
	// Hash is then the 32-bit FNV-1a of all, else 0.
	Out  []byte
	Hash uint32
	// Dirty says that bytes of the buffer behind the answer changed; the
	// first 4 KiB of them are looked at.
	Dirty bool
}

// String is the note as tests print it: get_config = 12 "{...}".
func (n Note) String() string {
	s := n.Call
	if n.Name != "" {
		s += " " + n.Name
	}
	s += fmt.Sprintf(" = %d", n.R)
	if len(n.Out) > 0 {
		s += fmt.Sprintf(" %q", n.Out)
	}
	if n.Dirty {
		s += " dirty"
	}
	return s
}

// Notes reads documents that a proxy guest submitted or logged. A document
// without steps has no notes.
func Notes(docs ...[]byte) ([]Note, error) {
	var all []Note
	for _, doc := range docs {
		var report struct {
			Steps []struct {
				Call, Name string
				R, R2      int64
				Out        string
				FNV        uint32
				Dirty      int
			}
		}
		if err := json.Unmarshal(doc, &report); err != nil {
			return nil, fmt.Errorf("wasmgen: report %q: %w", doc, err)
		}
		for _, s := range report.Steps {
			out, err := hex.DecodeString(s.Out)
			if err != nil {
				return nil, fmt.Errorf("wasmgen: report %q: %w", doc, err)
			}
			all = append(all, Note{s.Call, s.Name, s.R, s.R2, out, s.FNV, s.Dirty != 0})
		}
	}
	return all, nil
}
