// Package pseudonym is the one rule that turns a MAC address into a device id.
// Whatever lets sightings in (a router's post, a recorded file, the simulated
// town) applies it at the door, so that no MAC address goes any further.
package pseudonym

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net"

	"footfall/events"
)

// digestBytes of the HMAC are kept: 128 bits, 22 characters of base64url.
const digestBytes = 16

// Device gives the pseudonym of a MAC address at a business: the first 16
// bytes of HMAC-SHA-256(key, business, 0x00, the 6 bytes of mac) in base64url
// without padding, 22 characters. The business is hashed with it so that one
// phone cannot be followed from store to store, and the key keeps anybody
// without it from trying all 2^48 addresses.
func Device(key []byte, business events.BusinessID, mac net.HardwareAddr) events.DeviceID {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(business))
	h.Write([]byte{0})
	h.Write(mac)
	var sum [sha256.Size]byte
	return events.DeviceID(base64.RawURLEncoding.EncodeToString(h.Sum(sum[:0])[:digestBytes]))
}

// Maker gives the device that a MAC address of 6 bytes is at a business.
type Maker func(business events.BusinessID, mac net.HardwareAddr) events.DeviceID

// NewMaker is [Device] with one key.
func NewMaker(key []byte) Maker {
	return func(b events.BusinessID, mac net.HardwareAddr) events.DeviceID { return Device(key, b, mac) }
}

// The two flags in the first octet of a MAC address (IEEE 802-2014, 8.2.2).
const (
	groupBit = 0x01
	localBit = 0x02
)

// Randomised says whether mac is locally administered, as the random addresses
// of phones are: no vendor gave it to the device. mac has at least one byte.
func Randomised(mac net.HardwareAddr) bool { return mac[0]&localBit != 0 }

// Group says whether mac is a multicast address, which no station may send
// from: a frame that claims to is damaged or forged. mac has at least one byte.
func Group(mac net.HardwareAddr) bool { return mac[0]&groupBit != 0 }
