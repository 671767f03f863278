package wasmgen

import "fmt"

// Script is what a proxy guest does: host calls with literal arguments, phase
// by phase, each followed by a note of what came back. Proxy makes the module.
type Script struct {
	// Start runs inside instantiation, Initialize in _initialize, Command in
	// _start; an empty phase exports nothing. Entry runs in the entrypoint,
	// which is always exported.
	Start, Initialize, Command, Entry []Step

	// Entrypoint is the name of that export, run_check when empty.
	Entrypoint string

	// Imports are imported whether or not a step calls them, first and in
	// this order, and give the types of names that Known does not know.
	// A step names a function by Func.Name, or by module and name with a dot.
	Imports []Func

	// Report says how the notes leave the guest.
	Report Reporting

	// Traps are exported functions that trap: what the host must not call,
	// such as alloc and dealloc.
	Traps []string

	// Data is placed in memory at these addresses, all below 4096.
	Data map[uint32]string

	// Pages is the least size of the memory; it grows to what the script
	// needs. MaxPages, when not zero, is its declared maximum.
	Pages, MaxPages uint32
}

// Reporting says how a proxy guest tells what came back.
type Reporting byte

const (
	// ReportSubmit submits {"status":"OK","summary":"script","steps":[...]}
	// at the end of Entry.
	ReportSubmit Reporting = iota

	// ReportLog logs such a document after each step of Entry, with the
	// steps since the one before; those of earlier phases come with the
	// first. A step that ends the run hides nothing that was logged.
	ReportLog

	// ReportNone tells nothing, unless a FlushReport step says so.
	ReportNone
)

// Step is one thing that a proxy guest does. Steps are made by Do and its
// neighbours and refined by As, Times and TimesLast.
type Step struct {
	call   string
	args   []Arg
	name   string
	repeat uint32
	last   bool
	op     stepOp
	n      int64
	text   string
}

type stepOp byte

const (
	opCall stepOp = iota
	opSleep
	opExit
	opTrap
	opSpin
	opBurn
	opGrow
	opPrint
	opFlush
)

// Do calls an imported function.
func Do(name string, args ...Arg) Step { return Step{call: name, args: args} }

// Sleep waits so many milliseconds of the monotonic clock in poll_oneoff.
func Sleep(ms uint32) Step { return Step{op: opSleep, call: "sleep", n: int64(ms)} }

// Exit calls proc_exit.
func Exit(code uint32) Step { return Step{op: opExit, n: int64(code)} }

// Trap executes unreachable.
func Trap() Step { return Step{op: opTrap} }

// Spin loops for ever.
func Spin() Step { return Step{op: opSpin} }

// Burn goes n times round an empty loop.
func Burn(n uint32) Step { return Step{op: opBurn, n: int64(n)} }

// Grow adds pages to the memory; its result is the old size or -1.
func Grow(pages uint32) Step { return Step{op: opGrow, call: "memory.grow", n: int64(pages)} }

// Print writes text to file descriptor 1 or 2; its result is the error number.
func Print(fd uint32, text string) Step {
	return Step{op: opPrint, call: "print", n: int64(fd), text: text}
}

// FlushReport submits what was noted so far, whatever Script.Report says.
func FlushReport() Step { return Step{op: opFlush} }

// As names the step's result for Ref and Got, and its note.
func (s Step) As(name string) Step { s.name = name; return s }

// Times repeats the step; each round is noted.
func (s Step) Times(n uint32) Step { s.repeat = n; return s }

// TimesLast repeats the step; only the last round is noted.
func (s Step) TimesLast(n uint32) Step { s.repeat, s.last = n, true; return s }

func (s Step) rounds() uint32 { return max(s.repeat, 1) }

// Arg is one argument of a Step; some stand for two parameters.
type Arg struct {
	kind argKind
	n    int64
	text string
}

type argKind byte

const (
	argLit argKind = iota
	argText
	argPtr
	argOut
	argFixed
	argSize
	argEnd
	argRef
	argGot
)

// Lit is a number, of the parameter's own type. Unsigned 32-bit numbers may
// be given as they are: 1<<32 - 1 is the same as -1.
func Lit(v int64) Arg { return Arg{kind: argLit, n: v} }

// Text is a pointer to these bytes and their length. Empty text is pointer 0
// and length 0, as SDKs send it.
func Text(s string) Arg { return Arg{kind: argText, text: s} }

// Ptr is the pointer alone.
func Ptr(s string) Arg { return Arg{kind: argPtr, text: s} }

// Out is a pointer to a buffer of n bytes, and n. After the call as many
// bytes as its result says are noted. n is at most 16 MiB.
func Out(n uint32) Arg { return Arg{kind: argOut, n: int64(n)} }

// OutPtr is a pointer to a buffer of n bytes, which are noted whatever the
// result is: for WASI functions.
func OutPtr(n uint32) Arg { return Arg{kind: argFixed, n: int64(n)} }

// MemSize is the size of the memory in bytes.
func MemSize() Arg { return Arg{kind: argSize} }

// MemEnd is the size of the memory plus delta: MemEnd(-4) leaves four bytes.
func MemEnd(delta int32) Arg { return Arg{kind: argEnd, n: int64(delta)} }

// Ref is the result of the step of that name when it last ran, 0 before.
func Ref(name string) Arg { return Arg{kind: argRef, text: name} }

// Got is the pointer to the Out buffer of the step of that name, and its
// result as the length.
func Got(name string) Arg { return Arg{kind: argGot, text: name} }

// width is the number of parameters that the argument stands for.
func (a Arg) width() int {
	switch a.kind {
	case argText, argOut, argGot:
		return 2
	}
	return 1
}

func misuse(format string, args ...any) {
	panic("wasmgen: " + fmt.Sprintf(format, args...))
}
