package local

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Address is the address that a server of the stack listens on.
type Address struct {
	// HostPort is host:port. Port 0 takes any free port.
	HostPort string
	// OrFree takes a free port of the same host if the port is taken. Without
	// OrFree a port that is taken is an error.
	OrFree bool
}

// try calls start with the address and, if the port is taken and OrFree is set, once
// more with port 0. An error that the port is taken says what to do.
func (a Address) try(start func(hostPort string) error) error {
	err := start(a.HostPort)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	if host, _, splitErr := net.SplitHostPort(a.HostPort); a.OrFree && splitErr == nil {
		return start(net.JoinHostPort(host, "0"))
	}
	return fmt.Errorf("%w: end the program that listens there, or name another port, 0 for any free one", err)
}
