package filestore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
	"time"

	"github.com/sandcheck/sandcheck/manifest"
)

// writeTemp writes what r yields into a temporary file of its folder and
// returns its name once it is on the disk and matches d. On error no file stays.
func (s *Store) writeTemp(ctx context.Context, d manifest.Digest, r io.Reader) (name string, err error) {
	name = path.Join(folderOf(d), tempPrefix+rand.Text())
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, tempMode)
	if err != nil {
		return "", storeError(err)
	}
	err = s.fill(ctx, f, d, r)
	if closing := f.Close(); err == nil && closing != nil {
		err = storeError(closing)
	}
	if err == nil {
		if err = s.root.Chmod(name, blobMode); err != nil {
			err = storeError(err)
		}
	}
	if err != nil {
		s.removeTemp(name)
		return "", err
	}
	return name, nil
}

func (s *Store) fill(ctx context.Context, f *os.File, d manifest.Digest, r io.Reader) error {
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, hash), io.LimitReader(contextReader{ctx, r}, int64(s.o.Limit)+1))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return storeError(err)
	case n > int64(s.o.Limit):
		return s.tooLarge(d)
	}
	if got := manifest.Digest(hash.Sum(nil)); got != d {
		return mismatch(d, fmt.Sprintf("the bytes have the digest %s", got))
	}
	if err := f.Sync(); err != nil {
		return storeError(err)
	}
	return nil
}

// contextReader stops between two reads once ctx ends.
type contextReader struct {
	ctx context.Context //nolint:containedctx // lives for one copy
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// removeTemp removes a temporary file; one that cannot be removed now is swept
// later.
func (s *Store) removeTemp(name string) { _ = s.root.Remove(name) }

// syncFolder makes a rename last. Windows cannot sync a folder and needs not.
func (s *Store) syncFolder(name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := s.root.Open(name)
	if err != nil {
		return storeError(err)
	}
	defer f.Close() // only synced, so a late error cannot matter
	if err := f.Sync(); err != nil {
		return storeError(err)
	}
	return nil
}

// walk calls visit for every file of every folder of blobs.
func (s *Store) walk(visit func(folder string, info fs.FileInfo) error) error {
	folders, err := s.list(blobs)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if !folder.IsDir() || len(folder.Name()) != 2 {
			continue
		}
		name := path.Join(blobs, folder.Name())
		files, err := s.list(name)
		if err != nil {
			return err
		}
		for _, file := range files {
			info, err := file.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed by somebody else meanwhile
			}
			if err != nil {
				return storeError(err)
			}
			if err := visit(name, info); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) list(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(s.root.FS(), name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, storeError(err)
	}
	return entries, nil
}

// sweep removes old temporary files.
func (s *Store) sweep() error {
	return s.walk(func(folder string, info fs.FileInfo) error {
		if strings.HasPrefix(info.Name(), tempPrefix) && time.Since(info.ModTime()) > young {
			s.removeTemp(path.Join(folder, info.Name()))
		}
		return nil
	})
}

const lockFile = "gc.lock"

// GC removes every blob that is not in keep and was put more than an hour ago,
// and returns how many. Only one GC runs on a folder at a time; a second one
// fails with store_io and an error that matches fs.ErrExist.
func (s *Store) GC(ctx context.Context, keep ...manifest.Digest) (removed int, err error) {
	s.gc.Lock()
	defer s.gc.Unlock()
	if err := s.lock(); err != nil {
		return 0, err
	}
	defer func() { _ = s.root.Remove(lockFile) }() // a lock that stays is taken over after an hour
	kept := make(map[string]bool, len(keep))
	for _, d := range keep {
		kept[d.String()] = true
	}
	err = s.walk(func(folder string, info fs.FileInfo) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if kept[info.Name()] || time.Since(info.ModTime()) <= young || info.IsDir() {
			return nil
		}
		if err := s.root.Remove(path.Join(folder, info.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return storeError(err)
		}
		if !strings.HasPrefix(info.Name(), tempPrefix) {
			removed++
		}
		return nil
	})
	return removed, err
}

// lock makes the lock file, taking over one that a killed process left.
func (s *Store) lock() error {
	if info, err := s.root.Lstat(lockFile); err == nil && time.Since(info.ModTime()) > young {
		_ = s.root.Remove(lockFile) // if that fails, so does making it
	}
	f, err := s.root.OpenFile(lockFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, tempMode)
	if err != nil {
		return storeError(err)
	}
	if err := f.Close(); err != nil {
		return storeError(err)
	}
	return nil
}
