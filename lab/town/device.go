package town

import (
	"encoding/binary"
	"net"

	"footfall/events"
	"footfall/shared/pseudonym"
)

// device is a phone, tablet or other thing with Wi-Fi.
type device struct {
	id         events.DeviceID
	randomised bool
	joins      bool   // whether the device joins the store's network by itself
	seed       uint64 // seed of all random behaviour of the device
}

// newDevice draws a MAC address and keeps only its pseudonym.
func newDevice(d dice, key []byte, b events.BusinessID, randomised bool) device {
	var octets [8]byte
	seed := d.Uint64()
	binary.BigEndian.PutUint64(octets[:], seed)
	mac := net.HardwareAddr(octets[:6])
	mac[0] &^= 0x03 // clear the bits for local administration and multicast
	if randomised {
		mac[0] |= 0x02
	}
	return device{id: pseudonym.Device(key, b, mac), randomised: randomised, seed: seed}
}
