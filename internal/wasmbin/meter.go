package wasmbin

// The cost model, in units.
const (
	checkEvery  = 4_096 // no path runs more units than this between two charges
	importUnits = 100   // direct call of an imported function
	bulkUnits   = 8     // bulk instruction, before its length is counted
	growUnits   = 64    // growing a memory or table, before its size is counted
	pageUnits   = 1_024 // one page that memory.grow added
	freeLocals  = 255   // locals beyond cost one unit for each eight: a call clears them all
)

// The model of the guest stack, in bytes.
const (
	frameBase    = 64
	slotBytes    = 8
	leafSkip     = 16 << 10 // frames below this are not counted in functions that call nothing
	minAfterCall = 96
)

// meter decides where one body is charged, and how much. The body is cut into
// regions: the function's own, and one for each loop. An instruction belongs to
// the innermost region; a charge stands where a region is entered, so at every
// loop header, and every cycle of a program passes one or a function entry.
//
// Two numbers are followed along all forward paths, the larger one winning
// where paths meet: what was used of the region since its last charge, and
// what was run since any charge. Where either would pass checkEvery, another
// charge is placed. So units are never run before they are paid, and the host
// is never kept waiting, however branches are arranged.
//
// A returning call may have run a while since the last charge, and so may its
// caller: thousands of frames that return one after the other could run
// millions of units unasked. So only few units are allowed after a call before
// the next charge, the fewer the smaller the frame, because small frames nest
// deepest.
type meter struct {
	at        int // position of the current instruction
	live      bool
	since     int // units run since any charge
	region    int32
	regions   []region
	slots     []int32 // region of each charge of this body
	first     int     // index of the body's first charge in Module.charges
	afterCall int
}

type region struct {
	parent int32
	total  int // units of all its instructions
	used   int // units of the current path since the region's last charge
	peak   int // largest used
	split  bool
}

// join keeps what is known where paths meet: at the end of a block.
type join struct {
	region          int32
	reached         bool // by a branch
	used, since     int  // the largest of all branches to the end
	ifLive          bool
	ifUsed, ifSince int // where the condition was false
}

func (m *meter) begin(mod *Module, pos, locals, frame int) {
	m.regions = append(m.regions[:0], region{parent: -1})
	m.region, m.since, m.live = 0, 0, true
	m.slots, m.first = m.slots[:0], len(mod.charges)
	m.afterCall = min(max(minAfterCall, frame), checkEvery)
	m.slot(mod, pos)
	if locals > freeLocals {
		m.add((locals - freeLocals + 7) / 8)
	}
}

func (m *meter) slot(mod *Module, pos int) {
	mod.charges = append(mod.charges, charge{pos: uint32(pos)})
	m.slots = append(m.slots, m.region)
}

func (m *meter) add(units int) {
	r := &m.regions[m.region]
	r.total += units
	r.used += units
	m.since += units
	r.peak = max(r.peak, r.used)
}

// tick accounts for an instruction at m.at.
func (m *meter) tick(mod *Module, units int) {
	r := &m.regions[m.region]
	r.total += units
	if !m.live {
		return
	}
	if r.used+units > checkEvery || m.since+units > checkEvery {
		m.slot(mod, m.at)
		r.split, r.used, m.since = true, 0, 0
	}
	r.used += units
	m.since += units
	if r.used > r.peak {
		r.peak = r.used
	}
}

// called accounts for what a callee may have run since its last charge.
func (m *meter) called() {
	if m.live {
		m.since = max(m.since, checkEvery-m.afterCall)
	}
}

// enterLoop opens a region whose charge stands at pos, after the header.
func (m *meter) enterLoop(mod *Module, pos int) {
	m.regions = append(m.regions, region{parent: m.region})
	m.region = int32(len(m.regions) - 1)
	m.since = 0
	m.slot(mod, pos)
	m.add(1) // the loop instruction, once for each round
}

// enter notes where a block begins, or the arms of an if part.
func (m *meter) enter(j *join) {
	*j = join{region: m.region, ifLive: m.live, ifUsed: m.regions[m.region].used, ifSince: m.since}
}

// branch notes a jump to the end of the block of j. Its region may lie around
// the current one; what was used of it has not changed since.
func (m *meter) branch(j *join) {
	if m.live {
		j.reach(m.regions[j.region].used, m.since)
	}
}

func (j *join) reach(used, since int) {
	j.reached = true
	j.used, j.since = max(j.used, used), max(j.since, since)
}

// otherwise ends the first arm of an if and begins the second.
func (m *meter) otherwise(j *join) {
	m.branch(j)
	m.live, m.since = j.ifLive, j.ifSince
	m.regions[m.region].used = j.ifUsed
}

// leave ends a block: op is opLoop, opIf without an else, or another.
func (m *meter) leave(j *join, op byte) {
	if op == opLoop {
		m.region = m.regions[m.region].parent
		return // branches to a loop go back
	}
	if op == opIf && j.ifLive {
		j.reach(j.ifUsed, j.ifSince)
	}
	if !j.reached {
		return
	}
	if r := &m.regions[m.region]; m.live {
		r.used, m.since = max(r.used, j.used), max(m.since, j.since)
	} else {
		m.live, r.used, m.since = true, j.used, j.since
	}
}

// finish fills in what each charge of the body takes, and answers how many
// there are. A region in one piece is charged for all it contains, both arms
// of each if. One in several pieces pays at each charge for its longest piece.
func (m *meter) finish(mod *Module) int {
	charges := mod.charges[m.first:]
	for i := range charges {
		r := &m.regions[m.slots[i]]
		units := min(r.total, checkEvery)
		if r.split {
			units = r.peak
		}
		charges[i].units = uint32(units)
	}
	return len(charges)
}

// slots answers how many stack slots values of these types take.
func slots(types []ValType) int {
	n := len(types)
	for _, t := range types {
		if t == V128 {
			n++
		}
	}
	return n
}
