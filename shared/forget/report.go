package forget

import (
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/stage"
)

// Report describes what a run removed or, if Done is false, would remove. Either
// Contact or Device is set.
type Report struct {
	Business events.BusinessID  `json:"business"`
	Contact  events.ContactID   `json:"contact,omitempty"`
	Device   events.DeviceID    `json:"device,omitempty"`
	Merged   []events.ContactID `json:"merged,omitempty"` // contacts that were merged into Contact, forgotten as well
	// MergedInto is the contact that Contact was merged into, which is not forgotten.
	MergedInto  events.ContactID `json:"merged_into,omitempty"`
	ForgottenAt time.Time        `json:"forgotten_at,omitzero"` // marker of an earlier run; zero if there is none
	Done        bool             `json:"done"`
	Removed     `json:"removed"`
	Devices     []events.DeviceID `json:"devices,omitempty"` // devices whose history held bindings to the contact
	// Unsettled is true if the stages did not process all waiting records in time: a
	// stage may still write a binding or a walk-in. Run forget again.
	Unsettled bool `json:"unsettled,omitempty"`
}

// Removed counts items by kind.
type Removed struct {
	Contacts  int   `json:"contacts"`         // records of contacts: devices, deletion and merge
	Lists     int   `json:"lists"`            // device lists of contacts that a device was on
	Bindings  int   `json:"bindings"`         // bindings in the histories of devices
	Histories int   `json:"histories"`        // histories without any other binding
	WalkIns   int   `json:"walk_ins"`         // walk-ins in the table pending
	Counts    int   `json:"counts"`           // parts of counts: months and bases
	Counted   int64 `json:"walk_ins_counted"` // sum of the totals of these parts
}

// Found reports whether any item was found.
func (r *Report) Found() bool { return r.Removed != Removed{} }

// addDevice adds a device to Devices, which stays sorted and without repetition.
func (r *Report) addDevice(d events.DeviceID) {
	if i, found := slices.BinarySearch(r.Devices, d); !found {
		r.Devices = slices.Insert(r.Devices, i, d)
	}
}

// Remainder is a place from which forgetting removes nothing, and the time when its
// data expires.
type Remainder struct {
	Where string    `json:"where"`
	What  string    `json:"what"`
	Until time.Time `json:"until,omitzero"` // zero if the time depends on something else, which What names
}

// How long the data lives that forgetting does not remove.
const (
	days = 24 * time.Hour
	// visitLogRetention is how long items of the table visit-log live. ttlDelay is how
	// long DynamoDB may take to delete an expired item ("within a few days", developer
	// guide, "Time to Live").
	visitLogRetention, ttlDelay = 14 * days, 3 * days
	// habitRetention is how long detect keeps the hours in which a device was inside,
	// from which it learns resident devices.
	habitRetention = 30 * days
	// backupRetention is how far back point-in-time recovery goes.
	backupRetention = 35 * days
)

// Remainders returns the places that still hold data of a contact (or, if contact is
// false, of a device) after forgetting at forgottenAt, each with the time when the
// data expires at the latest.
func Remainders(contact bool, forgottenAt time.Time) []Remainder {
	var all []Remainder
	// Topics. The line of a topic includes its dead letters.
	for _, t := range events.Topics() {
		if t.DeadLetters == "" {
			continue
		}
		what := "records, and those among its dead letters"
		if t.Compacted {
			all = append(all, Remainder{t.Name, "records from before the null, until the cluster compacts the topic", time.Time{}})
			continue
		}
		all = append(all, Remainder{t.Name, what, forgottenAt.Add(t.Retention)})
	}
	// Tables and backups.
	all = append(all,
		Remainder{"visit-log", "visits of the last two weeks, by the hash of a device", forgottenAt.Add(visitLogRetention + ttlDelay)},
		Remainder{"detect", "hours in which a device was inside, by the hash of a device", forgottenAt.Add(habitRetention + visitLogRetention + ttlDelay)},
		Remainder{"backups", "earlier states of the tables, if point-in-time recovery is on", forgottenAt.Add(backupRetention)},
	)
	if contact {
		all = append(all, Remainder{"identities", "the marker, so that a late login does not bring the data back", forgottenAt.Add(stage.ForgottenRetention + ttlDelay)})
	}
	return all
}
