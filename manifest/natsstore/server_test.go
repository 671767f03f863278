package natsstore_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/manifest/natsstore"
)

const bucketName = "serviceradar_plugins"

// startServer runs a true server on a free port, for one test.
func startServer(t *testing.T) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not answer")
	}
	return s
}

// client is a connection of its own.
func client(t *testing.T, s *server.Server) jetstream.JetStream {
	t.Helper()
	quiet := func(*nats.Conn, *nats.Subscription, error) {} // some tests stop the server
	conn, err := nats.Connect(s.ClientURL(), nats.ErrorHandler(quiet))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(2*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// world is a server with a bucket that a Store and a plain client share.
type world struct {
	server *server.Server
	js     jetstream.JetStream
	bucket jetstream.ObjectStore
	store  *natsstore.Store
}

func newWorld(t *testing.T, o natsstore.Options) *world {
	t.Helper()
	s := startServer(t)
	js := client(t, s)
	bucket, err := js.CreateObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: bucketName})
	if err != nil {
		t.Fatal(err)
	}
	store, err := natsstore.New(t.Context(), client(t, s), o)
	if err != nil {
		t.Fatal(err)
	}
	return &world{s, js, bucket, store}
}

// plainPut puts an object as any client does.
func (w *world) plainPut(t *testing.T, name, content string) {
	t.Helper()
	if _, err := w.bucket.PutBytes(t.Context(), name, []byte(content)); err != nil {
		t.Fatal(err)
	}
}

func (w *world) put(t *testing.T, content string) manifest.Digest {
	t.Helper()
	d := digestOf(content)
	if err := w.store.Put(t.Context(), d, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return d
}

// publish sends one message past the client's object store.
func (w *world) publish(t *testing.T, subject string, data []byte, headers ...string) {
	t.Helper()
	msg := nats.NewMsg(subject)
	msg.Data = data
	for i := 0; i < len(headers); i += 2 {
		msg.Header.Set(headers[i], headers[i+1])
	}
	if _, err := w.js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
}

// messages counts what the bucket holds, chunks and metadata.
func (w *world) messages(t *testing.T) uint64 {
	t.Helper()
	stream, err := w.js.Stream(t.Context(), "OBJ_"+bucketName)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().State.Msgs
}

func digestOf(content string) manifest.Digest { return sha256.Sum256([]byte(content)) }

func blob(d manifest.Digest) string { return "blobs/sha256/" + d.String() }

func rule(err error) string {
	var e *manifest.Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Rule
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
