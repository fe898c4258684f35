package simtest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/detect"
	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
	"footfall/shared/stage"
)

// checkLastTold wants the last record of each contact, which is what compaction
// keeps, to be that of the highest version, and the last one of each device to
// name its owner. A writer that was overtaken between reading and producing puts
// this right by telling again; it cannot where it dies before, or where its
// request lands when it has given up, and then the next change does.
func (w *world) checkLastTold() error {
	highest, last := map[string]int64{}, map[string]int{}
	versions := make([]int64, len(w.seen.all[events.WalkInCounts]))
	for i, r := range w.seen.all[events.WalkInCounts] {
		c, err := events.DecodeWalkInCount(r.Key, r.Value)
		if err != nil {
			return err
		}
		key := string(r.Key)
		versions[i], last[key], highest[key] = c.Version, i, max(highest[key], c.Version)
	}
	for key, i := range last {
		if versions[i] != highest[key] && !w.seen.hadNoWord(events.WalkInCounts, i) {
			return fmt.Errorf("the last count told of %s has version %d, the highest is %d", key, versions[i], highest[key])
		}
	}
	return nil
}

// checkOwners wants the last record of each device to name the owner stored.
func (w *world) checkOwners() error {
	last := map[string]int{}
	for i, r := range w.seen.all[events.DeviceContacts] {
		last[string(r.Key)] = i
	}
	for key, i := range last {
		b, d, _ := events.SplitDeviceKey(key)
		histories, _, err := w.identities.Devices(background, []stage.IdentityKey{{Business: b, Device: d}})
		if err != nil {
			return err
		}
		want, told := "", ""
		held := histories[0].Held()
		if n := len(held); n > 0 && held[n-1].Until.IsZero() {
			want = held[n-1].Contact
		}
		if r := &w.seen.all[events.DeviceContacts][i]; r.Value != nil {
			o, err := events.DecodeDeviceContact(r.Key, r.Value)
			if err != nil {
				return err
			}
			told = string(o.Contact)
		}
		if told != want && !w.seen.hadNoWord(events.DeviceContacts, i) {
			return fmt.Errorf("the owner of %s is told to be %q and stored to be %q", key, told, want)
		}
	}
	return nil
}

// hadNoWord says that the writer of a record died or gave up before it could look
// whether it had been overtaken.
func (v *witness) hadNoWord(topicName string, i int) bool {
	by := v.writers[topicName][i]
	if by == nil || !by.succeeded {
		v.stale++
		return true
	}
	return false
}

// checkTallies wants the log to have counted each record once, where one life of
// sightings is all there was and nothing of its log has expired.
func (w *world) checkTallies() error {
	if len(w.seen.lives) > 1 || w.floor != nil {
		return nil
	}
	t := w.broker.topics[events.Sightings]
	got, err := detect.SumTallies(background, w.log, stage.TopicInfo{ID: t.id, Partitions: int32(len(t.parts))})
	if err != nil {
		return err
	}
	want := detect.Tally{PassersBy: got.PassersBy, Anonymous: got.Anonymous, Residents: int64(w.seen.residents), WalkIns: int64(len(w.walkIns()))}
	for _, p := range w.seen.poison {
		if p.record.Topic == events.Sightings {
			want.Dead++
		}
	}
	var s events.SightingsRecord
	for _, r := range w.seen.all[events.Sightings] {
		if events.DecodeSightings(r.Key, r.Value, &s) != nil || !s.IsTick {
			want.Sightings++
		}
	}
	want.Sightings -= want.Dead - w.absurdTicks()
	streams := w.seen.heard()
	for key := range streams {
		_, late := oracle.PartitionVisits(streams[key], w.own.of(key))
		want.Late += int64(late)
	}
	if got != want {
		return fmt.Errorf("tallies %+v, want %+v", got, want)
	}
	return nil
}

// absurdTicks are those of the poison.
func (w *world) absurdTicks() int64 {
	n := int64(0)
	for _, p := range w.seen.poison {
		if p.record.Topic == events.Sightings && string(p.record.Key) == "tick" {
			n++
		}
	}
	return n
}

// checkWalkIns wants one walk-in for each visit of the oracle, begun at most a
// step of the grid apart, and an end for each.
func (w *world) checkWalkIns() error {
	told := map[string][]time.Time{}
	for _, e := range w.walkIns() {
		key := string(events.DeviceKey(e.Business, e.Device))
		told[key] = append(told[key], e.StartedAt)
	}
	streams := w.seen.heard()
	residents, unsure := 0, false
	for _, key := range slices.Sorted(maps.Keys(streams)) {
		if w.own.change(key) { // what that made of its visits, the oracle cannot say
			delete(told, key)
			unsure = true
			continue
		}
		visits, _ := oracle.PartitionVisits(streams[key], w.own.of(key))
		got := told[key]
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
			return fmt.Errorf("walk-ins of %s began %v, want %v", key, clocks(got), clocks(want))
		}
		delete(told, key)
	}
	if len(told) > 0 {
		return fmt.Errorf("walk-ins of devices that were not heard: %v", told)
	}
	ended := decodeNew(w.seen.all[events.VisitsEnded], events.DecodeVisitEnded, func(e events.VisitEnded) string { return string(e.ID) })
	all := len(ended)
	ended = slices.DeleteFunc(ended, func(e events.VisitEnded) bool { return e.Resident })
	if got, want := len(ended), len(w.walkIns()); got != want {
		return fmt.Errorf("%d visits have ended, want %d", got, want)
	}
	if w.seen.residents = all - len(ended); w.seen.residents != residents && !unsure {
		return fmt.Errorf("%d visits have ended as residents', want %d", w.seen.residents, residents)
	}
	return nil
}

func clocks(times []time.Time) []string {
	var all []string
	for _, t := range times {
		all = append(all, t.UTC().Format("02 15:04:05"))
	}
	return all
}
