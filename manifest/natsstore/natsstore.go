// Package natsstore keeps packages in a NATS JetStream object store, under the
// digest of their bytes.
//
//	bucket serviceradar_plugins (stream OBJ_serviceradar_plugins)
//	blobs/sha256/93a44bbb96c7...            what Put, Get, Add and Open use
//	plugins/<id>/<version>/<uuid>.wasm      what others put there, read by Fetch
//
// Whoever may write to a bucket may put anything under any name, so no byte is
// used before all of them were hashed and found to be those that were asked
// for. The name and the metadata of an object prove nothing, and a link to
// another object is refused.
//
//	js, err := jetstream.New(conn)
//	store, err := natsstore.New(ctx, js, natsstore.Options{})
//	plugin, err := runtime.LoadRef(ctx, store, ref, grant)
//
// An agent that should survive a lost connection puts a folder before it:
//
//	filestore.New(dir, filestore.Options{Source: store.Get})
package natsstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sandcheck/sandcheck/limits"
	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/manifest/filestore"
)

// Options are the settings of a Store. The zero value reads and writes the
// bucket serviceradar_plugins.
type Options struct {
	// Bucket is the name of the object store. "" is serviceradar_plugins.
	Bucket string
	// Limit bounds one blob. Zero is 64 MiB, the largest bundle.
	Limit limits.Bytes
}

// A Store is a bucket of blobs, and a manifest.Store of the bundles among them.
// It is safe for concurrent use, also by several clients on one bucket. Objects
// of others in the bucket are never changed or removed.
//
// Errors hold an *manifest.Error with rule digest_syntax, digest_mismatch,
// object_name, object_link, too_large or store_io; a blob that is not there
// matches fs.ErrNotExist, and the end of a context is the error of that context.
type Store struct {
	bucket jetstream.ObjectStore
	stream jetstream.Stream
	name   string // of the bucket
	limit  limits.Bytes
	tidy   time.Duration // how long an upload may outlive its context
	now    func() time.Time
}

const (
	defaultBucket = "serviceradar_plugins"
	chunkSize     = 128 << 10 // as other clients of the bucket cut their objects
)

// New opens a bucket, which must be there: make it with the CreateObjectStore of
// js. The connection stays the caller's, and has to outlive the Store.
//
// A call without a deadline waits for one answer of the server as long as js
// was told to (jetstream.WithDefaultTimeout, else 5 s).
func New(ctx context.Context, js jetstream.JetStream, o Options) (*Store, error) {
	if o.Bucket == "" {
		o.Bucket = defaultBucket
	}
	if o.Limit <= 0 {
		o.Limit = 64 * limits.MiB
	}
	bucket, err := js.ObjectStore(ctx, o.Bucket)
	if err != nil {
		return nil, openError(ctx, o.Bucket, err)
	}
	stream, err := js.Stream(ctx, "OBJ_"+o.Bucket)
	if err != nil {
		return nil, openError(ctx, o.Bucket, err)
	}
	return &Store{bucket: bucket, stream: stream, name: o.Bucket, limit: o.Limit, tidy: time.Second, now: time.Now}, nil
}

func openError(ctx context.Context, bucket string, cause error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	message := fmt.Sprintf("the bucket %.80q cannot be opened", bucket)
	if errors.Is(cause, jetstream.ErrBucketNotFound) {
		message = fmt.Sprintf("there is no bucket %.80q: create it, or name another", bucket)
	}
	return fmt.Errorf("natsstore: %w: %w", &manifest.Error{Rule: "store_io", Message: message}, cause)
}

// Open reads the bundle under ref: its digest, and after each "+" the digest of
// a signature document that belongs to it, as Add returns it. Refs are those of
// filestore.
func (s *Store) Open(ctx context.Context, ref string) (*manifest.Package, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	digests, err := filestore.Digests(ref)
	if err != nil { // what is no digest cannot be here
		return nil, fmt.Errorf("natsstore: %w: %w", err, fs.ErrNotExist)
	}
	content, err := s.Get(ctx, digests[0])
	if err != nil {
		return nil, err
	}
	p, err := manifest.ReadBundle(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, err
	}
	for _, d := range digests[1:] {
		doc, err := s.Get(ctx, d)
		if err != nil {
			return nil, err
		}
		p.Signatures = append(p.Signatures, doc)
	}
	return p, nil
}

// Add keeps a package with its signatures and returns the ref to open it by.
// Equal packages have equal refs.
func (s *Store) Add(ctx context.Context, p *manifest.Package) (ref string, err error) {
	var bundle bytes.Buffer
	if err := manifest.WriteBundle(&bundle, p); err != nil {
		return "", err
	}
	var digests []string
	for _, blob := range append([][]byte{bundle.Bytes()}, p.Signatures...) {
		d := manifest.Digest(sha256.Sum256(blob))
		if err := s.Put(ctx, d, bytes.NewReader(blob)); err != nil {
			return "", err
		}
		digests = append(digests, d.String())
	}
	return strings.Join(digests, "+"), nil
}
