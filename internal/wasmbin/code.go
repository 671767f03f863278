package wasmbin

import "fmt"

// codeSection validates every body, and counts what metering and the
// complexity budget need on the way.
func (d *decoder) codeSection() {
	d.hasCode = true
	at := d.pos
	d.bound(at, "bytes of code", d.end-d.pos, maxCode)
	n := d.count("code section", 2)
	if own := d.m.ownFuncs(); d.err == nil && n != own {
		d.malformed(at, fmt.Sprintf("function and code section have inconsistent lengths: %d and %d", own, n))
	}
	if d.err != nil {
		return
	}
	d.m.figures.CodeBytes = d.end - at
	d.m.bodies = make([]body, 0, n)
	v := newValidator(d)
	section := d.end
	for i := 0; i < n && d.err == nil; i++ {
		at := d.pos
		size := d.u32()
		if d.err == nil && uint64(size) > uint64(section-d.pos) {
			d.malformed(at, "unexpected end of section or function")
		}
		d.bound(at, "bytes of one function", int(min(size, 1<<30)), maxBody)
		if d.err != nil {
			break
		}
		d.oneBody(v, i, span{d.pos, d.pos + int(size)})
	}
	if used := d.m.usedDatas; d.err == nil && used > 0 && d.m.dataCount < 0 {
		d.malformed(at, "data count section required")
	}
	d.m.figures.ModuleCost = milliseconds(d.cost)
}

func (d *decoder) oneBody(v *validator, i int, s span) {
	v.fn = uint32(d.m.importFuncs + i)
	v.reader = reader{buf: d.buf, pos: s.from, end: s.to}
	b := v.body()
	if v.err != nil {
		d.err = v.err
		d.err.Func = int(v.fn)
		return
	}
	d.m.bodies = append(d.m.bodies, b)
	d.pos = s.to
	d.budget(v, s)
}

// budget adds up the compile cost and notes the largest figures.
func (d *decoder) budget(v *validator, s span) {
	f := &d.m.figures
	cost := v.compileCost()
	d.cost += cost
	f.FuncCost = max(f.FuncCost, milliseconds(cost))
	f.LargestBody = max(f.LargestBody, s.to-s.from)
	f.MostLocals = max(f.MostLocals, len(v.locals)-v.params)
	f.MostOperands = max(f.MostOperands, v.mostVals)
	f.DeepestBlocks = max(f.DeepestBlocks, v.mostBlocks)
	f.DeepestLoops = max(f.DeepestLoops, v.mostLoops)
	ops := funcOps + v.instrs + branchOps*v.branches + v.targets + chargeOps*uint64(d.m.bodies[len(d.m.bodies)-1].charges)
	d.ops += ops
	switch {
	case d.lim.Unchecked:
		return
	case d.lim.Interpreted:
		if ops > maxInterpretedBody {
			d.fail(TooComplex, s.from, "instructions", fmt.Sprintf("%d are more than the limit of %d for one function of an interpreted module", ops, maxInterpretedBody))
		} else if d.ops > maxInterpreted {
			d.fail(TooComplex, s.from, "instructions", fmt.Sprintf("more than the limit of %d for an interpreted module", maxInterpreted))
		}
		return
	}
	d.boundRoom(v, s.from)
	if most := d.lim.FuncCost; cost > uint64(most)*1e6 {
		d.problem(&Error{ID: TooComplex, Offset: s.from, Func: int(v.fn), What: "compile cost",
			Reason: fmt.Sprintf("%d is more than the limit of %d for one function", milliseconds(cost), most), Cure: compileCure})
	}
	if most := d.lim.ModuleCost; d.cost > uint64(most)*1e6 {
		d.failCure(TooComplex, s.from, "compile cost", fmt.Sprintf("the functions up to here cost %d, more than the limit of %d for a module",
			milliseconds(d.cost), most), compileCure)
	}
}

func milliseconds(cost uint64) int { return int((cost + 999_999) / 1_000_000) }

// compileCure helps where compiling would cost too much.
const compileCure = "run it with the interpreter (WithInterpreter), or build it with smaller functions"

// What the interpreter prepares for a module: some 60 bytes for each
// instruction, local and branch target, and twice that for those of one body
// while it is at it. Standard Go has two million, and 50 thousand in its largest
// body.
const (
	maxInterpreted     = 3_200_000
	maxInterpretedBody = 500_000
)

// What counts as further instructions in the metered body, for the interpreter:
// a charge, a branch point, which it prepares a list for, and a function.
const (
	chargeOps = 12
	branchOps = 4
	funcOps   = 32
)

// instrCost is what an instruction counts in the compile cost.
const instrCost = 2_000

// chargeBranches is what a charge counts in the compile cost, beside the one
// at the entry that all functions have.
const chargeBranches = 2

// compileCost is an upper bound of the time that a compiler needs for the
// function just validated, in millionths of a reference millisecond. It grows
// with the square of the branches, because the register allocator does. Where
// ways meet, and around loops, it joins all values of all ways, and looks
// through what it joined again for each of them.
func (v *validator) compileCost() uint64 {
	b, width := v.branches, uint64(v.width())
	joins := 2*v.edges + uint64(max(4, v.mostLoops)*v.allLoops)
	return instrCost*v.instrs + 25*b*b + 1_600*(b+v.targets)*width + joins*width*width + 4*v.chains*width +
		2_000*v.calls*v.mutables + 20_000*v.targets
}

// width is how many values there are at one time, at most.
func (v *validator) width() int { return len(v.locals) + v.mostVals }
