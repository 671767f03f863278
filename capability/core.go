package capability

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/sandcheck/sandcheck/internal/plain"
)

// getConfig hands the run's config to the guest. A buffer that is too small is
// TooLarge, never Invalid: SDKs retry with a larger one on that code only.
func getConfig() Func {
	return Func{
		Name:   "get_config",
		Doc:    "copy the run's config into a buffer",
		Params: []Param{{"buf", Out}},
		Handle: func(_ context.Context, c *Call) Code {
			return c.Reply(c.Session.Config)
		},
	}
}

// logLine is "log" to guests. The guest never notices a line that was dropped.
func logLine() Func {
	return Func{
		Name:   "log",
		Doc:    "write one log line",
		Params: []Param{{"level", I32}, {"text", In}},
		Void:   true,
		Handle: func(ctx context.Context, c *Call) Code {
			const most = 8192 // bytes of one line
			// Cut before it is copied: the guest names the length.
			raw := c.In[0][:min(len(c.In[0]), most+1)]
			text := strings.TrimSpace(plain.Prefix(string(raw), most))
			if text == "" || !c.Session.takeLogLine(len(text)) || c.Session.Log == nil {
				return OK
			}
			c.Session.Log.Log(ctx, logLevel(c.Ints[0]), plain.Prefix(plain.Line(text), most))
			return OK
		},
	}
}

func logLevel(level uint32) slog.Level {
	switch level {
	case 0:
		return slog.LevelDebug
	case 1:
		return slog.LevelInfo
	case 2:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}

// submitResult validates now, so that the guest is told. Zero means that the
// result is in the report.
func submitResult() Func {
	return Func{
		Name:   "submit_result",
		Doc:    "submit a plugin_result.v1 document",
		Params: []Param{{"doc", In}},
		Handle: func(_ context.Context, c *Call) Code {
			if err := c.Session.Submit(c.In[0]); err != nil {
				return c.Fail(err)
			}
			return OK
		},
	}
}

const lastErrorName = "last_error"

// lastError tells a guest why its last failed call failed.
func lastError() Func {
	return Func{
		Name:   lastErrorName,
		Doc:    "the reason of the last failed call",
		Params: []Param{{"buf", Out}},
		Handle: func(_ context.Context, c *Call) Code {
			const most = 1024 // bytes of the whole text
			text := plain.Cut(plain.Line(c.Session.lastError()), most)
			if len(c.Out) == 0 {
				return Code(len(text))
			}
			return c.Reply([]byte(text))
		},
	}
}

// addr is a guest's host and port as one text. The host is left as it is but
// for outer white space: what counts as malformed is for the Guard to say, and
// it splits at the last colon, so that nothing here can be read in two ways. A
// host that is longer than any can be is cut, which leaves it as malformed.
func addr(host []byte, port uint32) string {
	const most = 1024 // no name or address comes near; nothing larger is copied
	text := strings.Trim(string(host[:min(len(host), 2*most)]), blanks)
	return fmt.Sprintf("%s:%d", text[:min(len(text), most)], port)
}
