// Package wasmgen makes small Wasm modules for tests, so that they need no
// toolchain but Go. It shares nothing with internal/wasmbin: a mistake in one
// cannot hide the same mistake in the other.
//
// There are three ways in, from short to free:
//
//   - Canned guests such as Submits, Fetches, Loops and Traps.
//   - Proxy executes a Script of host calls in a guest with real memory and
//     tells what came back; Notes reads it.
//   - Builder assembles any module, also a broken one, from code such as
//     I32Add(LocalGet(0), I32Const(1)).
//
// The same input makes the same bytes. Mistakes in a test panic.
package wasmgen
