package abi

import "fmt"

// Stop unwinds a guest whose run is over. Cause says why.
type Stop struct{ Cause error }

func (s *Stop) Error() string { return fmt.Sprintf("run stopped: %v", s.Cause) }
func (s *Stop) Unwrap() error { return s.Cause }

// Exit unwinds a guest that called proc_exit.
type Exit struct{ Code uint32 }

func (e *Exit) Error() string { return fmt.Sprintf("exit code %d", e.Code) }

// HostPanic unwinds a guest whose host function panicked.
type HostPanic struct {
	Func  string
	Value any
}

func (p *HostPanic) Error() string {
	return fmt.Sprintf("host function %s panicked: %v", p.Func, p.Value)
}

// StartCalled unwinds a _start that was tried as initialisation and called an
// env function.
type StartCalled struct{ Func string }

func (s *StartCalled) Error() string { return "_start called " + s.Func }
