package websocket_test

import (
	"context"
	"fmt"

	"github.com/sandcheck/sandcheck/capability"
	"github.com/sandcheck/sandcheck/capability/websocket"
	"github.com/sandcheck/sandcheck/host"
)

// A host that offers WebSocket beside what the core has. Plugins still need the
// capabilities in their manifest and in their Grant.
func ExampleFuncs() {
	rt, err := host.New(
		host.WithCapabilities(capability.Network()...),
		host.WithCapabilities(websocket.Funcs(websocket.Auto())...),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close(context.Background())
	for _, f := range websocket.Funcs() {
		fmt.Println(f.Name, "-", f.Doc)
	}
	// Output:
	// websocket_connect - open a WebSocket connection
	// websocket_send - send one WebSocket message
	// websocket_recv - receive one WebSocket message
	// websocket_close - close a WebSocket connection
}
