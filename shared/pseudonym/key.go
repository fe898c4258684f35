package pseudonym

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"sync"

	"footfall/events"
)

// Key makes the pseudonyms of one business. Any number of goroutines may use it.
type Key struct {
	id       string
	business events.BusinessID
	secret   []byte
	stable   *maker

	mu    sync.Mutex
	daily map[string]*maker // by day
}

// String names the key by its id, so that no way of printing shows a secret.
func (k *Key) String() string { return "pseudonym key " + k.id }

// GoString is String.
func (k *Key) GoString() string { return k.String() }

// maxDays is how many days a Key remembers: sightings come for today, around
// midnight for yesterday, and late ones for a few more.
const maxDays = 8

// Device gives the stable pseudonym of an address: "<key id>-" and 22 characters.
func (k *Key) Device(mac [6]byte) events.DeviceID { return k.stable.device(mac) }

// Daily gives the pseudonym of an address for one day, "2026-11-21" in the
// business's time zone: "<key id>d-" and 22 characters. The key of the day is
// HMAC-SHA-256(business key, "day" 0x00 day), so what is kept of two days does
// not meet unless somebody holds the key.
func (k *Key) Daily(mac [6]byte, day string) events.DeviceID { return k.day(day).device(mac) }

func (k *Key) day(day string) *maker {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, ok := k.daily[day]
	if !ok {
		if k.daily == nil || len(k.daily) >= maxDays {
			k.daily = make(map[string]*maker, maxDays)
		}
		m = newMaker(k.id+"d-", derive(k.secret, "day", day), k.business)
		k.daily[day] = m
	}
	return m
}

// maker makes pseudonyms under one key and one business as [Device] does, with
// a prefix. It keeps the hashes it has used: one that is reset takes up the
// state behind the key again, which saves half of the hashing.
type maker struct {
	prefix   string
	key      []byte
	business events.BusinessID
	spare    sync.Pool // of *hasher
}

// hasher holds all that one pseudonym takes, so that only its string is new.
type hasher struct {
	hmac hash.Hash
	in   []byte // business, 0x00, address
	sum  []byte
	out  []byte // prefix, digest
}

func newMaker(prefix string, key []byte, b events.BusinessID) *maker {
	return &maker{prefix: prefix, key: key, business: b}
}

func (m *maker) device(mac [6]byte) events.DeviceID {
	h, ok := m.spare.Get().(*hasher)
	if !ok {
		h = &hasher{hmac: hmac.New(sha256.New, m.key), in: append([]byte(m.business), 0), out: []byte(m.prefix)}
	}
	h.in = append(h.in[:len(m.business)+1], mac[:]...)
	h.hmac.Reset()
	h.hmac.Write(h.in)
	h.sum = h.hmac.Sum(h.sum[:0])
	h.out = base64.RawURLEncoding.AppendEncode(h.out[:len(m.prefix)], h.sum[:digestBytes])
	d := events.DeviceID(h.out)
	m.spare.Put(h)
	return d
}
