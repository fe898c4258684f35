package senders

import (
	"bytes"
	"fmt"
	"time"
)

// hostapd reads lines of syslog that an agent on an OpenWrt router posts:
//
//	Feb  3 10:40:18 ap-door hostapd: wlan0: AP-STA-DISCONNECTED 00:00:5e:00:53:01
//	2024-02-03T11:20:39+01:00 ap-door hostapd: wlan0: AP-STA-CONNECTED 00:00:5e:00:53:01
//	Sat Feb  3 11:20:40 2024 daemon.notice hostapd: wlan0: RX-PROBE-REQUEST sa=00:00:5e:00:53:02 signal=-61
//
// The last is what OpenWrt's logread prints. It names no router, so a line
// "router: NAME" before it does. A time without a zone is of the business's. The
// events are those of hostapd's wpa_ctrl.h.
//
// A line "STA ... IEEE 802.11: associated" is not taken: anybody who tries a
// wrong password makes one. AP-STA-CONNECTED comes once the password was right.
type hostapd struct{ signed }

// The events of hostapd that tell of a device.
const (
	stationJoined = "AP-STA-CONNECTED"
	stationLeft   = "AP-STA-DISCONNECTED"
	probeRequest  = "RX-PROBE-REQUEST"
)

// Parse reads line by line. Lines of anything else than these events are counted
// and ignored.
func (hostapd) Parse(body []byte, at Arrival) (Post, error) {
	n := bytes.Count(body, []byte("\n")) + 1
	if n > at.Limits.Records {
		return Post{}, refuse(TooManyRecords, fmt.Errorf("more than %d lines", at.Limits.Records))
	}
	r := syslog{collector: collect(0), at: at}
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			r.line(line)
		}
	}
	return r.post, nil
}

// syslog reads the lines of one post.
type syslog struct {
	*collector
	at     Arrival
	router []byte // of the latest line that names one
}

// line goes by the place of each word and searches for none: what a device says
// of itself ends up in such lines as well, and could hold an event of its own.
func (r *syslog) line(line []byte) {
	if named, ok := bytes.CutPrefix(line, []byte("router:")); ok {
		r.router = named
		return
	}
	at, host, rest := r.head(line)
	tag, rest := cut(rest)
	_, rest = cut(rest) // the interface
	event, rest := cut(rest)
	device, rest := cut(rest)
	if !bytes.HasPrefix(tag, []byte("hostapd")) || !bytes.HasSuffix(tag, []byte(":")) {
		r.leave(UnknownLine, 1)
		return
	}
	h := hearing{router: routerOf(bytes.TrimSpace(host)), device: addressOf(device), at: at, associated: true}
	switch string(event) {
	case stationJoined:
		h.signal = measured(0)
	case stationLeft:
		// Strong enough to prolong a visit up to here, too weak to open one.
		h.signal = measured(r.at.Hold)
	case probeRequest:
		h.device = addressOf(bytes.TrimPrefix(device, []byte("sa=")))
		h.signal, h.associated = signalOf(rest), false
	default:
		r.leave(UnknownLine, 1)
		return
	}
	r.hear(h)
}

// signalOf reads signal=-61. 0 is hostapd's word for a driver that does not tell.
func signalOf(rest []byte) number {
	word, _ := cut(rest)
	text, ok := bytes.CutPrefix(word, []byte("signal="))
	if !ok || string(text) == "0" {
		return number{}
	}
	return numberOf(text)
}

// head reads what syslog writes before the tag. rest is the tag and all behind
// it; at says why where no form of time fits.
func (r *syslog) head(line []byte) (at instant, host, rest []byte) {
	if line[0] == '<' { // the priority of RFC 3164
		_, line, _ = bytes.Cut(line, []byte(">"))
	}
	first, rest := cut(line)
	if t, ok := r.stamp(first); ok {
		host, rest = cut(rest)
		return t, host, rest
	}
	if t, rest, ok := r.clock(line, "Mon Jan _2 15:04:05 2006"); ok {
		_, rest = cut(rest) // daemon.notice
		return t, r.router, rest
	}
	if t, rest, ok := r.clock(line, time.Stamp); ok {
		host, rest = cut(rest)
		return t, host, rest
	}
	_, rest = cut(rest)
	return instant{given: true, bad: true}, nil, rest
}

// stamp reads RFC 3339, with or without a zone.
func (r *syslog) stamp(word []byte) (at instant, ok bool) {
	if at = stampOf(word); !at.at.IsZero() {
		return at, true
	}
	t, err := time.Parse("2006-01-02T15:04:05", string(word))
	if err != nil {
		return instant{}, false
	}
	return instantOf(r.nearest(t, t.Year(), t.Year())), true
}

// clock reads a time of a fixed length that has no zone, and perhaps no year.
func (r *syslog) clock(line []byte, layout string) (at instant, rest []byte, ok bool) {
	if len(line) < len(layout) {
		return instant{}, nil, false
	}
	t, err := time.Parse(layout, string(line[:len(layout)]))
	if err != nil {
		return instant{}, nil, false
	}
	first, last := t.Year(), t.Year()
	if first == 0 {
		first, last = r.at.At.Year()-1, r.at.At.Year()+1
	}
	return instantOf(r.nearest(t, first, last)), line[len(layout):], true
}

// nearest gives the moment at which a clock in the business's zone shows t, in
// the year from first to last that comes nearest to the arrival: on new year's
// eve that is not always the arrival's own. In the hour that autumn repeats there
// are two such moments, and the nearer one is given. Where the clock never shows
// t (29 February, the hour that spring leaves out) it gives the zero time.
func (r *syslog) nearest(t time.Time, first, last int) (best time.Time) {
	zone := r.at.Zone
	if zone == nil {
		zone = time.UTC
	}
	nearer := func(a, b time.Time) bool { return b.IsZero() || a.Sub(r.at.At).Abs() < b.Sub(r.at.At).Abs() }
	var guess time.Time
	for year := first; year <= last; year++ {
		g := time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone)
		if nearer(g, guess) {
			guess = g
		}
	}
	for _, shift := range []time.Duration{-time.Hour, 0, time.Hour} {
		c := guess.Add(shift)
		if c.Day() == t.Day() && c.Hour() == t.Hour() && c.Minute() == t.Minute() && nearer(c, best) {
			best = c
		}
	}
	return best
}

// cut gives the first word and what follows it.
func cut(line []byte) (word, rest []byte) {
	line = bytes.TrimLeft(line, " \t")
	if end := bytes.IndexAny(line, " \t"); end >= 0 {
		return line[:end], line[end:]
	}
	return line, nil
}
