// Package wasmbin reads Wasm binaries, judges them, and writes metered ones.
// It knows no engine and runs nothing.
//
// [Decode] makes a [Module] of untrusted bytes: it validates everything by the
// rules of the core specification, refuses features that cannot be metered,
// and bounds what compiling would cost. [Module.Info] says what is in it.
// [Module.Instrument] writes a binary that does the same as the original but
// asks the host for fuel, and cannot avoid doing so.
//
// # What the host does with a metered module
//
// It provides the one import that is added, [ImportModule] and [ImportRefill]
// of type func(i64) i64. The global [ExportFuel] starts at 0, so the first
// charge asks at once. With G units granted so far and the argument r, which is
// negative, exactly C = G - r units were used. The host either ends the run, by
// a panic that the engine carries to the caller, or answers g >= 0 more units
// and sets G to C + g. At the end of a run, G less the value of [ExportFuel] was
// used. The argument [RefillOverflow] is no number of units: the guest stack is
// full, and the run must end.
//
// A new instance is prepared in this order: memory gets the cold image
// ([Meta.CopyData]); the function [ExportStart], if there is one, is called;
// then "_initialize" and the entrypoint. Nothing runs at instantiation.
// [ExportDepth] is 0 whenever no guest code runs. Where the host ends a call by
// a panic and goes on with the instance, it sets it to 0 itself.
//
// The own mutable globals are exported as [ExportGlobal] of their index.
// Functions that were added carry names with [HiddenPrefix] in traces.
//
// # What is charged
//
//	any instruction not named below              1
//	direct call of an imported function        100
//	memory.fill, copy, init of n bytes    8 + n/16
//	table.fill, copy, init of n entries    8 + n/2
//	memory.grow           64, and 1,024 for each page added
//	table.grow            64, and n/2 when it succeeded
//	locals beyond 255     1 for each 8, at each call
//
// A function is charged where it is entered, and a loop on every round, for
// all instructions in it that are not in an inner loop. No charge exceeds 4,096:
// longer pieces are charged part by part, and so is what follows a call.
package wasmbin
