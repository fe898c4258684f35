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

// How far what a sender says may be from when it arrives. Detection counts what
// is 15 minutes late; the rest is for routers that kept what they could not
// post. Five minutes ahead is a clock that is a little fast.
const (
	maxAge   = time.Hour
	maxAhead = 5 * time.Minute
)

// What is left out here, besides senders' reasons.
const (
	leftClockSkew = "clock-skew"
	leftRouter    = "unknown-router"
	leftOptedOut  = "opted-out"
	leftRepeated  = "repeated" // same device, second and sensor in one post
)

// crowd makes records of one post, in the order of when devices were seen. Here
// addresses of devices end.
type crowd struct {
	*gate
	key  *pseudonym.Key
	now  time.Time
	left map[string]int
	seen []events.Sighting

	optOut  map[events.DeviceID]struct{}
	sensors map[string]events.SensorID // of routers by name
	stable  map[[6]byte]events.DeviceID
	places  map[place]int // in seen
}

// place is what makes a sighting one that was there already.
type place struct {
	device events.DeviceID
	sensor events.SensorID
	second int64
}

// records gives what a post puts on the topics. Where it refuses, nothing of it
// may be written.
func (h *Handler) records(ctx context.Context, g *gate, p senders.Post, now time.Time, v *visit) ([]stage.Record, *refused) {
	key, err := h.Keys.Business(ctx, g.entrance.Key, g.business)
	if err != nil {
		return nil, failed(internal, err)
	}
	c := newCrowd(g, key, now, len(p.Observations))
	v.left = c.left
	for reason, n := range p.LeftOut {
		c.left[string(reason)] = n
	}
	slices.SortStableFunc(p.Observations, func(a, b senders.Observation) int { return a.SeenAt.Compare(b.SeenAt) })
	for i := range p.Observations {
		c.hear(&p.Observations[i])
	}
	records, err := c.encode(p.Logins)
	switch {
	case err != nil:
		return nil, failed(internal, err)
	case len(records) > 0:
		return records, nil
	case c.left[leftClockSkew] > 0:
		return nil, refuse(clockSkew)
	case c.left[leftRouter] > 0:
		return nil, refuse(unknown)
	default:
		return nil, nil
	}
}

// newCrowd has room for n sightings.
func newCrowd(g *gate, key *pseudonym.Key, now time.Time, n int) *crowd {
	c := &crowd{
		gate: g, key: key, now: now, left: map[string]int{}, seen: make([]events.Sighting, 0, n),
		optOut:  make(map[events.DeviceID]struct{}, len(g.entrance.OptOut)),
		sensors: make(map[string]events.SensorID, len(g.Routers)),
		stable:  make(map[[6]byte]events.DeviceID, n),
		places:  make(map[place]int, n),
	}
	for _, d := range g.entrance.OptOut {
		c.optOut[d] = struct{}{}
	}
	for name, s := range g.Routers {
		c.sensors[senders.RouterName(name)] = s
	}
	return c
}

// hear takes one sighting, or counts why not.
func (c *crowd) hear(heard *senders.Observation) {
	sensor, ok := c.sensor(heard.Router)
	if !ok {
		c.left[leftRouter]++
		return
	}
	device, ok := c.device(heard.MAC, heard.SeenAt, heard.Associated)
	if !ok {
		return
	}
	s := events.Sighting{
		Business: c.business, Sensor: sensor, Device: device, RSSI: heard.RSSI, SeenAt: heard.SeenAt,
		Associated: heard.Associated, Randomised: pseudonym.Randomised(heard.MAC[:]),
	}
	at := place{device, sensor, heard.SeenAt.Unix()}
	if i, again := c.places[at]; again {
		// The strongest, as it is nearest to what the device gave out.
		c.left[leftRepeated]++
		c.seen[i].RSSI = max(c.seen[i].RSSI, s.RSSI)
		c.seen[i].Associated = c.seen[i].Associated || s.Associated
		return
	}
	c.places[at] = len(c.seen)
	c.seen = append(c.seen, s)
}

// sensor names a router. Where the settings name routers, no other is let in.
// Where they name none it goes by a pseudonym, for its address is one, too.
func (c *crowd) sensor(router string) (s events.SensorID, ok bool) {
	s, ok = c.sensors[router]
	if !ok && len(c.Routers) == 0 {
		s, ok = c.key.Router(router), true
		c.sensors[router] = s
	}
	return s, ok
}

// device gives the pseudonym of a device that was seen at a time; ok is false
// where it is left out.
func (c *crowd) device(mac [6]byte, at time.Time, associated bool) (d events.DeviceID, ok bool) {
	if c.now.Sub(at) > maxAge || at.Sub(c.now) > maxAhead {
		c.left[leftClockSkew]++
		return "", false
	}
	stable, known := c.stable[mac]
	if !known {
		stable = c.key.Device(mac)
		c.stable[mac] = stable
	}
	if _, out := c.optOut[stable]; out {
		c.left[leftOptedOut]++
		return "", false
	}
	if pseudonym.Randomised(mac[:]) && !associated {
		return c.key.Daily(mac, c.day(at)), true
	}
	return stable, true
}

// day is the day of the business that a moment lies in.
func (c *crowd) day(at time.Time) string {
	if zone := c.entrance.Zone; zone != nil {
		at = at.In(zone)
	}
	return at.Format(time.DateOnly)
}

// encode makes the records of the sightings taken, and of logins.
func (c *crowd) encode(logins []senders.Login) ([]stage.Record, error) {
	records := make([]stage.Record, 0, len(c.seen)+len(logins))
	for i := range c.seen {
		s := &c.seen[i]
		if err := s.Validate(); err != nil {
			return nil, err
		}
		value, err := events.Encode(nil, s)
		if err != nil {
			return nil, err
		}
		records = append(records, record(events.Sightings, events.DeviceKey(s.Business, s.Device), value))
	}
	for _, l := range logins {
		device, ok := c.device(l.MAC, l.At, true)
		if !ok {
			continue
		}
		value, err := events.Encode(nil, &events.PortalLogin{
			Business: c.business, Device: device, Contact: l.Contact, At: l.At, Randomised: pseudonym.Randomised(l.MAC[:]),
		})
		if err != nil {
			return nil, err
		}
		records = append(records, record(events.CRMEvents, events.BusinessKey(c.business), value))
	}
	return records, nil
}

func record(topic string, key, value []byte) stage.Record {
	return stage.Record{Topic: topic, Partition: stage.AnyPartition, Key: key, Value: value}
}
