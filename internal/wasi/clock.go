package wasi

import (
	"encoding/binary"
	"io"
	"time"
)

// Clock ids of preview1 that exist here.
const (
	realtime  = 0
	monotonic = 1
)

func (c *call) now(id uint32) (uint64, errno) {
	switch id {
	case realtime:
		return uint64(c.run.Time().UnixNano()), success
	case monotonic:
		return uint64(c.run.Monotonic()), success
	default:
		return 0, inval
	}
}

func clockTime(c *call) errno {
	t, err := c.now(c.u32(0))
	if err != success {
		return err
	}
	return c.put64(2, t)
}

// clockRes claims a microsecond, which every platform keeps.
func clockRes(c *call) errno {
	if c.u32(0) > monotonic {
		return inval
	}
	return c.put64(1, uint64(time.Microsecond))
}

func (c *call) put64(i int, v uint64) errno {
	out, err := c.view(i, 8)
	if err != success {
		return err
	}
	binary.LittleEndian.PutUint64(out, v)
	return success
}

// random fills the guest's buffer, in pieces, so that a run that is over does
// not wait for all of its memory to be filled.
func random(c *call) errno {
	const piece = 64 << 10
	out, err := c.view(0, c.u32(1))
	if err != success {
		return err
	}
	for len(out) > 0 {
		n := min(len(out), piece)
		if _, err := io.ReadFull(c.run.Rand, out[:n]); err != nil {
			return nosys // only an embedder's own source can fail
		}
		out = out[n:]
		c.run.StopIfOver()
	}
	return success
}
