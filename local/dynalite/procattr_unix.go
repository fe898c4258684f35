//go:build unix && !linux

package dynalite

import "syscall"

// processAttributes puts the child into a process group of its own, which keeps the
// signals of a terminal from it. This system cannot end the child with its parent:
// the launcher ends when its standard
// input is closed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
