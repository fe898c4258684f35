package senders

import (
	"cmp"
	"strings"

	"footfall/events"
)

// own reads Footfall's own format, for whatever has no format that is known
// here: an agent, a portal, a gateway in front of routers of another make.
type own struct{ signed }

type ownPost struct {
	Sightings []ownSighting `json:"sightings"`
	Logins    []ownLogin    `json:"logins"`
}

type ownSighting struct {
	Router     router  `json:"router"`
	Device     address `json:"mac"`
	RSSI       number  `json:"rssi_dbm"`
	SeenAt     instant `json:"seen_at"`
	Associated boolean `json:"associated"`
}

type ownLogin struct {
	Device  address `json:"mac"`
	Contact id      `json:"contact"`
	At      instant `json:"at"`
}

// Parse takes sightings, logins or both.
func (own) Parse(body []byte, at Arrival) (Post, error) {
	var p ownPost
	if err := decode(body, at.Limits, &p); err != nil {
		return Post{}, err
	}
	switch {
	case p.Sightings == nil && isGiven(body, "sightings"):
		return Post{}, wrongShape("sightings")
	case p.Logins == nil && isGiven(body, "logins"):
		return Post{}, wrongShape("logins")
	case p.Sightings == nil && p.Logins == nil:
		return Post{}, wrongShape("sightings or logins")
	}
	c := collect(len(p.Sightings))
	for _, s := range p.Sightings {
		c.hear(hearing{router: s.Router, device: s.Device, signal: s.RSSI, at: s.SeenAt, associated: bool(s.Associated)})
	}
	for i := range p.Logins {
		c.login(&p.Logins[i])
	}
	return c.post, nil
}

// isGiven says whether the body has a field that is not null. An array that
// stayed nil though it is given is of another type, which encoding/json does not
// tell where something before it was as well.
func isGiven(body []byte, name string) bool {
	rest, ok := rootValue(body, name)
	return ok && rest[0] != 'n'
}

// reaches says whether a contact's id is how to reach somebody, an e-mail
// address or a phone number: ids are written to topics, tables and errors.
func reaches(id string) bool { return strings.ContainsRune(id, '@') || strings.HasPrefix(id, "+") }

// isAddress says whether a contact's id is a MAC address, as portals give it that
// know a guest by his device. 12 digits without anything between them are an id
// of their own, unless they are the address of the device.
func isAddress(id string, device [6]byte) bool {
	mac, ok := parseMAC([]byte(id))
	return ok && (len(id) > 2*len(mac) || mac == device)
}

// login takes a login, or leaves it out for the first thing that is wrong.
func (c *collector) login(l *ownLogin) {
	noContact := Reason("")
	if l.Contact == "" || reaches(string(l.Contact)) || isAddress(string(l.Contact), l.Device.mac) {
		noContact = BadContact
	}
	if why := cmp.Or(l.Device.reason(), l.At.reason(), noContact); why != "" {
		c.leave(why, 1)
		return
	}
	c.post.Logins = append(c.post.Logins, Login{MAC: l.Device.mac, Contact: events.ContactID(l.Contact), At: l.At.at})
}
