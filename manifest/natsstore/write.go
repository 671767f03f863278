package natsstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sandcheck/sandcheck/manifest"
)

// Put keeps what r yields under d. An object is seen by nobody before all of it
// is there and was compared with d; what was sent until then is removed again.
// A blob that is there already is done; a damaged one is replaced.
//
// A cancelled Put may take a second longer, to remove what it has sent.
func (s *Store) Put(ctx context.Context, d manifest.Digest, r io.Reader) error {
	name := blobName(d)
	_, err := s.read(ctx, name, d)
	var e *manifest.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
	case !errors.As(err, &e) || e.Rule == "store_io":
		return err
	case errors.Is(err, errForeignChunks): // they would be removed with what is replaced
		return fmt.Errorf("%w: %w", refuse(name, "store_io", "what is in its place cannot be replaced"), err)
	}
	upload, end := s.outlive(ctx)
	defer end()
	source := &checkedReader{ctx: ctx, s: s, r: r, name: name, want: d, hash: sha256.New()}
	meta := jetstream.ObjectMeta{Name: name, Opts: &jetstream.ObjectMetaOptions{ChunkSize: chunkSize}}
	_, err = s.bucket.Put(upload, meta, source)
	switch {
	case source.err != nil:
		return source.err
	case err != nil:
		return ioError(ctx, name, err)
	}
	return nil
}

// outlive is ctx with a little more time. The client removes a part of an
// object with the context it was sent under, so that one must not have ended.
func (s *Store) outlive(ctx context.Context) (longer context.Context, end func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(s.tidy):
		case <-longer.Done():
		}
		cancel()
	})
	return longer, func() {
		stop()
		cancel()
	}
}

// checkedReader ends with an error, and with it the upload, where it read other
// bytes than those of a digest.
type checkedReader struct {
	ctx  context.Context //nolint:containedctx // lives for one upload
	s    *Store
	r    io.Reader
	name string
	want manifest.Digest
	hash hash.Hash
	n    int64
	err  error // why the upload was ended
}

// Read fills p as far as it can: each Read becomes one chunk.
func (c *checkedReader) Read(p []byte) (int, error) {
	n, err := c.fill(p)
	c.hash.Write(p[:n])
	c.n += int64(n)
	switch {
	case c.ctx.Err() != nil:
		c.err = c.ctx.Err()
	case err != nil && !errors.Is(err, io.EOF):
		c.err = fmt.Errorf("%w: %w", refuse(c.name, "store_io", "what was to be put cannot be read"), err)
	case c.n > int64(c.s.limit):
		c.err = c.s.tooLarge(c.name)
	case err != nil && manifest.Digest(c.hash.Sum(nil)) != c.want:
		c.err = mismatch(c.name, fmt.Sprintf("the bytes have the digest %x", c.hash.Sum(nil)))
	}
	if c.err != nil {
		return 0, c.err
	}
	return n, err
}

func (c *checkedReader) fill(p []byte) (n int, err error) {
	for n < len(p) && err == nil && c.ctx.Err() == nil {
		var more int
		more, err = c.r.Read(p[n:])
		n += more
	}
	return n, err
}
