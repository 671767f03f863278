// Package bench holds benchmarks and nothing else.
//
//	go test -run '^$' -bench Guests -benchtime 1x ./internal/bench
//
// BenchmarkGuests takes every guest of testdata/packages through its life, in a
// world in memory, and ends with a table. Its columns, in the order in which an
// embedder pays for them:
//
//	bytes       size of plugin.wasm
//	compile-ms  the first Load in a new Runtime: decode, instrument, compile, link
//	load-ms     a later Load of the same bytes, whose code is kept
//	first-us    the first run
//	run-us      a later run, the median of many
//
// Numbers of one machine compare with each other only: say which it was.
package bench
