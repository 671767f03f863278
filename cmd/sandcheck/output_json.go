package main

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/sandcheck/sandcheck/host"
	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/netproxy"
	"github.com/sandcheck/sandcheck/result"
)

// reportJSON is the object of --format json. Its fields are those of the core's
// types in snake_case, all always there; a test holds the two side by side.
type reportJSON struct {
	Result    *result.Result `json:"result"`
	Ended     string         `json:"ended"`
	Error     string         `json:"error"`
	Usage     usageJSON      `json:"usage"`
	Decisions []decisionJSON `json:"decisions"`
	Logs      []logJSON      `json:"logs"`
	Stderr    string         `json:"stderr"`
}

type usageJSON struct {
	CPU             float64        `json:"cpu_ms"`
	Wall            float64        `json:"wall_ms"`
	HostWait        float64        `json:"host_wait_ms"`
	Instantiate     float64        `json:"instantiate_ms"`
	Fuel            uint64         `json:"fuel"`
	InitFuel        uint64         `json:"init_fuel"`
	PeakMemory      limits.Bytes   `json:"peak_memory"`
	PeakConnections int            `json:"peak_connections"`
	RefusedGrows    int            `json:"refused_grows"`
	FirstRefused    limits.Bytes   `json:"first_refused"`
	Dials           int            `json:"dials"`
	Lookups         int            `json:"lookups"`
	Targets         int            `json:"targets"`
	Denials         int            `json:"denials"`
	Calls           map[string]int `json:"calls"`
	Failed          map[string]int `json:"failed"`
	BytesIn         int64          `json:"bytes_in"`
	BytesOut        int64          `json:"bytes_out"`
	LogDropped      int64          `json:"log_dropped"`
	OutputDropped   int64          `json:"output_dropped"`
}

type decisionJSON struct {
	Plugin      string          `json:"plugin"`
	Run         string          `json:"run"`
	Func        string          `json:"func"`
	Target      targetJSON      `json:"target"`
	Allowed     bool            `json:"allowed"`
	Reason      netproxy.Reason `json:"reason"`
	Rule        string          `json:"rule"`
	Hint        string          `json:"hint"`
	Err         string          `json:"err"`
	At          time.Time       `json:"at"`
	Took        float64         `json:"took_ms"`
	Lookup      float64         `json:"lookup_ms"`
	Connect     float64         `json:"connect_ms"`
	TLS         float64         `json:"tls_ms"`
	FirstByte   float64         `json:"first_byte_ms"`
	BytesIn     int64           `json:"bytes_in"`
	BytesOut    int64           `json:"bytes_out"`
	Status      int             `json:"status"`
	Method      string          `json:"method"`
	Scheme      string          `json:"scheme"`
	Identity    string          `json:"identity"`
	Peer        netip.AddrPort  `json:"peer"` // "" where nothing was connected to
	Dropped     []netip.Addr    `json:"dropped"`
	Pooled      bool            `json:"pooled"`
	Tunnel      bool            `json:"tunnel"`
	InsecureTLS bool            `json:"insecure_tls"`
}

type targetJSON struct {
	Network string           `json:"network"`
	Host    string           `json:"host"`
	Port    uint16           `json:"port"`
	Addrs   []netip.AddrPort `json:"addrs"`
	Hop     int              `json:"hop"`
}

type logJSON struct {
	At    time.Time  `json:"at"`
	Level slog.Level `json:"level"`
	Text  string     `json:"text"`
}

func reportToJSON(r *host.Report, err error) ([]byte, error) {
	doc := reportJSON{
		Result: r.Result, Ended: r.Ended.String(), Error: cause(r, err), Usage: usageToJSON(r.Usage),
		Decisions: []decisionJSON{}, Logs: []logJSON{}, Stderr: r.Stderr,
	}
	for _, d := range r.Decisions {
		doc.Decisions = append(doc.Decisions, decisionToJSON(d))
	}
	for _, l := range r.Logs {
		doc.Logs = append(doc.Logs, logJSON(l))
	}
	return encodeJSON(doc)
}

func usageToJSON(u limits.Usage) usageJSON {
	return usageJSON{
		CPU: ms(u.CPU), Wall: ms(u.Wall), HostWait: ms(u.HostWait), Instantiate: ms(u.Instantiate),
		Fuel: u.Fuel, InitFuel: u.InitFuel,
		PeakMemory: u.PeakMemory, PeakConnections: u.PeakConnections,
		RefusedGrows: u.RefusedGrows, FirstRefused: u.FirstRefused,
		Dials: u.Dials, Lookups: u.Lookups, Targets: u.Targets, Denials: u.Denials,
		Calls: notNil(u.Calls), Failed: notNil(u.Failed),
		BytesIn: u.BytesIn, BytesOut: u.BytesOut, LogDropped: u.LogDropped, OutputDropped: u.OutputDropped,
	}
}

func decisionToJSON(d netproxy.Decision) decisionJSON {
	return decisionJSON{
		Plugin: d.Plugin, Run: d.Run, Func: d.Func,
		Target: targetJSON{
			Network: d.Target.Network, Host: d.Target.Host, Port: d.Target.Port,
			Addrs: append([]netip.AddrPort{}, d.Target.Addrs...), Hop: d.Target.Hop,
		},
		Allowed: d.Allowed, Reason: d.Reason, Rule: d.Rule, Hint: d.Hint, Err: d.Err, At: d.At,
		Took: ms(d.Took), Lookup: ms(d.Lookup), Connect: ms(d.Connect), TLS: ms(d.TLS), FirstByte: ms(d.FirstByte),
		BytesIn: d.BytesIn, BytesOut: d.BytesOut, Status: d.Status,
		Method: d.Method, Scheme: d.Scheme, Identity: d.Identity, Peer: d.Peer,
		Dropped: append([]netip.Addr{}, d.Dropped...), Pooled: d.Pooled, Tunnel: d.Tunnel, InsecureTLS: d.InsecureTLS,
	}
}

// ms is a duration as milliseconds, to the microsecond.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func notNil(m map[string]int) map[string]int {
	if m == nil {
		return map[string]int{}
	}
	return m
}
