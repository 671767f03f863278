//go:build unix

package manifest_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sandcheck/sandcheck/manifest"
)

// Opening a named pipe waits for a writer that never comes.
func TestNamedPipeIsRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plugin.yaml", "plugin.wasm", "config.schema.json", "upload-signature.json"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "plugin.wasm"), []byte("\x00asm\x01\x00\x00\x00"), 0o600); err != nil {
			t.Fatal(err)
		}
		valid, err := os.ReadFile("testdata/valid/full.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "plugin.yaml"), valid, 0o600); err != nil {
			t.Fatal(err)
		}
		os.Remove(filepath.Join(dir, name))
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := manifest.ReadPackage(os.DirFS(dir))
			done <- err
		}()
		select {
		case err := <-done:
			var e *manifest.Error
			if !errors.As(err, &e) || e.Rule != "entry_not_regular" && e.Rule != "signature_syntax" {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: ReadPackage hangs", name)
		}
	}
}
