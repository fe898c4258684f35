package simtest

import (
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
	"footfall/shared/stage"
)

// observations holds everything that the checks at the end of a run need, and the
// figures of the run.
type observations struct {
	w       *world
	records map[string][]stage.Record // by topic, of all its epochs, in the order in which they were stored
	epochs  []sightingsEpoch
	poison  []poisoned
	logins  []loginAt                // live CRM events
	bases   map[stage.CountKey]int64 // base counts that were set
	byID    map[string]bool          // visits that the former version has counted
	// excused is the poison of topics that were created again. The dead letters may
	// hold an excused record or not.
	excused []poisoned
	// writers holds, for each record of a topic whose last records are checked, the
	// task that produced the record, or nil if a late request or the input did.
	writers map[string][]*task

	// The figures.

	walkIns      int
	attributed   int // walk-ins attributed to a contact
	decidedEarly int // walk-ins attributed before a CRM event was known that calls for another contact
	companions   int // visits that count as one with another visit of the contact
	residents    int // visits of resident devices
	overtaken    int // keys whose last record is of an overtaken writer that could not look again
}

// poisoned is a record that a stage must send to the dead letters.
type poisoned struct {
	record stage.Record
	reason events.Reason
}

// loginAt is the place of a live CRM event that later input waits for.
type loginAt struct {
	at    time.Time
	key   groupKey
	index int // position in the partition
}

// sightingsEpoch is one topic epoch of sightings. An epoch begins when the topic is
// created again, and when partitions are added.
type sightingsEpoch struct {
	topic *topic
	from  []int // by partition, the position at which the epoch begins
}

func newObservations(w *world) *observations {
	return &observations{w: w, records: map[string][]stage.Record{}, bases: map[stage.CountKey]int64{}, byID: map[string]bool{}, writers: map[string][]*task{}}
}

// store notes a record that the broker has stored.
func (o *observations) store(t *topic, r *stage.Record) {
	o.records[t.name] = append(o.records[t.name], *r)
	if t.name == events.WalkInCounts || t.name == events.DeviceContacts || t.name == events.EnrichedWalkIns {
		o.writers[t.name] = append(o.writers[t.name], o.w.current)
	}
}

// newEpoch notes that a topic epoch of sightings begins now.
func (o *observations) newEpoch() {
	t := o.w.broker.topics[events.Sightings]
	e := sightingsEpoch{topic: t, from: make([]int, len(t.parts))}
	for p := range t.parts {
		e.from[p] = len(t.parts[p])
	}
	o.epochs = append(o.epochs, e)
}

// wrongPartition returns a partition to which the key does not belong in any epoch,
// or -1 if the topic has no such partition.
func (o *observations) wrongPartition(key []byte, parts int) int32 {
	for p := range int32(parts) {
		known := slices.ContainsFunc(o.epochs, func(e sightingsEpoch) bool { return events.Partition(key, int32(len(e.from))) == p })
		if !known && events.Partition(key, int32(parts)) != p {
			return p
		}
	}
	return -1
}

// heardByDevice returns, by record key of a device, the sightings of the device and
// the ticks of its partition, in the order of the topic and across all epochs.
func (o *observations) heardByDevice() map[string][]oracle.Record {
	type place struct{ epoch, part int }
	streams := map[string][]oracle.Record{}
	parsed := map[place][]oracle.Record{}
	keys := map[string]bool{}
	ends := make([][]int, len(o.epochs))
	// Decode each partition of each epoch once.
	for n, e := range o.epochs {
		ends[n] = make([]int, len(e.from))
		for p := range e.from {
			// If partitions were added, the epoch ends at the beginning of the next.
			ends[n][p] = len(e.topic.parts[p])
			if n+1 < len(o.epochs) && o.epochs[n+1].topic == e.topic {
				ends[n][p] = o.epochs[n+1].from[p]
			}
			parsed[place{n, p}] = parse(e.topic.parts[p][e.from[p]:ends[n][p]], int32(p), o.counts(n), keys)
		}
	}
	// Put the records of each device together. A new epoch begins with the highest
	// watermark of the epochs before it.
	for key := range keys {
		var watermark presence.Instant
		for n, e := range o.epochs {
			if watermark > 0 {
				streams[key] = append(streams[key], oracle.Record{Tick: watermark})
			}
			for p := range e.from {
				mine := events.Partition([]byte(key), int32(len(e.from))) == int32(p)
				for _, h := range parsed[place{n, p}] {
					watermark = max(watermark, h.Tick)
					if mine && (h.Tick != 0 || h.Device == key) {
						streams[key] = append(streams[key], h)
					}
				}
			}
		}
	}
	return streams
}

// counts returns the numbers of partitions that the topic of epoch n had up to
// that epoch.
func (o *observations) counts(n int) []int32 {
	var all []int32
	for _, e := range o.epochs[:n+1] {
		if e.topic.id == o.epochs[n].topic.id {
			all = append(all, int32(len(e.from)))
		}
	}
	return all
}

// parse decodes records of one partition of sightings, and adds the keys of
// devices to keys. It leaves out records that do not decode, ticks more than a
// day ahead of their timestamp, and sightings that belong to another partition
// for each of the numbers of partitions in counts.
func parse(records []stage.Record, partition int32, counts []int32, keys map[string]bool) []oracle.Record {
	heard := make([]oracle.Record, 0, len(records))
	var s events.SightingsRecord
	for i := range records {
		r := &records[i]
		if events.DecodeSightings(r.Key, r.Value, &s) != nil {
			continue
		}
		if s.IsTick {
			if s.Tick.At.Sub(r.Timestamp) <= 24*time.Hour {
				heard = append(heard, oracle.Record{Tick: presence.InstantOf(s.Tick.At)})
			}
			continue
		}
		// Before partitions were added, the record may have been in its place.
		if !slices.ContainsFunc(counts, func(n int32) bool { return events.Partition(r.Key, n) == partition }) {
			continue
		}
		keys[string(r.Key)] = true
		heard = append(heard, oracle.Record{Device: string(r.Key), Sighting: stage.PresenceSighting(&s.Sighting)})
	}
	return heard
}

// countWalkIn adds a walk-in to the figures. got is the contact that the walk-in is
// attributed to, want the contact that all CRM events together call for.
func (o *observations) countWalkIn(got, want events.ContactID) {
	o.walkIns++
	if got != "" {
		o.attributed++
	}
	if got != want {
		o.decidedEarly++
	}
}

// writerGaveUp reports whether the task that produced the i-th record of a topic
// failed afterwards. Such a writer could not look whether another writer had
// overtaken it. writerGaveUp counts the record in the figure overtaken.
func (o *observations) writerGaveUp(topicName string, i int) bool {
	writer := o.writers[topicName][i]
	if writer == nil || !writer.succeeded {
		o.overtaken++
		return true
	}
	return false
}
