//go:build !unix

package runtime

import "syscall"

// processAttributes returns nil on this system: after this process has ended, a
// child ends when its next request to the Runtime API fails.
func processAttributes() *syscall.SysProcAttr { return nil }
