package senders

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"footfall/events"
)

// router is a field that holds a router's own name. It is not a string, since a
// post names the same few routers in every record: the collector makes one string
// per router.
type router struct {
	mac   [6]byte
	isMAC bool
	name  id // if it is no MAC address
}

// UnmarshalJSON accepts a MAC address in any spelling, or a name.
func (r *router) UnmarshalJSON(raw []byte) error {
	text, _ := trimmedText(raw)
	*r = parseRouter(text)
	return nil
}

// parseRouter reads a MAC address in any spelling, or a name.
func parseRouter(text []byte) router {
	if mac, ok := parseMAC(text); ok {
		return router{mac: mac, isMAC: mac != [6]byte{}}
	}
	return router{name: parseID(text)}
}

// String returns the router's name in the spelling of RouterName, or "" if the
// field holds no name.
func (r router) String() string {
	if !r.isMAC {
		return string(r.name)
	}
	const colons = "xx:xx:xx:xx:xx:xx"
	s := []byte(colons)
	for i, b := range r.mac {
		hex.Encode(s[3*i:3*i+2], []byte{b})
	}
	return string(s)
}

// routerName is RouterName.
func routerName(text []byte) string { return parseRouter(bytes.TrimSpace(text)).String() }

// collector builds a Post. Every part of the Post is valid.
type collector struct {
	post  Post
	names map[router]string
}

// newCollector returns a collector with room for n observations.
func newCollector(n int) *collector {
	return &collector{post: Post{Observations: make([]Observation, 0, n)}, names: map[router]string{}}
}

// leaveOut counts n records as left out.
func (c *collector) leaveOut(why Reason, n int) {
	if c.post.LeftOut == nil {
		c.post.LeftOut = map[Reason]int{}
	}
	c.post.LeftOut[why] += n
}

// rawObservation is an observation as the fields of a record hold it, not
// validated yet.
type rawObservation struct {
	router     router
	device     macField
	signal     number
	seenAt     instant
	associated bool
	session    events.Session
	badSession bool
}

// observe adds an observation to the post and reports whether the observation is
// valid. An invalid observation is left out and counted under one reason: that of
// the device, the signal, the time, the router or the session, in this order.
func (c *collector) observe(o rawObservation) (valid bool) {
	// Check every field. A router's name that is not empty is valid.
	rssi, badSignal := o.signal.dBm()
	router := c.routerName(o.router)
	badRouter := Reason("")
	if router == "" {
		badRouter = BadRouter
	}
	badSession := Reason("")
	if o.badSession {
		badSession = BadSession
	}
	if why := cmp.Or(o.device.reason(), badSignal, o.seenAt.reason(), badRouter, badSession); why != "" {
		c.leaveOut(why, 1)
		return false
	}
	c.post.Observations = append(c.post.Observations, Observation{
		Router: router, MAC: o.device.value, RSSI: rssi, SeenAt: o.seenAt.value, Associated: o.associated, Session: o.session,
	})
	return true
}

// routerName returns the router's name, and the same string for the same router.
func (c *collector) routerName(r router) string {
	s, known := c.names[r]
	if !known {
		s = r.String()
		c.names[r] = s
	}
	return s
}

// dropRepeats removes repeats among the observations from index start on, which
// must be of one device: for one router and moment the strongest stays. The rest
// is ordered by time and router.
func (c *collector) dropRepeats(start int) {
	// Bring repeats next to each other, the strongest first, and keep the first.
	all := c.post.Observations[start:]
	slices.SortFunc(all, func(a, b Observation) int {
		return cmp.Or(a.SeenAt.Compare(b.SeenAt), cmp.Compare(a.Router, b.Router), -cmp.Compare(a.RSSI, b.RSSI))
	})
	all = slices.CompactFunc(all, func(a, b Observation) bool {
		return a.SeenAt.Equal(b.SeenAt) && a.Router == b.Router
	})
	c.post.Observations = c.post.Observations[:start+len(all)]
}

// suppliedSignal returns a signal field for a strength that the parser supplies
// because the record has none.
func suppliedSignal(rssi events.RSSI) number { return number{value: float64(rssi), given: true} }

// wrongShape rejects a body without the array that the format is about.
func wrongShape(field string) error {
	return reject(WrongShape, fmt.Errorf("field %s is missing or no array", field))
}

// unknownType rejects a body of an unknown type. The error does not quote the
// type, which is a piece of the body.
func unknownType(field string) error {
	return reject(UnknownType, errors.New("field "+field+" is missing or names no type that is known"))
}
