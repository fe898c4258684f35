package senders

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"footfall/events"
)

// router is what a router calls itself before that is a string: a post names
// the same few routers over and over, and one string each is enough.
type router struct {
	mac   [6]byte
	isMAC bool
	name  id // where it is no address
}

// UnmarshalJSON takes an address in any spelling or a name.
func (r *router) UnmarshalJSON(raw []byte) error {
	text, _ := textOf(raw)
	*r = routerOf(text)
	return nil
}

func routerOf(text []byte) router {
	if mac, ok := parseMAC(text); ok {
		return router{mac: mac, isMAC: mac != [6]byte{}}
	}
	return router{name: idOf(text)}
}

// String spells the router as RouterName does, "" where there is none.
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

func routerName(text []byte) string { return routerOf(bytes.TrimSpace(text)).String() }

// collector makes a Post, of which every part is valid.
type collector struct {
	post  Post
	names map[router]string
}

// collect has room for n hearings.
func collect(n int) *collector {
	return &collector{post: Post{Observations: make([]Observation, 0, n)}, names: map[router]string{}}
}

// leave counts a record that is left out.
func (c *collector) leave(why Reason, n int) {
	if c.post.LeftOut == nil {
		c.post.LeftOut = map[Reason]int{}
	}
	c.post.LeftOut[why] += n
}

// hearing is one hearing as a record tells it.
type hearing struct {
	router     router
	device     address
	signal     number
	at         instant
	associated bool
}

// hear takes a hearing, or leaves it out for the first thing that is wrong.
func (c *collector) hear(h hearing) (taken bool) {
	rssi, noSignal := h.signal.dBm()
	router := c.name(h.router)
	noRouter := Reason("")
	if router == "" {
		noRouter = BadRouter
	}
	if why := cmp.Or(h.device.reason(), noSignal, h.at.reason(), noRouter); why != "" {
		c.leave(why, 1)
		return false
	}
	c.post.Observations = append(c.post.Observations, Observation{
		Router: router, MAC: h.device.mac, RSSI: rssi, SeenAt: h.at.at, Associated: h.associated,
	})
	return true
}

func (c *collector) name(r router) string {
	s, known := c.names[r]
	if !known {
		s = r.String()
		c.names[r] = s
	}
	return s
}

// unique drops what is told twice from the hearings from start on: of one
// router and one moment the strongest stays. Routers come with their times in
// order.
func (c *collector) unique(start int) {
	told := c.post.Observations[start:]
	slices.SortFunc(told, func(a, b Observation) int {
		return cmp.Or(a.SeenAt.Compare(b.SeenAt), cmp.Compare(a.Router, b.Router), -cmp.Compare(a.RSSI, b.RSSI))
	})
	told = slices.CompactFunc(told, func(a, b Observation) bool {
		return a.SeenAt.Equal(b.SeenAt) && a.Router == b.Router
	})
	c.post.Observations = c.post.Observations[:start+len(told)]
}

// measured is a signal that the parser itself puts in.
func measured(rssi events.RSSI) number { return number{value: float64(rssi), given: true} }

// moment is a time that the parser itself puts in.
func moment(t time.Time) instant { return instantOf(t) }

// wrongShape refuses a body without the array that the format is about.
func wrongShape(field string) error {
	return refuse(WrongShape, fmt.Errorf("field %s is missing or no array", field))
}

// unknownType refuses a body of a type that nobody has heard of. The type is
// not repeated, for it is a piece of the body.
func unknownType(field string) error {
	return refuse(UnknownType, errors.New("field "+field+" is missing or names no type that is known"))
}
