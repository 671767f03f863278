package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// createFile writes a file that must not be there yet: nothing of the operator's
// is written over.
func createFile(path string, perm fs.FileMode, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm) //nolint:gosec // writing what the user names is the task
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%q exists and is not written over: move it away, or name another file", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path) // a part of a file is worse than none; the first error tells why
	}
	return err
}

// replaceFile writes a file in one step: whoever reads it finds the old content
// or the new.
func replaceFile(path string, content []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%q cannot be written: %w", path, err)
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(path), ".sandcheck-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // is gone already where all went well
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
