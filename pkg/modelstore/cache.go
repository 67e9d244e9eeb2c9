package modelstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// cache is a local folder of verified objects, each named by the SHA-256 of its bytes. A file appears by rename, so it
// is whole or absent; what has rotted since is found by its hash, removed, and fetched again. The empty path is no
// cache.
type cache string

// read returns the bytes with that hash, or false where the cache does not have them.
func (c cache) read(hash string, limit int64) ([]byte, bool) {
	if c == "" {
		return nil, false
	}
	path := filepath.Join(string(c), hash)
	info, err := os.Stat(path)
	if err != nil || info.Size() > limit {
		return nil, false
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, false
	}
	if hashOf(data) != hash {
		_ = os.Remove(path) // if it stays, it is overwritten by the rename of its successor
		return nil, false
	}
	return data, true
}

// write keeps the bytes under their hash.
func (c cache) write(hash string, data []byte) error {
	if c == "" {
		return nil
	}
	if err := c.writeFile(hash, data); err != nil {
		return fmt.Errorf("keeping a model in the local cache: %w", err)
	}
	return nil
}

// writeFile replaces the file as a whole: after a crash the old or the new content stands there, never a part.
func (c cache) writeFile(name string, data []byte) (err error) {
	if err := os.MkdirAll(string(c), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(string(c), temporaryPrefix+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the error that is returned says more
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(string(c), name))
}

// readFile reads a file of the cache that is not named by its hash; absent is nil.
func (c cache) readFile(name string, limit int64) ([]byte, error) {
	if c == "" {
		return nil, nil
	}
	f, err := os.Open(filepath.Join(string(c), name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return io.ReadAll(io.LimitReader(f, limit))
}

const temporaryPrefix = ".writing-"

// prune removes objects that nobody wants any more and that nobody has touched for a while: the pause leaves alone what
// another process, or a load that is under way, has just put there.
func (c cache) prune(wanted func(hash string) bool, before time.Time) error {
	if c == "" {
		return nil
	}
	entries, err := os.ReadDir(string(c))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	var failed []error
	for _, e := range entries {
		ours := isHash(e.Name()) && !wanted(e.Name()) || len(e.Name()) > len(temporaryPrefix) &&
			e.Name()[:len(temporaryPrefix)] == temporaryPrefix
		info, err := e.Info()
		if !ours || err != nil || info.ModTime().After(before) {
			continue
		}
		failed = append(failed, os.Remove(filepath.Join(string(c), e.Name())))
	}
	return errors.Join(failed...)
}
