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

// ndjsonDecoder reads sightings and CRM events, one JSON object a line: a CRM
// event is what has a type. Fields that nobody asks for are passed over, so a
// recording may carry notes.
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

// moment is a time as the records of package events may write it: an RFC 3339
// string or milliseconds since 1970.
type moment struct{ time.Time }

// UnmarshalJSON is called by encoding/json.
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
			return d.in.wrong(plain(err))
		}
		if ok {
			it.Source = d.in.at
			return nil
		}
	}
}

// object reads one line; ok is false where it is to be left out. It does not
// use the decoder of topic sightings: that wants a business and a device in
// every record, and a recording may leave the first to Options and have an
// address for the second.
func (d *ndjsonDecoder) object(line []byte, it *Item) (ok bool, err error) {
	var l jsonLine
	if err := json.Unmarshal(line, &l); err != nil {
		return false, jsonError(err)
	}
	if l.Business == "" {
		l.Business = d.opts.Business
	}
	if l.MAC != "" && l.Device != "" {
		return false, errors.New("mac and device: there can be only one of them")
	}
	*it = Item{}
	if l.Type != "" {
		return d.crm(line, &l, it)
	}
	return d.sighting(&l, it)
}

// sighting reads a line without a type. A missing field must not pass for a
// zero: 0 dBm would be the strongest signal there is.
func (d *ndjsonDecoder) sighting(l *jsonLine, it *Item) (ok bool, err error) {
	switch {
	case l.RSSI == nil:
		return false, errors.New("rssi_dbm: missing")
	case l.SeenAt.IsZero():
		return false, errors.New("seen_at: missing")
	}
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
	it.ArrivedAt = s.SeenAt
	if !l.ArrivedAt.IsZero() {
		it.ArrivedAt = l.ArrivedAt.Time
	}
	return true, s.Validate()
}

// crm reads a CRM event. The login of a multicast address is an error and not
// left out: nobody can have made it.
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

// login makes the portal login of a device that is given by its address.
func (d *ndjsonDecoder) login(l *jsonLine) (*events.PortalLogin, error) {
	found, err := d.known.text(l.Business, []byte(l.MAC))
	if err == nil && found.group {
		err = errors.New("a multicast address logs in nowhere")
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

// jsonError puts the name of the field first where encoding/json knows it.
func jsonError(err error) error {
	if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) && wrong.Field != "" {
		return fmt.Errorf("%s: a %s is not expected there", wrong.Field, wrong.Value)
	}
	return fmt.Errorf("not a JSON object of the form wanted: %w", err)
}
