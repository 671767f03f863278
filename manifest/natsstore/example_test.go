package natsstore_test

import (
	"context"
	"fmt"
	"log"
	"testing/fstest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/manifest/filestore"
	"github.com/sandcheck/sandcheck/manifest/natsstore"
)

// An agent reads packages from a bucket, and keeps them in a folder for the
// time when the server cannot be reached.
func Example() {
	ctx := context.Background()
	conn, err := nats.Connect(nats.DefaultURL)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		log.Fatal(err)
	}
	remote, err := natsstore.New(ctx, js, natsstore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	store, err := filestore.New("/var/cache/checks", filestore.Options{Source: remote.Get})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	p, err := store.Open(ctx, "93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Manifest.ID)
}

// Others keep a plugin.wasm alone in the bucket, and its manifest and digest
// elsewhere: both together are a package again.
func ExampleStore_Fetch() {
	var (
		store    *natsstore.Store
		document []byte // plugin.yaml
		digest   manifest.Digest
	)
	wasm, err := store.Fetch(context.Background(), "plugins/disk/1.0.0/0b8a2a4e-3a52-4d3c-8a53-2f0f6c1d9a11.wasm", digest)
	if err != nil {
		log.Fatal(err)
	}
	p, err := manifest.ReadPackage(fstest.MapFS{"plugin.yaml": {Data: document}, "plugin.wasm": {Data: wasm}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Manifest.ID)
}
