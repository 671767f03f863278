// Package capability says what a guest may ask the host for: host functions as
// plain data, the state of one run as their handlers see it, and what an
// operator grants.
//
// # A host function in ten minutes
//
// A Func names itself, its parameters and its handler. Everything else (the
// Wasm type, the checks of every pointer, the trace line, the stub of a plugin
// that was not granted it) is derived from that:
//
//	func Uptime() capability.Func {
//		return capability.Func{
//			Name:   "uptime",
//			Doc:    "seconds since the agent started, as JSON",
//			Params: []capability.Param{{Name: "buf", Kind: capability.Out}},
//			Handle: func(ctx context.Context, c *capability.Call) capability.Code {
//				return c.ReplyJSON(map[string]float64{"seconds": time.Since(start).Seconds()})
//			},
//		}
//	}
//
// Offer it with host.WithCapabilities(Uptime()). A plugin whose manifest lists
// the capability "uptime", and whose Grant holds it, can then import
// env.uptime with the type func(i32, i32) i32.
//
// # The contract of Handle
//
//   - It runs only for plugins that were granted the Func: there is no
//     permission to check.
//   - Call.In and Call.Out are views of guest memory that were checked as a
//     whole. They die with the call: to keep is to copy.
//   - It returns when ctx ends. Go code cannot be interrupted from outside, so
//     a handler that ignores ctx holds its run.
//   - It reaches the network through Call.Session.Net only, and keeps what is
//     open between calls with Session.Open.
//   - A failure is answered with Call.Fail, which picks the code and keeps the
//     reason for the guest and for the report.
//   - It does not panic. A panic ends the run as a trap of kind host_panic.
//
// A handler is tested with a literal Call and a literal Session; no Wasm is
// needed. Package host/hosttest calls one through real guest memory.
package capability
