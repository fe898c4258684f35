package forget

import (
	"slices"
	"time"

	"footfall/events"
)

// Report says what was removed or, where Done is false, what would be.
type Report struct {
	Business events.BusinessID  `json:"business"`
	Contact  events.ContactID   `json:"contact,omitempty"` // one of the two
	Device   events.DeviceID    `json:"device,omitempty"`
	Merged   []events.ContactID `json:"merged,omitempty"` // into the contact, and forgotten with it
	// MergedInto is the contact that lives on for this one, which is not forgotten.
	MergedInto  events.ContactID `json:"merged_into,omitempty"`
	ForgottenAt time.Time        `json:"forgotten_at,omitzero"` // by an earlier run
	Done        bool             `json:"done"`
	Removed     `json:"removed"`
	Devices     []events.DeviceID `json:"devices,omitempty"` // whose history was about it
	// Unsettled says that the stages did not come to the end of what was before
	// them: what they had decided may bring something back.
	Unsettled bool `json:"unsettled,omitempty"`
}

// Removed is how many there were of what is kept.
type Removed struct {
	Contacts  int   `json:"contacts"`         // what is known of a contact: its devices, deletion and merge
	Lists     int   `json:"lists"`            // of a contact's devices that a device was on
	Bindings  int   `json:"bindings"`         // in the histories of devices
	Histories int   `json:"histories"`        // with nothing left in them
	WalkIns   int   `json:"walk_ins"`         // in the table pending
	Counts    int   `json:"counts"`           // months and bases
	Counted   int64 `json:"walk_ins_counted"` // what those came to
}

// Found says whether there was anything.
func (r *Report) Found() bool { return r.Removed != Removed{} }

func (r *Report) addDevice(d events.DeviceID) {
	if i, found := slices.BinarySearch(r.Devices, d); !found {
		r.Devices = slices.Insert(r.Devices, i, d)
	}
}

// Remainder is something that no command removes, and when it is gone by itself.
type Remainder struct {
	Where string    `json:"where"`
	What  string    `json:"what"`
	Until time.Time `json:"until,omitzero"` // zero where it depends on something else, as What says
}

// How long what no command reaches is kept.
const (
	days = 24 * time.Hour
	// logKept is how long items of the table visit-log live, and ttlLate how late
	// DynamoDB may delete what has expired ("within a few days", developer guide,
	// "Time to Live").
	logKept, ttlLate = 14 * days, 3 * days
	// habitKept is how long detect remembers when a device was inside, by the rule
	// that finds residents.
	habitKept = 30 * days
	// backupKept is how far back point-in-time recovery goes.
	backupKept = 35 * days
	// markerKept is what dynamo keeps the marker of a contact for.
	markerKept = 100 * days
)

// Remainders lists what is still kept of somebody who is forgotten at at, and was
// seen until then, each with the time by which it is gone.
func Remainders(contact bool, at time.Time) []Remainder {
	var left []Remainder
	for _, t := range events.Topics() {
		if t.DeadLetters == "" {
			continue
		}
		what := "records, and those among its dead letters"
		if t.Compacted {
			left = append(left, Remainder{t.Name, "records from before the null, until the cluster compacts the topic", time.Time{}})
			continue
		}
		left = append(left, Remainder{t.Name, what, at.Add(t.Retention)})
	}
	left = append(left,
		Remainder{"visit-log", "visits of the last two weeks, by the hash of a device", at.Add(logKept + ttlLate)},
		Remainder{"detect", "hours in which a device was inside, by the hash of a device", at.Add(habitKept + logKept + ttlLate)},
		Remainder{"backups", "the tables as they were, where point-in-time recovery is on", at.Add(backupKept)},
	)
	if contact {
		left = append(left, Remainder{"identities", "the marker, which keeps a late login from bringing it all back", at.Add(markerKept + ttlLate)})
	}
	return left
}
