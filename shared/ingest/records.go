package ingest

import (
	"context"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/ingest/senders"
	"footfall/shared/pseudonym"
	"footfall/shared/stage"
)

// The bounds of a record's time, relative to the arrival of the post. The allowed
// lateness of detection is 15 minutes; the rest of maxAge is for routers that kept
// records they could not post. maxAhead is for a clock that is a little fast.
const (
	maxAge   = time.Hour
	maxAhead = 5 * time.Minute
)

// The reasons why this package leaves a record out, besides those of package senders.
const (
	leftClockSkew = "clock-skew"
	leftRouter    = "unknown-router"
	leftOptedOut  = "opted-out"
	leftRepeated  = "repeated" // same device, second and sensor in one post
)

// recordBuilder builds the records of one post, in the order of their times. It
// replaces MAC addresses by pseudonyms: no record holds a MAC address.
type recordBuilder struct {
	*knownSender
	key       *pseudonym.Key
	joined    *joinedDevices
	now       time.Time // arrival of the post
	leftOut   map[string]int
	sightings []events.Sighting

	optOut     map[events.DeviceID]struct{}
	sensors    map[string]events.SensorID  // by the name of the router
	pseudonyms map[[6]byte]events.DeviceID // the stable ones, by MAC address
	index      map[sightingKey]int         // into sightings
	days       map[string]string           // one string per local day
	dayText    []byte                      // the memory of localDay
}

// sightingKey identifies a sighting within one post: two observations with the
// same key are one sighting. Reports about a session have no key: a device may
// leave and join within a second, and each report counts.
type sightingKey struct {
	device events.DeviceID
	sensor events.SensorID
	second int64
}

// records returns the records of a post. If it returns a rejection, nothing of the
// post may be produced. A post without a usable record is rejected if any record
// was left out for clock skew or an unknown router, or if all were left out for
// mistakes in them, and otherwise accepted.
func (h *Handler) records(ctx context.Context, from *knownSender, p senders.Post, now time.Time, s *summary) ([]stage.Record, *rejection) {
	key, err := h.Keys.Business(ctx, from.entrance.Key, from.business)
	if err != nil {
		return nil, rejectFailure(internal, err)
	}
	b := newRecordBuilder(from, key, &h.joined, now, len(p.Observations))
	s.leftOut = b.leftOut
	for reason, n := range p.LeftOut {
		b.leftOut[string(reason)] = n
	}

	// By time: senders post the latest observation first, and the sightings of a
	// device must be in order on the topic.
	slices.SortStableFunc(p.Observations, func(a, b senders.Observation) int { return a.SeenAt.Compare(b.SeenAt) })
	// First what shows a device associated, wherever in the post it stands.
	b.rememberJoined(&p)
	for i := range p.Observations {
		b.add(&p.Observations[i])
	}
	records, err := b.encode(p.Logins)

	// If no record is left, the sender must learn of its mistake.
	switch {
	case err != nil:
		return nil, rejectFailure(internal, err)
	case len(records) > 0:
		return records, nil
	case b.leftOut[leftClockSkew] > 0:
		return nil, reject(clockSkew)
	case b.leftOut[leftRouter] > 0:
		return nil, reject(unknown)
	case allMistakes(b.leftOut):
		return nil, rejectUnusable(b.leftOut)
	default:
		return nil, nil
	}
}

// allMistakes reports whether records were left out, all of them for mistakes in
// them. A record of a device that opted out, or of a post that carries no presence
// data, is no mistake.
func allMistakes(leftOut map[string]int) bool {
	for reason := range leftOut {
		if reason == leftOptedOut || senders.Reason(reason).Dropped() {
			return false
		}
	}
	return len(leftOut) > 0
}

// newRecordBuilder returns a builder with room for n sightings.
func newRecordBuilder(from *knownSender, key *pseudonym.Key, joined *joinedDevices, now time.Time, n int) *recordBuilder {
	b := &recordBuilder{
		knownSender: from, key: key, joined: joined, now: now,
		leftOut: map[string]int{}, sightings: make([]events.Sighting, 0, n), days: map[string]string{},
		optOut:     make(map[events.DeviceID]struct{}, len(from.entrance.OptOut)),
		sensors:    make(map[string]events.SensorID, len(from.Routers)),
		pseudonyms: make(map[[6]byte]events.DeviceID, n),
		index:      make(map[sightingKey]int, n),
	}
	for _, d := range from.entrance.OptOut {
		b.optOut[d] = struct{}{}
	}
	// The spelling of Observation.Router, however the settings spell the name.
	for name, s := range from.Routers {
		b.sensors[senders.RouterName(name)] = s
	}
	return b
}

// add adds the sighting of an observation, or counts the observation as left out.
func (b *recordBuilder) add(o *senders.Observation) {
	sensor, ok := b.sensor(o.Router)
	if !ok {
		b.leftOut[leftRouter]++
		return
	}
	device, ok := b.device(o.MAC, o.SeenAt, o.Associated)
	if !ok {
		return
	}
	s := events.Sighting{
		Business: b.business, Sensor: sensor, Device: device, RSSI: o.RSSI, SeenAt: o.SeenAt,
		Associated: o.Associated, Randomised: pseudonym.Randomised(o.MAC[:]), Session: o.Session,
	}

	if s.Session != events.SessionNone {
		b.sightings = append(b.sightings, s)
		return
	}

	// The post has the sighting already: keep one of the two, with the stronger
	// signal, which is nearer to the strength at which the device sent.
	k := sightingKey{device, sensor, o.SeenAt.Unix()}
	if i, again := b.index[k]; again {
		b.leftOut[leftRepeated]++
		b.sightings[i].RSSI = max(b.sightings[i].RSSI, s.RSSI)
		b.sightings[i].Associated = b.sightings[i].Associated || s.Associated
		return
	}
	b.index[k] = len(b.sightings)
	b.sightings = append(b.sightings, s)
}

// sensor returns the sensor of a router; ok is false if the router is not allowed.
// If the settings name routers, no other is allowed. If they name none, a router's
// sensor is a pseudonym of its name, since the name may be a MAC address too.
func (b *recordBuilder) sensor(router string) (s events.SensorID, ok bool) {
	s, ok = b.sensors[router]
	if !ok && len(b.Routers) == 0 {
		s, ok = b.key.Router(router), true
		b.sensors[router] = s
	}
	return s, ok
}

// rememberJoined remembers the randomised addresses that an observation or a login
// of the post shows associated: a device that logs in at the portal is.
func (b *recordBuilder) rememberJoined(p *senders.Post) {
	for i := range p.Observations {
		o := &p.Observations[i]
		if !o.Associated {
			continue
		}
		if _, known := b.sensor(o.Router); known {
			b.rememberDevice(o.MAC, o.SeenAt)
		}
	}
	for i := range p.Logins {
		b.rememberDevice(p.Logins[i].MAC, p.Logins[i].At)
	}
}

// rememberDevice remembers a device that was associated at a moment, if its address
// is randomised. A device that is left out is not remembered.
func (b *recordBuilder) rememberDevice(mac [6]byte, at time.Time) {
	if !pseudonym.Randomised(mac[:]) || b.isSkewed(at) {
		return
	}
	if d := b.stable(mac); !b.optedOut(d) {
		b.joined.add(joinedDevice{d, b.localDay(at)})
	}
}

// device returns the pseudonym of a device seen at seenAt. ok is false if the
// record is left out; device has counted it then.
func (b *recordBuilder) device(mac [6]byte, seenAt time.Time, associated bool) (d events.DeviceID, ok bool) {
	if b.isSkewed(seenAt) {
		b.leftOut[leftClockSkew]++
		return "", false
	}
	// The opt-out list holds stable pseudonyms. It is checked before the pseudonym of
	// the day is made, so it covers both.
	stable := b.stable(mac)
	if b.optedOut(stable) {
		b.leftOut[leftOptedOut]++
		return "", false
	}
	// The rule of the anonymous day.
	if pseudonym.Randomised(mac[:]) && !associated {
		if day := b.localDay(seenAt); !b.joined.has(joinedDevice{stable, day}) {
			return b.key.Daily(mac, day), true
		}
	}
	return stable, true
}

// isSkewed reports whether a moment is too far from the arrival of the post.
func (b *recordBuilder) isSkewed(at time.Time) bool {
	return b.now.Sub(at) > maxAge || at.Sub(b.now) > maxAhead
}

// optedOut reports whether a stable pseudonym is on the opt-out list.
func (b *recordBuilder) optedOut(d events.DeviceID) bool {
	_, out := b.optOut[d]
	return out
}

// stable returns the stable pseudonym of a device.
func (b *recordBuilder) stable(mac [6]byte) events.DeviceID {
	d, known := b.pseudonyms[mac]
	if !known {
		d = b.key.Device(mac)
		b.pseudonyms[mac] = d
	}
	return d
}

// localDay returns the day of a moment in the zone of the business, and the same
// string for the same day.
func (b *recordBuilder) localDay(at time.Time) string {
	if zone := b.entrance.Zone; zone != nil {
		at = at.In(zone)
	}
	b.dayText = at.AppendFormat(b.dayText[:0], time.DateOnly)
	day, known := b.days[string(b.dayText)]
	if !known {
		day = string(b.dayText)
		b.days[day] = day
	}
	return day
}

// encode returns the records of the sightings added so far, and of logins. A login
// carries the stable pseudonym of its device: a pseudonym of the day cannot be
// bound to a contact.
func (b *recordBuilder) encode(logins []senders.Login) ([]stage.Record, error) {
	records := make([]stage.Record, 0, len(b.sightings)+len(logins))
	for i := range b.sightings {
		s := &b.sightings[i]
		if err := s.Validate(); err != nil {
			return nil, err
		}
		value, err := events.Encode(nil, s)
		if err != nil {
			return nil, err
		}
		records = append(records, newRecord(events.Sightings, events.DeviceKey(s.Business, s.Device), value))
	}
	for _, l := range logins {
		// As if associated, for the stable pseudonym.
		device, ok := b.device(l.MAC, l.At, true)
		if !ok {
			continue
		}
		value, err := events.Encode(nil, &events.PortalLogin{
			Business: b.business, Device: device, Contact: l.Contact, At: l.At, Randomised: pseudonym.Randomised(l.MAC[:]),
		})
		if err != nil {
			return nil, err
		}
		records = append(records, newRecord(events.CRMEvents, events.BusinessKey(b.business), value))
	}
	return records, nil
}

// newRecord returns a record for whichever partition its key belongs to.
func newRecord(topic string, key, value []byte) stage.Record {
	return stage.Record{Topic: topic, Partition: stage.AnyPartition, Key: key, Value: value}
}
