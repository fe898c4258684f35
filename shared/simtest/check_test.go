package simtest

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
	"footfall/shared/stage"
)

// witness keeps what the check at the end needs.
type witness struct {
	w      *world
	all    map[string][]stage.Record // by topic, of all its lives, in the order they were stored
	lives  []sightingsLife
	poison []poisoned
	logins []loginAt
	bases  map[stage.CountKey]int64
	byID   map[string]bool // visits that the version from before has counted
	// excused is poison that was in a topic that is gone: it may be a dead letter
	// or not.
	excused []poisoned
	// writers are who stored the records of topics that are compacted, nil for
	// a request that landed late.
	writers map[string][]*task
	stale   int // keys of which an overtaken writer that died has the last word
	// What was checked: walk-ins, those of a contact, and those of another than
	// all CRM events together call for, decided on when not all were known.
	walkIns, attributed, earlier int
	companions                   int // visits of a contact that are one with another
	residents                    int // visits of residents, each ended
}

// poisoned is a record that must come to the dead letters.
type poisoned struct {
	record stage.Record
	reason events.Reason
}

// loginAt is where a live CRM event is that the input waits for.
type loginAt struct {
	at    time.Time
	key   groupKey
	index int
}

// sightingsLife is topic sightings from its beginning, or since partitions were
// added.
type sightingsLife struct {
	topic *topic
	from  []int // per partition
}

func newWitness(w *world) *witness {
	return &witness{w: w, all: map[string][]stage.Record{}, bases: map[stage.CountKey]int64{}, byID: map[string]bool{}, writers: map[string][]*task{}}
}

func (v *witness) sent(t *topic, r *stage.Record) {
	v.all[t.name] = append(v.all[t.name], *r)
	if t.name == events.WalkInCounts || t.name == events.DeviceContacts {
		v.writers[t.name] = append(v.writers[t.name], v.w.by)
	}
}

// newLife notes that sightings is not what it was before.
func (v *witness) newLife() {
	t := v.w.broker.topics[events.Sightings]
	l := sightingsLife{topic: t, from: make([]int, len(t.parts))}
	for p := range t.parts {
		l.from[p] = len(t.parts[p])
	}
	v.lives = append(v.lives, l)
}

// strangePartition gives a partition that was never that of the key, -1 if
// there is none.
func (v *witness) strangePartition(key []byte, parts int) int32 {
	for p := range int32(parts) {
		known := slices.ContainsFunc(v.lives, func(l sightingsLife) bool { return events.Partition(key, int32(len(l.from))) == p })
		if !known && events.Partition(key, int32(parts)) != p {
			return p
		}
	}
	return -1
}

// heard gives what each device's partition has heard, as its log was.
func (v *witness) heard() map[string][]oracle.Record {
	type at struct{ life, part, end int }
	streams := map[string][]oracle.Record{}
	parsed := map[at][]oracle.Record{}
	keys := map[string]bool{}
	ends := make([][]int, len(v.lives))
	for n, l := range v.lives {
		ends[n] = make([]int, len(l.from))
		for p := range l.from {
			ends[n][p] = len(l.topic.parts[p])
			if n+1 < len(v.lives) && v.lives[n+1].topic == l.topic {
				ends[n][p] = v.lives[n+1].from[p]
			}
			parsed[at{n, p, 0}] = parse(l.topic.parts[p][l.from[p]:ends[n][p]], int32(p), v.counts(n), keys)
		}
	}
	for key := range keys {
		var clock presence.Instant
		for n, l := range v.lives {
			if clock > 0 {
				streams[key] = append(streams[key], oracle.Record{Tick: clock})
			}
			for p := range l.from {
				mine := events.Partition([]byte(key), int32(len(l.from))) == int32(p)
				for _, h := range parsed[at{n, p, 0}] {
					clock = max(clock, h.Tick)
					if mine && (h.Tick != 0 || h.Device == key) {
						streams[key] = append(streams[key], h)
					}
				}
			}
		}
	}
	return streams
}

// counts are the numbers of partitions that sightings had up to life n.
func (v *witness) counts(n int) []int32 {
	var all []int32
	for _, l := range v.lives[:n+1] {
		if l.topic.id == v.lives[n].topic.id {
			all = append(all, int32(len(l.from)))
		}
	}
	return all
}

// parse reads records of sightings as a human would: what is no sighting of the
// partition, and a time that cannot be, is left out.
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
		if !slices.ContainsFunc(counts, func(n int32) bool { return events.Partition(r.Key, n) == partition }) {
			continue
		}
		keys[string(r.Key)] = true
		heard = append(heard, oracle.Record{Device: string(r.Key), Sighting: presence.Sighting{
			SeenAt: presence.InstantOf(s.Sighting.SeenAt), RSSI: int32(s.Sighting.RSSI),
			Associated: s.Sighting.Associated, Randomised: s.Sighting.Randomised,
		}})
	}
	return heard
}

func (w *world) checkDrained() {
	for _, p := range w.pollers {
		if n := len(w.partition(p.key)); p.leaving < 0 && !w.isPaused(p.key) && (p.next < n || w.broker.committed[p.key] < n || len(p.queue) > 0) {
			w.fail("not drained: %s on %s/%d is at %d of %d, committed %d", p.key.stage, p.key.topic, p.key.partition, p.next, n, w.broker.committed[p.key])
		}
	}
	if len(w.tasks) > 0 || len(w.input) > 0 {
		w.fail("stuck: %d handlers under way, %d items of the input left", len(w.tasks), len(w.input))
	}
}

// check holds what came out against the input.
func (w *world) check() {
	for _, check := range []func() error{w.checkWalkIns, w.checkAttribution, w.checkEnds, w.checkCounts, w.checkLastTold, w.checkOwners, w.checkTallies, w.checkDeadLetters} {
		if err := check(); err != nil {
			w.fail("%w", err)
			return
		}
	}
}

// decodeNew decodes the records of a topic, each id once, in the order of their
// first coming. What does not decode is poison that came from outside.
func decodeNew[T any](records []stage.Record, decode func(k, v []byte) (T, error), id func(T) string) []T {
	var all []T
	seen := map[string]bool{}
	for _, r := range records {
		v, err := decode(r.Key, r.Value)
		if err != nil || seen[id(v)] {
			continue
		}
		seen[id(v)] = true
		all = append(all, v)
	}
	return all
}

func (w *world) walkIns() []events.WalkIn {
	return decodeNew(w.seen.all[events.WalkIns], events.DecodeWalkIn, func(e events.WalkIn) string { return string(e.ID) })
}

// checkAttribution wants each walk-in told as one contact's, one whom the CRM
// events allow, and as somebody's wherever all of them together say so.
func (w *world) checkAttribution() error {
	whose := map[events.WalkInID]events.ContactID{}
	for _, e := range decodeNew(w.seen.all[events.EnrichedWalkIns], events.DecodeEnrichedWalkIn, func(e events.EnrichedWalkIn) string {
		return string(e.ID) + " " + string(e.Contact)
	}) {
		if former, ok := whose[e.ID]; ok {
			return fmt.Errorf("walk-in of %s at %v is told as %s's and as %s's", e.Device, e.StartedAt, former, e.Contact)
		}
		whose[e.ID] = e.Contact
	}
	live, backfill := w.crm(events.CRMEvents), w.crm(events.CRMEventsBackfill)
	for _, e := range w.walkIns() {
		got := whose[e.ID]
		delete(whose, e.ID)
		want := owner(&e, live, backfill)
		w.seen.take(got, want)
		if got != want && (w.allKnown || !allowed(&e, got, want, live, backfill)) {
			return fmt.Errorf("walk-in of %s at %v is %q's, want %q", e.Device, e.StartedAt.UTC(), got, want)
		}
	}
	if len(whose) > 0 {
		return fmt.Errorf("attributed, but no walk-ins: %v", whose)
	}
	return nil
}

// take counts a walk-in that is checked.
func (v *witness) take(got, want events.ContactID) {
	v.walkIns++
	if got != "" {
		v.attributed++
	}
	if got != want {
		v.earlier++
	}
}

// owner asks the oracle whose a walk-in is, given CRM events.
func owner(e *events.WalkIn, live, backfill []oracle.CRM) events.ContactID {
	var all []oracle.CRM
	for _, some := range [][]oracle.CRM{live, backfill} {
		for _, c := range some {
			if c.Contact[:2] == string(e.Business) {
				all = append(all, c)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b oracle.CRM) int { return a.At.Compare(b.At) })
	contact, _ := oracle.AttributedContact(string(events.DeviceKey(e.Business, e.Device)), e.StartedAt, all)
	if contact == "" {
		return ""
	}
	return events.ContactID(contact[3:])
}

// allowed says whether a walk-in may be got's: it was decided on the CRM events
// known at the time, and what was decided stays. It may be nobody's only if
// nobody has a claim in the end.
func allowed(e *events.WalkIn, got, want events.ContactID, live, backfill []oracle.CRM) bool {
	if got == "" && want != "" {
		return false
	}
	for i := range len(live) + 1 {
		for j := range len(backfill) + 1 {
			if owner(e, live[:i], backfill[:j]) == got {
				return true
			}
		}
	}
	return false
}

// crm gives the CRM events of a topic in the order they were stored.
func (w *world) crm(topic string) []oracle.CRM {
	var all []oracle.CRM
	for _, r := range w.seen.all[topic] {
		e, err := events.DecodeCRM(r.Key, r.Value)
		if err != nil {
			continue
		}
		c := oracle.CRM{At: e.At()}
		contact := func(c events.ContactID) string { return string(events.ContactKey(e.Business(), c)) }
		switch {
		case e.Login != nil:
			c.Device, c.Contact = string(events.DeviceKey(e.Business(), e.Login.Device)), contact(e.Login.Contact)
		case e.Deleted != nil:
			c.Contact = contact(e.Deleted.Contact)
		case e.Changed.MergedInto == "":
			continue
		default:
			c.Contact, c.Into = contact(e.Changed.Contact), contact(e.Changed.MergedInto)
		}
		all = append(all, c)
	}
	return all
}

// lasts gives when the devices of the visits that have ended were last seen.
func (w *world) lasts() map[events.WalkInID]time.Time {
	last := map[events.WalkInID]time.Time{}
	for _, r := range w.seen.all[events.VisitsEnded] {
		if e, err := events.DecodeVisitEnded(r.Key, r.Value); err == nil {
			last[e.ID] = later(last[e.ID], e.LastSeenAt)
		}
	}
	return last
}

// enriched gives the visits of contacts, with the latest end that was told with
// them.
func (w *world) enriched() map[events.WalkInID]events.EnrichedWalkIn {
	all := map[events.WalkInID]events.EnrichedWalkIn{}
	for _, r := range w.seen.all[events.EnrichedWalkIns] {
		e, err := events.DecodeEnrichedWalkIn(r.Key, r.Value)
		if former := all[e.ID]; err == nil && (former.ID == "" || e.Ended && (!former.Ended || e.DwellMillis > former.DwellMillis)) {
			all[e.ID] = e
		}
	}
	return all
}

// checkEnds wants the latest end of every contact's visit told with its walk-in,
// once it has one.
func (w *world) checkEnds() error {
	told := w.enriched()
	for id, last := range w.lasts() {
		e, ok := told[id]
		if end := e.StartedAt.Add(time.Duration(e.DwellMillis) * time.Millisecond); ok && (!e.Ended || !end.Equal(last)) {
			return fmt.Errorf("visit of %s as %s at %v ended %v, told ended=%v %v", e.Device, e.Contact, e.StartedAt, last, e.Ended, end)
		}
	}
	return nil
}

// stays gives the visits of each contact, as told, with the ends as visits-ended
// has them.
func (w *world) stays() map[stage.CountKey][]oracle.Stay {
	stays, last := map[stage.CountKey][]oracle.Stay{}, w.lasts()
	for id, e := range w.enriched() {
		s := oracle.Stay{ID: string(id), Device: string(e.Device), Start: e.StartedAt, Last: last[id], CountedByID: w.seen.byID[string(id)]}
		if s.Last.IsZero() && e.Ended {
			s.Last = e.StartedAt.Add(time.Duration(e.DwellMillis) * time.Millisecond)
		}
		key := stage.CountKey{Business: e.Business, Contact: e.Contact}
		stays[key] = append(stays[key], s)
	}
	return stays
}

// checkCounts wants each visit of a contact counted once, and once what several
// of its devices did at the same time, and the highest version that was told to
// say so.
func (w *world) checkCounts() error {
	want, wantMonths := map[stage.CountKey]int64{}, map[stage.CountKey]map[string]int{}
	for key, base := range w.seen.bases {
		want[key] += base
	}
	for key, all := range w.stays() {
		wantMonths[key] = oracle.Count(all)
		for _, n := range wantMonths[key] {
			want[key] += int64(n)
			w.seen.companions -= n
		}
		w.seen.companions += len(all)
	}
	highest := map[stage.CountKey]events.WalkInCount{}
	for _, r := range w.seen.all[events.WalkInCounts] {
		c, err := events.DecodeWalkInCount(r.Key, r.Value)
		if err != nil {
			return err
		}
		key := stage.CountKey{Business: c.Business, Contact: c.Contact}
		if c.Version >= highest[key].Version {
			highest[key] = c
		}
		if _, ok := want[key]; !ok {
			return fmt.Errorf("%v is told to have come %d times, want none", key, c.Total)
		}
	}
	for key, n := range want {
		months, err := w.read(key)
		if err != nil {
			return err
		}
		total := int64(0)
		for _, m := range months {
			total += m.Total
			if m.Month != "" && int(m.Total) != wantMonths[key][m.Month] {
				return fmt.Errorf("%v came %d times in %s: the table has %d", key, wantMonths[key][m.Month], m.Month, m.Total)
			}
		}
		if total != n || highest[key].Total != n || w.table[key].Total != n {
			return fmt.Errorf("%v came %d times: the table has %d, the highest version told %d, the sink %d", key, n, total, highest[key].Total, w.table[key].Total)
		}
	}
	return nil
}

// read gives what the table of counts holds.
func (w *world) read(key stage.CountKey) ([]stage.MonthCount, error) {
	return w.counts.Get(background, key)
}

// checkDeadLetters wants each poisoned record among its topic's dead letters as
// it came, and nothing else there.
func (w *world) checkDeadLetters() error {
	left := slices.Clone(w.seen.poison)
	for _, t := range events.Topics() {
		for _, r := range w.seen.all[t.DeadLetters] {
			i := slices.IndexFunc(w.seen.poison, func(p poisoned) bool { return isDeadLetterOf(&r, &p) })
			if i < 0 && !slices.ContainsFunc(w.seen.excused, func(p poisoned) bool { return isDeadLetterOf(&r, &p) }) {
				return fmt.Errorf("%s holds %q, which is no poison: %s", t.DeadLetters, r.Key, header(&r, stage.HeaderError))
			}
			left = slices.DeleteFunc(left, func(p poisoned) bool { return isDeadLetterOf(&r, &p) })
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("no dead letter of %s/%d offset %d (%s)", left[0].record.Topic, left[0].record.Partition, left[0].record.Offset, left[0].reason)
	}
	return nil
}

func isDeadLetterOf(r *stage.Record, p *poisoned) bool {
	o := &p.record
	if !bytes.Equal(r.Key, o.Key) || !bytes.Equal(r.Value, o.Value) || (r.Value == nil) != (o.Value == nil) || !r.Timestamp.Equal(o.Timestamp) {
		return false
	}
	for i, h := range o.Headers {
		if i >= len(r.Headers) || r.Headers[i].Key != h.Key || !bytes.Equal(r.Headers[i].Value, h.Value) {
			return false
		}
	}
	return header(r, stage.HeaderTopic) == o.Topic && header(r, stage.HeaderReason) == string(p.reason) &&
		header(r, stage.HeaderPartition) == strconv.Itoa(int(o.Partition)) && header(r, stage.HeaderOffset) == strconv.FormatInt(o.Offset, 10)
}

func header(r *stage.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
