package capability

import (
	"context"

	"github.com/sandcheck/sandcheck/limits"
)

// udpSendTo sends one datagram from a fresh socket and answers the number of
// bytes sent. The Guard judges the address; the guest may only shorten the
// deadline of the run.
func udpSendTo() Func {
	return Func{
		Name:   "udp_sendto",
		Doc:    "send one datagram",
		Params: []Param{{"addr", In}, {"port", I32}, {"payload", In}, {"timeout_ms", I32}},
		Handle: func(ctx context.Context, c *Call) Code {
			if n, most := int64(len(c.In[1])), int64(c.Session.limits().Datagram); n > most {
				return c.Fail(&limits.ExceededError{Resource: "datagram", Limit: most, Used: n})
			}
			ctx, cancel := c.Deadline(ctx, c.Ints[1])
			defer cancel()
			conn, err := c.dial(ctx, "udp")
			if err != nil {
				return c.Fail(err)
			}
			defer conn.Close() // nothing is buffered, so a late error cannot matter
			defer until(ctx, conn.SetWriteDeadline)()
			n, err := conn.Write(c.In[1])
			if err != nil {
				return c.Fail(err)
			}
			return Code(n)
		},
	}
}
