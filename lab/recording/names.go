package recording

import (
	"errors"
	"fmt"
	"net"

	"footfall/events"
	"footfall/shared/pseudonym"
)

// maxKnown bounds the names and addresses kept for the next time they come.
// Phones change their address, so months of a busy street hold millions.
const maxKnown = 1 << 17

// intern keeps one copy of every string, so that a sighting allocates none.
type intern map[string]string

// get gives b as a string. The compiler looks b up in the map without making
// one.
func (n *intern) get(b []byte) string {
	if s, ok := (*n)[string(b)]; ok {
		return s
	}
	if *n == nil || len(*n) >= maxKnown {
		*n = make(intern)
	}
	s := string(b)
	(*n)[s] = s
	return s
}

// address is what remains of a MAC address once it is read.
type address struct {
	device     events.DeviceID
	randomised bool
	group      bool
}

// addresses makes pseudonyms and remembers them, an HMAC taking as long as
// reading the rest of a row.
type addresses struct {
	make  pseudonym.Maker
	known map[events.BusinessID]map[string]address // by the address as written
	n     int
}

// text finds an address written in hexadecimal, as net.ParseMAC takes it.
func (a *addresses) text(b events.BusinessID, written []byte) (address, error) {
	if found, ok := a.known[b][string(written)]; ok {
		return found, nil
	}
	mac, err := net.ParseMAC(string(written))
	if err != nil {
		return address{}, err
	}
	if len(mac) != 6 {
		return address{}, fmt.Errorf("%d bytes, want 6", len(mac))
	}
	return a.remember(b, string(written), mac)
}

// raw finds an address by its 6 bytes.
func (a *addresses) raw(b events.BusinessID, mac net.HardwareAddr) (address, error) {
	if found, ok := a.known[b][string(mac)]; ok {
		return found, nil
	}
	return a.remember(b, string(mac), mac)
}

// remember makes the pseudonym. What is known is dropped as a whole when it gets
// too much: finding out what to keep would cost more than an HMAC now and then.
func (a *addresses) remember(b events.BusinessID, as string, mac net.HardwareAddr) (address, error) {
	if a.make == nil {
		return address{}, errors.New("no key given to make pseudonyms with")
	}
	if a.known == nil || a.n >= maxKnown {
		a.known, a.n = make(map[events.BusinessID]map[string]address), 0
	}
	if a.known[b] == nil {
		a.known[b] = make(map[string]address)
	}
	found := address{
		device:     a.make(b, mac),
		randomised: pseudonym.Randomised(mac),
		group:      pseudonym.Group(mac),
	}
	a.known[b][as] = found
	a.n++
	return found, nil
}
