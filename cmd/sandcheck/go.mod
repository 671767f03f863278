module github.com/sandcheck/sandcheck/cmd/sandcheck

go 1.25.0

require (
	github.com/sandcheck/sandcheck v0.0.0
	gopkg.in/yaml.v3 v3.0.1
)

require (
	github.com/tetratelabs/wazero v1.12.0 // indirect
	golang.org/x/net v0.58.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
	golang.org/x/time v0.15.0 // indirect
)

replace github.com/sandcheck/sandcheck => ../..
