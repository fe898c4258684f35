package senders

import (
	"cmp"
	"strings"

	"footfall/events"
)

// footfall reads Footfall's own format. Every source without a format in this
// package uses it: an agent, a portal, a gateway in front of routers of another
// make.
type footfall struct{ signed }

type footfallPost struct {
	Sightings []footfallSighting `json:"sightings"`
	Logins    []footfallLogin    `json:"logins"`
}

type footfallSighting struct {
	Router     router   `json:"router"`
	Device     macField `json:"mac"`
	RSSI       number   `json:"rssi_dbm"`
	SeenAt     instant  `json:"seen_at"`
	Associated boolean  `json:"associated"`
	Session    session  `json:"session"`
}

type footfallLogin struct {
	Device  macField `json:"mac"`
	Contact id       `json:"contact"`
	At      instant  `json:"at"`
}

// Parse reads sightings, logins or both.
func (footfall) Parse(body []byte, at Arrival) (Post, error) {
	var p footfallPost
	if err := decode(body, at.Limits, &p); err != nil {
		return Post{}, err
	}
	// If a field is given and the slice is still nil, the field holds another type
	// than an array.
	switch {
	case p.Sightings == nil && hasField(body, "sightings"):
		return Post{}, wrongShape("sightings")
	case p.Logins == nil && hasField(body, "logins"):
		return Post{}, wrongShape("logins")
	case p.Sightings == nil && p.Logins == nil:
		return Post{}, wrongShape("sightings or logins")
	}
	c := newCollector(len(p.Sightings))
	for _, s := range p.Sightings {
		c.observe(s.raw(at.Hold))
	}
	for i := range p.Logins {
		c.login(&p.Logins[i])
	}
	return c.post, nil
}

// raw returns the observation. A report about a session needs no signal: the
// parser supplies one as for hostapd.
func (s *footfallSighting) raw(hold events.RSSI) rawObservation {
	o := rawObservation{
		router: s.Router, device: s.Device, signal: s.RSSI, seenAt: s.SeenAt,
		associated: bool(s.Associated) || s.Session.given, session: s.Session.value, badSession: s.Session.bad,
	}
	if !o.signal.given && o.session != events.SessionNone {
		o.signal = suppliedSignal(o.session.RSSI(hold))
	}
	return o
}

// hasField reports whether the body has a field that is not null. The error of
// encoding/json is no substitute: it names the first value of a wrong type only.
func hasField(body []byte, name string) bool {
	rest, ok := rootValue(body, name)
	return ok && rest[0] != 'n'
}

// isContactDetail reports whether a contact's id is an e-mail address or a phone
// number. Such an id is not accepted, since ids are written to topics, tables and
// errors.
func isContactDetail(id string) bool {
	return strings.ContainsRune(id, '@') || strings.HasPrefix(id, "+")
}

// isMACAddress reports whether a contact's id is a MAC address, as in portals
// that identify a guest by the device. 12 digits without separators are a
// legitimate id, unless they are the address of the login's device.
func isMACAddress(id string, device [6]byte) bool {
	mac, ok := parseMAC([]byte(id))
	return ok && (len(id) > 2*len(mac) || mac == device)
}

// login adds a login to the post. An invalid login is left out and counted under
// one reason: that of the device, the time or the contact, in this order.
func (c *collector) login(l *footfallLogin) {
	badContact := Reason("")
	if l.Contact == "" || isContactDetail(string(l.Contact)) || isMACAddress(string(l.Contact), l.Device.value) {
		badContact = BadContact
	}
	if why := cmp.Or(l.Device.reason(), l.At.reason(), badContact); why != "" {
		c.leaveOut(why, 1)
		return
	}
	c.post.Logins = append(c.post.Logins, Login{MAC: l.Device.value, Contact: events.ContactID(l.Contact), At: l.At.value})
}
