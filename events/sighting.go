package events

import (
	"cmp"
	"time"
)

// RSSI is a received signal strength in dBm, from -127 (the weakest value that a
// router can report) to 0 (the strongest).
type RSSI int32

// Bounds of RSSI in dBm.
const (
	minRSSI RSSI = -127
	maxRSSI RSSI = 0
)

// Sighting is one observation: one router heard one device at one moment.
// Topic: sightings. Key: DeviceKey(Business, Device).
type Sighting struct {
	// Business is the store of the router.
	Business BusinessID `avro:"business" json:"business"`
	// Sensor is the router that heard the device. A login at the portal is also
	// a sighting; its sensor is "portal".
	Sensor SensorID `avro:"sensor" json:"sensor"`
	// Device is the pseudonym of the device's MAC address.
	Device DeviceID `avro:"device" json:"device"`
	// RSSI is the signal strength in dBm, -127 to 0. An association or a login
	// without a signal strength has 0: the device is in the store.
	RSSI RSSI `avro:"rssi_dbm" json:"rssi_dbm"`
	// SeenAt is the moment at which the router heard the device: the event time.
	SeenAt time.Time `avro:"seen_at" json:"seen_at"`
	// Associated is true if the device had joined the store's network. The field
	// is false if the router cannot tell.
	Associated bool `avro:"associated" json:"associated"`
	// Randomised is true if the MAC address is a locally administered one. The
	// field is false if the router cannot tell.
	Randomised bool `avro:"randomised" json:"randomised"`
	// Session is the router's report about the session of the device. Routers that
	// report samples instead of sessions have SessionNone.
	Session Session `avro:"session" json:"session"`
}

// Session is a report of a router about the session of a device, which lasts from
// the association to the disassociation.
type Session string

// The reports of a router.
const (
	SessionNone   Session = ""       // no report: a sighting like any other
	SessionJoined Session = "joined" // the device joined the router's network, and may be silent until it leaves
	SessionAlive  Session = "alive"  // the device answered a poll of the router
	SessionLeft   Session = "left"   // the device left the router's network
)

// RSSI returns the signal strength of a report whose router measured none: 0 dBm for
// a device that joined, which is in the store however far from the router, and else
// the hold threshold of the business, which extends a visit and is too weak to open
// a candidate. It must not be called for SessionNone.
func (s Session) RSSI(hold RSSI) RSSI {
	if s == SessionJoined {
		return 0
	}
	return hold
}

// Validate returns an error if the report is none of the four.
func (s Session) Validate() error {
	switch s {
	case SessionNone, SessionJoined, SessionAlive, SessionLeft:
		return nil
	default:
		return Bad(InvalidField, "session: %.*q is not joined, alive, left or empty", maxShown, string(s))
	}
}

var sightingType = mustRecordType(schemaFiles, "sighting")

// Validate checks every field against its range. The error is a *BadRecord with
// InvalidField; it names the first field that is out of range, and its value.
// The decoders call Validate; a producer of foreign data calls it before Encode.
func (r *Sighting) Validate() error {
	if r.RSSI < minRSSI || r.RSSI > maxRSSI {
		return Bad(InvalidField, "rssi_dbm: %d is not within [%d, %d]", r.RSSI, minRSSI, maxRSSI)
	}
	return cmp.Or(
		validBusiness(r.Business),
		validID("sensor", string(r.Sensor)),
		validID("device", string(r.Device)),
		validTime("seen_at", r.SeenAt),
		r.Session.Validate(),
	)
}

func (r *Sighting) keyParts() (BusinessID, string) { return r.Business, string(r.Device) }
func (*Sighting) recordType() *recordType          { return sightingType }

// readJSON reads the form that json.Marshal of a Sighting produces. A field may
// be missing if the schema has a default for it.
func (r *Sighting) readJSON(data []byte) error {
	return readObject(data,
		jsonField{name: "business", into: (*string)(&r.Business)},
		jsonField{name: "sensor", into: (*string)(&r.Sensor)},
		jsonField{name: "device", into: (*string)(&r.Device)},
		jsonField{name: "rssi_dbm", into: (*int32)(&r.RSSI)},
		jsonField{name: "seen_at", into: &r.SeenAt},
		jsonField{name: "associated", into: &r.Associated, optional: true},
		jsonField{name: "randomised", into: &r.Randomised, optional: true},
		jsonField{name: "session", into: (*string)(&r.Session), optional: true},
	)
}
