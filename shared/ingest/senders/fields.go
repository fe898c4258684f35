package senders

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"footfall/events"
	"footfall/shared/pseudonym"
)

// The types of this file are fields of records, in the forms that senders really
// write: numbers in strings, names that are numbers, null for a missing value.
//
// Their UnmarshalJSON methods never return an error, since an error would cost
// every other record of the post. A field keeps instead whether it was given and
// whether it is usable, and reports the reason later. The zero value is a field
// that is missing.

// trimmedText returns the text of a JSON string or number, without white space
// around it. given is false for null. For any other value the text is empty, which
// no field accepts.
func trimmedText(raw []byte) (text []byte, given bool) {
	text, given = jsonText(raw)
	return bytes.TrimSpace(text), given
}

// jsonText is trimmedText with the white space, which may belong to a secret.
func jsonText(raw []byte) (text []byte, given bool) {
	switch c := raw[0]; {
	case c == '"' && bytes.IndexByte(raw, '\\') < 0:
		return raw[1 : len(raw)-1], true
	case c == '"': // with escapes
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return nil, true
		}
		return []byte(s), true
	case c == '-' || c >= '0' && c <= '9':
		return raw, true
	default: // null, true, false, an object or an array
		return nil, c != 'n'
	}
}

// macField is the MAC address of a device.
type macField struct {
	value [6]byte
	given bool
	why   Reason // why the address is unusable, "" if it is usable
}

// UnmarshalJSON accepts any spelling that parseMAC does.
func (m *macField) UnmarshalJSON(raw []byte) error {
	text, given := trimmedText(raw)
	*m = parseMACField(text)
	m.given = given
	return nil
}

// parseMACField reads a MAC address that is given.
func parseMACField(text []byte) macField {
	mac, ok := parseMAC(text)
	m := macField{value: mac, given: true}
	switch {
	case !ok || mac == [6]byte{}:
		m.why = BadMAC
	case pseudonym.Group(mac[:]):
		m.why = GroupAddress
	}
	return m
}

// reason returns why the address is unusable, or "" if it is usable.
func (m *macField) reason() Reason {
	if !m.given {
		return NoMAC
	}
	return m.why
}

// parseMAC reads 12 hexadecimal digits of either case: without separators, in
// pairs separated by colons, dashes or dots, or in groups of four separated by
// dots.
func parseMAC(s []byte) (mac [6]byte, ok bool) {
	// The length determines how many digits a group has.
	group := 12
	switch len(s) {
	case 12:
	case 14:
		group = 4
	case 17:
		group = 2
	default:
		return mac, false
	}
	digits := 0
	for i, c := range s {
		// The byte behind a group is a separator, the same one each time.
		if i%(group+1) == group {
			if c != s[group] || c != '.' && (group != 2 || c != ':' && c != '-') {
				return mac, false
			}
			continue
		}
		d, isHex := hexDigit(c)
		if !isHex {
			return mac, false
		}
		mac[digits/2] = mac[digits/2]<<4 | d
		digits++
	}
	return mac, true
}

// hexDigit returns the value of a hexadecimal digit of either case.
func hexDigit(c byte) (d byte, ok bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	default:
		return 0, false
	}
}

// number is a number, or a string that holds a number.
type number struct {
	value float64
	given bool // and not NaN, which stands for no value
	bad   bool // given and not a number
}

// UnmarshalJSON reads an empty string as a missing value: scan writes it in place
// of NaN.
func (n *number) UnmarshalJSON(raw []byte) error {
	*n = number{}
	// Any other text is given, and bad if it is not a number.
	if text, given := trimmedText(raw); given && string(raw) != `""` {
		*n = parseNumber(text)
	}
	return nil
}

// parseNumber reads a number that is given.
func parseNumber(text []byte) number {
	v, err := strconv.ParseFloat(string(text), 64)
	return number{value: v, given: !math.IsNaN(v), bad: err != nil}
}

// dBm returns the number as a signal strength, rounded to whole dBm. If the number
// is no signal strength, why is the reason, and otherwise "".
func (n *number) dBm() (rssi events.RSSI, why Reason) {
	if !n.given {
		return 0, NoSignal
	}
	if v := math.Round(n.value); !n.bad && v >= -127 && v <= 0 {
		return events.RSSI(v), ""
	}
	return 0, BadRSSI
}

// The units of a number that is a time: below millisFrom it is seconds since 1970,
// then milliseconds, then microseconds, and from nanosFrom on nanoseconds. No number
// is within the years 2000 to 2099 in two of them.
const (
	millisFrom = 1e11
	microsFrom = 1e14
	nanosFrom  = 1e17
)

// EpochUnit returns the unit of a number that is a time since 1970, by the size of the
// number. Recordings are read by it too, so that they take what the door takes.
func EpochUnit(n float64) time.Duration {
	switch size := math.Abs(n); {
	case size < millisFrom:
		return time.Second
	case size < microsFrom:
		return time.Millisecond
	case size < nanosFrom:
		return time.Microsecond
	default:
		return time.Nanosecond
	}
}

// EpochMillis returns a number that is a time since 1970, of any unit, in
// milliseconds.
func EpochMillis(n float64) float64 {
	switch EpochUnit(n) {
	case time.Second:
		return n * 1e3
	case time.Millisecond:
		return n
	case time.Microsecond:
		return n / 1e3
	default:
		return n / 1e6
	}
}

// instant is a time: RFC 3339, or a number since 1970.
type instant struct {
	value time.Time
	given bool
	bad   bool // given and not a time, or one that package events does not accept
}

// UnmarshalJSON accepts the forms of parseDateTime and parseEpoch, as a number or as
// a string. An empty string is a missing value. A date and time without a zone is
// bad: no format that posts JSON states in which zone it would be.
func (t *instant) UnmarshalJSON(raw []byte) error {
	*t = instant{}
	text, given := trimmedText(raw)
	if !given || string(raw) == `""` {
		return nil
	}
	// A dash behind four digits, or a letter between digits: a date.
	if len(text) <= 4 || text[4] != '-' && (len(text) <= 8 || text[8]|0x20 != 't') {
		*t = parseEpoch(text)
		return nil
	}
	*t = instant{given: true, bad: true}
	if at, hasZone, ok := parseDateTime(text); ok && hasZone {
		*t = newInstant(at)
	}
	return nil
}

// maxDateTime is longer than any date and time that parseDateTime reads.
const maxDateTime = 48

// The layouts of parseDateTime. time.Parse reads a fraction behind the seconds too,
// with a point or a comma.
var (
	dateTimeLayouts = []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "20060102T150405"}
	zoneLayouts     = []string{"Z07:00", "Z0700", "Z07"}
)

// parseDateTime reads RFC 3339, and what programs write in its place: a space or a
// lower-case t between date and time, a comma before the fraction, no seconds, no
// separators, and as zone +0000, +00, UTC, GMT, a lower-case z or none. A time
// without a zone is returned in UTC with hasZone false.
func parseDateTime(text []byte) (at time.Time, hasZone, ok bool) {
	// UnmarshalText, since time.Parse would need a copy of the text as a string.
	if at.UnmarshalText(text) == nil {
		return at, true, true
	}
	if len(text) > maxDateTime {
		return at, false, false
	}

	// One spelling of the separators and of UTC.
	s := strings.ToUpper(string(text))
	if len(s) > 10 && s[10] == ' ' {
		s = s[:10] + "T" + s[11:]
	}
	s, utc := strings.CutSuffix(s, "UTC")
	if !utc {
		s, utc = strings.CutSuffix(s, "GMT")
	}
	s = strings.TrimSuffix(s, " ")
	if zone := strings.LastIndexByte(s, ' '); zone >= 0 && strings.IndexByte("+-Z", s[zone+1]) >= 0 {
		s = s[:zone] + s[zone+1:]
	}

	for _, layout := range dateTimeLayouts {
		for _, zone := range zoneLayouts {
			if at, err := time.Parse(layout+zone, s); err == nil {
				return at, true, true
			}
		}
		if at, err := time.Parse(layout, s); err == nil {
			return at, utc, true
		}
	}
	return at, false, false
}

// parseEpoch reads seconds, milliseconds, microseconds or nanoseconds since 1970,
// with a point or a comma before a fraction. The range is checked before the
// conversion: Go does not define the result for a number that no int64 holds.
func parseEpoch(text []byte) instant {
	if bytes.IndexByte(text, ',') >= 0 {
		text = bytes.Replace(text, []byte(","), []byte("."), 1)
	}
	v, err := strconv.ParseFloat(string(text), 64)
	v = EpochMillis(v)

	// millisFrom*100 lies beyond the year 2099 by far.
	if err != nil || !(v >= 0 && v < millisFrom*100) {
		return instant{given: true, bad: true}
	}
	return newInstant(time.UnixMilli(int64(v)))
}

// newInstant returns the field for a time, in UTC and whole milliseconds.
func newInstant(at time.Time) instant {
	at = at.UTC().Truncate(time.Millisecond)
	return instant{value: at, given: true, bad: !events.AcceptsTime(at)}
}

// reason returns why the time is unusable, or "" if it is usable.
func (t *instant) reason() Reason {
	switch {
	case !t.given:
		return NoTime
	case t.bad:
		return BadTime
	default:
		return ""
	}
}

// boolean is true for true, for 1, and for "true" in any form that
// strconv.ParseBool accepts. Every other value is false.
type boolean bool

// UnmarshalJSON reads a value as described at boolean.
func (b *boolean) UnmarshalJSON(raw []byte) error {
	if text, _ := trimmedText(raw); text != nil {
		raw = text
	}
	on, err := strconv.ParseBool(string(raw))
	*b = boolean(on && err == nil)
	return nil
}

// session is a router's report about the session of a device. bad is set if the
// field holds any other value than the reports of package events, null and "".
type session struct {
	value      events.Session
	given, bad bool
}

// UnmarshalJSON reads a value as described at session.
func (s *session) UnmarshalJSON(raw []byte) error {
	text, given := trimmedText(raw)
	value := events.Session(text)
	s.bad = value.Validate() != nil || given && len(text) == 0 && raw[0] != '"'
	s.given = !s.bad && value != events.SessionNone
	if s.given {
		s.value = value
	}
	return nil
}

// named is true if the field holds a name. The name itself is not kept.
type named bool

// UnmarshalJSON takes an empty name for a missing one.
func (n *named) UnmarshalJSON(raw []byte) error {
	text, _ := trimmedText(raw)
	*n = len(text) > 0
	return nil
}

// word is the text of a string or number.
type word string

// UnmarshalJSON reads null and any other value as "".
func (w *word) UnmarshalJSON(raw []byte) error {
	text, _ := trimmedText(raw)
	*w = word(text)
	return nil
}

// id is a text that is an id by the rules of package events, or else "".
type id string

// UnmarshalJSON reads and checks the text.
func (n *id) UnmarshalJSON(raw []byte) error {
	text, _ := trimmedText(raw)
	*n = parseID(text)
	return nil
}

// parseID returns the text if it is an id by the rules of package events, and
// otherwise "".
func parseID(text []byte) id {
	if len(text) > events.MaxIDBytes || !utf8.Valid(text) || bytes.ContainsFunc(text, unicode.IsControl) {
		return ""
	}
	return id(text)
}
