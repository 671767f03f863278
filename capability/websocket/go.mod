module github.com/sandcheck/sandcheck/capability/websocket

go 1.25.0

require (
	github.com/coder/websocket v1.8.15
	github.com/sandcheck/sandcheck v0.0.0
)

require (
	github.com/tetratelabs/wazero v1.12.0 // indirect
	golang.org/x/net v0.58.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
	golang.org/x/time v0.15.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
)

replace github.com/sandcheck/sandcheck => ../..
