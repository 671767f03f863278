module github.com/sandcheck/sandcheck/netproxy/oracletest

go 1.25.0

require (
	code.dny.dev/ssrf v0.3.0
	github.com/sandcheck/sandcheck v0.0.0
)

require (
	golang.org/x/net v0.58.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
	golang.org/x/time v0.15.0 // indirect
)

replace github.com/sandcheck/sandcheck => ../..
