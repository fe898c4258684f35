//go:build unix

package recording

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A shell passes a pipe for <(zcat ...), which can be read only once.
func TestPipeIsReadLikeAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() { wrote <- os.WriteFile(path, []byte(rowsAt(500, 0)), 0o600) }()
	items, _, err := readFiles(path)
	if err != nil || devices(items) != "row2 row1" {
		t.Errorf("%s (%v), want row2 row1", devices(items), err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}
