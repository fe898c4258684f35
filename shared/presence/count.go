package presence

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"
)

// MonthLayout is how a month is written, as a layout of package time.
const MonthLayout = "2006-01"

// MonthOf is the month a walk-in is counted in, by UTC, so that it does not
// depend on a setting that may change.
func MonthOf(start time.Time) string { return start.UTC().Format(MonthLayout) }

// Fact is one thing that a count knows of a visit of its contact: that it began,
// or when its device was last seen. Facts are only ever added, and adding one
// again changes nothing; so a count does not depend on the order in which they
// come, nor on how often. One with nothing but a Visit is of the time when a
// count knew ids alone.
type Fact struct {
	Visit  string // the id of its walk-in
	Device string // short for the device, where the visit began; else ""
	Start  int64  // the step of the grid in which it began, counted from 1970; else 0
	Last   int64  // the step in which its device was last seen, once it is over; else 0
}

// deviceChars of base64 keep the 1,000 devices that a contact may have apart:
// two of them are the same in one of 100,000 such contacts.
const deviceChars = 6

// Began is the fact that a visit began.
func Began(visit, device string, start time.Time) Fact {
	sum := sha256.Sum256([]byte(device))
	return Fact{Visit: visit, Device: base64.RawURLEncoding.EncodeToString(sum[:])[:deviceChars], Start: int64(InstantOf(start).step())}
}

// LastSeen is the fact that a visit is over. Of several the latest holds: a visit
// that late sightings prolong ends again.
func LastSeen(visit string, last time.Time) Fact {
	return Fact{Visit: visit, Last: int64(InstantOf(last).step())}
}

// openFor is how long a visit may cover others while nobody knows that it is
// over.
const openFor = 24 * time.Hour

// counted is what facts come to for one visit.
type counted struct {
	Fact
	part    int
	idAlone bool // counted before there were facts
}

// CountVisits gives how many visits count of each part of what is known of one
// contact, such as a month. A visit does not count where another device of the
// contact was in the store already when it began, or began in the same step and
// has the lower id: a contact with two devices overlapping in one store is one
// visit, and so is a chain of them. One that was counted by its id alone stays
// counted.
func CountVisits(parts [][]Fact) []int64 {
	totals := make([]int64, len(parts))
	var all []*counted
	for _, v := range visitsOf(parts) {
		if v.idAlone {
			totals[v.part]++
		}
		if v.Start != 0 {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, func(a, b *counted) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Visit, b.Visit))
	})
	var cover covering
	for _, v := range all {
		if !v.idAlone && !cover.covers(v) {
			totals[v.part]++
		}
		cover.add(v)
	}
	return totals
}

// visitsOf puts together what the facts say of each visit.
func visitsOf(parts [][]Fact) map[string]*counted {
	visits := map[string]*counted{}
	for part, facts := range parts {
		for _, f := range facts {
			v := visits[f.Visit]
			if v == nil {
				v = &counted{Fact: Fact{Visit: f.Visit}, part: part}
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

// covering is how far the visits so far reach: that which reaches farthest, and
// that of the other devices, since no visit covers one of its own device.
type covering struct {
	device       string
	until, other int64
}

func (c *covering) covers(v *counted) bool {
	if v.Device == c.device {
		return v.Start <= c.other
	}
	return v.Start <= c.until
}

func (c *covering) add(v *counted) {
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
