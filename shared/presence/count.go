package presence

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"
)

// MonthLayout is the layout of a month, for package time.
const MonthLayout = "2006-01"

// MonthOf returns the month in which a walk-in is counted. The month is that of
// the start by UTC, so that it does not depend on a setting that may change.
func MonthOf(start time.Time) string { return start.UTC().Format(MonthLayout) }

// Fact is one piece of what a count holds about a visit of its contact: that the
// visit began, or when its device was last seen. Facts are only ever added, and
// adding a fact twice changes nothing, so a count does not depend on the order or
// number of deliveries. A fact with nothing but Visit is from the time when a
// count held ids alone.
type Fact struct {
	Visit  string // id of the walk-in of the visit
	Device string // short form of the device if the visit began, else ""
	Start  int64  // step of the grid in which the visit began, counted from 1970; else 0
	Last   int64  // step in which the device was last seen, if the visit has ended; else 0
}

// deviceChars is the number of base64 characters of the short form of a device.
// They distinguish the up to 1,000 devices of a contact: two are the same in one
// of 100,000 such contacts.
const deviceChars = 6

// Began returns the fact that a visit began. visit is the id of the walk-in.
func Began(visit, device string, start time.Time) Fact {
	sum := sha256.Sum256([]byte(device))
	return Fact{Visit: visit, Device: base64.RawURLEncoding.EncodeToString(sum[:])[:deviceChars], Start: int64(InstantOf(start).step())}
}

// LastSeen returns the fact that a visit ended. If a visit has several such facts
// the latest holds: a visit that a late sighting extends ends again.
func LastSeen(visit string, last time.Time) Fact {
	return Fact{Visit: visit, Last: int64(InstantOf(last).step())}
}

// openFor is how long after its start a visit without an end may make others
// companions.
const openFor = 24 * time.Hour

// visit holds all facts of one visit.
type visit struct {
	Fact
	part    int  // index of the part that the visit is counted in
	idAlone bool // counted by its id, before there were facts
}

// CountVisits returns how many visits of a contact count, per part of its facts,
// such as a month.
//
// A companion does not count. A visit is a companion if another device of the
// contact was in the store already when the visit began, or began in the same
// step and has the lower id. So a contact with two devices in the store has one
// visit, and so has a chain of overlapping visits. A visit that was counted by its
// id alone stays counted.
func CountVisits(parts [][]Fact) []int64 {
	totals := make([]int64, len(parts))
	var began []*visit
	for _, v := range visitsOf(parts) {
		if v.idAlone {
			totals[v.part]++
		}
		if v.Start != 0 {
			began = append(began, v)
		}
	}

	// Go through the visits in the order of their start: only a visit before can make
	// a visit a companion.
	slices.SortFunc(began, func(a, b *visit) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Visit, b.Visit))
	})
	var before coverage
	for _, v := range began {
		if !v.idAlone && !before.covers(v) {
			totals[v.part]++
		}
		before.add(v)
	}
	return totals
}

// visitsOf returns the visits that the facts describe, by id.
func visitsOf(parts [][]Fact) map[string]*visit {
	visits := map[string]*visit{}
	for part, facts := range parts {
		for _, f := range facts {
			v := visits[f.Visit]
			if v == nil {
				v = &visit{Fact: Fact{Visit: f.Visit}, part: part}
				visits[f.Visit] = v
			}
			if f.Start != 0 {
				v.Start, v.Device = f.Start, f.Device
			}
			v.Last = max(v.Last, f.Last)
			v.idAlone = v.idAlone || f.Start == 0 && f.Last == 0
		}
	}
	return visits
}

// coverage holds how far the visits added so far reach: the device that reaches
// farthest, until when, and until when the other devices reach. Two figures are
// enough, since a visit is no companion of a visit of its own device.
type coverage struct {
	device       string
	until, other int64 // steps
}

// covers reports whether another device was in the store when v began.
func (c *coverage) covers(v *visit) bool {
	if v.Device == c.device {
		return v.Start <= c.other
	}
	return v.Start <= c.until
}

// add adds a visit, which must not begin before those added.
func (c *coverage) add(v *visit) {
	until := v.Last
	if until == 0 {
		until = v.Start + int64(steps(openFor))
	}
	switch {
	case v.Device == c.device:
		c.until = max(c.until, until)
	case until > c.until:
		c.device, c.until, c.other = v.Device, until, c.until
	default:
		c.other = max(c.other, until)
	}
}
