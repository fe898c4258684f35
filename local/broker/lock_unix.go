//go:build unix

package broker

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lock keeps a second broker out of dir: two brokers would write the same
// segments. The lock belongs to the open file: if the process is killed with
// kill -9, the kernel closes the file and drops the lock, so the next process
// can open dir at once although the lock file is still there. The file is never
// removed.
func lock(dir string) (unlock func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, "broker.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errors.New("another process has the directory open: stop that process or use another directory")
		}
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
