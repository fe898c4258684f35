//go:build !linux

package dynalite

import "syscall"

// dieWithParent returns nil on this system: the launcher ends when its standard
// input is closed.
func dieWithParent() *syscall.SysProcAttr { return nil }
