package capability

import (
	"errors"
	"fmt"
	"io"

	"github.com/sandcheck/sandcheck/limits"
)

// errClosed answers a handler that is still at work when its run has ended.
var errClosed = errors.New("the run has ended")

// Open calls dial and gives what it opened a handle: 1 for the first of a run,
// never 0, never one that was used before. Where the run has ended meanwhile, or
// already holds Limits.Connections handles, what dial opened is closed again
// and the error says why. Open takes over the closing of what it was given.
func (s *Session) Open(dial func() (io.Closer, error)) (uint32, error) {
	opened, err := dial()
	if err != nil {
		return 0, err
	}
	handle, err := s.number(opened)
	if err != nil {
		opened.Close() // the guest never had it, so a late error cannot matter
		return 0, err
	}
	return handle, nil
}

func (s *Session) number(opened io.Closer) (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	most := s.limits().Connections
	switch {
	case s.closed:
		return 0, errClosed
	case len(s.handles) >= most:
		return 0, &limits.ExceededError{Resource: "connections", Limit: int64(most), Used: int64(len(s.handles)) + 1}
	case s.lastHandle == ^uint32(0):
		return 0, &limits.ExceededError{Resource: "handles", Limit: int64(s.lastHandle), Used: int64(s.lastHandle) + 1}
	}
	if s.handles == nil {
		s.handles = map[uint32]io.Closer{}
	}
	s.lastHandle++
	s.handles[s.lastHandle] = opened
	s.peakHandles = max(s.peakHandles, len(s.handles))
	return s.lastHandle, nil
}

// Get returns what handle stands for. The error matches ErrBadHandle if the
// handle is unknown, closed, or of another type than T.
func Get[T any](s *Session, handle uint32) (T, error) {
	s.mu.Lock()
	opened, ok := s.handles[handle]
	s.mu.Unlock()
	v, right := opened.(T)
	switch {
	case !ok:
		return v, fmt.Errorf("%w: %d is not open", ErrBadHandle, handle)
	case !right:
		return v, fmt.Errorf("%w: %d is of another kind", ErrBadHandle, handle)
	}
	return v, nil
}

// CloseHandle closes what handle stands for. The handle is gone even if closing
// fails. The error matches ErrBadHandle if there is none.
func (s *Session) CloseHandle(handle uint32) error {
	s.mu.Lock()
	opened, ok := s.handles[handle]
	delete(s.handles, handle)
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: %d is not open", ErrBadHandle, handle)
	}
	return opened.Close()
}

// Close closes everything that the run holds open and refuses what comes late.
// Further calls do nothing.
func (s *Session) Close() error {
	s.mu.Lock()
	open := s.handles
	s.handles, s.closed = nil, true
	s.mu.Unlock()
	var errs []error
	for _, c := range open {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
