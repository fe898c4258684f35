package dynalite

import "syscall"

// dieWithParent has the kernel kill the child when the thread that started it
// ends, which covers a Node process too busy to notice its closed input.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
