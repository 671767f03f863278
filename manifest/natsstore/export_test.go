package natsstore

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// SetNow moves the clock of a Store.
func (s *Store) SetNow(now func() time.Time) { s.now = now }

// AfterInfo calls hook each time that metadata was read.
func (s *Store) AfterInfo(hook func()) { s.bucket = hooked{s.bucket, hook} }

type hooked struct {
	jetstream.ObjectStore
	hook func()
}

func (h hooked) GetInfo(ctx context.Context, name string, o ...jetstream.GetObjectInfoOpt) (*jetstream.ObjectInfo, error) {
	defer h.hook()
	return h.ObjectStore.GetInfo(ctx, name, o...)
}

var (
	CheckName     = checkName
	ParseBlobName = parseBlobName
	IsToken       = isToken
)
