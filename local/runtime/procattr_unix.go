//go:build unix && !linux

package runtime

import "syscall"

// processAttributes puts the child into a process group of its own, which keeps the
// signals of a terminal from it. This system cannot end the child with its parent:
// after this process has ended, a
// child ends when its next request to the Runtime API fails.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
