package wasi

import (
	"encoding/binary"

	"github.com/sandcheck/sandcheck/internal/abi"
)

const (
	stdin  = 0
	stdout = 1
	stderr = 2
)

// onStdio lets do answer for the three standard streams; there are no others.
func onStdio(do func(c *call) errno) func(c *call) errno {
	return func(c *call) errno {
		if c.u32(0) > stderr {
			return badf
		}
		return do(c)
	}
}

const characterDevice = 2

// fdstat describes a stream as a character device that cannot be sought, which
// is what makes C libraries buffer by line.
func fdstat(c *call) errno {
	out, err := c.view(1, 24)
	if err != success {
		return err
	}
	const rightRead, rightWrite, rightSetFlags, rightPoll = 1 << 1, 1 << 6, 1 << 3, 1 << 27
	rights := uint64(rightWrite | rightSetFlags | rightPoll)
	if c.u32(0) == stdin {
		rights = rightRead | rightSetFlags | rightPoll
	}
	clear(out)
	out[0] = characterDevice
	binary.LittleEndian.PutUint64(out[8:], rights)
	return success
}

func filestat(c *call) errno {
	out, err := c.view(1, 64)
	if err != success {
		return err
	}
	clear(out)
	out[16] = characterDevice
	binary.LittleEndian.PutUint64(out[24:], 1) // links
	return success
}

// vectors returns the buffers that arguments 1 and 2 describe and their total
// length. All are checked before any is used.
func (c *call) vectors() (bufs [][]byte, total uint64, err errno) {
	const most = 1024 // as IOV_MAX
	count := c.u32(2)
	if count > most {
		return nil, 0, inval
	}
	list, err := c.view(1, count*8)
	if err != success {
		return nil, 0, err
	}
	bufs = make([][]byte, 0, count)
	for ; len(list) > 0; list = list[8:] {
		ptr, n := binary.LittleEndian.Uint32(list), binary.LittleEndian.Uint32(list[4:])
		buf, ok := c.mem.View(ptr, n)
		if !ok {
			return nil, 0, fault
		}
		bufs = append(bufs, buf)
		total += uint64(n)
	}
	return bufs, total, success
}

// fdRead finds standard input at its end.
func fdRead(c *call) errno {
	if c.u32(0) != stdin {
		return badf
	}
	if _, _, err := c.vectors(); err != success {
		return err
	}
	return c.put32(3, 0)
}

// fdWrite accepts everything and keeps the end of it. A list that names the
// same megabytes many times costs no more than what is kept.
func fdWrite(c *call) errno {
	var tail *abi.Tail
	switch c.u32(0) {
	case stdout:
		tail = c.run.Stdout
	case stderr:
		tail = c.run.Stderr
	default:
		return badf
	}
	bufs, total, err := c.vectors()
	if err != success {
		return err
	}
	if total > 1<<31-1 {
		return inval // the count could not be told
	}
	if _, err := c.view(3, 4); err != success {
		return err
	}
	keep, rest := uint64(tail.Most()), total
	for _, b := range bufs {
		rest -= uint64(len(b))
		if rest >= keep {
			tail.Skip(int64(len(b)))
			continue
		}
		_, _ = tail.Write(b) // never fails
	}
	return c.put32(3, uint32(total))
}

func (c *call) put32(i int, v uint32) errno {
	out, err := c.view(i, 4)
	if err != success {
		return err
	}
	binary.LittleEndian.PutUint32(out, v)
	return success
}
