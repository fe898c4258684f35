package events

import "strings"

// DeviceKey returns the key of records of one device at one business:
// "business/device". The partition of a record is Kafka's murmur2 of these
// bytes, see Partition.
func DeviceKey(b BusinessID, d DeviceID) []byte { return joinKey(string(b), string(d)) }

// ContactKey returns the key of records of one contact of a business:
// "business/contact".
func ContactKey(b BusinessID, c ContactID) []byte { return joinKey(string(b), string(c)) }

// BusinessKey returns the key of records that a business needs in order:
// "business".
func BusinessKey(b BusinessID) []byte { return []byte(b) }

// SplitDeviceKey returns the business and the device of a key that DeviceKey
// returned. ok is false if key holds no '/'.
func SplitDeviceKey(key string) (b BusinessID, d DeviceID, ok bool) {
	bs, ds, ok := strings.Cut(key, "/")
	return BusinessID(bs), DeviceID(ds), ok
}

func joinKey(a, b string) []byte {
	k := make([]byte, 0, len(a)+1+len(b))
	k = append(k, a...)
	k = append(k, '/')
	return append(k, b...)
}

// isJoinedKey reports whether key equals joinKey(a, b), without an allocation.
func isJoinedKey(key []byte, a, b string) bool {
	n := len(a)
	return len(key) == n+1+len(b) &&
		string(key[:n]) == a && key[n] == '/' && string(key[n+1:]) == b
}
