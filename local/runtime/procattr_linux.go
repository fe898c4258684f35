package runtime

import "syscall"

// processAttributes has the kernel kill the child when this process ends, in
// whatever way. A process group of its own keeps the signals of a terminal from
// the child, so that Close ends the children in order.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
