package runtime

import "syscall"

// processAttributes has the kernel kill the child when this process ends in
// whatever way, and keeps the terminal's interrupt from it, which is for Close
// to deal with in order.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
