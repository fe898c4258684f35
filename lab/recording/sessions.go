package recording

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"footfall/events"
)

// signals are the signal strengths of the associated sightings of a sensor that
// carry no report about a session.
type signals struct {
	unmeasured bool        // 0 dBm
	other      events.RSSI // another strength, 0 if there is none
	several    bool        // more than one other strength
}

// sessionSensors finds the sensors of routers that report sessions in a recording
// from before sightings had the field session. Such a router has an association at
// 0 dBm, since its signal was not measured, and a disassociation at the hold
// threshold: two strengths. A router that reports samples measures many.
type sessionSensors map[events.SensorID]*signals

// note notes the strength of a sighting.
func (all sessionSensors) note(s *events.Sighting) {
	if !s.Associated || s.Session != events.SessionNone {
		return
	}
	found := all[s.Sensor]
	if found == nil {
		found = &signals{}
		all[s.Sensor] = found
	}
	switch {
	case s.RSSI == 0:
		found.unmeasured = true
	case found.other == 0:
		found.other = s.RSSI
	default:
		found.several = found.several || s.RSSI != found.other
	}
}

// keep removes the sensors of routers that do not report sessions.
func (all sessionSensors) keep() {
	maps.DeleteFunc(all, func(_ events.SensorID, found *signals) bool {
		return !found.unmeasured || found.other == 0 || found.several
	})
}

// String returns the note for the reader of the output.
func (all sessionSensors) String() string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		names = append(names, string(name))
	}
	return fmt.Sprintf("associated sightings of %s are at 0 dBm and one other strength only: taken for associations and disassociations", strings.Join(names, ", "))
}

// withSessions is a decoder that sets the report of the sightings of sensors.
type withSessions struct {
	decoder
	sensors sessionSensors
}

// next implements decoder.
func (d *withSessions) next(it *Item) error {
	if err := d.decoder.next(it); err != nil {
		return err
	}
	s := &it.Sighting
	if it.CRM != nil || !s.Associated || s.Session != events.SessionNone || d.sensors[s.Sensor] == nil {
		return nil
	}
	s.Session = events.SessionLeft
	if s.RSSI == 0 {
		s.Session = events.SessionJoined
	}
	return nil
}
