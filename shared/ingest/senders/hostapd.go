package senders

import (
	"bytes"
	"fmt"

	"footfall/events"
)

// hostapd reads lines of syslog with the events of hostapd, as an agent or a log
// server posts them:
//
//	Feb  3 10:40:18 ap-door hostapd: wlan0: AP-STA-DISCONNECTED 00:00:5e:00:53:01
//	<29>1 2024-02-03T11:20:39+01:00 ap-door hostapd 812 - - wlan0: AP-STA-CONNECTED 00:00:5e:00:53:01
//	Sat Feb  3 11:20:40 2024 daemon.notice hostapd: wlan0: RX-PROBE-REQUEST sa=00:00:5e:00:53:02 signal=-61
//
// OpenWrt's logread prints the last form, which names no router: a line
// "router: NAME" must precede. syslog.go lists the forms of what precedes the
// message. The events are from hostapd's wpa_ctrl.h.
//
// hostapd logs the events of stations at level notice (wpa_msg at MSG_INFO).
// RX-PROBE-REQUEST is passed to monitors of the control socket only
// (wpa_msg_ctrl), as "<3>RX-PROBE-REQUEST ...": the agent turns it into a line.
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
	// Room for the lines of an agent. A post of other lines does not get more.
	const room = 500
	r := syslogReader{collector: newCollector(min(n, room)), arrival: at}
	for line := range bytes.Lines(body) {
		line = bytes.TrimPrefix(line, []byte(byteOrderMark))
		// Some senders end a message with a zero byte.
		line = bytes.TrimRight(bytes.TrimSpace(line), "\x00")
		if len(line) > 0 {
			r.line(line)
		}
	}
	return r.post, nil
}

// syslogReader reads the lines of one post.
type syslogReader struct {
	*collector
	arrival Arrival
	router  []byte              // named by the latest line "router: NAME"
	mlds    map[[6]byte][6]byte // the address of a device by its address on a link, see station
}

// line reads one line. It reads each word at its position and searches for none:
// a device can put texts of its own into such lines, and could spell an event.
func (r *syslogReader) line(line []byte) {
	if name, ok := bytes.CutPrefix(line, []byte("router:")); ok {
		r.router = name
		return
	}
	head, ok := r.head(line)
	if !ok {
		r.leaveOut(UnknownLine, 1)
		return
	}
	event, address, rest := cutEvent(head.message)
	if len(head.router) == 0 {
		head.router = r.router
	}
	o := rawObservation{router: parseRouter(bytes.TrimSpace(head.router)), seenAt: head.seenAt, associated: true}
	switch string(event) {
	case stationJoined:
		o.session = events.SessionJoined
	case stationAlive:
		o.session = events.SessionAlive
	case stationLeft:
		o.session = events.SessionLeft
	case probeRequest:
		o.device = parseMACField(bytes.TrimPrefix(address, []byte("sa=")))
		o.signal, o.associated = parseSignal(rest), false
	default:
		r.leaveOut(UnknownLine, 1)
		return
	}
	if o.associated {
		o.device, o.signal = r.station(address, rest), suppliedSignal(o.session.RSSI(r.arrival.Hold))
	}
	r.observe(o)
}

// cutEvent returns the words of a message of hostapd: the event, the address behind
// it, and the rest. Before the event may stand the program again, which some
// senders repeat, then the interface, then the level in the form of the control
// socket: "hostapd: wlan0: <3>EVENT" or "IFNAME=wlan0 <3>EVENT".
func cutEvent(message []byte) (event, address, rest []byte) {
	event, rest = cutWord(message)
	for isTag(event) {
		event, rest = cutWord(rest)
	}
	if bytes.HasSuffix(event, []byte(":")) || bytes.HasPrefix(event, []byte("IFNAME=")) {
		event, rest = cutWord(rest)
	}
	event, _ = cutPriority(event)
	address, rest = cutWord(rest)
	return event, address, rest
}

// station returns the address of the device that an event of a station is about.
//
// A device of Wi-Fi 7 has an address per link, and the address of the device as a
// whole, the MLD address, which stays the same whatever links it uses, and which
// its DHCP lease and its login at the portal have. hostapd makes the MLD address
// the address of the station (hostapd_process_ml_auth in src/ap/ieee802_11.c), and
// so the address of all three events. A build that writes mld_addr= names the MLD
// address there, whatever it writes first. If it does so for an association only,
// later events of that link are of the same device.
func (r *syslogReader) station(address, rest []byte) macField {
	device := parseMACField(address)
	for len(rest) > 0 {
		var word []byte
		word, rest = cutWord(rest)
		text, ok := bytes.CutPrefix(word, []byte("mld_addr="))
		if mld := parseMACField(text); ok && mld.why == "" {
			if r.mlds == nil {
				r.mlds = map[[6]byte][6]byte{}
			}
			r.mlds[device.value] = mld.value
			return mld
		}
	}
	if mld, ok := r.mlds[device.value]; ok && device.why == "" {
		device.value = mld
	}
	return device
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
