package senders

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"footfall/events"
	"footfall/shared/pseudonym"
)

// The types of this file are fields of records as senders really write them:
// numbers in strings, names that are numbers, null for what is missing. Reading
// one never fails, since a failure would cost every other record of the post:
// whatever cannot be used keeps why not.

// textOf gives the text of a JSON string or number without the white space around
// it; given is false for null. Another value has an empty text, which no field
// takes.
func textOf(raw []byte) (text []byte, given bool) {
	text, given = unquoted(raw)
	return bytes.TrimSpace(text), given
}

// unquoted is textOf with the white space, which may belong to a secret.
func unquoted(raw []byte) (text []byte, given bool) {
	switch c := raw[0]; {
	case c == '"' && bytes.IndexByte(raw, '\\') < 0:
		return raw[1 : len(raw)-1], true
	case c == '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return nil, true
		}
		return []byte(s), true
	case c == '-' || c >= '0' && c <= '9':
		return raw, true
	default:
		return nil, c != 'n'
	}
}

// address is the address of a device.
type address struct {
	mac   [6]byte
	given bool
	why   Reason // it cannot be used, "" where it can
}

// UnmarshalJSON takes any spelling of parseMAC.
func (a *address) UnmarshalJSON(raw []byte) error {
	text, given := textOf(raw)
	*a = addressOf(text)
	a.given = given
	return nil
}

func addressOf(text []byte) address {
	mac, ok := parseMAC(text)
	a := address{mac: mac, given: true}
	switch {
	case !ok || mac == [6]byte{}:
		a.why = BadMAC
	case pseudonym.Group(mac[:]):
		a.why = GroupAddress
	}
	return a
}

// reason says why the address cannot be used, "" where it can.
func (a *address) reason() Reason {
	if !a.given {
		return NoMAC
	}
	return a.why
}

// parseMAC reads 12 hexadecimal digits of any case: bare, in pairs parted by
// colons, dashes or dots, or in fours parted by dots.
func parseMAC(s []byte) (mac [6]byte, ok bool) {
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

// number is a number or a string that holds one.
type number struct {
	value float64
	given bool // and not NaN, which says that there is none
	bad   bool
}

// UnmarshalJSON takes an empty string, which stands where NaN stood, as nothing.
func (n *number) UnmarshalJSON(raw []byte) error {
	*n = number{}
	if text, given := textOf(raw); given && string(raw) != `""` {
		*n = numberOf(text)
	}
	return nil
}

func numberOf(text []byte) number {
	v, err := strconv.ParseFloat(string(text), 64)
	return number{value: v, given: !math.IsNaN(v), bad: err != nil}
}

// dBm rounds the number to a signal strength; why is "" where it is one.
func (n *number) dBm() (rssi events.RSSI, why Reason) {
	if !n.given {
		return 0, NoSignal
	}
	if v := math.Round(n.value); !n.bad && v >= -127 && v <= 0 {
		return events.RSSI(v), ""
	}
	return 0, BadRSSI
}

// Times outside of [firstTime, endTime) are no sighting's, see events.
var (
	firstTime = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	endTime   = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

// millisFrom is the number from which on a time counts milliseconds and not
// seconds since 1970: neither is within the years 2000 to 2099 as the other.
const millisFrom = 1e11

// instant is a time as RFC 3339 or in seconds or milliseconds since 1970.
type instant struct {
	at    time.Time
	given bool
	bad   bool
}

// UnmarshalJSON takes any of the forms, as a number or as a string.
func (t *instant) UnmarshalJSON(raw []byte) error {
	*t = instant{}
	text, given := textOf(raw)
	if !given || string(raw) == `""` {
		return nil
	}
	if len(text) > 4 && text[4] == '-' {
		*t = stampOf(text)
	} else {
		*t = epochOf(text)
	}
	return nil
}

// stampOf reads RFC 3339, by the method that makes no copy of a stamp.
func stampOf(text []byte) instant {
	var at time.Time
	if at.UnmarshalText(text) != nil {
		return instant{given: true, bad: true}
	}
	return instantOf(at)
}

// epochOf reads a number. Of one that no int64 holds Go leaves it to the machine
// what becomes of it.
func epochOf(text []byte) instant {
	v, err := strconv.ParseFloat(string(text), 64)
	if v < millisFrom {
		v *= 1000
	}
	if err != nil || !(v >= 0 && v < millisFrom*100) {
		return instant{given: true, bad: true}
	}
	return instantOf(time.UnixMilli(int64(v)))
}

func instantOf(at time.Time) instant {
	at = at.UTC().Truncate(time.Millisecond)
	return instant{at: at, given: true, bad: at.Before(firstTime) || !at.Before(endTime)}
}

// reason says why the time cannot be used, "" where it can.
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

// boolean is true for true, 1 and "true" in any form.
type boolean bool

// UnmarshalJSON takes everything else for false.
func (b *boolean) UnmarshalJSON(raw []byte) error {
	if text, _ := textOf(raw); text != nil {
		raw = text
	}
	on, err := strconv.ParseBool(string(raw))
	*b = boolean(on && err == nil)
	return nil
}

// named is true where a name is given: what it is does not matter and is not kept.
type named bool

// UnmarshalJSON takes an empty name for none.
func (n *named) UnmarshalJSON(raw []byte) error {
	text, _ := textOf(raw)
	*n = len(text) > 0
	return nil
}

// word is a string or number as its text.
type word string

// UnmarshalJSON takes null and other values for "".
func (w *word) UnmarshalJSON(raw []byte) error {
	text, _ := textOf(raw)
	*w = word(text)
	return nil
}

// id is a word that events would take for an id, or else "".
type id string

// UnmarshalJSON checks the text.
func (n *id) UnmarshalJSON(raw []byte) error {
	text, _ := textOf(raw)
	*n = idOf(text)
	return nil
}

// idOf checks the text as events checks its ids.
func idOf(text []byte) id {
	if len(text) > events.MaxIDBytes || !utf8.Valid(text) || bytes.ContainsFunc(text, unicode.IsControl) {
		return ""
	}
	return id(text)
}
