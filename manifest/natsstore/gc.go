package natsstore

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sandcheck/sandcheck/manifest"
)

// young is the age below which nothing is cleaned away: it may belong to
// somebody who is at work.
const young = time.Hour

// GC removes every blob that is not in keep and was put more than an hour ago,
// and returns how many. Names that are not blobs/sha256/... are left alone.
func (s *Store) GC(ctx context.Context, keep ...manifest.Digest) (removed int, err error) {
	blobs, err := s.blobs(ctx)
	if err != nil {
		return 0, err
	}
	for _, d := range keep {
		delete(blobs, d)
	}
	for d := range blobs {
		switch done, err := s.drop(ctx, blobName(d)); {
		case err != nil:
			return removed, err
		case done:
			removed++
		}
	}
	return removed, nil
}

// blobs lists the names of this Store, also of those that were removed. The
// list of the client goes by the names that objects claim for themselves, and
// waits for ever behind one that it cannot read.
func (s *Store) blobs(ctx context.Context) (map[manifest.Digest]bool, error) {
	prefix := fmt.Sprintf("$O.%s.M.", s.name)
	info, err := s.stream.Info(ctx, jetstream.WithSubjectFilter(prefix+">"))
	if err != nil {
		return nil, ioError(ctx, blobPrefix, err)
	}
	found := map[manifest.Digest]bool{}
	for subject := range info.State.Subjects {
		name, err := base64.URLEncoding.DecodeString(strings.TrimPrefix(subject, prefix))
		if d, ours := parseBlobName(string(name)); err == nil && ours {
			found[d] = true
		}
	}
	return found, nil
}

// drop removes an object, unless it is young or may claim chunks of others.
func (s *Store) drop(ctx context.Context, name string) (done bool, err error) {
	info, err := s.bucket.GetInfo(ctx, name)
	if err == nil && isToken(info.NUID) && s.now().Sub(info.ModTime) > young {
		err = s.bucket.Delete(ctx, name)
		done = err == nil
	}
	switch {
	case errors.Is(err, jetstream.ErrObjectNotFound), errors.Is(err, jetstream.ErrBadObjectMeta):
		return false, nil // removed meanwhile, or nothing that could be removed
	case err != nil:
		return false, ioError(ctx, name, err)
	}
	return done, nil
}
