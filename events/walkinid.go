package events

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// NewWalkInID gives the id of the walk-in whose visit began at start: the first
// 16 bytes, in hex, of the SHA-256 of the business and the device, each after
// its length as 4 bytes big-endian, and of start in epoch milliseconds as 8
// bytes big-endian. The lengths keep "a" and "bc" apart from "ab" and "c".
func NewWalkInID(b BusinessID, d DeviceID, start time.Time) WalkInID {
	buf := make([]byte, 0, 4+MaxIDBytes+4+MaxIDBytes+8)
	buf = appendSized(buf, string(b))
	buf = appendSized(buf, string(d))
	buf = binary.BigEndian.AppendUint64(buf, uint64(start.UnixMilli()))
	sum := sha256.Sum256(buf)
	return WalkInID(hex.EncodeToString(sum[:16]))
}

func appendSized(buf []byte, s string) []byte {
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(s)))
	return append(buf, s...)
}
