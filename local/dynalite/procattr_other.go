//go:build !linux

package dynalite

import "syscall"

// dieWithParent asks for nothing here: the launcher ends when its standard
// input closes.
func dieWithParent() *syscall.SysProcAttr { return nil }
