package senders

import (
	"errors"
	"strings"
)

// meraki reads Cisco Meraki's Scanning API, versions 2 and 3
// (developer.cisco.com/meraki/scanning-api). The secret stands in the body. Of
// the two types of a post the one of Wi-Fi is taken, the one of Bluetooth is
// accepted and dropped. userId, which may be an e-mail address or a phone
// number, addresses and positions are never read.
type meraki struct{}

// merakiFloor is what version 2 counts a signal from: it reports dB above -95.
const merakiFloor = -95

type merakiPost struct {
	Version word `json:"version"`
	Type    word `json:"type"`
	Data    struct {
		AP           router              `json:"apMac"` // version 2
		Observations []merakiObservation `json:"observations"`
	} `json:"data"`
}

type merakiObservation struct {
	Client address `json:"clientMac"`
	SSID   named   `json:"ssid"` // of the network it is associated with
	// Version 2.
	RSSI      number  `json:"rssi"`
	SeenEpoch instant `json:"seenEpoch"`
	SeenTime  instant `json:"seenTime"`
	// Version 3.
	Latest struct {
		Time instant `json:"time"`
		AP   router  `json:"nearestApMac"`
		RSSI number  `json:"nearestApRssi"`
	} `json:"latestRecord"`
	Locations []struct {
		Time    instant `json:"time"`
		Records []struct {
			AP   router `json:"apMac"`
			RSSI number `json:"rssi"`
		} `json:"rssiRecords"`
	} `json:"locations"`
}

// Verify looks for the secret among the fields of the body's root, in one pass
// that ends there and parses nothing else.
func (meraki) Verify(_ func(string) string, body []byte, secrets []string) error {
	return verifySecret(body, secrets)
}

// Parse reads version 2 or 3, as the body says.
func (meraki) Parse(body []byte, at Arrival) (Post, error) {
	var p merakiPost
	if err := decode(body, at.Limits, &p); err != nil {
		return Post{}, err
	}
	observations := p.Data.Observations
	take := (*collector).merakiV3
	switch {
	case strings.HasPrefix(string(p.Version), "2"):
		take = (*collector).merakiV2
	case !strings.HasPrefix(string(p.Version), "3"):
		return Post{}, refuse(UnknownVersion, errors.New("field version is neither 2 nor 3"))
	}
	c := collect(len(observations))
	switch p.Type {
	case "Bluetooth", "BLE", "BluetoothDevicesSeen":
		c.leave(Bluetooth, max(1, len(observations)))
		return c.post, nil
	case "WiFi", "DevicesSeen":
	default:
		return Post{}, unknownType("type")
	}
	if observations == nil {
		return Post{}, wrongShape("data.observations")
	}
	for i := range observations {
		take(c, p.Data.AP, &observations[i])
	}
	return c.post, nil
}

// merakiV2 takes an observation of the one router that the post is of.
func (c *collector) merakiV2(ap router, o *merakiObservation) {
	at := o.SeenEpoch
	if at.reason() != "" {
		at = o.SeenTime
	}
	signal := o.RSSI
	signal.value += merakiFloor
	c.hear(hearing{router: ap, device: o.Client, signal: signal, at: at, associated: bool(o.SSID)})
}

// merakiV3 takes the latest record of a device and all positions, which come
// with the signal at each router that heard it. Often there are none, since a
// position takes three routers on a floor plan. Where there are both, the latest
// record may be told by the last position already.
func (c *collector) merakiV3(_ router, o *merakiObservation) {
	if why := o.Client.reason(); why != "" {
		c.leave(why, 1)
		return
	}
	start := len(c.post.Observations)
	h := hearing{device: o.Client, associated: bool(o.SSID)}
	positions := 0
	for _, l := range o.Locations {
		for _, r := range l.Records {
			h.router, h.signal, h.at = r.AP, r.RSSI, l.Time
			c.hear(h)
			positions++
		}
	}
	if o.Latest.RSSI.given || o.Latest.Time.given || positions == 0 {
		h.router, h.signal, h.at = o.Latest.AP, o.Latest.RSSI, o.Latest.Time
		c.hear(h)
	}
	c.unique(start)
}
