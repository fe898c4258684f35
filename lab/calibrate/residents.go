package calibrate

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"footfall/events"
	"footfall/lab/offline"
	"footfall/lab/score"
)

const (
	// residentDays is how many days, and residentShare which share of the recorded
	// days, a device must be there for most of the time to be no customer.
	residentDays  = 3
	residentShare = 1.0 / 3
	// stretchDays and stretchShare are the same for the days from the first on which
	// it is heard to the last: of a thing that came late or was taken away. The share
	// is greater, for who comes to a weekly class is there on half of these.
	stretchDays  = 5
	stretchShare = 2.0 / 3
	// fullDay is how many hours are most of any day; of a day recorded for less
	// than twice as long it is half of what was recorded.
	fullDay = 10
	// shortDay is how many hours a day must be recorded for to count: of less, a
	// guest may well have stayed for all.
	shortDay = 2
	// emptyDays is on how many days a device must be heard when nobody is there.
	emptyDays = 2
)

// Resident is a device that behaves as no customer does: a till, a printer, the
// neighbour's television, somebody who works there.
type Resident struct {
	Business   events.BusinessID `json:"business"`
	Device     events.DeviceID   `json:"device"`
	Days       int               `json:"days"`          // on which it was there for most of the recorded time
	Recorded   int               `json:"recorded_days"` // on which it could have been
	EmptyDays  int               `json:"empty_days"`    // on which it was heard when nobody was there
	Hours      int               `json:"hours"`         // in which it was heard
	Randomised bool              `json:"randomised"`    // its address
}

// Residents lists the devices that look like no customers: there for most of the
// recorded time on three days or more and on a third of the recorded days, or on
// five and on two thirds of those between the first and the last on which they are
// heard, or heard while nobody was there on two days. What is weaker than level is
// not listened to: it walks in nowhere. customer says who is known to be one. The
// first are there on most days.
func Residents(t *offline.Trace, empty []score.Span, level events.RSSI, zone *time.Location,
	customer func(events.BusinessID, events.DeviceID) bool,
) []Resident {
	recorded := recordedDays(t, zone)
	var all []Resident
	t.Hours(level, func(d offline.Device, hours []int64) {
		if customer(d.Business, d.ID) {
			return
		}
		r := Resident{Business: d.Business, Device: d.ID, Randomised: d.Randomised, Recorded: len(recorded), Hours: len(hours)}
		stretch := r.count(hours, recorded, empty, zone)
		often := r.Days >= residentDays && float64(r.Days) >= residentShare*float64(r.Recorded) ||
			r.Days >= stretchDays && float64(r.Days) >= stretchShare*float64(stretch)
		if often || r.EmptyDays >= emptyDays {
			all = append(all, r)
		}
	})
	slices.SortFunc(all, func(a, b Resident) int {
		return cmp.Or(cmp.Compare(b.Days, a.Days), cmp.Compare(b.EmptyDays, a.EmptyDays),
			cmp.Compare(a.Business, b.Business), cmp.Compare(a.Device, b.Device))
	})
	return all
}

// recordedDays gives how many hours of a day were recorded, short days left out.
func recordedDays(t *offline.Trace, zone *time.Location) map[string]int {
	days := map[string]int{}
	last := int64(0)
	for _, s := range t.Recorded(0) {
		for h := s.From.Unix() / 3600; h*3600 < s.To.Unix(); h++ {
			if h != last { // two stretches may share an hour
				days[dayOf(h, zone)]++
			}
			last = h
		}
	}
	maps.DeleteFunc(days, func(_ string, hours int) bool { return hours < shortDay })
	return days
}

// count counts days; hours are those since 1970 in which the device was heard. It
// gives how many of the recorded days lie between the first and the last of them.
func (r *Resident) count(hours []int64, recorded map[string]int, empty []score.Span, zone *time.Location) (stretch int) {
	heard, alone := map[string]int{}, map[string]bool{}
	for _, h := range hours {
		day := dayOf(h, zone)
		heard[day]++
		// The middle of the hour speaks for it.
		if score.Within(empty, time.Unix(h*3600+1800, 0)) {
			alone[day] = true
		}
	}
	for day, n := range heard {
		if most := min(fullDay, (recorded[day]+1)/2); recorded[day] > 0 && n >= most {
			r.Days++
		}
	}
	r.EmptyDays = len(alone)
	first, last := dayOf(hours[0], zone), dayOf(hours[len(hours)-1], zone)
	for day := range recorded {
		if first <= day && day <= last {
			stretch++
		}
	}
	return stretch
}

func dayOf(hour int64, zone *time.Location) string {
	return time.Unix(hour*3600, 0).In(zone).Format(time.DateOnly)
}
