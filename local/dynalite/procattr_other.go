//go:build !unix

package dynalite

import "syscall"

// processAttributes returns nil on this system: the launcher ends when its standard
// input is closed.
func processAttributes() *syscall.SysProcAttr { return nil }
