package ingest

import (
	"sync"

	"footfall/events"
)

// maxJoined is the number of devices that joinedDevices remembers, in about 8 MB:
// as many as join in a day at 50 stores with 1,000 such devices each.
const maxJoined = 50_000

// joinedDevice is the stable pseudonym of a device with a randomised address, and a
// local day of its business on which the device was associated. No two businesses
// have the same pseudonym, since it is made with the key of the business.
type joinedDevice struct {
	device events.DeviceID
	day    string
}

// joinedDevices remembers the devices with a randomised address that were associated
// on a day. A router that such a device is not associated with overhears it the same
// day. That observation gets the stable pseudonym too: otherwise one phone in the
// store would be two devices.
//
// joinedDevices is in the memory of this environment only, and holds no address. If
// it is full, the oldest entry is dropped. A device that is dropped, or that joined
// in a post to another environment, is overheard under the pseudonym of the day, as
// if it had not joined.
type joinedDevices struct {
	mu     sync.RWMutex
	known  map[joinedDevice]struct{}
	order  []joinedDevice // a ring once it has maxJoined entries
	oldest int            // the index of its oldest entry
}

// newJoinedDevices returns joinedDevices before the first post.
func newJoinedDevices() joinedDevices {
	return joinedDevices{known: map[joinedDevice]struct{}{}}
}

// add remembers that a device was associated on a day.
func (j *joinedDevices) add(d joinedDevice) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, ok := j.known[d]; ok {
		return
	}
	j.known[d] = struct{}{}
	if len(j.order) < maxJoined {
		j.order = append(j.order, d)
		return
	}
	delete(j.known, j.order[j.oldest])
	j.order[j.oldest] = d
	j.oldest = (j.oldest + 1) % maxJoined
}

// has reports whether a device is remembered for a day.
func (j *joinedDevices) has(d joinedDevice) bool {
	j.mu.RLock()
	defer j.mu.RUnlock()
	_, ok := j.known[d]
	return ok
}
