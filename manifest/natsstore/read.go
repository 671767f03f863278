package natsstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
)

// Get returns the bytes of a digest that Put or Add put there. They are hashed
// on every call; what does not match is an error and stays where it is, until a
// Put replaces it. Get is a filestore.Source.
func (s *Store) Get(ctx context.Context, d manifest.Digest) ([]byte, error) {
	if d == (manifest.Digest{}) {
		return nil, notPinned()
	}
	return s.read(ctx, blobName(d), d)
}

// Fetch returns the bytes of a plugin.wasm that somebody else put into the
// bucket as plugins/<id>/<version>/<uuid>.wasm. Such a name is not made of the
// bytes, so want says what they must be; without it nothing is read.
func (s *Store) Fetch(ctx context.Context, name string, want manifest.Digest) ([]byte, error) {
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("natsstore: %w", err)
	}
	if want == (manifest.Digest{}) {
		return nil, notPinned()
	}
	return s.read(ctx, name, want)
}

func notPinned() error {
	return fmt.Errorf("natsstore: %w", &manifest.Error{Rule: "digest_syntax", Message: "no digest is given: what is not pinned is not read"})
}

// read returns an object that has the digest d.
func (s *Store) read(ctx context.Context, name string, d manifest.Digest) ([]byte, error) {
	const looks = 8 // as many may be writing the same blob
	for look := 1; ; look++ {
		info, err := s.info(ctx, name, d)
		if err != nil {
			return nil, err
		}
		content, err := s.chunks(ctx, info)
		if err != nil {
			return nil, ioError(ctx, name, err)
		}
		if uint64(len(content)) == info.Size && sha256.Sum256(content) == d {
			return content, nil
		}
		// Who replaces an object removes its chunks: they may have gone between
		// the look at the metadata and the reading.
		if again, err := s.info(ctx, name, d); err != nil || again.NUID == info.NUID || look == looks {
			return nil, mismatch(name, "the bytes are not those of its digest")
		}
	}
}

// errForeignChunks says that an object may claim chunks of others.
var errForeignChunks = errors.New("the id of its chunks is not one plain word")

// info is the metadata of an object that is worth reading.
func (s *Store) info(ctx context.Context, name string, d manifest.Digest) (*jetstream.ObjectInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	info, err := s.bucket.GetInfo(ctx, name)
	switch {
	case errors.Is(err, jetstream.ErrObjectNotFound):
		return nil, fmt.Errorf("natsstore: object %q: %w", name, fs.ErrNotExist)
	case errors.Is(err, jetstream.ErrBadObjectMeta):
		return nil, mismatch(name, "its metadata cannot be read")
	case err != nil:
		return nil, ioError(ctx, name, err)
	case info.Opts != nil && info.Opts.Link != nil:
		return nil, refuse(name, "object_link", "is a link to another object, and links are not followed")
	case info.Size > uint64(s.limit):
		return nil, s.tooLarge(name)
	case !isToken(info.NUID):
		return nil, fmt.Errorf("%w: %w", mismatch(name, "its metadata cannot be used"), errForeignChunks)
	}
	if got, err := manifest.ParseDigest(strings.TrimPrefix(info.Digest, "SHA-256=")); err != nil || got != d {
		return nil, mismatch(name, fmt.Sprintf("its metadata says %.100q, and expected is %s", info.Digest, d))
	}
	return info, nil
}

// chunks reads what lies under the chunks of an object, up to one byte beyond
// its size, and less where chunks are missing. Each is asked for by itself: a
// subscription would wait in vain for a chunk that is gone, and go on after the
// end of ctx.
func (s *Store) chunks(ctx context.Context, info *jetstream.ObjectInfo) ([]byte, error) {
	subject := fmt.Sprintf("$O.%s.C.%s", s.name, info.NUID)
	content := make([]byte, 0, min(info.Size, uint64(limits.MiB))) // the size is only a claim so far
	for next := uint64(1); uint64(len(content)) < info.Size; {
		msg, err := s.stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return content, nil
		}
		if err != nil {
			return nil, err
		}
		room := info.Size + 1 - uint64(len(content))
		content = append(content, msg.Data[:min(room, uint64(len(msg.Data)))]...)
		next = msg.Sequence + 1
	}
	return content, nil
}

func refuse(name, rule, message string) error {
	return fmt.Errorf("natsstore: %w", &manifest.Error{Path: name, Rule: rule, Message: message})
}

func mismatch(name, why string) error { return refuse(name, "digest_mismatch", why) }

func (s *Store) tooLarge(name string) error {
	return refuse(name, "too_large", fmt.Sprintf("is larger than %v", s.limit))
}

// ioError says that the bucket could not be used, unless ctx has ended: a client
// has several errors for that.
func ioError(ctx context.Context, name string, cause error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", refuse(name, "store_io", "the bucket cannot be used"), cause)
}
