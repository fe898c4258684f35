package dynalite

import "syscall"

// processAttributes has the kernel kill the child when the thread that started it
// ends. That also ends a Node process that is too busy to notice its closed
// standard input. A process group of its own keeps the signals of a terminal from
// the child.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
