package simtest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"footfall/events"
	"footfall/shared/detect"
	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
	"footfall/shared/stage"
)

// checkDrained fails the run unless every group has read, processed and committed
// all records of its partitions, and nothing is left to do.
func (w *world) checkDrained() {
	for _, p := range w.pollers {
		if n := len(w.partition(p.key)); p.lastBatches < 0 && !w.isPaused(p.key) && (p.next < n || w.broker.committed[p.key] < n || len(p.queue) > 0) {
			w.fail("not drained: %s on %s/%d has fetched %d of %d records and committed %d", p.key.stage, p.key.topic, p.key.partition, p.next, n, w.broker.committed[p.key])
		}
	}
	if len(w.tasks) > 0 || len(w.input) > 0 {
		w.fail("stuck: %d tasks have not ended, %d items of the input have not arrived", len(w.tasks), len(w.input))
	}
}

// check compares the output of the run with the output that the input calls for.
func (w *world) check() {
	for _, check := range []func() error{w.checkWalkIns, w.checkAttribution, w.checkEnds, w.checkVersions, w.checkCounts, w.checkLastRecords, w.checkOwners, w.checkTallies, w.checkDeadLetters} {
		if err := check(); err != nil {
			w.fail("%w", err)
			return
		}
	}
}

// decodeNew decodes the records of a topic: of each id the first record, in the
// order of the topic. Records that do not decode are poison of the input.
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

// walkIns returns the walk-ins that were produced, each once.
func (w *world) walkIns() []events.WalkIn {
	return decodeNew(w.seen.records[events.WalkIns], events.DecodeWalkIn, func(e events.WalkIn) string { return string(e.ID) })
}

// checkTallies checks that the changelog has counted each record of sightings
// once. It checks nothing if sightings had several topic epochs or if changelog
// items have expired.
func (w *world) checkTallies() error {
	if len(w.seen.epochs) > 1 || w.minCommitted != nil {
		return nil
	}
	// The tallies of all partitions, as the changelog has them.
	t := w.broker.topics[events.Sightings]
	got, err := detect.SumTallies(background, w.log, stage.TopicInfo{ID: t.id, Partitions: int32(len(t.parts))})
	if err != nil {
		return err
	}
	// The oracle does not count passers-by and anonymous walk-ins.
	want := detect.Tally{PassersBy: got.PassersBy, Anonymous: got.Anonymous, Residents: int64(w.seen.residents), WalkIns: int64(len(w.walkIns()))}
	for _, p := range w.seen.poison {
		if p.record.Topic == events.Sightings {
			want.Dead++
		}
	}
	// Sightings: all records that are not ticks, less the poison among them.
	var s events.SightingsRecord
	for _, r := range w.seen.records[events.Sightings] {
		if events.DecodeSightings(r.Key, r.Value, &s) != nil || !s.IsTick {
			want.Sightings++
		}
	}
	want.Sightings -= want.Dead - w.poisonedTicks()
	streams := w.seen.heardByDevice()
	for key := range streams {
		_, late := oracle.PartitionVisits(streams[key], w.businessRules.forDevice(key))
		want.Late += int64(late)
	}
	if got != want {
		return fmt.Errorf("tallies of the changelog: got %+v, want %+v", got, want)
	}
	return nil
}

// poisonedTicks returns the number of ticks among the poison.
func (w *world) poisonedTicks() int64 {
	n := int64(0)
	for _, p := range w.seen.poison {
		if p.record.Topic == events.Sightings && string(p.record.Key) == "tick" {
			n++
		}
	}
	return n
}

// checkWalkIns checks that there is one walk-in for each visit that the oracle
// finds and that is not a resident device's, begun at most one step of the grid
// apart, and that each visit has ended.
func (w *world) checkWalkIns() error {
	// Starts of the walk-ins by device.
	starts := map[string][]time.Time{}
	for _, e := range w.walkIns() {
		key := string(events.DeviceKey(e.Business, e.Device))
		starts[key] = append(starts[key], e.StartedAt)
	}
	// Compare the starts of each device with the oracle's.
	streams := w.seen.heardByDevice()
	residents, unsure := 0, false
	for _, key := range slices.Sorted(maps.Keys(streams)) {
		if w.businessRules.changeFor(key) { // the oracle knows no change of rules
			delete(starts, key)
			unsure = true
			continue
		}
		visits, _ := oracle.PartitionVisits(streams[key], w.businessRules.forDevice(key))
		got := starts[key]
		slices.SortFunc(got, time.Time.Compare)
		var want []time.Time
		for _, v := range visits[key] {
			if !v.Resident {
				want = append(want, v.Start.Time())
			} else {
				residents++
			}
		}
		near := func(a, b time.Time) bool { return a.Sub(b).Abs() <= presence.Grid }
		if !slices.EqualFunc(got, want, near) {
			return fmt.Errorf("walk-ins of %s: got starts %v, want %v", key, formatTimes(got), formatTimes(want))
		}
		delete(starts, key)
	}
	if len(starts) > 0 {
		return fmt.Errorf("walk-ins of devices without a sighting: %v", starts)
	}
	// Compare the number of ends with the number of walk-ins and of visits of
	// resident devices.
	ended := decodeNew(w.seen.records[events.VisitsEnded], events.DecodeVisitEnded, func(e events.VisitEnded) string { return string(e.ID) })
	all := len(ended)
	ended = slices.DeleteFunc(ended, func(e events.VisitEnded) bool { return e.Resident })
	if got, want := len(ended), len(w.walkIns()); got != want {
		return fmt.Errorf("visits ended: got %d, want %d", got, want)
	}
	if w.seen.residents = all - len(ended); w.seen.residents != residents && !unsure {
		return fmt.Errorf("visits of resident devices ended: got %d, want %d", w.seen.residents, residents)
	}
	return nil
}

// formatTimes returns the times as day and time in UTC.
func formatTimes(times []time.Time) []string {
	var all []string
	for _, t := range times {
		all = append(all, t.UTC().Format("02 15:04:05"))
	}
	return all
}

// checkDeadLetters checks that each poisoned record is among the dead letters of
// its topic, unchanged, and that no other record is.
func (w *world) checkDeadLetters() error {
	left := slices.Clone(w.seen.poison)
	for _, t := range events.Topics() {
		for _, r := range w.seen.records[t.DeadLetters] {
			i := slices.IndexFunc(w.seen.poison, func(p poisoned) bool { return isDeadLetterOf(&r, &p) })
			if i < 0 && !slices.ContainsFunc(w.seen.excused, func(p poisoned) bool { return isDeadLetterOf(&r, &p) }) {
				return fmt.Errorf("%s holds the record %q, which is not poison: %s", t.DeadLetters, r.Key, header(&r, stage.HeaderError))
			}
			left = slices.DeleteFunc(left, func(p poisoned) bool { return isDeadLetterOf(&r, &p) })
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("%s/%d offset %d has no dead letter, want one with reason %s", left[0].record.Topic, left[0].record.Partition, left[0].record.Offset, left[0].reason)
	}
	return nil
}

// isDeadLetterOf reports whether r is the dead letter of p: key, value, timestamp
// and headers of the record, and headers with its place and the reason.
func isDeadLetterOf(r *stage.Record, p *poisoned) bool {
	o := &p.record // the original
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

// header returns the value of a header, or "" if the record has no such header.
func header(r *stage.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
