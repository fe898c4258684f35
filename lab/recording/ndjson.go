package recording

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"footfall/events"
)

// ndjsonDecoder reads sightings and CRM events, one JSON object per line. An
// object with a type is a CRM event. Unknown fields are ignored, so a recording
// may carry notes.
type ndjsonDecoder struct {
	*scope
	in lines
}

func newNDJSON(s *scope, in *bufio.Reader) *ndjsonDecoder {
	return &ndjsonDecoder{scope: s, in: lines{in: in, at: Position{File: s.name}}}
}

// jsonLine has the fields of a sighting, those of a portal login that a
// recording may write differently (mac for device), and arrived_at.
type jsonLine struct {
	Type       string            `json:"type"`
	Business   events.BusinessID `json:"business"`
	Sensor     events.SensorID   `json:"sensor"`
	Device     events.DeviceID   `json:"device"`
	MAC        string            `json:"mac"`
	RSSI       *events.RSSI      `json:"rssi_dbm"`
	SeenAt     moment            `json:"seen_at"`
	Associated bool              `json:"associated"`
	Randomised *bool             `json:"randomised"`
	ArrivedAt  moment            `json:"arrived_at"`
	Contact    events.ContactID  `json:"contact"`
	At         moment            `json:"at"`
}

// moment is a time in one of the forms that records of package events accept:
// an RFC 3339 string or milliseconds since 1970.
type moment struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (m *moment) UnmarshalJSON(b []byte) error {
	if ms, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		m.Time = time.UnixMilli(ms).UTC()
		return nil
	}
	if err := m.Time.UnmarshalJSON(b); err != nil {
		return fmt.Errorf("%.40s is neither an RFC 3339 time nor milliseconds since 1970", b)
	}
	m.Time = cut(m.Time)
	return nil
}

func (d *ndjsonDecoder) next(it *Item) error {
	for {
		line, err := d.in.next()
		if err != nil {
			return err
		}
		ok, err := d.object(line, it)
		if err != nil {
			return d.in.wrap(plain(err))
		}
		if ok {
			it.Source = d.in.at
			return nil
		}
	}
}

// object parses one line; ok is false if it is to be left out. It does not use
// the decoder of topic sightings, which requires a business and a device in
// every record: a recording may leave the business to Options and hold an
// address instead of the device.
func (d *ndjsonDecoder) object(line []byte, it *Item) (ok bool, err error) {
	var l jsonLine
	if err := json.Unmarshal(line, &l); err != nil {
		return false, jsonError(err)
	}
	if l.Business == "" {
		l.Business = d.opts.Business
	}
	if l.MAC != "" && l.Device != "" {
		return false, errors.New("mac and device: only one of them may be set")
	}
	// A line with a type is a CRM event.
	*it = Item{}
	if l.Type != "" {
		return d.crm(line, &l, it)
	}
	return d.sighting(&l, it)
}

// sighting converts a line without a type. A missing field is an error and not
// a zero: 0 dBm would be the strongest signal there is.
func (d *ndjsonDecoder) sighting(l *jsonLine, it *Item) (ok bool, err error) {
	switch {
	case l.RSSI == nil:
		return false, errors.New("rssi_dbm: missing")
	case l.SeenAt.IsZero():
		return false, errors.New("seen_at: missing")
	}
	// The device, from the address if there is one. An explicit randomised has
	// precedence over the address.
	s := &it.Sighting
	*s = events.Sighting{
		Business: l.Business, Sensor: l.Sensor, Device: l.Device,
		RSSI: *l.RSSI, SeenAt: l.SeenAt.Time, Associated: l.Associated,
	}
	if l.MAC != "" {
		if ok, err := d.identify(s, []byte(l.MAC)); !ok || err != nil {
			return false, err
		}
	}
	if l.Randomised != nil {
		s.Randomised = *l.Randomised
	}
	// Without arrived_at the sighting arrived when the device was seen.
	it.ArrivedAt = s.SeenAt
	if !l.ArrivedAt.IsZero() {
		it.ArrivedAt = l.ArrivedAt.Time
	}
	return true, s.Validate()
}

// crm converts a CRM event. A login with a multicast address is an error and
// not left out: no device can have made the login.
func (d *ndjsonDecoder) crm(line []byte, l *jsonLine, it *Item) (ok bool, err error) {
	it.CRM = new(events.CRMEvent)
	if l.MAC != "" && l.Type == "portal-login" {
		it.CRM.Login, err = d.login(l)
	} else {
		err = json.Unmarshal(line, it.CRM) // validates too
	}
	if err != nil {
		return false, err
	}
	it.ArrivedAt = it.CRM.At()
	if !l.ArrivedAt.IsZero() {
		it.ArrivedAt = l.ArrivedAt.Time
	}
	return true, nil
}

// login builds the portal login of a device that is identified by its MAC
// address.
func (d *ndjsonDecoder) login(l *jsonLine) (*events.PortalLogin, error) {
	found, err := d.known.text(l.Business, []byte(l.MAC))
	if err == nil && found.group {
		err = errors.New("a login cannot come from a multicast address")
	}
	if err != nil {
		return nil, fmt.Errorf("mac: %w", err)
	}
	r := &events.PortalLogin{
		Business: l.Business, Device: found.device, Contact: l.Contact,
		At: l.At.Time, Randomised: found.randomised,
	}
	if l.Randomised != nil {
		r.Randomised = *l.Randomised
	}
	return r, r.Validate()
}

// jsonError puts the field name first if encoding/json knows it.
func jsonError(err error) error {
	if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) && wrong.Field != "" {
		return fmt.Errorf("%s: unexpected JSON %s", wrong.Field, wrong.Value)
	}
	return fmt.Errorf("not a JSON object with the fields of a recording: %w", err)
}
