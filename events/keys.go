package events

import "strings"

// DeviceKey is the record key for what belongs to a device at a business:
// "business/device". Kafka's murmur2 of these bytes picks the partition.
func DeviceKey(b BusinessID, d DeviceID) []byte { return joinKey(string(b), string(d)) }

// ContactKey is the record key for what belongs to a contact of a business:
// "business/contact".
func ContactKey(b BusinessID, c ContactID) []byte { return joinKey(string(b), string(c)) }

// BusinessKey is the record key for what a business must see in order.
func BusinessKey(b BusinessID) []byte { return []byte(b) }

// SplitDeviceKey undoes DeviceKey. ok is false where key has no '/'.
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

// isJoinedKey says whether key is joinKey(a, b), without making that.
func isJoinedKey(key []byte, a, b string) bool {
	n := len(a)
	return len(key) == n+1+len(b) &&
		string(key[:n]) == a && key[n] == '/' && string(key[n+1:]) == b
}
