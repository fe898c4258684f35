package dynalite

import "syscall"

// dieWithParent has the kernel kill the child when the thread that started it
// ends. That also ends a Node process that is too busy to notice its closed
// standard input.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
