package simtest

import (
	"fmt"
	"time"

	"footfall/events"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

// The business, the device and the contact of all histories. Times are minutes after
// inputStart.
const (
	shop  events.BusinessID = "b0"
	phone events.DeviceID   = "phone"
	ann   events.ContactID  = "ann"
)

// after returns the time that many minutes after inputStart.
func after(minutes int) time.Time { return inputStart.Add(time.Duration(minutes) * time.Minute) }

// sighting is a strong sighting of phone.
func sighting(minutes int, associated bool) item {
	i := record(events.Sightings, events.DeviceKey(shop, phone), &events.Sighting{
		Business: shop, Sensor: "door", Device: phone, SeenAt: after(minutes), RSSI: -60, Associated: associated,
	})
	i.record.Timestamp = after(minutes)
	return i
}

// tickAt is a tick on the partition of phone.
func tickAt(minutes int) item {
	i := record(events.Sightings, []byte("tick"), &events.Tick{At: after(minutes)})
	i.record.Partition, i.record.Timestamp = events.Partition(events.DeviceKey(shop, phone), 2), after(minutes)
	return i
}

// walkIn is a walk-in of phone.
func walkIn(minutes int) item {
	at := after(minutes)
	return record(events.WalkIns, events.DeviceKey(shop, phone), &events.WalkIn{
		ID: events.NewWalkInID(shop, phone, at), Business: shop, Device: phone, StartedAt: at, ConfirmedAt: at,
	})
}

// login is a login with phone.
func login(topic string, contact events.ContactID, minutes int) item {
	return record(topic, events.BusinessKey(shop), &events.PortalLogin{Business: shop, Device: phone, Contact: contact, At: after(minutes)})
}

// randomised is a login with phone, whose address is randomised.
func randomised(topic string, contact events.ContactID, minutes int) item {
	return record(topic, events.BusinessKey(shop), &events.PortalLogin{
		Business: shop, Device: phone, Contact: contact, At: after(minutes), Randomised: true,
	})
}

// merge is a merge of ann into anna.
func merge(minutes int) item {
	return record(events.CRMEvents, events.BusinessKey(shop), &events.ContactChanged{Business: shop, Contact: ann, MergedInto: "anna", At: after(minutes)})
}

// deletion is the deletion of a contact.
func deletion(topic string, contact events.ContactID, minutes int) item {
	return record(topic, events.BusinessKey(shop), &events.ContactDeleted{Business: shop, Contact: contact, At: after(minutes)})
}

// enrichedAt is a walk-in of phone that is attributed to ann.
func enrichedAt(minutes int) item {
	at := after(minutes)
	return record(events.EnrichedWalkIns, events.ContactKey(shop, ann), &events.EnrichedWalkIn{
		ID: events.NewWalkInID(shop, phone, at), Business: shop, Device: phone, Contact: ann, StartedAt: at, BoundAt: at,
	})
}

// stay is the enriched walk-in of a visit of ann with a device, with the end of the
// visit if to is not 0.
func stay(device events.DeviceID, from, to int) item {
	at := after(from)
	e := &events.EnrichedWalkIn{
		ID: events.NewWalkInID(shop, device, at), Business: shop, Device: device, Contact: ann, StartedAt: at, BoundAt: at,
	}
	if to != 0 {
		e.Ended, e.DwellMillis = true, after(to).Sub(at).Milliseconds()
	}
	return record(events.EnrichedWalkIns, events.ContactKey(shop, ann), e)
}

// ended is the end of the visit of phone that walkIn(0) began.
func ended(to int) item {
	return record(events.VisitsEnded, events.DeviceKey(shop, phone), &events.VisitEnded{
		ID: events.NewWalkInID(shop, phone, inputStart), Business: shop, Device: phone, StartedAt: inputStart,
		LastSeenAt: after(to), DwellMillis: after(to).Sub(inputStart).Milliseconds(),
	})
}

// poison is a record without a value.
func poison(topic string) item {
	i := record(topic, events.DeviceKey(shop, phone), &events.Tick{At: inputStart})
	i.record.Value, i.poison = nil, events.NullValue
	return i
}

// base is a new base count of ann.
func base(n int64) item {
	return item{at: inputStart, base: &baseChange{stage.CountKey{Business: shop, Contact: ann}, n}}
}

// histories returns the histories of which every course is run: for each stage one
// record with up to two faults, and two records, in one batch or in two, with up
// to one. Further ones have records that meet at two stages, or two pollers.
func histories() []history {
	detect, identify, enrich, count := []string{pipeline.Detect}, []string{pipeline.Identify}, []string{pipeline.Enrich}, []string{pipeline.Count}
	end := []item{tickAt(200)}
	visits := allOf((*world).checkWalkIns, (*world).checkDeadLetters)
	contacts := allOf((*world).checkAttribution, (*world).checkEnds, (*world).checkVersions, (*world).checkOwners, (*world).checkDeadLetters)
	counted := allOf((*world).checkCounts, (*world).checkLastRecords, (*world).checkDeadLetters)
	before := []item{login(events.CRMEvents, ann, -60)}
	late := []item{login(events.CRMEvents, ann, 10)}
	// One record, up to two faults.
	all := []history{
		{name: "detect/a walk-in", items: []item{sighting(0, true)}, later: end, stages: detect, faults: 2, check: visits},
		{name: "detect/a poisoned record", items: []item{poison(events.Sightings)}, stages: detect, faults: 2, check: visits},
		{name: "detect/the end of a visit", known: []item{sighting(0, true)}, items: []item{tickAt(60)}, stages: detect, faults: 2, check: visits},
		{name: "identify/a login", items: before, stages: identify, faults: 2, check: contacts},
		{name: "identify/a login after its walk-in", known: []item{walkIn(0)}, items: late, stages: identify, faults: 2, check: contacts},
		{name: "identify/a login of the backfill after its merge", known: []item{merge(-30), walkIn(0)}, items: []item{login(events.CRMEventsBackfill, ann, -60)}, stages: identify, faults: 2, check: contacts},
		{name: "identify/a merge", known: before, items: []item{merge(-30)}, later: []item{walkIn(0)}, stages: identify, faults: 2, check: contacts},
		{name: "identify/a deletion", known: before, items: []item{deletion(events.CRMEvents, ann, -30)}, later: []item{walkIn(0)}, stages: identify, faults: 2, check: contacts},
		{name: "enrich/a known device", known: before, items: []item{walkIn(0)}, stages: enrich, faults: 2, check: contacts},
		{name: "enrich/an unknown device", items: []item{walkIn(0)}, later: late, stages: enrich, faults: 2, check: contacts},
		{name: "enrich/an end", known: []item{before[0], walkIn(0)}, items: []item{ended(40)}, stages: enrich, faults: 2, check: contacts},
		{name: "enrich/an end before its walk-in", known: before, items: []item{ended(40)}, later: []item{walkIn(0)}, stages: enrich, faults: 2, check: contacts},
		{name: "enrich/an end of a visit that went on", known: []item{before[0], walkIn(0), ended(40)}, items: []item{ended(52)}, stages: enrich, faults: 2, check: contacts},
		{name: "identify/a login after the end", known: []item{walkIn(0), ended(40)}, items: late, stages: identify, faults: 2, check: contacts},
		{name: "enrich/a poisoned end", items: []item{poison(events.VisitsEnded)}, stages: enrich, faults: 2, check: contacts},
		{name: "enrich/a poisoned record", items: []item{poison(events.WalkIns)}, stages: enrich, faults: 2, check: contacts},
		{name: "count/a walk-in", items: []item{enrichedAt(0)}, stages: count, faults: 2, check: counted},
		{name: "count/an end", known: []item{stay(phone, 0, 0), stay("tablet", 50, 0)}, items: []item{stay(phone, 0, 40)}, stages: count, faults: 2, check: counted},
		{name: "count/a second device", known: []item{stay(phone, 0, 0)}, items: []item{stay("tablet", 5, 0)}, stages: count, faults: 2, check: counted},
		{name: "count/a device that was there before", known: []item{stay("tablet", 5, 0)}, items: []item{stay(phone, 0, 40)}, stages: count, faults: 2, check: counted},
		{name: "count/a poisoned record", items: []item{poison(events.EnrichedWalkIns)}, stages: count, faults: 2, check: counted},
		{name: "count/a base", items: []item{base(7)}, stages: count, faults: 2, check: counted},
		{name: "count/a base, lowered", known: []item{enrichedAt(0), base(7)}, items: []item{base(3)}, stages: count, faults: 2, check: counted},
		{name: "count/a walk-in and a base", items: []item{enrichedAt(0), base(7)}, stages: count, check: counted},

		// Two pollers on one record, and records that meet at two stages.
		{name: "rivals/detect", known: []item{tickAt(-1)}, items: []item{sighting(0, true)}, later: end, stages: detect, rivals: true, check: visits},
		{name: "rivals/enrich", known: before, items: []item{walkIn(0)}, stages: enrich, rivals: true, check: contacts},
		{name: "rivals/count", items: []item{enrichedAt(0)}, stages: count, rivals: true, check: counted},
		{name: "rivals/an end", known: []item{before[0], walkIn(0)}, items: []item{ended(40)}, stages: enrich, rivals: true, check: contacts},
		{name: "rivals/an end that counts", known: []item{stay(phone, 0, 0), stay("tablet", 50, 0)}, items: []item{stay(phone, 0, 40)}, stages: count, rivals: true, check: counted},
		{name: "meeting/an end and its walk-in", known: before, items: []item{walkIn(0), ended(40)}, stages: enrich, check: contacts},
		{name: "meeting/an end and a login", known: []item{walkIn(0)}, items: []item{ended(40), late[0]}, stages: []string{pipeline.Identify, pipeline.Enrich}, check: contacts},
		{name: "meeting/a login and its walk-in", items: []item{walkIn(0), late[0]}, stages: []string{pipeline.Identify, pipeline.Enrich}, check: contacts},
	}
	// Two records, up to one fault.
	for _, batch := range []int{1, 2} {
		suffix := fmt.Sprintf(", %d at once", batch)
		all = append(all,
			history{name: "detect/two sightings" + suffix, items: []item{sighting(0, false), sighting(7, false)}, later: end, stages: detect, batch: batch, faults: 1, check: visits},
			history{name: "identify/two logins" + suffix, known: []item{walkIn(0)}, items: []item{late[0], login(events.CRMEvents, "bob", 12)}, stages: identify, batch: batch, faults: 1, check: contacts},
			history{name: "enrich/two walk-ins" + suffix, known: before, items: []item{walkIn(0), walkIn(90)}, stages: enrich, batch: batch, faults: 1, check: contacts},
			history{name: "count/two walk-ins" + suffix, items: []item{enrichedAt(0), enrichedAt(90)}, stages: count, batch: batch, faults: 1, check: counted},
			history{name: "enrich/two ends" + suffix, known: []item{before[0], walkIn(0)}, items: []item{ended(40), ended(52)}, stages: enrich, batch: batch, faults: 1, check: contacts},
			history{name: "count/two devices" + suffix, items: []item{stay(phone, 0, 0), stay("tablet", 5, 0)}, stages: count, batch: batch, faults: 1, check: counted},
			history{name: "count/two months" + suffix, items: []item{enrichedAt(0), enrichedAt(60 * 24 * 40)}, stages: count, batch: batch, faults: 1, check: counted},
		)
	}
	return all
}

// meetings returns the histories that have too many courses to run all of them.
// TestMeetings runs each with many seeds and two pollers on every partition.
func meetings() []history {
	const live, backfill = events.CRMEvents, events.CRMEventsBackfill
	const longAgo = -50 * 24 * 60
	contacts := allOf((*world).checkAttribution, (*world).checkEnds, (*world).checkVersions, (*world).checkOwners)
	counted := allOf((*world).checkCounts, (*world).checkLastRecords)
	both, identify := []string{pipeline.Identify, pipeline.Enrich}, []string{pipeline.Identify}
	at := func(all ...item) []item { return append([]item{walkIn(0)}, all...) }
	return []history{
		{name: "one login", items: at(login(live, ann, 10)), stages: both, check: contacts},
		{name: "a login before it", items: at(login(backfill, ann, -60)), stages: both, check: contacts},
		{name: "two logins on two topics", items: at(login(live, ann, 10), login(backfill, "bob", 9)), stages: both, check: contacts},
		{name: "two logins one after the other", items: at(login(live, ann, 10), login(live, "bob", 11)), stages: both, check: contacts},
		{name: "a deletion together with an older login", items: at(deletion(live, ann, -30), login(backfill, ann, -60)), stages: both, check: contacts},
		{name: "a merge after the login", items: at(login(live, ann, 10), merge(11)), stages: both, check: contacts},
		{name: "a merge before the walk-in and an older login", items: at(merge(-30), login(backfill, ann, -60)), stages: both, check: contacts},
		{name: "an address that has expired", known: []item{randomised(backfill, "carl", longAgo)}, items: at(randomised(live, ann, 10)), stages: both, check: contacts},
		{name: "an address that has expired, of the same contact", known: []item{randomised(backfill, ann, longAgo)}, items: at(randomised(live, ann, 10)), stages: both, check: contacts},
		{name: "a deletion and an older login", items: []item{deletion(live, ann, -30), login(backfill, ann, -60)}, later: at(), stages: identify, check: contacts},
		{name: "a merge and an older login", items: []item{merge(-30), login(backfill, ann, -60)}, later: at(), stages: identify, check: contacts},
		{name: "a merge and an older deletion of its target", known: []item{login(live, ann, -60)}, items: []item{merge(-30), deletion(backfill, "anna", -20)}, later: at(), stages: identify, check: contacts},
		{name: "a live login and one from the backfill", items: []item{login(live, "bob", 0), login(backfill, ann, -60)}, stages: identify, check: contacts},
		{name: "an end and its walk-in", known: []item{login(live, ann, -60)}, items: at(ended(40)), stages: []string{pipeline.Enrich}, check: contacts},
		{name: "a login and two ends", items: at(ended(40), login(live, ann, 10), ended(52)), stages: both, check: contacts},
		{name: "two logins and an end", items: at(login(live, ann, 10), login(backfill, "bob", 9), ended(40)), stages: both, check: contacts},
		{name: "an end, a merge and an older login", items: at(merge(-30), login(backfill, ann, -60), ended(40)), stages: both, check: contacts},
		{name: "two devices, one after the other", items: []item{stay(phone, 0, 0), stay("tablet", 50, 0), stay(phone, 0, 40), stay("tablet", 50, 90)}, stages: []string{pipeline.Count}, check: counted},
		{name: "a chain of devices", items: []item{stay(phone, 0, 20), stay("tablet", 10, 50), stay(phone, 40, 90), stay("watch", 80, 95)}, stages: []string{pipeline.Count}, check: counted},
		{name: "two devices into a new month", items: []item{stay(phone, 60*24*30-430, 60*24*30-390), stay("tablet", 60*24*30-420, 60*24*30-400), stay("tablet", 60*24*30-419, 0), stay("watch", 60*24*30-391, 0)}, stages: []string{pipeline.Count}, check: counted},
		{name: "devices and a base", items: []item{stay("tablet", 10, 0), base(7), stay(phone, 0, 5), stay(phone, 0, 30)}, stages: []string{pipeline.Count}, check: counted},
		{name: "walk-ins of two months and a base", items: []item{enrichedAt(0), enrichedAt(90), enrichedAt(60 * 24 * 40), base(7)}, stages: []string{pipeline.Count}, check: counted},
	}
}
