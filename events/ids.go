package events

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// MaxIDBytes is the maximum length of every id, in bytes of UTF-8. The limit
// keeps record keys and table items small. An id is not empty and holds no
// control characters.
const MaxIDBytes = 128

// BusinessID names one store. A BusinessID never holds a '/', because the '/'
// in a record key ends the business.
type BusinessID string

// SensorID names one router of a business.
type SensorID string

// DeviceID is the pseudonym of a MAC address, never the address itself.
type DeviceID string

// ContactID names a customer in the CRM of one business.
type ContactID string

// WalkInID names one visit and its walk-in. NewWalkInID computes it from data
// alone, so a retry or a replay produces the same id.
type WalkInID string

// NewWalkInID returns the id of the visit of device d at business b that began
// at start. The id is 32 hex digits: the first 16 bytes of the SHA-256 of
//
//	length of b (4 bytes, big-endian), b,
//	length of d (4 bytes, big-endian), d,
//	start in milliseconds since 1970 (8 bytes, big-endian).
//
// The lengths keep the ids of ("a", "bc") and ("ab", "c") apart.
func NewWalkInID(b BusinessID, d DeviceID, start time.Time) WalkInID {
	buf := make([]byte, 0, 4+MaxIDBytes+4+MaxIDBytes+8)
	buf = appendSized(buf, string(b))
	buf = appendSized(buf, string(d))
	buf = binary.BigEndian.AppendUint64(buf, uint64(start.UnixMilli()))
	sum := sha256.Sum256(buf)
	return WalkInID(hex.EncodeToString(sum[:16]))
}

// appendSized appends the length of s as 4 bytes big-endian, and s.
func appendSized(buf []byte, s string) []byte {
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(s)))
	return append(buf, s...)
}
