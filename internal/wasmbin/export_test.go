package wasmbin

// Charge is a charge as tests see it.
type Charge struct{ Pos, Units int }

// BodyCharges answers where the code of own function i lies, and its charges.
func (m *Module) BodyCharges(i int) (code []byte, from int, charges []Charge) {
	at := 0
	for _, b := range m.bodies[:i] {
		at += b.charges
	}
	b := m.bodies[i]
	for _, c := range m.charges[at : at+b.charges] {
		charges = append(charges, Charge{int(c.pos), int(c.units)})
	}
	return m.wasm[b.code.from:b.code.to], b.code.from, charges
}

// Frame answers what a call of own function i takes of the stack.
func (m *Module) Frame(i int) int { return int(m.bodies[i].frame) }

// CheckEvery and AfterCall are the bounds of the meter.
const (
	CheckEvery   = checkEvery
	MinAfterCall = minAfterCall
)
