//go:build !(linux || darwin || freebsd)

package bench_test

// threadTime does nothing where the engine has no such clock either.
func threadTime() {}
