package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// dirLock keeps other processes out of the data directory. It ends with the process, however that ends.
type dirLock struct {
	file    *os.File
	unclean bool // the last process didn't release it: it was killed, or the machine was
}

// lockDir locks the directory. While it is locked the lock file holds a line, which release removes.
func lockDir(dir string) (*dirLock, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the data directory's lock file: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("the data directory %s is in use by another process: stop it, or choose another with --data-dir", dir)
		}
		return nil, fmt.Errorf("locking the data directory %s: %w", dir, err)
	}
	info, err := file.Stat()
	if err == nil {
		_, err = file.WriteAt([]byte("in use\n"), 0)
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("marking the data directory %s as in use: %w", dir, err)
	}
	return &dirLock{file: file, unclean: info.Size() > 0}, nil
}

func (l *dirLock) release() error {
	return errors.Join(l.file.Truncate(0), l.file.Close())
}
