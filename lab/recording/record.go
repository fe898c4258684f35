package recording

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"footfall/events"
	"footfall/shared/presence"
)

// record holds the values of a sighting as a row or a line writes them. A value
// that is not given is nil.
type record struct {
	at Position
	// decimalComma is true if a comma may separate the fraction of a number.
	decimalComma bool
	// names are the names of the values in the header, or nil if they are the
	// names of package events.
	names *[len(columns)]string

	seenAt, sensor, mac, device, rssi                []byte
	business, associated, randomised, session, frame []byte
}

// name returns the name of a value.
func (r *record) name(c column) string {
	switch {
	case r.names != nil:
		return r.names[c]
	case c == seenAtColumn:
		return "seen_at"
	default:
		return columns[c][0]
	}
}

// sighting parses a record, or returns the reason why the record is left out.
// Errors begin with the name of the value.
func (s *scope) sighting(r *record, to *events.Sighting) (Reason, error) {
	*to = events.Sighting{Business: s.opts.Business}
	// A list of packets may hold more than probe requests.
	if other, err := otherFrame(r.frame); other || err != nil {
		return OtherFrames, err
	}
	// The time and the signal strength.
	if isMissing(r.seenAt) {
		return NoTime, nil
	}
	var err error
	if to.SeenAt, err = s.time(r.name(seenAtColumn), r.seenAt, r); err != nil {
		return used, err
	}
	var noSignal Reason
	if to.RSSI, noSignal, err = parseSignal(r.rssi, r.decimalComma); err != nil {
		return used, fmt.Errorf("%s: %w", r.name(rssiColumn), err)
	}
	if to.Associated, err = boolean(r.associated); err != nil {
		return used, fmt.Errorf("associated: %w", err)
	}
	// A report about a session needs no signal and means an associated device, as
	// in the posts of the HTTP door.
	if !noID(r.session) {
		to.Session, to.Associated = events.Session(s.intern.get(r.session)), true
		if noSignal == NoSignal {
			to.RSSI, noSignal = to.Session.RSSI(events.RSSI(presence.DefaultRules().Hold)), used
		}
	}
	// Names, then the device, whose pseudonym depends on the business.
	if !noID(r.business) {
		to.Business = events.BusinessID(s.intern.get(r.business))
	}
	to.Sensor = events.SensorID(s.intern.get(r.sensor))
	noDevice, err := s.device(r, to)
	switch {
	case err != nil:
		return used, err
	case noDevice != used:
		return noDevice, nil
	case !events.AcceptsTime(to.SeenAt):
		return BadTime, nil
	case noSignal != used:
		return noSignal, nil
	case noID(r.sensor):
		return NoSensor, nil
	}
	return used, plain(to.Validate())
}

// device sets the device of a sighting from its name or from the address of
// the transmitter, and whether the address is randomised.
func (s *scope) device(r *record, to *events.Sighting) (Reason, error) {
	switch {
	case !noID(r.device):
		to.Device = events.DeviceID(s.intern.get(r.device))
	case isMissing(r.mac):
		return NoAddress, nil
	default:
		found, err := s.known.text(to.Business, r.mac)
		if err != nil {
			return used, fmt.Errorf("%s: %w", r.name(macColumn), err)
		}
		if found.why != used {
			return found.why, nil
		}
		to.Device, to.Randomised = found.device, found.randomised
	}
	if isMissing(r.randomised) {
		return used, nil
	}
	// The value has precedence over the address: a digest need not keep the
	// address's bits.
	var err error
	if to.Randomised, err = boolean(r.randomised); err != nil {
		return used, fmt.Errorf("randomised: %w", err)
	}
	return used, nil
}

// transmitter sets the device of a sighting from the address in a frame.
func (s *scope) transmitter(to *events.Sighting, mac [6]byte) (Reason, error) {
	found, err := s.known.raw(to.Business, mac)
	to.Device, to.Randomised = found.device, found.randomised
	return found.why, err
}

// noID reports whether a text stands for no name. "NA" may be a name.
func noID(f []byte) bool { return len(f) == 0 || strings.EqualFold(string(f), "nan") }

// time parses a time. A time without a zone is taken as UTC, which is noted
// once.
func (s *scope) time(name string, f []byte, r *record) (time.Time, error) {
	t, zoneless, err := parseTime(f, r.decimalComma)
	if err != nil {
		return t, fmt.Errorf("%s: %w", name, err)
	}
	if zoneless && !s.zoneless {
		s.zoneless = true
		s.note("%s: %s %q has no time zone; such times are read as UTC", r.at, name, f)
	}
	return t, nil
}

// probeSubtype is a probe request in the field wlan.fc.type_subtype of tshark.
const probeSubtype = 4

// otherFrame reports whether the kind of a frame, as tshark writes it, is given
// and no probe request.
func otherFrame(f []byte) (bool, error) {
	if isMissing(f) {
		return false, nil
	}
	digits, base := string(f), 10
	if hex, ok := strings.CutPrefix(digits, "0x"); ok {
		digits, base = hex, 16
	}
	kind, err := strconv.ParseUint(digits, base, 16)
	if err != nil {
		return false, fmt.Errorf("%s: %.40q is no number", columns[frameColumn][0], f)
	}
	return kind != probeSubtype, nil
}
