// Package wasmbin reads Wasm binaries, judges them, and writes metered ones.
// It knows no engine and runs nothing.
//
// [Decode] makes a [Module] of untrusted bytes: it validates everything by the
// rules of the core specification, refuses features that cannot be metered,
// and bounds what compiling would cost. [Module.Info] says what is in it.
// [Module.Instrument] writes a binary that does the same as the original but
// asks the host for fuel, and cannot avoid doing so.
package wasmbin
