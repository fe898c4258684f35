// Package endpoint holds the rules for addresses of servers that the packages below
// local share.
package endpoint

import "net"

// Reachable returns a host:port at which clients on this machine reach a server
// that listens on listenAddr. A host that stands for all addresses of the machine,
// such as 0.0.0.0 or none, becomes the loopback address.
func Reachable(listenAddr string) string {
	host, port, err := net.SplitHostPort(listenAddr)
	if err != nil {
		return listenAddr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
