package senders

import (
	"bytes"
	"fmt"
	"time"

	"footfall/events"
)

// hostapd reads lines of syslog that an agent on an OpenWrt router posts:
//
//	Feb  3 10:40:18 ap-door hostapd: wlan0: AP-STA-DISCONNECTED 00:00:5e:00:53:01
//	2024-02-03T11:20:39+01:00 ap-door hostapd: wlan0: AP-STA-CONNECTED 00:00:5e:00:53:01
//	Sat Feb  3 11:20:40 2024 daemon.notice hostapd: wlan0: RX-PROBE-REQUEST sa=00:00:5e:00:53:02 signal=-61
//
// OpenWrt's logread prints the last form, which names no router: a line
// "router: NAME" must precede. A time without a zone is in the zone of the
// business. The events are from hostapd's wpa_ctrl.h.
//
// A line "STA ... IEEE 802.11: associated" is ignored, since it also follows a
// wrong password. AP-STA-CONNECTED follows a right password only.
type hostapd struct{ signed }

// The events of hostapd that are observations of a device.
const (
	stationJoined = "AP-STA-CONNECTED"
	stationAlive  = "AP-STA-POLL-OK"
	stationLeft   = "AP-STA-DISCONNECTED"
	probeRequest  = "RX-PROBE-REQUEST"
)

// Parse reads line by line. A line without one of these events is counted
// and ignored.
func (hostapd) Parse(body []byte, at Arrival) (Post, error) {
	// The limit comes first, before anything is built.
	n := bytes.Count(body, []byte("\n")) + 1
	if n > at.Limits.Records {
		return Post{}, reject(TooManyRecords, fmt.Errorf("more than %d lines", at.Limits.Records))
	}
	r := syslogReader{collector: newCollector(0), arrival: at}
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			r.line(line)
		}
	}
	return r.post, nil
}

// syslogReader reads the lines of one post.
type syslogReader struct {
	*collector
	arrival Arrival
	router  []byte // named by the latest line "router: NAME"
}

// line reads one line. It reads each word at its position and searches for none:
// a device can put texts of its own into such lines, and could spell an event.
func (r *syslogReader) line(line []byte) {
	if name, ok := bytes.CutPrefix(line, []byte("router:")); ok {
		r.router = name
		return
	}
	// TIME HOST hostapd[PID]: INTERFACE: EVENT DEVICE REST
	at, host, rest := r.head(line)
	tag, rest := cutWord(rest)
	_, rest = cutWord(rest) // the interface
	event, rest := cutWord(rest)
	device, rest := cutWord(rest)
	if !bytes.HasPrefix(tag, []byte("hostapd")) || !bytes.HasSuffix(tag, []byte(":")) {
		r.leaveOut(UnknownLine, 1)
		return
	}
	o := rawObservation{router: parseRouter(bytes.TrimSpace(host)), device: parseMACField(device), seenAt: at, associated: true}
	switch string(event) {
	case stationJoined:
		o.signal, o.session = suppliedSignal(0), events.SessionJoined
	case stationAlive:
		o.signal, o.session = suppliedSignal(r.arrival.Hold), events.SessionAlive
	case stationLeft:
		// Strong enough to extend a visit up to this moment, too weak to open a
		// candidate.
		o.signal, o.session = suppliedSignal(r.arrival.Hold), events.SessionLeft
	case probeRequest:
		o.device = parseMACField(bytes.TrimPrefix(device, []byte("sa=")))
		o.signal, o.associated = parseSignal(rest), false
	default:
		r.leaveOut(UnknownLine, 1)
		return
	}
	r.observe(o)
}

// parseSignal reads signal=-61. It takes 0 for a missing signal: hostapd writes 0
// if the driver reports no signal.
func parseSignal(rest []byte) number {
	word, _ := cutWord(rest)
	text, ok := bytes.CutPrefix(word, []byte("signal="))
	if !ok || string(text) == "0" {
		return number{}
	}
	return parseNumber(text)
}

// head reads the part of a line before the tag: the time and the host. rest is the
// tag and everything behind it. If the time has none of the three forms, at is a
// bad time.
func (r *syslogReader) head(line []byte) (at instant, host, rest []byte) {
	if line[0] == '<' { // the priority of RFC 3164
		_, line, _ = bytes.Cut(line, []byte(">"))
	}
	// RFC 3339 HOST
	first, rest := cutWord(line)
	if t, ok := r.stamp(first); ok {
		host, rest = cutWord(rest)
		return t, host, rest
	}
	// logread: the time, then daemon.notice in place of a host
	if t, rest, ok := r.clock(line, "Mon Jan _2 15:04:05 2006"); ok {
		_, rest = cutWord(rest)
		return t, r.router, rest
	}
	// RFC 3164: a time without a year, then the host
	if t, rest, ok := r.clock(line, time.Stamp); ok {
		host, rest = cutWord(rest)
		return t, host, rest
	}
	_, rest = cutWord(rest)
	return instant{given: true, bad: true}, nil, rest
}

// stamp reads RFC 3339, with or without a zone.
func (r *syslogReader) stamp(word []byte) (at instant, ok bool) {
	if at = parseRFC3339(word); !at.value.IsZero() {
		return at, true
	}
	t, err := time.Parse("2006-01-02T15:04:05", string(word))
	if err != nil {
		return instant{}, false
	}
	return newInstant(r.nearest(t, t.Year(), t.Year())), true
}

// clock reads a time of a fixed length without a zone, and possibly without a
// year, at the start of a line.
func (r *syslogReader) clock(line []byte, layout string) (at instant, rest []byte, ok bool) {
	if len(line) < len(layout) {
		return instant{}, nil, false
	}
	t, err := time.Parse(layout, string(line[:len(layout)]))
	if err != nil {
		return instant{}, nil, false
	}
	// If the layout has no year, any year around the arrival may be meant.
	first, last := t.Year(), t.Year()
	if first == 0 {
		first, last = r.arrival.At.Year()-1, r.arrival.At.Year()+1
	}
	return newInstant(r.nearest(t, first, last)), line[len(layout):], true
}

// nearest returns the moment, nearest to the arrival of the post, at which a clock
// in the business's zone shows t in a year from first to last.
//
// The year is not always the arrival's own: on new year's eve a line of the old
// year arrives in the new one. In the hour that the end of summer time repeats, a
// clock shows t at two moments, and nearest returns the nearer of them. If a clock
// never shows t (29 February of a common year, the hour that the beginning of
// summer time leaves out), nearest returns the zero time.
func (r *syslogReader) nearest(t time.Time, first, last int) (best time.Time) {
	zone := r.arrival.Zone
	if zone == nil {
		zone = time.UTC
	}
	nearer := func(a, b time.Time) bool {
		return b.IsZero() || a.Sub(r.arrival.At).Abs() < b.Sub(r.arrival.At).Abs()
	}
	// The nearest year.
	var guess time.Time
	for year := first; year <= last; year++ {
		g := time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone)
		if nearer(g, guess) {
			guess = g
		}
	}
	// In that year time.Date has moved a time that the clock never shows, or chosen
	// one of two moments. Look an hour to either side for moments that show t.
	for _, shift := range []time.Duration{-time.Hour, 0, time.Hour} {
		c := guess.Add(shift)
		if c.Day() == t.Day() && c.Hour() == t.Hour() && c.Minute() == t.Minute() && nearer(c, best) {
			best = c
		}
	}
	return best
}

// cutWord returns the first word of a line and the rest behind it.
func cutWord(line []byte) (word, rest []byte) {
	line = bytes.TrimLeft(line, " \t")
	if end := bytes.IndexAny(line, " \t"); end >= 0 {
		return line[:end], line[end:]
	}
	return line, nil
}
