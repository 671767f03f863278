package host

import (
	"errors"
	"fmt"
	"strings"
)

// known says, for capabilities that exist but that this host may not offer, how
// to offer them.
var known = map[string]string{
	"http_request":            "capability.HTTP()",
	"tcp_connect":             "capability.TCP()",
	"tcp_read":                "capability.TCP()",
	"tcp_write":               "capability.TCP()",
	"tcp_close":               "capability.TCP()",
	"udp_sendto":              "capability.UDP()",
	"websocket_connect":       "functions of that name",
	"websocket_send":          "functions of that name",
	"websocket_recv":          "functions of that name",
	"websocket_close":         "functions of that name",
	"camera_media_stream":     "functions that require it",
	"emit_telemetry":          "functions that require it",
	"grpc_request":            "functions that require it",
	"proxmox_console_stream":  "functions that require it",
	"artifact-staging:v1":     "functions that require it",
	"advisory-feed:v1":        "functions that require it",
	"producer-schedule:v1":    "functions that require it",
	"action-result-ingest:v1": "functions that require it",
	"action-only:v1":          "functions that require it",
	"notify:v1":               "functions that require it",
}

// notOffered explains a capability that a manifest lists and this host has not.
func notOffered(name string, offered []string) string {
	if what, ok := known[name]; ok {
		return fmt.Sprintf("%q is not offered by this host: give it to host.New with WithCapabilities, %s", name, what)
	}
	for _, o := range offered {
		if strings.EqualFold(o, name) {
			return fmt.Sprintf("%q is not offered by this host: did you mean %q?", name, o)
		}
	}
	return fmt.Sprintf("%q is not offered by this host, which has %s", name, strings.Join(offered, ", "))
}

// lines takes a joined error apart into one text per problem.
func lines(err error) []string {
	var wrapped *moduleError
	if errors.As(err, &wrapped) {
		return strings.Split(wrapped.err.Error(), "\n")
	}
	return strings.Split(err.Error(), "\n")
}
