package wasmbin

import "fmt"

// What a compiler needs in memory for one function, in bytes for each
// instruction of a kind: measured at its worst, where no address is known and
// every value is used. What may trap or leaves the function costs most, for at
// each such place the compiler notes where all values are.
const (
	roomInstr    = 400
	roomAccess   = 5_000 // load and store
	roomBranch   = 7_000
	roomCall     = 5_000
	roomIndirect = 9_000 // call_indirect, beside the call
	roomGlobal   = 170   // mutable global, at each call
	roomTarget   = 2_300 // of br_table
	roomGrow     = 2_500 // memory.grow
	roomJoin     = 1_600 // local or operand, in each loop
	roomEdge     = 260   // local or operand, on each way to where ways meet
)

// plainRoom is what instructions of plainOps cost that may trap.
var plainRoom = [256]uint16{
	0x6d: 5_500, 0x6e: 5_500, 0x6f: 5_500, 0x70: 5_500, // division and remainder
	0x7f: 5_500, 0x80: 5_500, 0x81: 5_500, 0x82: 5_500,
	0xa8: 8_000, 0xa9: 8_000, 0xaa: 8_000, 0xab: 8_000, // float to integer
	0xae: 8_000, 0xaf: 8_000, 0xb0: 8_000, 0xb1: 8_000,
}

// maxRoom bounds the two largest functions together: wazero compiles two at a
// time, as it has to for a compilation that can be stopped.
const maxRoom = 160 << 20

// compileRoom is an upper bound of the memory that a compiler takes for the
// function just validated.
func (v *validator) compileRoom() uint64 {
	return v.room + roomInstr*v.instrs + roomBranch*v.branches + (roomJoin*uint64(v.allLoops)+roomEdge*v.edges)*uint64(v.width()) + (roomCall+roomGlobal*v.mutables)*v.calls + roomTarget*v.targets
}

// boundRoom refuses a module of which two functions need more than maxRoom.
func (d *decoder) boundRoom(v *validator, at int) {
	room := v.compileRoom()
	switch {
	case room > d.rooms[0]:
		d.rooms = [2]uint64{room, d.rooms[0]}
	case room > d.rooms[1]:
		d.rooms[1] = room
	default:
		return
	}
	if sum := d.rooms[0] + d.rooms[1]; sum > maxRoom {
		d.failCure(TooComplex, at, "compile memory", fmt.Sprintf("two functions need about %d MiB, more than the limit of %d MiB", sum>>20, maxRoom>>20), compileCure)
	}
}

// freeInstrs is how many instructions of a body keep nothing over calls.
const freeInstrs = 128

// spilled answers what a frame takes besides locals and operands: a compiler
// gives each value that lives over a call a place of its own, which it never
// uses for another. No more live over a call than there are locals and operands,
// and it takes some instructions to make one.
func (v *validator) spilled(charges int) int {
	if v.instrs <= freeInstrs {
		return 0
	}
	calls := v.calls + v.grows + v.branches + uint64(charges) // bulk instructions count as branches
	over := calls * slotBytes * uint64(len(v.locals)+v.mostVals)
	return int(min((v.instrs-freeInstrs)/2, over))
}
