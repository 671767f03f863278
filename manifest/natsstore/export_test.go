package natsstore

import "time"

// SetNow moves the clock of a Store.
func (s *Store) SetNow(now func() time.Time) { s.now = now }

var (
	CheckName     = checkName
	ParseBlobName = parseBlobName
	IsToken       = isToken
)
