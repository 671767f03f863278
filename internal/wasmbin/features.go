package wasmbin

import "slices"

// feature is one extension of the first Wasm standard that modules may use.
type feature byte

const (
	mvp feature = iota
	mutableGlobals
	signExtension
	nonTrapping
	multiValue
	bulkMemory
	referenceTypes
	simd
	extendedConst
)

var featureNames = [...]string{
	mutableGlobals: "mutable-globals",
	signExtension:  "sign-extension",
	nonTrapping:    "nontrapping-float-to-int",
	multiValue:     "multi-value",
	bulkMemory:     "bulk-memory",
	referenceTypes: "reference-types",
	simd:           "simd",
	extendedConst:  "extended-const",
}

type featureSet uint16

func (s *featureSet) add(f feature) { *s |= 1 << f }

// list answers the names in alphabetical order.
func (s featureSet) list() []string {
	var names []string
	for f, name := range featureNames {
		if name != "" && s&(1<<f) != 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// refused is a feature that no module may use, with what helps.
type refused struct{ reason, cure string }

var (
	noTailCalls   = refused{"tail calls are not supported", "build with -mno-tail-call"}
	noThreads     = refused{"threads and shared memory are not supported", "build without -pthread and -matomics"}
	noExceptions  = refused{"exception handling is not supported", "build with -fno-exceptions, or with panic=abort"}
	noMemory64    = refused{"64-bit memories and tables are not supported", "build for wasm32"}
	noMultiMemory = refused{"more than one memory is not supported", "build with -mno-multimemory"}
	noFuncRefs    = refused{"typed function references are not supported", "build without that feature"}
	noGC          = refused{"garbage-collected types are not supported", "build with a toolchain that manages linear memory"}
	noRelaxedSIMD = refused{"relaxed SIMD is not supported", "build with -mno-relaxed-simd"}
	noStackSwitch = refused{"stack switching is not supported", "build without that feature"}
)

// refuse fails because of a feature, at the given position.
func (r *reader) refuse(at int, what string, f refused) {
	r.failCure(Unsupported, at, what, f.reason, f.cure)
}

// hazard is an instruction or declaration because of which an instance cannot
// be restored from its memory and globals alone.
type hazard byte

const (
	hazardTableSet hazard = iota
	hazardTableGrow
	hazardTableFill
	hazardTableCopy
	hazardTableInit
	hazardDataDrop
	hazardElemDrop
	hazardGlobal
)

var hazardNames = [...]string{
	hazardTableSet:  "table.set",
	hazardTableGrow: "table.grow",
	hazardTableFill: "table.fill",
	hazardTableCopy: "table.copy",
	hazardTableInit: "table.init",
	hazardDataDrop:  "data.drop",
	hazardElemDrop:  "elem.drop",
	hazardGlobal:    "mutable global of vector or reference type",
}

type hazardSet uint16

func (s *hazardSet) add(h hazard) { *s |= 1 << h }

func (s hazardSet) list() []string {
	var names []string
	for h, name := range hazardNames {
		if s&(1<<h) != 0 {
			names = append(names, name)
		}
	}
	return names
}
