package recording

import (
	"errors"

	"footfall/events"
	"footfall/shared/pseudonym"
)

// maxKnown bounds the number of names and of transmitters that are kept for reuse.
// Phones change their address, so months of a busy street hold millions.
const maxKnown = 1 << 17

// intern keeps one copy of every string, so that a sighting allocates none.
type intern map[string]string

// get returns b as a string. The look-up in the map does not allocate: the
// compiler sees that the converted string is only a key.
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

// transmitter is the part of a MAC address that is kept.
type transmitter struct {
	device     events.DeviceID
	randomised bool
	why        Reason // why no device has the address, or used
}

// transmitters makes pseudonyms and keeps them, since an HMAC takes as long as
// reading the rest of a row.
type transmitters struct {
	make  pseudonym.Maker
	known map[events.BusinessID]map[string]transmitter // by the address as it was written
	n     int                                          // number of entries in known
}

// text returns the transmitter of an address in one of the forms of parseMAC.
func (a *transmitters) text(b events.BusinessID, written []byte) (transmitter, error) {
	if found, ok := a.known[b][string(written)]; ok {
		return found, nil
	}
	mac, err := parseMAC(written)
	if err != nil {
		return transmitter{}, err
	}
	return a.remember(b, string(written), mac)
}

// raw returns the transmitter of an address of 6 bytes.
func (a *transmitters) raw(b events.BusinessID, mac [6]byte) (transmitter, error) {
	if found, ok := a.known[b][string(mac[:])]; ok {
		return found, nil
	}
	return a.remember(b, string(mac[:]), mac)
}

// remember makes the pseudonym of an address and keeps it under key. When the
// limit is reached, all entries are dropped at once: choosing entries to keep
// would cost more than an HMAC now and then.
func (a *transmitters) remember(b events.BusinessID, key string, mac [6]byte) (transmitter, error) {
	if a.make == nil {
		return transmitter{}, errors.New("the file holds a MAC address and no key was given to make pseudonyms; pass the key")
	}
	if a.known == nil || a.n >= maxKnown {
		a.known, a.n = make(map[events.BusinessID]map[string]transmitter), 0
	}
	if a.known[b] == nil {
		a.known[b] = make(map[string]transmitter)
	}
	found := transmitter{randomised: pseudonym.Randomised(mac[:])}
	switch {
	case mac == [6]byte{}:
		found.why = ZeroAddress
	case pseudonym.Group(mac[:]):
		found.why = Multicast
	default:
		found.device = a.make(b, mac[:])
	}
	a.known[b][key] = found
	a.n++
	return found, nil
}
