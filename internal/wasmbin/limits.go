package wasmbin

// Limits are the bounds of [Decode]. The zero value applies all defaults.
type Limits struct {
	// Module is the largest module in bytes; 0 means 64 MiB.
	Module int
	// TableElems is the largest sum of the minimum sizes of all tables, in
	// entries; 0 means 65,536.
	TableElems uint64
	// FuncCost and ModuleCost bound the compile cost in reference
	// milliseconds; 0 means 1,500 and 30,000.
	FuncCost, ModuleCost int
	// Interpreted lifts the two compile costs, and the bound of what the two
	// largest functions take in memory while they are compiled, 160 MiB: an
	// interpreter prepares any module in time linear in its size. In their
	// place the module may have 3,200,000 instructions, which bounds the memory
	// that this takes; branches, loops and functions count several times.
	Interpreted bool
	// Unchecked lifts the whole complexity budget and the rules for names and
	// static segments. What is left is what the core specification asks for.
	// It is for tests against other implementations, never for a guest.
	Unchecked bool
}

// The fixed part of the complexity budget. None of 90 real modules comes near.
const (
	maxCode         = 16 << 20
	maxBody         = 256 << 10
	maxFunctions    = 65_536
	maxTypes        = 4_096
	maxArity        = 255 // parameters, and results, of one type
	maxImports      = 1_024
	maxExports      = 4_096
	maxGlobals      = 1_024
	maxMutable      = 256
	maxRefs         = 1_024 // functions that ref.func names in bodies; each becomes a global
	maxTables       = 16
	maxDataSegments = 131_072
	maxElemSegments = 4_096
	maxLocals       = 10_000
	maxNesting      = 4_096
	maxLoopNesting  = 256
	maxOperands     = 16_384  // values on the operand stack at once
	maxPassive      = 1 << 20 // bytes of one passive data segment
	maxCustoms      = 256     // custom section names kept for Inspect
	maxNameBytes    = 4_096   // an import or export name
)

func (l Limits) withDefaults() Limits {
	if l.Module == 0 {
		l.Module = 64 << 20
	}
	if l.TableElems == 0 {
		l.TableElems = 65_536
	}
	if l.FuncCost == 0 {
		l.FuncCost = 1_500
	}
	if l.ModuleCost == 0 {
		l.ModuleCost = 30_000
	}
	return l
}
