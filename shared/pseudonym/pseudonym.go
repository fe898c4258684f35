// Package pseudonym turns the MAC address of a device into its device id. Each
// entrance for sightings (the posts of routers, recorded files, the simulated
// town) applies this package before it passes a sighting on, so no MAC address
// is produced or stored.
//
// Start with [Keys]: [ParseKeys] reads the master keys, [Keys.Business] derives
// the key of one business, and the methods of [Key] return pseudonyms. [Device]
// and [NewMaker] are the rule below those methods. Recordings and the town, which
// have a single plain key, call them directly.
package pseudonym

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net"

	"footfall/events"
)

// digestBytes is the length of the part of the HMAC that a pseudonym keeps: 128
// bits, 22 characters of base64url.
const digestBytes = 16

// Device returns the pseudonym of a MAC address at a business: the first 16
// bytes of HMAC-SHA-256(key, business, 0x00, the 6 bytes of mac) in base64url
// without padding, 22 characters. The hash includes the business, so the
// pseudonyms of one phone in two stores have nothing in common. The hash has a
// key, so a reader without the key cannot try all 2^48 addresses.
func Device(key []byte, business events.BusinessID, mac net.HardwareAddr) events.DeviceID {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(business))
	h.Write([]byte{0})
	h.Write(mac)
	var sum [sha256.Size]byte
	return events.DeviceID(base64.RawURLEncoding.EncodeToString(h.Sum(sum[:0])[:digestBytes]))
}

// Maker returns the device id of a MAC address of 6 bytes at a business.
type Maker func(business events.BusinessID, mac net.HardwareAddr) events.DeviceID

// NewMaker returns a Maker that calls [Device] with key.
func NewMaker(key []byte) Maker {
	return func(b events.BusinessID, mac net.HardwareAddr) events.DeviceID { return Device(key, b, mac) }
}

// The two flags in the first octet of a MAC address (IEEE 802-2014, 8.2.2).
const (
	groupBit = 0x01
	localBit = 0x02
)

// Randomised reports whether mac is locally administered: no vendor assigned the
// address to the device. The random addresses of phones are of this kind. mac
// has at least one byte.
func Randomised(mac net.HardwareAddr) bool { return mac[0]&localBit != 0 }

// Group reports whether mac is a multicast address. No station may send from a
// multicast address, so a frame with such a sender is damaged or forged. mac has
// at least one byte.
func Group(mac net.HardwareAddr) bool { return mac[0]&groupBit != 0 }
