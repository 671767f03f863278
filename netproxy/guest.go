package netproxy

// GuestReason is what a plugin may be told: the text itself, which is made to
// be safe for it.
func (f *failure) GuestReason() string { return f.Error() }

// Open is the number of connections that are open now, UDP sockets left out.
func (g *Guard) Open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}
