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
	// residentDays is the number of days, and residentShare the share of the
	// recorded days, on which a device must be heard for most of the time to be
	// a resident device.
	residentDays  = 3
	residentShare = 1.0 / 3
	// stretchDays and stretchShare are the same bounds for the days from the
	// first on which the device is heard to the last, for a thing that was
	// brought later or taken away. The share is greater, since a visitor of a
	// weekly class is there on half of the days.
	stretchDays  = 5
	stretchShare = 2.0 / 3
	// fullDay is the number of hours that are most of a day. If a day was
	// recorded for less than twice as long, most of it is half of the recorded
	// hours.
	fullDay = 10
	// shortDay is the number of hours for which a day must be recorded to
	// count: a guest may stay for all of a shorter one.
	shortDay = 2
	// emptyDays is the number of days on which a device must be heard while the
	// store is empty.
	emptyDays = 2
)

// Resident is a device that behaves like a resident device: a till, a printer,
// the neighbour's television, the phone of an employee.
type Resident struct {
	Business   events.BusinessID `json:"business"`
	Device     events.DeviceID   `json:"device"`
	Days       int               `json:"days"`          // days on which the device was heard for most of the recorded time
	Recorded   int               `json:"recorded_days"` // recorded days
	EmptyDays  int               `json:"empty_days"`    // days on which the device was heard while the store was empty
	Hours      int               `json:"hours"`         // hours in which the device was heard
	Randomised bool              `json:"randomised"`    // whether its address is randomised
}

// Residents lists the devices that look like resident devices, those with most
// days first. A device is listed if it is heard
//
//   - for most of the recorded time on three days or more and on a third of the
//     recorded days,
//   - or on five days and on two thirds of the days between the first and the last
//     on which it is heard,
//   - or while the store is empty on two days.
//
// Sightings weaker than level are ignored: a device as weak has no walk-in.
// customer reports whether a device is known to be a customer's; such a device
// is not listed. Days are days of zone.
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
		// Apply the three conditions.
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

// recordedDays returns the number of recorded hours by day, without short days.
func recordedDays(t *offline.Trace, zone *time.Location) map[string]int {
	days := map[string]int{}
	last := int64(0)
	for _, s := range t.Recorded(0) {
		for h := s.From.Unix() / 3600; h*3600 < s.To.Unix(); h++ {
			if h != last { // two spans may share an hour
				days[dayOf(h, zone)]++
			}
			last = h
		}
	}
	maps.DeleteFunc(days, func(_ string, hours int) bool { return hours < shortDay })
	return days
}

// count sets Days and EmptyDays from the hours since 1970 in which the device
// was heard. It returns the number of recorded days from the first to the last
// of these hours.
func (r *Resident) count(hours []int64, recorded map[string]int, empty []score.Span, zone *time.Location) (stretch int) {
	heard, alone := map[string]int{}, map[string]bool{}
	// Hours by day, and the days with an hour in an empty span. The middle of
	// the hour decides whether the hour is empty.
	for _, h := range hours {
		day := dayOf(h, zone)
		heard[day]++
		if score.Within(empty, time.Unix(h*3600+1800, 0)) {
			alone[day] = true
		}
	}
	// Days on which the device was heard for most of the recorded time.
	for day, n := range heard {
		if most := min(fullDay, (recorded[day]+1)/2); recorded[day] > 0 && n >= most {
			r.Days++
		}
	}
	r.EmptyDays = len(alone)
	// Recorded days in the device's stretch.
	first, last := dayOf(hours[0], zone), dayOf(hours[len(hours)-1], zone)
	for day := range recorded {
		if first <= day && day <= last {
			stretch++
		}
	}
	return stretch
}

// dayOf returns the day in zone to which an hour since 1970 belongs.
func dayOf(hour int64, zone *time.Location) string {
	return time.Unix(hour*3600, 0).In(zone).Format(time.DateOnly)
}
