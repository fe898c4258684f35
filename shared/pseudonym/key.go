package pseudonym

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"sync"

	"footfall/events"
)

// Key makes the pseudonyms of one business. It is safe for concurrent use.
type Key struct {
	id       string
	business events.BusinessID
	secret   []byte
	stable   *generator

	mu    sync.Mutex
	daily map[string]*generator // by day
}

// String returns the id of the key, so that printing a key shows no secret.
func (k *Key) String() string { return "pseudonym key " + k.id }

// GoString returns the same text as String, so that %#v shows no secret either.
func (k *Key) GoString() string { return k.String() }

// maxDays is the number of daily generators that a Key keeps. Sightings belong to
// today, around midnight to yesterday, and late sightings to a few days before.
const maxDays = 8

// Device returns the stable pseudonym of an address: "<key id>-" and 22
// characters.
func (k *Key) Device(mac [6]byte) events.DeviceID { return k.stable.device(mac) }

// Daily returns the pseudonym of an address for one day: "<key id>d-" and 22
// characters. day is a date such as "2026-11-21" in the time zone of the
// business. The key of the day is HMAC-SHA-256(business key, "day" 0x00 day), so
// the pseudonyms of two days cannot be linked without the business key.
func (k *Key) Daily(mac [6]byte, day string) events.DeviceID { return k.day(day).device(mac) }

// day returns the generator of a day, and makes it when the day is new.
func (k *Key) day(day string) *generator {
	k.mu.Lock()
	defer k.mu.Unlock()
	g, ok := k.daily[day]
	if !ok {
		// A full map is dropped as a whole: the days in use are made again.
		if k.daily == nil || len(k.daily) >= maxDays {
			k.daily = make(map[string]*generator, maxDays)
		}
		g = newGenerator(k.id+"d-", derive(k.secret, "day", day), k.business)
		k.daily[day] = g
	}
	return g
}

// generator makes pseudonyms with one key and one business by the rule of
// [Device], and puts a prefix before each. It keeps used hashes in a pool: a hash
// that is reset starts from the state after the key, which saves half of the
// hashing.
type generator struct {
	prefix   string
	key      []byte
	business events.BusinessID
	spare    sync.Pool // of *hasher
}

// hasher holds the memory that one pseudonym needs, so that a call allocates
// only the string that it returns.
type hasher struct {
	hmac hash.Hash
	in   []byte // business, 0x00, address
	sum  []byte
	out  []byte // prefix, digest
}

func newGenerator(prefix string, key []byte, b events.BusinessID) *generator {
	return &generator{prefix: prefix, key: key, business: b}
}

func (g *generator) device(mac [6]byte) events.DeviceID {
	h, ok := g.spare.Get().(*hasher)
	if !ok {
		h = &hasher{hmac: hmac.New(sha256.New, g.key), in: append([]byte(g.business), 0), out: []byte(g.prefix)}
	}
	// Overwrite the address and the digest; the business and the prefix stay.
	h.in = append(h.in[:len(g.business)+1], mac[:]...)
	h.hmac.Reset()
	h.hmac.Write(h.in)
	h.sum = h.hmac.Sum(h.sum[:0])
	h.out = base64.RawURLEncoding.AppendEncode(h.out[:len(g.prefix)], h.sum[:digestBytes])
	d := events.DeviceID(h.out)
	g.spare.Put(h)
	return d
}
