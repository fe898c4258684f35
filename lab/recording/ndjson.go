package recording

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"footfall/events"
)

// ndjsonDecoder reads sightings and CRM events, one JSON object per line, in
// the names of package events or in those of the posts that the HTTP door
// takes. An object with a type is a CRM event. A line may hold a whole post.
type ndjsonDecoder struct {
	*scope
	in      lines
	queue   []json.RawMessage // records of a post that are still to be read
	checked int               // lines whose names were checked
}

func newNDJSON(s *scope, in *bufio.Reader) *ndjsonDecoder {
	return &ndjsonDecoder{scope: s, in: lines{in: in, at: Position{File: s.name}}}
}

// jsonLine has the fields of a sighting, those of a portal login, and those of
// a post. Values are parsed later, since they may have several forms.
type jsonLine struct {
	Type       string          `json:"type"`
	Business   json.RawMessage `json:"business"`
	Sensor     json.RawMessage `json:"sensor"`
	Router     json.RawMessage `json:"router"`
	Device     json.RawMessage `json:"device"`
	MAC        json.RawMessage `json:"mac"`
	RSSI       json.RawMessage `json:"rssi_dbm"`
	SeenAt     json.RawMessage `json:"seen_at"`
	SeenAtMS   json.RawMessage `json:"seen_at_ms"`
	Associated json.RawMessage `json:"associated"`
	Randomised json.RawMessage `json:"randomised"`
	Randomized json.RawMessage `json:"randomized"`
	Session    json.RawMessage `json:"session"`
	ArrivedAt  json.RawMessage `json:"arrived_at"`
	Contact    json.RawMessage `json:"contact"`
	At         json.RawMessage `json:"at"`

	Sightings []json.RawMessage `json:"sightings"`
	Logins    []json.RawMessage `json:"logins"`
}

// next returns the item of the next line that is not left out.
func (d *ndjsonDecoder) next(it *Item) error {
	for {
		line, err := d.line()
		switch {
		case errors.Is(err, errCut):
			return d.cut(d.in.at, err.Error())
		case err != nil:
			return err
		}
		why, err := d.object(line, it)
		switch {
		case err != nil && d.in.open && !errors.Is(err, errField):
			return d.cut(d.in.at, "the file ends inside this line")
		case err != nil:
			return d.in.wrap(plain(err))
		case why == used:
			it.Source = d.in.at
			return nil
		case why != empty:
			d.leaveOut(why, d.in.at)
		}
	}
}

// line returns the next record of a post, or else the next line.
func (d *ndjsonDecoder) line() ([]byte, error) {
	if len(d.queue) == 0 {
		return d.in.next()
	}
	first := d.queue[0]
	d.queue = d.queue[1:]
	return first, nil
}

// errField marks an error in a value of a complete object.
var errField = errors.New("a field of a complete object")

// fieldError is an error in a value. It prints as the error alone.
type fieldError struct{ error }

// Is reports whether target is errField.
func (fieldError) Is(target error) bool { return target == errField }

// Unwrap returns the error without its mark.
func (e fieldError) Unwrap() error { return e.error }

// object parses one object, or returns the reason why it is left out: empty if
// it is a post, whose records follow. It does not use the decoder of topic
// sightings, which requires a business and a device in every record: a
// recording may leave the business to Options and hold an address instead of
// the device.
func (d *ndjsonDecoder) object(line []byte, it *Item) (Reason, error) {
	if !utf8.Valid(line) {
		return used, errUTF8
	}
	var l jsonLine
	if err := d.unmarshal(line, &l); err != nil {
		return used, err
	}
	if l.Sightings != nil || l.Logins != nil {
		d.queue = slices.Concat(d.queue, l.Sightings, l.Logins)
		return empty, nil
	}
	// A line with a type is a CRM event, and one of a contact a login.
	*it = Item{}
	var why Reason
	var err error
	if l.Type != "" || l.Contact != nil && l.RSSI == nil {
		why, err = d.crm(line, &l, it)
	} else {
		why, err = d.sightingLine(line, &l, it)
	}
	if err != nil {
		return used, fieldError{err}
	}
	return why, nil
}

// unmarshal parses a line. Python writes a missing number as NaN, which is no
// JSON: such a line is parsed again with null in its place.
func (d *ndjsonDecoder) unmarshal(line []byte, l *jsonLine) error {
	err := json.Unmarshal(line, l)
	if err != nil {
		if mended := withoutNaN(line); len(mended) != len(line) || !bytes.Equal(mended, line) {
			*l = jsonLine{}
			err = json.Unmarshal(mended, l)
		}
	}
	wrong, syntax := new(json.UnmarshalTypeError), new(json.SyntaxError)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong) && wrong.Field != "":
		return fieldError{fmt.Errorf("%s: unexpected JSON %s", wrong.Field, wrong.Value)}
	case d.in.at.Number == 1 && !d.in.open && errors.As(err, &syntax) && syntax.Offset >= int64(len(line)):
		return fmt.Errorf("an object goes on behind the end of its line; write one object a line: jq -c . IN > OUT: %w", err)
	}
	return fmt.Errorf("not a JSON object with the fields of a recording: %w", err)
}

// withoutNaN returns a line with null in place of NaN and infinities outside of
// strings.
func withoutNaN(line []byte) []byte {
	var out []byte
	for inside := false; len(line) > 0; {
		n := 1
		switch c := line[0]; {
		case c == '"':
			inside = !inside
		case inside && c == '\\':
			n = min(2, len(line))
		case !inside:
			for _, word := range []string{"NaN", "-Infinity", "Infinity"} {
				if bytes.HasPrefix(line, []byte(word)) {
					out, line, n = append(out, "null"...), line[len(word):], 0
					break
				}
			}
		}
		out, line = append(out, line[:n]...), line[n:]
	}
	return out
}

// text returns the text of a JSON value: a string, a number, true or false. It
// returns nil for a value that is missing or null.
func text(name string, raw json.RawMessage) ([]byte, error) {
	switch {
	case len(raw) == 0 || raw[0] == 'n':
		return nil, nil
	case raw[0] == '{' || raw[0] == '[':
		return nil, fmt.Errorf("%s: unexpected JSON %s", name, map[byte]string{'{': "object", '[': "array"}[raw[0]])
	case raw[0] != '"':
		return raw, nil
	case bytes.IndexByte(raw, '\\') < 0:
		return bytes.TrimSpace(raw[1 : len(raw)-1]), nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return bytes.TrimSpace([]byte(s)), nil
}

// values converts the values of a line to those of a record.
func (d *ndjsonDecoder) values(l *jsonLine) (r record, arrived []byte, err error) {
	r.at = d.in.at
	for _, v := range []struct {
		name string
		to   *[]byte
		raw  []json.RawMessage // the first that is given
	}{
		{"business", &r.business, []json.RawMessage{l.Business}},
		{"sensor", &r.sensor, []json.RawMessage{l.Sensor, l.Router}},
		{"device", &r.device, []json.RawMessage{l.Device}},
		{"mac", &r.mac, []json.RawMessage{l.MAC}},
		{"rssi_dbm", &r.rssi, []json.RawMessage{l.RSSI}},
		{"seen_at", &r.seenAt, []json.RawMessage{l.SeenAt, l.SeenAtMS}},
		{"associated", &r.associated, []json.RawMessage{l.Associated}},
		{"randomised", &r.randomised, []json.RawMessage{l.Randomised, l.Randomized}},
		{"session", &r.session, []json.RawMessage{l.Session}},
		{"arrived_at", &arrived, []json.RawMessage{l.ArrivedAt}},
	} {
		for _, raw := range v.raw {
			if *v.to == nil {
				if *v.to, err = text(v.name, raw); err != nil {
					return r, nil, err
				}
			}
		}
	}
	if len(r.mac) > 0 && len(r.device) > 0 {
		return r, nil, errors.New("mac and device: only one of them may be set")
	}
	return r, arrived, nil
}

// sightingLine converts a line without a type.
func (d *ndjsonDecoder) sightingLine(line []byte, l *jsonLine, it *Item) (Reason, error) {
	if err := d.checkNames(line); err != nil {
		return used, err
	}
	r, arrived, err := d.values(l)
	if err != nil {
		return used, err
	}
	why, err := d.sighting(&r, &it.Sighting)
	if why != used || err != nil {
		return why, err
	}
	return d.arrival(it, &r, arrived, it.Sighting.SeenAt)
}

// arrival sets the time of arrival. Without arrived_at it is the time of the
// event itself.
func (d *ndjsonDecoder) arrival(it *Item, r *record, arrived []byte, event time.Time) (Reason, error) {
	it.ArrivedAt = event
	if isMissing(arrived) {
		return used, nil
	}
	var err error
	if it.ArrivedAt, err = d.time("arrived_at", arrived, r); err == nil && !events.AcceptsTime(it.ArrivedAt) {
		return BadTime, nil
	}
	return used, err
}

// linesChecked is the number of lines at the start of a file in which unknown
// names are noticed.
const linesChecked = 100

// otherNames are names that the lines of a recording may have beside columns.
var otherNames = []string{"type", "arrived_at", "contact", "at"}

// checkNames looks for names that are not known. As in a CSV, one that looks
// like a misspelt name is an error, and others are noted.
func (d *ndjsonDecoder) checkNames(line []byte) error {
	if d.checked == linesChecked {
		return nil
	}
	d.checked++
	var all map[string]json.RawMessage
	if json.Unmarshal(line, &all) != nil {
		return nil //nolint:nilerr // a line that had to be mended is not checked
	}
	var has [len(columns)]bool
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if c, _, ok := columnOf(name); ok {
			has[c] = true
		} else if !slices.Contains(otherNames, strings.ToLower(name)) {
			unknown = append(unknown, name)
		}
	}
	for _, name := range unknown {
		if c, known := resembles(name); c != passedOver && !given(c, func(c column) bool { return has[c] }) {
			return fmt.Errorf("field %.40q looks like %s: rename it if it is, or else remove it", name, known)
		}
	}
	if len(unknown) > 0 && d.checked == 1 {
		d.note("%s: fields that are not needed: %s", d.in.at, strings.Join(unknown, ", "))
	}
	return nil
}

// crm converts a CRM event. A portal login may have an address in place of the
// device, and its type may be missing.
func (d *ndjsonDecoder) crm(line []byte, l *jsonLine, it *Item) (Reason, error) {
	it.CRM = new(events.CRMEvent)
	r, arrived, err := d.values(l)
	if err != nil {
		return used, err
	}
	if l.Type == "" || l.Type == "portal-login" {
		login, why, err := d.login(l, &r)
		if why != used || err != nil {
			return why, err
		}
		it.CRM.Login = login
	} else if err := json.Unmarshal(line, it.CRM); err != nil { // validates too
		return used, err
	}
	return d.arrival(it, &r, arrived, it.CRM.At())
}

// login returns a portal login, or the reason why it is left out.
func (d *ndjsonDecoder) login(l *jsonLine, r *record) (*events.PortalLogin, Reason, error) {
	// The business first: the device depends on it.
	s := events.Sighting{Business: d.opts.Business}
	if !noID(r.business) {
		s.Business = events.BusinessID(r.business)
	}
	why, err := d.device(r, &s)
	if why != used || err != nil {
		return nil, why, err
	}
	contact, err := text("contact", l.Contact)
	if err != nil {
		return nil, used, err
	}
	written, err := text("at", l.At)
	switch {
	case err != nil:
		return nil, used, err
	case isMissing(written):
		return nil, NoTime, nil
	}
	at, err := d.time("at", written, r)
	switch {
	case err != nil:
		return nil, used, err
	case !events.AcceptsTime(at):
		return nil, BadTime, nil
	}
	login := &events.PortalLogin{
		Business: s.Business, Device: s.Device, Contact: events.ContactID(contact), At: at, Randomised: s.Randomised,
	}
	return login, used, login.Validate()
}
