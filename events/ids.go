// Package events is the contract: every record that crosses a topic, its
// schema, its key and its topic. It holds no decisions and no I/O.
//
// Encode writes a record in Avro's single-object encoding, and there is one
// decoder per topic: it takes every version of a record that was ever
// published, JSON too where Topic.JSON says so, and gives only records that are
// valid and lie under the right key. Everything else is a *BadRecord, whose
// Reason is for the dead letters.
//
// To change a schema, change <record>.avsc and the Go type, copy the file to
// testdata/schemas under the next version number, and run the tests with
// -update. Files of earlier versions stay as they are.
package events

import "time"

// BusinessID names one store. It never holds a '/', which parts it from the
// device or contact in a record key.
type BusinessID string

// SensorID names one router of a business.
type SensorID string

// DeviceID is the pseudonym of a MAC address, never the address itself.
type DeviceID string

// ContactID names a person in the CRM of one business.
type ContactID string

// WalkInID is made of data alone (business, device, start of the visit), so
// that a retry or a replay gives the same one.
type WalkInID string

// RSSI is a received signal strength in dBm: 0 is the strongest, -127 the
// weakest that a router can report.
type RSSI int32

// MaxIDBytes bounds every id, so that keys and state stay small.
const MaxIDBytes = 128

// Sighting says that one router heard one device at one moment.
type Sighting struct {
	Business   BusinessID `avro:"business" json:"business"`
	Sensor     SensorID   `avro:"sensor" json:"sensor"`
	Device     DeviceID   `avro:"device" json:"device"`
	RSSI       RSSI       `avro:"rssi_dbm" json:"rssi_dbm"`
	SeenAt     time.Time  `avro:"seen_at" json:"seen_at"`
	Associated bool       `avro:"associated" json:"associated"` // joined to the store's network
	Randomised bool       `avro:"randomised" json:"randomised"` // locally administered MAC address
}

// Tick tells a partition of the sightings topic how far event time has come.
type Tick struct {
	At time.Time `avro:"at" json:"at"`
}

// PortalLogin says that a contact logged in at the Wi-Fi portal with a device.
type PortalLogin struct {
	Business   BusinessID `avro:"business" json:"business"`
	Device     DeviceID   `avro:"device" json:"device"`
	Contact    ContactID  `avro:"contact" json:"contact"`
	At         time.Time  `avro:"at" json:"at"`
	Randomised bool       `avro:"randomised" json:"randomised"` // of the device's address
}

// ContactChanged says that the CRM changed a contact. Where MergedInto is set,
// the two were found to be one person and MergedInto lives on.
type ContactChanged struct {
	Business   BusinessID `avro:"business" json:"business"`
	Contact    ContactID  `avro:"contact" json:"contact"`
	MergedInto ContactID  `avro:"merged_into" json:"merged_into"` // "" where only details changed
	At         time.Time  `avro:"at" json:"at"`
}

// ContactDeleted says that the CRM deleted a contact.
type ContactDeleted struct {
	Business BusinessID `avro:"business" json:"business"`
	Contact  ContactID  `avro:"contact" json:"contact"`
	At       time.Time  `avro:"at" json:"at"`
}

// DeviceContact is the current owner of a device. On its compacted topic a
// null value says that the device has none any more.
type DeviceContact struct {
	Business BusinessID `avro:"business" json:"business"`
	Device   DeviceID   `avro:"device" json:"device"`
	Contact  ContactID  `avro:"contact" json:"contact"`
	BoundAt  time.Time  `avro:"bound_at" json:"bound_at"`
}

// WalkIn is the moment a visit was confirmed. There is one per visit, unless it is
// a resident's.
type WalkIn struct {
	ID          WalkInID   `avro:"id" json:"id"`
	Business    BusinessID `avro:"business" json:"business"`
	Device      DeviceID   `avro:"device" json:"device"`
	StartedAt   time.Time  `avro:"started_at" json:"started_at"`     // first strong sighting
	ConfirmedAt time.Time  `avro:"confirmed_at" json:"confirmed_at"` // the sighting or tick that proved it
	Anonymous   bool       `avro:"anonymous" json:"anonymous"`       // randomised address, not associated so far
}

// VisitEnded closes a visit. One that late sightings prolong ends again, with the same id and a later LastSeenAt.
type VisitEnded struct {
	ID          WalkInID   `avro:"id" json:"id"`
	Business    BusinessID `avro:"business" json:"business"`
	Device      DeviceID   `avro:"device" json:"device"`
	StartedAt   time.Time  `avro:"started_at" json:"started_at"`
	LastSeenAt  time.Time  `avro:"last_seen_at" json:"last_seen_at"`
	DwellMillis int64      `avro:"dwell_ms" json:"dwell_ms"` // LastSeenAt - StartedAt
	Anonymous   bool       `avro:"anonymous" json:"anonymous"`
	Resident    bool       `avro:"resident" json:"resident"` // no customer's device: no walk-in was told
}

// EnrichedWalkIn is a walk-in of a known contact. It is told again when its
// visit is over.
type EnrichedWalkIn struct {
	ID        WalkInID   `avro:"id" json:"id"`
	Business  BusinessID `avro:"business" json:"business"`
	Device    DeviceID   `avro:"device" json:"device"`
	Contact   ContactID  `avro:"contact" json:"contact"`
	StartedAt time.Time  `avro:"started_at" json:"started_at"`
	BoundAt   time.Time  `avro:"bound_at" json:"bound_at"` // when the device became the contact's
	Late      bool       `avro:"late" json:"late"`         // bound after the walk-in, by a login during the visit
	Ended     bool       `avro:"ended" json:"ended"`       // the visit is over
	// DwellMillis is from StartedAt to the last sighting of a visit that is over.
	DwellMillis int64 `avro:"dwell_ms" json:"dwell_ms"`
}

// WalkInCount says how often a contact has come. Of two records with the same
// key the one with the higher Version is true. One that tells of a base count
// that was set has no walk-in: WalkIn and Month are empty, MonthTotal is 0 and
// WalkInAt is NoWalkIn.
type WalkInCount struct {
	Business   BusinessID `avro:"business" json:"business"`
	Contact    ContactID  `avro:"contact" json:"contact"`
	WalkIn     WalkInID   `avro:"walk_in" json:"walk_in"` // the latest that led to this record
	WalkInAt   time.Time  `avro:"walk_in_at" json:"walk_in_at"`
	Month      string     `avro:"month" json:"month"` // of WalkInAt, "2026-11", UTC
	MonthTotal int64      `avro:"month_total" json:"month_total"`
	Total      int64      `avro:"total" json:"total"` // base and all months
	Base       int64      `avro:"base" json:"base"`   // of Total, what was counted before the first month kept
	Version    int64      `avro:"version" json:"version"`
}

// NoWalkIn is the WalkInAt of a WalkInCount that no walk-in has led to.
var NoWalkIn = time.UnixMilli(0).UTC()
